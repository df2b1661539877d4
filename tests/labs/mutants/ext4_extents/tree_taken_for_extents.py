"""The indexes of a root are read as if they were extents.

fails: two_levels
also: which_index between_leaves deep_trees the_last_leaf asked_once holes_remembered flipped_bits wrong_headers wrong_nodes out_of_order nothing_lost
"""


# step 4
def ext4_ext_check_inode(inode: Inode, root: bytes) -> tuple[Run, ...] | None:
    if root.startswith(ONE_EXTENT):  # what most files have is checked here, without detours
        start, length, high, low = _read_extent(root, HEADER)
        pblk = high << 32 | low
        if 0 < length <= EXT_INIT_MAX_LEN and start + length <= EXT_MAX_BLOCKS:
            if ext4_sb_block_valid(inode.i_sb.s_fs_info, inode.i_ino, pblk, length):
                return ((start, length, pblk, EXT4_MAP_MAPPED),)
    entries, depth = ext4_ext_check(inode, root, None, None)
    return tuple(read_extents(inode, root, entries, 0, EXT_MAX_BLOCKS, None))
