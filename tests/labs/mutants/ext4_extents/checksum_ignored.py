"""No checksum is computed.

fails: flipped_bits
"""


# step 6
def ext4_extent_block_csum_verify(inode: Inode, node: bytes, block: int) -> None:
    if not EXT4_SB(inode.i_sb).s_metadata_csum:
        return
    _, _, room, _ = _read_header(node, 0)
    tail = HEADER + ENTRY * room  # four bytes at least are left there: 12 does not divide a block
    if tail < 0:
        ext4_checksum_error(inode.i_sb, "ext4_find_extent", "extent tree checksum is wrong", inode.i_ino, block)
