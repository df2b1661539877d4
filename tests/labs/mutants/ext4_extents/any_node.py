"""An index may lead anywhere.

fails: whose_blocks
"""


# step 6
def read_indexes(
    inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None
) -> tuple[list[int], list[int]]:
    _sbi, _ino = EXT4_SB(inode.i_sb), inode.i_ino
    starts, children, floor = [], [], first
    for start, low, high in _each_index(node[HEADER : HEADER + ENTRY * entries]):
        if start < floor or start >= end:
            bad_node(inode, f"invalid index entries (file block {start})", block)
        if block is not None and not starts and start != first:
            bad_node(inode, f"the node starts at file block {start}, its index at {first}", block)
        child = high << 32 | low
        starts.append(start)
        children.append(child)
        floor = start + 1
    return starts, children
