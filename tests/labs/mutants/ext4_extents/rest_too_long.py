"""The whole run is said to go on, from wherever one asks.

fails: every_boundary
also: hole_at_the_end longest
"""


# step 2
def ext4_ext_map_blocks(inode: Inode, lblk: int) -> tuple[int, int, int]:
    for start, length, pblk, state in EXT4_I(inode).i_extents:
        if lblk < start:
            return EXT4_MAP_HOLE, 0, start - lblk
        if lblk < start + length:
            return state, pblk + lblk - start, length
    return EXT4_MAP_HOLE, 0, EXT_MAX_BLOCKS - lblk
