"""Every group: its descriptor, and its bitmaps and counts against what was found in use."""

from __future__ import annotations

from vfslab.fs.buffer import brelse, sb_bread
from vfslab.fs.ext4.balloc import (
    ext4_get_group_desc,
    ext4_group_desc_csum_verify,
    ext4_group_first_block_no,
    ext4_num_base_meta_blocks,
    ext4_raw_group_desc,
    ext4_read_block_bitmap,
)
from vfslab.fs.ext4.block_validity import groups_with_base_meta
from vfslab.fs.ext4.ext4 import Ext4GroupDesc, ext4_has_group_desc_csum
from vfslab.fs.ext4.format import (
    EXT4_BG_BLOCK_UNINIT,
    EXT4_BG_INODE_UNINIT,
    EXT4_MMP_MAGIC,
    INCOMPAT_MMP,
    ext4_group_desc,
    mmp_struct,
)
from vfslab.fs.ext4.fsck.directories import DIRECTORY
from vfslab.fs.ext4.fsck.state import Fsck, ranges
from vfslab.fs.ext4.ialloc import ext4_read_inode_bitmap
from vfslab.kernel.errno import KernelError
from vfslab.lib.crc32c import crc32c


def check_descriptors(fsck: Fsck) -> None:
    """Check all descriptors, and note which blocks the filesystem's own structures take."""
    sbi = fsck.sbi
    for group in groups_with_base_meta(sbi):
        first, count = ext4_group_first_block_no(sbi, group), ext4_num_base_meta_blocks(sbi, group)
        # clusters of blocks of 1 KiB: group 0 begins at block 0, its superblock at block 1
        fsck.take_system(first, count + (sbi.s_sb_block if group == 0 and first == 0 else 0))
    for group in range(sbi.s_groups_count):
        try:
            raw = ext4_raw_group_desc(fsck.sb, group)
            if not ext4_has_group_desc_csum(sbi) and ext4_group_desc(raw).bg_flags & (
                EXT4_BG_INODE_UNINIT | EXT4_BG_BLOCK_UNINIT
            ):
                fsck.report(
                    f"group {group}: marked as never written (bg_flags), which only descriptors with checksums can be"
                )
            if not ext4_group_desc_csum_verify(sbi, group, raw):
                fsck.report(f"checksum of group {group}'s descriptor is wrong")
            gdp = ext4_get_group_desc(fsck.sb, group)
        except KernelError as error:
            fsck.group_failed(group, error)
            fsck.lost = fsck.unread = True
            continue
        parts = (
            ("block bitmap", gdp.bg_block_bitmap, 1),
            ("inode bitmap", gdp.bg_inode_bitmap, 1),
            ("inode table", gdp.bg_inode_table, sbi.s_itb_per_group),
        )
        for what, start, count in parts:
            # under bigalloc several of these share a cluster
            if not fsck.take_system(start, count) and sbi.s_cluster_ratio == 1:
                fsck.report(f"group {group}: its {what} (block {start}) lies where other structures are")
                fsck.lost = True
    if sbi.s_incompat & INCOMPAT_MMP:
        check_mmp(fsck)


def check_mmp(fsck: Fsck) -> None:
    """Check the block by which two users of one device would notice each other."""
    sbi, block = fsck.sbi, fsck.sbi.s_es.s_mmp_block
    if not sbi.s_first_data_block < block < sbi.s_blocks_count:
        fsck.report(f"superblock: s_mmp_block {block} lies outside the filesystem")
        return
    fsck.take_system(block, 1)
    try:
        bh = sb_bread(fsck.sb, block)
    except KernelError as error:
        fsck.report(f"block {block}: {error}")
        return
    data = bytes(bh.b_data)
    brelse(bh)
    mmp = mmp_struct(data)
    if mmp.mmp_magic != EXT4_MMP_MAGIC:
        fsck.report(f"block {block}: no MMP block (magic {mmp.mmp_magic:#x})")
    elif sbi.s_metadata_csum and crc32c(sbi.s_csum_seed, data[: mmp_struct.mmp_checksum.offset]) != mmp.mmp_checksum:
        fsck.report(f"block {block}: the checksum of the MMP block is wrong")


def check_groups(fsck: Fsck) -> None:
    """Check the bitmaps and counts of all groups, and the sums in the superblock."""
    sbi = fsck.sbi
    if fsck.fast_commits:
        return
    dirs = directories_by_group(fsck)
    free_clusters = free_inodes = 0
    for group in range(sbi.s_groups_count):
        try:
            gdp = ext4_get_group_desc(fsck.sb, group)
        except KernelError:
            return  # check_descriptors() has told
        check_block_bitmap(fsck, group, gdp)
        check_inode_counts(fsck, group, gdp, dirs.get(group, 0))
        free_clusters += gdp.bg_free_blocks_count
        free_inodes += gdp.bg_free_inodes_count
    for what, stated, counted in (
        ("s_free_blocks_count", sbi.s_es.s_free_blocks_count, free_clusters * sbi.s_cluster_ratio),
        ("s_free_inodes_count", sbi.s_es.s_free_inodes_count, free_inodes),
    ):
        # Linux brings the sums up to date when it unmounts, and trusts those of the groups
        if stated != counted:
            fsck.notices.append(f"superblock: {what} is {stated}, the groups have {counted}; harmless")


def directories_by_group(fsck: Fsck) -> dict[int, int]:
    """Return {group: directories in it}."""
    found: dict[int, int] = {}
    for ino, packed in fsck.inodes.items():
        if packed & 15 == DIRECTORY:
            group = (ino - 1) // fsck.sbi.s_inodes_per_group
            found[group] = found.get(group, 0) + 1
    return found


def check_block_bitmap(fsck: Fsck, group: int, gdp: Ext4GroupDesc) -> None:
    """Hold the bitmap against the clusters in use."""
    sbi = fsck.sbi
    whole = (1 << fsck.clusters_in(group)) - 1
    used = fsck.used.get(group, 0)
    try:
        bitmap = ext4_read_block_bitmap(fsck.sb, group)
    except KernelError as error:
        fsck.group_failed(group, error)
        return
    bits = int.from_bytes(bitmap, "little")
    check_padding(fsck, group, "block bitmap", bits, fsck.clusters_in(group))
    marked = bits & whole
    if gdp.bg_flags & EXT4_BG_BLOCK_UNINIT:
        marked = fsck.system.get(group, 0)
    first, ratio = ext4_group_first_block_no(sbi, group), sbi.s_cluster_ratio
    missing, unused = used & ~marked, marked & ~used
    if missing:
        fsck.report(f"group {group}: in use but free in the block bitmap: block {ranges(missing, first, ratio)}")
    if unused and not fsck.lost:
        fsck.report(
            f"group {group}: taken in the block bitmap but used by nobody: block {ranges(unused, first, ratio)}"
        )
    free = (whole & ~marked).bit_count()
    if free != gdp.bg_free_blocks_count:
        fsck.report(f"group {group}: {free} clusters are free, but bg_free_blocks_count is {gdp.bg_free_blocks_count}")


def check_inode_counts(fsck: Fsck, group: int, gdp: Ext4GroupDesc, dirs: int) -> None:
    """Hold the counts of the descriptor against the inode bitmap and the directories found."""
    try:
        bitmap = ext4_read_inode_bitmap(fsck.sb, group)
    except KernelError:
        return  # check_inodes() has told
    per_group, bits = fsck.sbi.s_inodes_per_group, int.from_bytes(bitmap, "little")
    check_padding(fsck, group, "inode bitmap", bits, per_group)
    free = per_group - (bits & (1 << per_group) - 1).bit_count()
    if free != gdp.bg_free_inodes_count:
        fsck.report(f"group {group}: {free} inodes are free, but bg_free_inodes_count is {gdp.bg_free_inodes_count}")
    if dirs != gdp.bg_used_dirs_count and not fsck.unread:
        fsck.report(f"group {group}: {dirs} directories, but bg_used_dirs_count is {gdp.bg_used_dirs_count}")


def check_padding(fsck: Fsck, group: int, what: str, bits: int, count: int) -> None:
    """The bits behind the last that counts are set, so that nobody takes what there is not; 0: a bitmap never written."""
    room = fsck.sb.s_blocksize * 8
    if bits and bits >> count != (1 << room - count) - 1:
        fsck.report(f"group {group}: the padding at the end of the {what} is not all set")
