"""A hole between two runs is said to reach up to the end.

fails: hole_between
also: every_boundary
"""


# step 2
def ext4_ext_map_blocks(inode: Inode, lblk: int) -> tuple[int, int, int]:
    for start, length, pblk, state in EXT4_I(inode).i_extents:
        if lblk < start:
            return EXT4_MAP_HOLE, 0, EXT_MAX_BLOCKS - lblk
        if lblk < start + length:
            return state, pblk + lblk - start, start + length - lblk
    return EXT4_MAP_HOLE, 0, EXT_MAX_BLOCKS - lblk
