"""All entries that there is room for are read, whether in use or not.

fails: four_entries
also: big_numbers
"""


# step 1
def read_extents(inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None) -> list[Run]:
    runs = []
    for start, length, high, low in _each_extent(node[HEADER:]):
        runs.append((start, length, high << 32 | low, EXT4_MAP_MAPPED))
    return runs
