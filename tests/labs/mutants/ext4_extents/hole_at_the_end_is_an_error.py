"""Behind the last run is an error in place of a hole.

fails: hole_at_the_end
also: every_boundary reserved
"""


# step 2
def ext4_ext_map_blocks(inode: Inode, lblk: int) -> tuple[int, int, int]:
    for start, length, pblk, state in EXT4_I(inode).i_extents:
        if lblk < start:
            return EXT4_MAP_HOLE, 0, start - lblk
        if lblk < start + length:
            return state, pblk + lblk - start, start + length - lblk
    bad_node(inode, "no such block", None)
