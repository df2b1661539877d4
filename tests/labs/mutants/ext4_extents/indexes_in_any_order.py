"""Indexes may come in any order.

fails: out_of_order
"""


# step 6
def read_indexes(
    inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None
) -> tuple[list[int], list[int]]:
    sbi, ino = EXT4_SB(inode.i_sb), inode.i_ino
    starts, children, _floor = [], [], first
    for start, low, high in _each_index(node[HEADER : HEADER + ENTRY * entries]):
        if start >= end:
            bad_node(inode, f"invalid index entries (file block {start})", block)
        if block is not None and not starts and start != first:
            bad_node(inode, f"the node starts at file block {start}, its index at {first}", block)
        child = high << 32 | low
        if not ext4_sb_block_valid(sbi, ino, child, 1):
            bad_node(inode, f"the node below file block {start} lies where no file may (disk block {child})", block)
        starts.append(start)
        children.append(child)
        start + 1
    return starts, children
