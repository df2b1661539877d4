"""A hole at a leaf's end goes on to the end of all files.

fails: between_leaves
also: deep_trees the_last_leaf
"""


# step 4
def ext4_ext_map_blocks(inode: Inode, lblk: int) -> tuple[int, int, int]:
    runs, end = EXT4_I(inode).i_extents, EXT_MAX_BLOCKS
    if runs is None:
        _first, _end, runs = ext4_find_leaf(inode, lblk)
    for start, length, pblk, state in runs:
        if lblk < start:
            return EXT4_MAP_HOLE, 0, start - lblk
        if lblk < start + length:
            return state, pblk + lblk - start, start + length - lblk
    return EXT4_MAP_HOLE, 0, end - lblk
