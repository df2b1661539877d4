"""An unwritten extent keeps its 32768 extra blocks.

fails: reserved
also: longest
"""


# step 3
def read_extents(inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None) -> list[Run]:
    runs = []
    for start, length, high, low in _each_extent(node[HEADER : HEADER + ENTRY * entries]):
        state = EXT4_MAP_MAPPED
        if length > EXT_INIT_MAX_LEN:
            state = EXT4_MAP_UNWRITTEN
        runs.append((start, length, high << 32 | low, state))
    return runs
