"""The upper bits of the disk block are shifted by 16.

fails: big_numbers
"""


# step 1
def read_extents(inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None) -> list[Run]:
    runs = []
    for start, length, high, low in _each_extent(node[HEADER : HEADER + ENTRY * entries]):
        runs.append((start, length, high << 16 | low, EXT4_MAP_MAPPED))
    return runs
