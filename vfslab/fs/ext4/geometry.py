"""The superblock: reading it, and believing only what can be true.

    ext4_read_super ──▶ magic, checksum, features ──▶ sizes ──▶ groups ──▶ Ext4SbInfo

Everything else is computed from these numbers, so each is held against the others and against the
size of the device before anybody divides by it or loops over it. What is refused is refused with one
line in the log that names the member.

Linux: ext4_load_super(), ext4_check_geometry() and their neighbours in fs/ext4/super.c.   Chapter 3.

Always true
  G1  no number in Ext4SbInfo is zero that somebody divides by
  G2  s_blocks_count blocks lie on the device; s_groups_count is what they give, and the inodes are as many
      as the groups hold: memory for groups is in proportion to the device, not to what a member claims
"""

from __future__ import annotations

from typing import NoReturn

from vfslab.fs.block_dev import sb_set_blocksize
from vfslab.fs.buffer import brelse, sb_bread
from vfslab.fs.ext4.ext4 import Ext4SbInfo, ext4_msg
from vfslab.fs.ext4.features import refused_features
from vfslab.fs.ext4.format import (
    EXT4_GOOD_OLD_FIRST_INO,
    EXT4_GOOD_OLD_INODE_SIZE,
    EXT4_GOOD_OLD_REV,
    EXT4_MAX_BLOCK_SIZE,
    EXT4_MIN_BLOCK_SIZE,
    EXT4_MIN_DESC_SIZE,
    EXT4_MIN_DESC_SIZE_64BIT,
    EXT4_NDIR_BLOCKS,
    EXT4_SUPER_MAGIC,
    INCOMPAT_64BIT,
    INCOMPAT_CSUM_SEED,
    INCOMPAT_META_BG,
    RO_COMPAT_BIGALLOC,
    RO_COMPAT_GDT_CSUM,
    RO_COMPAT_HUGE_FILE,
    RO_COMPAT_METADATA_CSUM,
    SUPERBLOCK_OFFSET,
    ext4_super_block,
)
from vfslab.include.fs import MAX_LFS_FILESIZE, SuperBlock
from vfslab.kernel.errno import EFSBADCRC, EINVAL, EIO
from vfslab.kernel.printk import KERN_ERR, KERN_WARNING
from vfslab.lib.crc32c import crc32c

EXT4_CRC32C_CHKSUM = 1
CHECKSUM_AT = ext4_super_block.s_checksum.offset
DEFAULT_SB_BLOCK = 1  # in units of 1 KiB, as the mount option sb= counts


def refuse(sb: SuperBlock, text: str) -> NoReturn:
    """Log why the mount fails and raise EINVAL."""
    ext4_msg(sb, KERN_ERR, text)
    raise EINVAL(text)


def ext4_read_super(sb: SuperBlock, sb_block: int = DEFAULT_SB_BLOCK) -> ext4_super_block:
    """Return the superblock at sb_block (in KiB), whole and with its checksum right; EINVAL or EFSBADCRC if it is not."""
    if not sb_set_blocksize(sb, EXT4_MIN_BLOCK_SIZE):
        refuse(sb, "blocks of 1024 bytes cannot be read from this device")
    es = superblock_at(sb, sb_block)
    if es is None:
        refuse(sb, "the device is too short for a superblock" + backup_hint(sb, sb_block))
    if es.s_magic != EXT4_SUPER_MAGIC:
        refuse(sb, f"no ext4 filesystem: s_magic is {es.s_magic:#06x}, not 0xef53" + backup_hint(sb, sb_block))
    if es.s_feature_ro_compat & RO_COMPAT_METADATA_CSUM and es.s_checksum_type != EXT4_CRC32C_CHKSUM:
        refuse(sb, f"unknown checksum algorithm: s_checksum_type {es.s_checksum_type}" + backup_hint(sb, sb_block))
    if not ext4_superblock_csum_verify(es):
        text = "the superblock's checksum is wrong" + backup_hint(sb, sb_block)
        ext4_msg(sb, KERN_ERR, text)
        raise EFSBADCRC(text)
    return es


def superblock_at(sb: SuperBlock, sb_block: int) -> ext4_super_block | None:
    """Return a copy of the 1024 bytes at block sb_block of 1 KiB, None if the device ends before."""
    if sb_block * SUPERBLOCK_OFFSET + ext4_super_block.size > sb.s_bdev.bd_nr_sectors * 512:
        return None
    try:
        bh = sb_bread(sb, sb_block)
    except EIO:
        return None
    es = ext4_super_block(bytearray(bh.b_data))
    brelse(bh)
    return es


def ext4_superblock_csum_verify(es: ext4_super_block) -> bool:
    """True if the superblock's own checksum is right, or if it has none."""
    if not es.s_feature_ro_compat & RO_COMPAT_METADATA_CSUM:
        return True
    return crc32c(~0, es.buffer[:CHECKSUM_AT]) == es.s_checksum


def backup_hint(sb: SuperBlock, sb_block: int) -> str:
    """Return words that name the first good backup of the superblock, empty if there is none where mke2fs puts them."""
    if sb_block != DEFAULT_SB_BLOCK:
        return ""
    for group in (1, 3, 5, 7, 9):
        for log_block_size in range(7):
            block_size = EXT4_MIN_BLOCK_SIZE << log_block_size
            block = group * 8 * block_size + (log_block_size == 0)
            es = superblock_at(sb, block << log_block_size)
            if es is None or (es.s_magic, es.s_block_group_nr) != (EXT4_SUPER_MAGIC, group):
                continue
            if es.s_log_block_size == log_block_size and ext4_superblock_csum_verify(es):
                return f"; a good backup is in block {block}: mount with the option sb={block << log_block_size}"
    return ""


# --- believing it ---------------------------------------------------------------------------------


def ext4_fill_sb_info(sb: SuperBlock, sbi: Ext4SbInfo, es: ext4_super_block, sb_block: int) -> None:
    """Fill Ext4SbInfo from a superblock and set the block size; EINVAL for what cannot be read or cannot be."""
    sbi.s_sb, sbi.s_es = sb, es
    sbi.s_compat, sbi.s_incompat, sbi.s_ro_compat = es.s_feature_compat, es.s_feature_incompat, es.s_feature_ro_compat
    refused = refused_features(sbi.s_incompat)
    if refused:
        refuse(sb, "cannot be read, because of the feature " + "; ".join(refused))
    if es.s_rev_level == EXT4_GOOD_OLD_REV and sbi.s_compat | sbi.s_incompat | sbi.s_ro_compat:
        ext4_msg(sb, KERN_WARNING, "revision 0 has no features, but there are some: e2fsck is recommended")
    block_size = take_block_size(sb, es)
    take_inode_size(sb, sbi, es, block_size)
    take_desc_size(sb, sbi, es, block_size)
    take_clusters(sb, sbi, es, block_size)
    take_group_count(sb, sbi, es, block_size)
    sbi.s_sb_block, sbi.s_sb_offset = divmod(sb_block * EXT4_MIN_BLOCK_SIZE, block_size)
    sbi.s_hash_seed = es.s_hash_seed
    take_checksums(sbi, es)
    sbi.s_bitmap_maxbytes = ext4_max_bitmap_size(sb.s_blocksize_bits, bool(sbi.s_ro_compat & RO_COMPAT_HUGE_FILE))
    sb.s_maxbytes = ext4_max_size(sb.s_blocksize_bits, bool(sbi.s_ro_compat & RO_COMPAT_HUGE_FILE))


def take_block_size(sb: SuperBlock, es: ext4_super_block) -> int:
    """Return the size of a block in bytes; the device is read in blocks of this size from now on."""
    if es.s_log_block_size > (EXT4_MAX_BLOCK_SIZE // EXT4_MIN_BLOCK_SIZE).bit_length() - 1:
        refuse(sb, f"s_log_block_size {es.s_log_block_size} is too large")
    block_size = EXT4_MIN_BLOCK_SIZE << es.s_log_block_size
    if es.s_reserved_gdt_blocks > block_size // 4:
        refuse(sb, f"s_reserved_gdt_blocks {es.s_reserved_gdt_blocks} is too large")
    if not sb_set_blocksize(sb, block_size):
        refuse(sb, f"blocks of {block_size} bytes cannot be read from this device")
    return block_size


def take_inode_size(sb: SuperBlock, sbi: Ext4SbInfo, es: ext4_super_block, block_size: int) -> None:
    """Set the numbers that follow from the size of an inode."""
    if es.s_rev_level == EXT4_GOOD_OLD_REV:
        sbi.s_inode_size, sbi.s_first_ino = EXT4_GOOD_OLD_INODE_SIZE, EXT4_GOOD_OLD_FIRST_INO
    else:
        sbi.s_inode_size, sbi.s_first_ino = es.s_inode_size, es.s_first_ino
    size = sbi.s_inode_size
    if sbi.s_first_ino < EXT4_GOOD_OLD_FIRST_INO:
        refuse(sb, f"s_first_ino {sbi.s_first_ino} is too small")
    if not EXT4_GOOD_OLD_INODE_SIZE <= size <= block_size or size & size - 1:
        refuse(sb, f"s_inode_size {size} is not possible")
    sbi.s_inodes_per_block = block_size // size
    sbi.s_inodes_per_group = es.s_inodes_per_group
    if not sbi.s_inodes_per_block <= sbi.s_inodes_per_group <= block_size * 8:
        refuse(sb, f"s_inodes_per_group {sbi.s_inodes_per_group} is not possible")
    sbi.s_itb_per_group = -(-sbi.s_inodes_per_group // sbi.s_inodes_per_block)


def take_desc_size(sb: SuperBlock, sbi: Ext4SbInfo, es: ext4_super_block, block_size: int) -> None:
    """Set the size of a group descriptor."""
    size = EXT4_MIN_DESC_SIZE
    if sbi.s_incompat & INCOMPAT_64BIT:
        size = es.s_desc_size
        if not EXT4_MIN_DESC_SIZE_64BIT <= size <= EXT4_MIN_BLOCK_SIZE or size & size - 1:
            refuse(sb, f"s_desc_size {size} is not possible")
    sbi.s_desc_size = size
    sbi.s_desc_per_block = block_size // size


def take_clusters(sb: SuperBlock, sbi: Ext4SbInfo, es: ext4_super_block, block_size: int) -> None:
    """Set the sizes of groups and clusters."""
    per_group = sbi.s_blocks_per_group = es.s_blocks_per_group
    if not per_group:
        refuse(sb, "s_blocks_per_group is 0")
    if sbi.s_ro_compat & RO_COMPAT_BIGALLOC:
        bits = es.s_log_cluster_size - es.s_log_block_size
        if bits < 0 or es.s_log_cluster_size > 20:
            refuse(sb, f"s_log_cluster_size {es.s_log_cluster_size} is not possible")
        sbi.s_cluster_bits, sbi.s_cluster_ratio, sbi.s_clusters_per_group = bits, 1 << bits, es.s_clusters_per_group
    else:
        if es.s_log_cluster_size != es.s_log_block_size:
            refuse(sb, f"s_log_cluster_size {es.s_log_cluster_size} is not s_log_block_size, without bigalloc")
        sbi.s_cluster_bits, sbi.s_cluster_ratio, sbi.s_clusters_per_group = 0, 1, per_group
    if sbi.s_clusters_per_group > block_size * 8:
        refuse(sb, f"s_blocks_per_group {per_group}: {sbi.s_clusters_per_group} clusters do not fit into one bitmap")
    if per_group != sbi.s_clusters_per_group * sbi.s_cluster_ratio:
        refuse(sb, f"s_blocks_per_group {per_group} and s_clusters_per_group {sbi.s_clusters_per_group} do not agree")


def take_group_count(sb: SuperBlock, sbi: Ext4SbInfo, es: ext4_super_block, block_size: int) -> None:
    """Set how many blocks, groups and inodes there are."""
    blocks, first = es.s_blocks_count, es.s_first_data_block
    on_device = sb.s_bdev.bd_nr_sectors * 512 // block_size
    if blocks > on_device:
        refuse(sb, f"s_blocks_count {blocks} exceeds the size of the device ({on_device} blocks)")
    if first >= blocks:
        refuse(sb, f"s_first_data_block {first} is not possible, with s_blocks_count {blocks}")
    if first == 0 and block_size == EXT4_MIN_BLOCK_SIZE and sbi.s_cluster_ratio == 1:
        refuse(sb, "s_first_data_block is 0, with blocks of 1 KiB")
    groups = -(-(blocks - first) // sbi.s_blocks_per_group)
    if groups * sbi.s_inodes_per_group != es.s_inodes_count:
        refuse(sb, f"s_inodes_count {es.s_inodes_count} is not {groups} groups of {sbi.s_inodes_per_group}")
    sbi.s_blocks_count, sbi.s_first_data_block, sbi.s_groups_count = blocks, first, groups
    sbi.s_inodes_count = es.s_inodes_count
    sbi.s_gdb_count = -(-groups // sbi.s_desc_per_block)
    sbi.s_first_meta_bg = es.s_first_meta_bg
    if sbi.s_incompat & INCOMPAT_META_BG and sbi.s_first_meta_bg > sbi.s_gdb_count:
        refuse(sb, f"s_first_meta_bg {sbi.s_first_meta_bg} is beyond the last group")


def take_checksums(sbi: Ext4SbInfo, es: ext4_super_block) -> None:
    """Set which checksums there are, and where they start."""
    sbi.s_metadata_csum = bool(sbi.s_ro_compat & RO_COMPAT_METADATA_CSUM)
    sbi.s_gdt_csum = bool(sbi.s_ro_compat & RO_COMPAT_GDT_CSUM)
    sbi.s_csum_seed = es.s_checksum_seed if sbi.s_incompat & INCOMPAT_CSUM_SEED else crc32c(~0, es.s_uuid)


# --- how big a file can be --------------------------------------------------------------------------


def ext4_max_size(bits: int, huge: bool) -> int:
    """Return the bytes of the biggest file mapped by extents, with blocks of 1 << bits bytes.

    Logical blocks have 32 bits; without huge_file i_blocks, 32 bits in sectors, may be the narrower limit.
    """
    by_map = (1 << 32) - 1 << bits
    by_i_blocks = MAX_LFS_FILESIZE if huge else ((1 << 32) - 1 >> bits - 9) << bits
    return min(by_map, by_i_blocks, MAX_LFS_FILESIZE)


def ext4_max_bitmap_size(bits: int, huge: bool) -> int:
    """Return the bytes of the biggest file mapped by indirect blocks: what they reach, or what i_blocks can count."""
    per_block = 1 << bits - 2
    reach = EXT4_NDIR_BLOCKS + per_block + per_block**2 + per_block**3
    limit = (1 << 48) - 1 if huge else (1 << 32) - 1 >> bits - 9
    if reach + indirect_blocks(reach, per_block) > limit:
        reach = limit - indirect_blocks(limit, per_block)
    return min(reach << bits, MAX_LFS_FILESIZE)


def indirect_blocks(blocks: int, per_block: int) -> int:
    """Return how many indirect blocks a file of so many data blocks has."""
    double, triple = blocks - EXT4_NDIR_BLOCKS - per_block, blocks - EXT4_NDIR_BLOCKS - per_block - per_block**2
    if triple <= 0:
        return 2 + -(-double // per_block)
    return 2 + per_block + 1 + -(-triple // per_block) + -(-triple // per_block**2)
