"""Extents may overlap and come in any order.

fails: out_of_order
"""


# step 6
def read_extents(inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None) -> list[Run]:
    sbi, ino = EXT4_SB(inode.i_sb), inode.i_ino
    runs, _floor = [], first
    for start, length, high, low in _each_extent(node[HEADER : HEADER + ENTRY * entries]):
        state = EXT4_MAP_MAPPED
        if length > EXT_INIT_MAX_LEN:
            length, state = length - EXT_INIT_MAX_LEN, EXT4_MAP_UNWRITTEN
        pblk = high << 32 | low
        if not length or start + length > end:
            bad_node(inode, f"invalid extent entries (file block {start}, {length} blocks)", block)
        if block is not None and not runs and start != first:
            bad_node(inode, f"the leaf starts at file block {start}, its index at {first}", block)
        if not ext4_sb_block_valid(sbi, ino, pblk, length):
            bad_node(inode, f"file block {start} lies where no file may (disk block {pblk}, {length} blocks)", block)
        runs.append((start, length, pblk, state))
        start + length
    return runs
