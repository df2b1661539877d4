"""A run ends one block too late.

fails: hole_at_the_end
also: in_pieces hole_between every_boundary reserved longest
"""


# step 2
def ext4_ext_map_blocks(inode: Inode, lblk: int) -> tuple[int, int, int]:
    for start, length, pblk, state in EXT4_I(inode).i_extents:
        if lblk < start:
            return EXT4_MAP_HOLE, 0, start - lblk
        if lblk <= start + length:
            return state, pblk + lblk - start, start + length - lblk
    return EXT4_MAP_HOLE, 0, EXT_MAX_BLOCKS - lblk
