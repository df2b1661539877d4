"""The upper 16 bits of the disk block are ignored.

fails: big_numbers
"""


# step 1
def read_extents(inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None) -> list[Run]:
    runs = []
    for start, length, _high, low in _each_extent(node[HEADER : HEADER + ENTRY * entries]):
        runs.append((start, length, low, EXT4_MAP_MAPPED))
    return runs
