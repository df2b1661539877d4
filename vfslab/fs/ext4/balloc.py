"""Block groups: where each one's parts lie, and its block bitmap.

A group descriptor says where its group's bitmaps and inode table are. The descriptors stand

    plain     all in one table behind the superblock, and behind each of its backups
    meta_bg   s_desc_per_block groups at a time, in the first block (or the one after a
              superblock) of the first group they describe; copies in the second and the last

Linux: fs/ext4/balloc.c, descriptor_loc() and ext4_check_descriptors() of super.c.   Chapter 3.
Left out: allocation, reserved clusters.

Always true
  B1  a descriptor in s_group_desc points into the filesystem; one that does not raises EFSCORRUPTED each time
  B2  a wrong checksum of a descriptor is logged at the mount; what it points to has checksums of its own
"""

from __future__ import annotations

from collections.abc import Iterator

from vfslab.fs.buffer import brelse, sb_bread
from vfslab.fs.ext4.ext4 import (
    EXT4_SB,
    Ext4GroupDesc,
    Ext4SbInfo,
    ext4_checksum_error,
    ext4_error,
    ext4_has_group_desc_csum,
    ext4_log_error,
)
from vfslab.fs.ext4.format import (
    COMPAT_SPARSE_SUPER2,
    EXT4_BG_BLOCK_UNINIT,
    INCOMPAT_META_BG,
    RO_COMPAT_SPARSE_SUPER,
    ext4_group_desc,
)
from vfslab.include.fs import SuperBlock
from vfslab.kernel.errno import EIO
from vfslab.kernel.slab import kzalloc
from vfslab.lib.crc16 import crc16
from vfslab.lib.crc32c import crc32c

CHECKSUM_AT, BEHIND_CHECKSUM = 0x1E, 0x20  # bg_checksum within the descriptor


def ext4_group_first_block_no(sbi: Ext4SbInfo, group: int) -> int:
    """Return the first block of a group."""
    return sbi.s_first_data_block + group * sbi.s_blocks_per_group


def is_power_of(number: int, base: int) -> bool:
    """True if number is base, base * base, ..."""
    power = base
    while power < number:
        power *= base
    return power == number


def ext4_bg_has_super(sbi: Ext4SbInfo, group: int) -> bool:
    """True if the group begins with the superblock or a backup of it."""
    if group == 0:
        return True
    if sbi.s_compat & COMPAT_SPARSE_SUPER2:
        return group in sbi.s_es.s_backup_bgs
    if group == 1 or not sbi.s_ro_compat & RO_COMPAT_SPARSE_SUPER:
        return True
    return group % 2 == 1 and any(is_power_of(group, base) for base in (3, 5, 7))


def uses_meta_bg(sbi: Ext4SbInfo, group: int) -> bool:
    """True if the group's descriptor lies where meta_bg puts it."""
    return bool(sbi.s_incompat & INCOMPAT_META_BG) and group >= sbi.s_first_meta_bg * sbi.s_desc_per_block


def ext4_bg_num_gdb(sbi: Ext4SbInfo, group: int) -> int:
    """Return how many blocks of descriptors the group holds."""
    if uses_meta_bg(sbi, group):
        place = group % sbi.s_desc_per_block
        return int(place in (0, 1, sbi.s_desc_per_block - 1))
    if not ext4_bg_has_super(sbi, group):
        return 0
    return sbi.s_first_meta_bg if sbi.s_incompat & INCOMPAT_META_BG else sbi.s_gdb_count


def ext4_num_base_meta_blocks(sbi: Ext4SbInfo, group: int) -> int:
    """Return how many blocks at the group's start are taken: superblock, descriptors, those kept for growing."""
    blocks = int(ext4_bg_has_super(sbi, group))
    if uses_meta_bg(sbi, group):
        return blocks + ext4_bg_num_gdb(sbi, group)
    return blocks and blocks + ext4_bg_num_gdb(sbi, group) + sbi.s_es.s_reserved_gdt_blocks


def descriptor_loc(sbi: Ext4SbInfo, number: int) -> int:
    """Return the block that holds the number-th block of descriptors."""
    first_group = number * sbi.s_desc_per_block
    if not uses_meta_bg(sbi, first_group):
        return sbi.s_sb_block + 1 + number
    block = ext4_group_first_block_no(sbi, first_group) + int(ext4_bg_has_super(sbi, first_group))
    # blocks of 1 KiB in bigger clusters: group 0 begins at block 0, but its superblock is still block 1
    if number == 0 and sbi.s_sb.s_blocksize == 1024 and sbi.s_first_data_block == 0:
        block += 1
    return block


# --- descriptors ----------------------------------------------------------------------------------


def ext4_group_desc_csum(sbi: Ext4SbInfo, group: int, raw: bytes) -> int:
    """Return the checksum that belongs into bg_checksum of a descriptor of s_desc_size bytes."""
    number = group.to_bytes(4, "little")
    if sbi.s_metadata_csum:
        whole = number + raw[:CHECKSUM_AT] + b"\0\0" + raw[BEHIND_CHECKSUM:]
        return crc32c(sbi.s_csum_seed, whole) & 0xFFFF
    return crc16(crc16(~0, sbi.s_es.s_uuid), number + raw[:CHECKSUM_AT] + raw[BEHIND_CHECKSUM:])


def ext4_group_desc_csum_verify(sbi: Ext4SbInfo, group: int, raw: bytes) -> bool:
    """True if the descriptor's checksum is right, or if there are none."""
    if not ext4_has_group_desc_csum(sbi):
        return True
    return ext4_group_desc_csum(sbi, group, raw) == int.from_bytes(raw[CHECKSUM_AT:BEHIND_CHECKSUM], "little")


def ext4_raw_group_desc(sb: SuperBlock, group: int) -> bytes:
    """Return the s_desc_size bytes of a group's descriptor."""
    sbi = EXT4_SB(sb)
    number, place = divmod(group, sbi.s_desc_per_block)
    bh = sb_bread(sb, descriptor_loc(sbi, number))
    raw = bytes(bh.b_data[place * sbi.s_desc_size : (place + 1) * sbi.s_desc_size])
    brelse(bh)
    return raw


def ext4_get_group_desc(sb: SuperBlock, group: int) -> Ext4GroupDesc:
    """Return a group's descriptor; EFSCORRUPTED if what it points to lies outside the filesystem."""
    sbi = EXT4_SB(sb)
    gdp = sbi.s_group_desc.get(group)
    if gdp is None:
        disk = ext4_group_desc(ext4_raw_group_desc(sb, group))
        gdp = kzalloc(
            Ext4GroupDesc,
            disk.bg_block_bitmap,
            disk.bg_inode_bitmap,
            disk.bg_inode_table,
            disk.bg_free_blocks_count,
            disk.bg_free_inodes_count,
            disk.bg_used_dirs_count,
            disk.bg_flags if ext4_has_group_desc_csum(sbi) else 0,
            disk.bg_itable_unused,
            disk.bg_block_bitmap_csum,
            disk.bg_inode_bitmap_csum,
        )
        what = misplaced(sbi, gdp.bg_block_bitmap, gdp.bg_inode_bitmap, gdp.bg_inode_table)
        if what:
            ext4_error(sb, "ext4_get_group_desc", f"group {group}: {what} lies outside the filesystem")
        sbi.s_group_desc[group] = gdp
    return gdp


def misplaced(sbi: Ext4SbInfo, block_bitmap: int, inode_bitmap: int, inode_table: int) -> str:
    """Return which of a group's parts cannot lie where it is said to, empty if all can."""
    first, end = sbi.s_first_data_block, sbi.s_blocks_count
    if not first < block_bitmap < end:
        return f"block bitmap (block {block_bitmap})"
    if not first < inode_bitmap < end:
        return f"inode bitmap (block {inode_bitmap})"
    if not first < inode_table <= end - sbi.s_itb_per_group:
        return f"inode table (block {inode_table})"
    return ""


def ext4_all_group_descs(sb: SuperBlock) -> Iterator[tuple[int, bytes]]:
    """Yield (group, descriptor's bytes) for all groups; a block that cannot be read is logged and left out."""
    sbi = EXT4_SB(sb)
    size, per_block = sbi.s_desc_size, sbi.s_desc_per_block
    for number in range(sbi.s_gdb_count):
        block = descriptor_loc(sbi, number)
        try:
            bh = sb_bread(sb, block)
        except EIO as error:
            ext4_log_error(sb, "ext4_check_descriptors", f"group descriptors cannot be read: {error}", block=block)
            continue
        table = bytes(bh.b_data)
        brelse(bh)
        first = number * per_block
        for group in range(first, min(first + per_block, sbi.s_groups_count)):
            yield group, table[(group - first) * size : (group - first + 1) * size]


def ext4_count_free(sb: SuperBlock) -> tuple[int, int]:
    """Return (free clusters, free inodes) as the group descriptors have it; counted once, nobody writes."""
    sbi = EXT4_SB(sb)
    if sbi.s_free is None:
        clusters = inodes = 0
        for _, raw in ext4_all_group_descs(sb):
            disk = ext4_group_desc(raw)
            clusters += disk.bg_free_blocks_count
            inodes += disk.bg_free_inodes_count
        sbi.s_free = clusters, inodes
    return sbi.s_free


# --- the block bitmap -----------------------------------------------------------------------------


def ext4_block_bitmap_csum_verify(sbi: Ext4SbInfo, gdp: Ext4GroupDesc, bitmap: bytes) -> bool:
    """True if the bitmap's checksum is the one in its group's descriptor, or if there are none."""
    return bitmap_csum_verify(sbi, gdp.bg_block_bitmap_csum, bitmap[: sbi.s_clusters_per_group // 8])


def bitmap_csum_verify(sbi: Ext4SbInfo, expected: int, bits: bytes) -> bool:
    """True if the crc32c of a bitmap is as expected; descriptors of 32 bytes keep only 16 bits of it."""
    if not sbi.s_metadata_csum:
        return True
    mask = 0xFFFFFFFF if sbi.s_desc_size >= ext4_group_desc.bg_inode_bitmap_csum_hi.offset + 2 else 0xFFFF
    return crc32c(sbi.s_csum_seed, bits) & mask == expected


def ext4_read_block_bitmap(sb: SuperBlock, group: int) -> bytes:
    """Return a group's block bitmap, one bit a cluster, verified; empty if it was never written."""
    gdp = ext4_get_group_desc(sb, group)
    if gdp.bg_flags & EXT4_BG_BLOCK_UNINIT:
        return b""
    bh = sb_bread(sb, gdp.bg_block_bitmap)
    bitmap = bytes(bh.b_data)
    brelse(bh)
    if not ext4_block_bitmap_csum_verify(EXT4_SB(sb), gdp, bitmap):
        ext4_checksum_error(
            sb, "ext4_read_block_bitmap", f"group {group}: bad block bitmap checksum", block=gdp.bg_block_bitmap
        )
    return bitmap
