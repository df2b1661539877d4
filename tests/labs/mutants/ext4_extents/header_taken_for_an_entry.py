"""The first entry is looked for where the header lies.

fails: one_piece
also: four_entries big_numbers in_pieces hole_between hole_at_the_end every_boundary
"""


# step 1
def read_extents(inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None) -> list[Run]:
    runs = []
    for start, length, high, low in _each_extent(node[: ENTRY * entries]):
        runs.append((start, length, high << 32 | low, EXT4_MAP_MAPPED))
    return runs
