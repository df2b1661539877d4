"""May a file own these blocks? Not if they lie outside the filesystem, nor where its own structures are.

    group     0            1            2
           [S|G|bb|ib|it it|......] [....] [S|G|......]     [..]: what files may own

A damaged block number must not make an inode table readable as a file, or a directory look like
data. So the runs of blocks that hold superblocks, descriptors, bitmaps, inode tables and the
journal are collected once a mount, and every mapping that leaves ext4_map_blocks is held against them.

Linux: fs/ext4/block_validity.c (a red-black tree there, sorted lists here).   Chapter 3.

Always true
  V1  start and end are sorted, and no two runs overlap or, if they have the same owner, touch
  V2  a run with an owner may be used by that inode and by nobody else
"""

from __future__ import annotations

from bisect import bisect_right

from vfslab.fs.ext4.balloc import (
    ext4_all_group_descs,
    ext4_group_desc_csum_verify,
    ext4_group_first_block_no,
    ext4_num_base_meta_blocks,
    misplaced,
)
from vfslab.fs.ext4.ext4 import EXT4_SB, Ext4SbInfo, Ext4SystemBlocks, ext4_has_group_desc_csum, ext4_log_error
from vfslab.fs.ext4.format import ext4_group_desc
from vfslab.include.fs import Inode, SuperBlock
from vfslab.kernel.slab import kzalloc

_read_lower = ext4_group_desc.reader("bg_block_bitmap_lo", "bg_inode_bitmap_lo", "bg_inode_table_lo")
_read_upper = ext4_group_desc.reader("bg_block_bitmap_hi", "bg_inode_bitmap_hi", "bg_inode_table_hi")


def ext4_setup_system_zone(sb: SuperBlock) -> None:
    """Collect the blocks of the filesystem's own structures, and log what is wrong with group descriptors."""
    sbi = EXT4_SB(sb)
    zones = []
    checksums = ext4_has_group_desc_csum(sbi)
    for group, raw in ext4_all_group_descs(sb):
        if checksums and not ext4_group_desc_csum_verify(sbi, group, raw):
            ext4_log_error(sb, "ext4_check_descriptors", f"checksum of group {group}'s descriptor is wrong")
        parts = list(_read_lower(raw, 0))
        if sbi.s_desc_size >= ext4_group_desc.size:
            parts = [high << 32 | low for high, low in zip(_read_upper(raw, 0), parts, strict=True)]
        what = misplaced(sbi, *parts)
        if what:
            ext4_log_error(sb, "ext4_check_descriptors", f"group {group}: {what} lies outside the filesystem")
            continue
        zones += [(parts[0], parts[0] + 1), (parts[1], parts[1] + 1), (parts[2], parts[2] + sbi.s_itb_per_group)]
    for group in groups_with_base_meta(sbi):
        first = ext4_group_first_block_no(sbi, group)
        zones.append((first, first + ext4_num_base_meta_blocks(sbi, group)))
    sbi.s_system_blks = merged_zones(zones)


def groups_with_base_meta(sbi: Ext4SbInfo) -> list[int]:
    """Return the groups that begin with a superblock or with descriptors."""
    return [group for group in range(sbi.s_groups_count) if ext4_num_base_meta_blocks(sbi, group)]


def merged_zones(zones: list[tuple[int, int]]) -> Ext4SystemBlocks:
    """Return runs as (start, end) in order, joined where they overlap or touch: nobody owns them."""
    system = kzalloc(Ext4SystemBlocks)
    for start, end in sorted(zones):
        if system.end and start <= system.end[-1]:
            system.end[-1] = max(system.end[-1], end)
        else:
            system.start.append(start)
            system.end.append(end)
    system.owner = [0] * len(system.start)
    return system


def ext4_protect_reserved_inode(sb: SuperBlock, ino: int, runs: list[tuple[int, int]]) -> None:
    """Make runs of blocks (start, length) the property of one inode: the journal's."""
    sbi = EXT4_SB(sb)
    for start, length in runs:
        if not ext4_sb_block_valid(sbi, 0, start, length):
            ext4_log_error(sb, "ext4_setup_system_zone", "its blocks overlap other structures", inode=ino, block=start)
            continue
        system = sbi.s_system_blks
        at = bisect_right(system.start, start)
        system.start.insert(at, start)
        system.end.insert(at, start + length)
        system.owner.insert(at, ino)


def ext4_sb_block_valid(sbi: Ext4SbInfo, ino: int, start: int, count: int) -> bool:
    """True if inode ino may own count blocks from start on."""
    if start <= sbi.s_first_data_block or start + count > sbi.s_blocks_count:
        return False
    system = sbi.s_system_blks
    if system is None:
        return True
    at = bisect_right(system.start, start + count - 1) - 1
    while at >= 0 and system.end[at] > start:
        if not ino or system.owner[at] != ino:
            return False
        at -= 1
    return True


def ext4_inode_block_valid(inode: Inode, start: int, count: int) -> bool:
    """True if the inode may own count blocks from start on."""
    return ext4_sb_block_valid(inode.i_sb.s_fs_info, inode.i_ino, start, count)
