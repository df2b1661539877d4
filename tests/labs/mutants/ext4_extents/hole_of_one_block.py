"""Every hole is said to be one block long.

fails: hole_between
also: hole_at_the_end every_boundary reserved
"""


# step 2
def ext4_ext_map_blocks(inode: Inode, lblk: int) -> tuple[int, int, int]:
    for start, length, pblk, state in EXT4_I(inode).i_extents:
        if lblk < start:
            return EXT4_MAP_HOLE, 0, 1
        if lblk < start + length:
            return state, pblk + lblk - start, start + length - lblk
    return EXT4_MAP_HOLE, 0, 1
