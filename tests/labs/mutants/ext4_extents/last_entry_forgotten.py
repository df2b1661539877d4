"""The last entry is left out.

fails: four_entries
also: one_piece big_numbers in_pieces hole_between hole_at_the_end every_boundary
"""


# step 1
def read_extents(inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None) -> list[Run]:
    runs = []
    for start, length, high, low in _each_extent(node[HEADER : HEADER + ENTRY * (entries - 1)]):
        runs.append((start, length, high << 32 | low, EXT4_MAP_MAPPED))
    return runs
