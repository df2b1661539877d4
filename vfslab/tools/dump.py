"""dump: what dumpe2fs prints of superblock and groups, with the byte address of each thing.

The labels are those of dumpe2fs, so that a reader can hold the two side by side; times are UTC.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from vfslab.fs.ext4.format import (
    BG_FLAGS,
    COMPAT_HAS_JOURNAL,
    CREATORS,
    EXT4_FEATURE_COMPAT,
    EXT4_FEATURE_INCOMPAT,
    EXT4_FEATURE_RO_COMPAT,
    HASHES,
    INCOMPAT_64BIT,
    INCOMPAT_CASEFOLD,
    INCOMPAT_CSUM_SEED,
    INCOMPAT_META_BG,
    INCOMPAT_MMP,
    MOUNT_OPTS,
    RO_COMPAT_BIGALLOC,
    RO_COMPAT_METADATA_CSUM,
    SB_FLAGS,
)
from vfslab.tools.image import ImageError
from vfslab.tools.raw import RawExt4
from vfslab.user.text import civil, printable

DAYS = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def dump(process: Any, device: str, only_super: bool = False) -> Iterator[str]:
    """Yield the lines of the dump. ImageError if there is no superblock to go by."""
    raw = RawExt4(process, device)
    try:
        for label, value in super_lines(raw):
            yield f"{label + ':':<25} {value}"
        if not only_super:
            yield ""
            for group in range(raw.groups):
                yield from group_lines(raw, group)
    finally:
        raw.close()


def super_lines(raw: RawExt4) -> Iterator[tuple[str, Any]]:
    """Yield (label, value) of the superblock's members, as dumpe2fs words them."""
    sb = raw.sb
    unit = "clusters" if sb.s_feature_ro_compat & RO_COMPAT_BIGALLOC else "blocks"
    yield "Superblock at", "byte 0x400 (1024)"
    yield "Filesystem volume name", _text(sb.s_volume_name) or "<none>"
    yield "Last mounted on", _text(sb.s_last_mounted) or "<not available>"
    yield "Filesystem UUID", uuid.UUID(bytes=sb.s_uuid)
    yield "Filesystem magic number", f"0x{sb.s_magic:04X}"
    yield "Filesystem revision #", f"{sb.s_rev_level} ({'dynamic' if sb.s_rev_level else 'original'})"
    yield "Filesystem features", " ".join(features(sb)) or "(none)"
    yield "Filesystem flags", " ".join(_bits(sb.s_flags, SB_FLAGS)) or "(none)"
    yield "Default mount options", " ".join(_bits(sb.s_default_mount_opts, MOUNT_OPTS)) or "(none)"
    state = "clean" if sb.s_state & 1 else "not clean"
    yield "Filesystem state", state + (" with errors" if sb.s_state & 2 else "")
    behaviour = {1: "Continue", 2: "Remount read-only", 3: "Panic"}.get(sb.s_errors, "Unknown (continue)")
    yield "Errors behavior", behaviour
    yield "Filesystem OS type", CREATORS.get(sb.s_creator_os, "unknown")
    yield "Inode count", sb.s_inodes_count
    yield "Block count", raw.blocks
    wide = sb.s_feature_incompat & INCOMPAT_64BIT
    yield "Reserved block count", sb.s_r_blocks_count if wide else sb.s_r_blocks_count_lo
    if sb.s_overhead_clusters:
        yield "Overhead clusters", sb.s_overhead_clusters
    per_cluster = 1 << max(0, sb.s_log_cluster_size - sb.s_log_block_size) if unit == "clusters" else 1
    free = sb.s_free_blocks_count if wide else sb.s_free_blocks_count_lo
    yield "Free blocks", free * per_cluster if unit == "clusters" else free
    yield "Free inodes", sb.s_free_inodes_count
    yield "First block", sb.s_first_data_block
    yield "Block size", raw.block_size
    yield ("Cluster size" if unit == "clusters" else "Fragment size"), 1024 << min(sb.s_log_cluster_size, 32)
    if wide:
        yield "Group descriptor size", sb.s_desc_size
    if sb.s_reserved_gdt_blocks:
        yield "Reserved GDT blocks", sb.s_reserved_gdt_blocks
    yield "Blocks per group", sb.s_blocks_per_group
    yield ("Clusters per group" if unit == "clusters" else "Fragments per group"), sb.s_clusters_per_group
    yield "Inodes per group", sb.s_inodes_per_group
    yield "Inode blocks per group", -(-sb.s_inodes_per_group * raw.inode_size // raw.block_size)
    if sb.s_feature_incompat & INCOMPAT_META_BG and sb.s_first_meta_bg:
        yield "First meta block group", sb.s_first_meta_bg
    if sb.s_raid_stride:
        yield "RAID stride", sb.s_raid_stride
    if sb.s_raid_stripe_width:
        yield "RAID stripe width", sb.s_raid_stripe_width
    if sb.s_log_groups_per_flex:
        yield "Flex block group size", 1 << min(sb.s_log_groups_per_flex, 31)
    yield "Filesystem created", when(sb.s_mkfs_time, sb.s_mkfs_time_hi)
    yield "Last mount time", when(sb.s_mtime, sb.s_mtime_hi)
    yield "Last write time", when(sb.s_wtime, sb.s_wtime_hi)
    yield "Mount count", sb.s_mnt_count
    yield "Maximum mount count", sb.s_max_mnt_count - 65536 if sb.s_max_mnt_count > 32767 else sb.s_max_mnt_count
    yield "Last checked", when(sb.s_lastcheck, sb.s_lastcheck_hi)
    yield "Check interval", f"{sb.s_checkinterval} ({'<none>' if not sb.s_checkinterval else 'seconds'})"
    yield "Reserved blocks uid", f"{sb.s_def_resuid}" + (" (user root)" if sb.s_def_resuid == 0 else "")
    yield "Reserved blocks gid", f"{sb.s_def_resgid}" + (" (group root)" if sb.s_def_resgid == 0 else "")
    if sb.s_rev_level:
        yield "First inode", sb.s_first_ino
        yield "Inode size", sb.s_inode_size
        if sb.s_min_extra_isize:
            yield "Required extra isize", sb.s_min_extra_isize
        if sb.s_want_extra_isize:
            yield "Desired extra isize", sb.s_want_extra_isize
    if sb.s_journal_inum:
        yield "Journal inode", sb.s_journal_inum
    if sb.s_journal_dev:
        yield "Journal device", f"0x{sb.s_journal_dev:04x}"
    if sb.s_last_orphan:
        yield "First orphan inode", sb.s_last_orphan
    if sb.s_feature_compat & 0x20 or any(sb.s_hash_seed):
        yield "Default directory hash", HASHES.get(sb.s_def_hash_version, sb.s_def_hash_version)
        seed = b"".join(word.to_bytes(4, "little") for word in sb.s_hash_seed)
        yield "Directory Hash Seed", uuid.UUID(bytes=seed)
    if sb.s_feature_compat & COMPAT_HAS_JOURNAL and sb.s_jnl_backup_type:
        yield "Journal backup", "inode blocks" if sb.s_jnl_backup_type == 1 else f"type {sb.s_jnl_backup_type}"
    if sb.s_feature_compat & 0x200:
        yield "Backup block groups", " ".join(str(group) for group in sb.s_backup_bgs if group) or "(none)"
    if sb.s_error_count:
        yield "FS Error count", sb.s_error_count
    if sb.s_feature_incompat & INCOMPAT_MMP:
        yield "MMP block number", sb.s_mmp_block
        yield "MMP update interval", sb.s_mmp_update_interval
    for label, number in (
        ("User quota inode", sb.s_usr_quota_inum),
        ("Group quota inode", sb.s_grp_quota_inum),
        ("Project quota inode", sb.s_prj_quota_inum),
    ):
        if number:
            yield label, number
    if sb.s_feature_ro_compat & RO_COMPAT_METADATA_CSUM:
        yield "Checksum type", "crc32c" if sb.s_checksum_type == 1 else f"unknown ({sb.s_checksum_type})"
        yield "Checksum", f"0x{sb.s_checksum:08x}"
    if sb.s_feature_incompat & INCOMPAT_CSUM_SEED:
        yield "Checksum seed", f"0x{sb.s_checksum_seed:08x}"
    if sb.s_feature_incompat & INCOMPAT_CASEFOLD:
        yield "Character encoding", "utf8-12.1" if sb.s_encoding == 1 else f"unknown ({sb.s_encoding})"
    if sb.s_feature_compat & 0x1000:
        yield "Orphan file inode", sb.s_orphan_file_inum


def features(sb: Any) -> list[str]:
    """Return the names of all feature bits, in the order in which dumpe2fs prints them."""
    sets = (
        (sb.s_feature_compat, EXT4_FEATURE_COMPAT, "C"),
        (sb.s_feature_incompat, EXT4_FEATURE_INCOMPAT, "I"),
        (sb.s_feature_ro_compat, EXT4_FEATURE_RO_COMPAT, "R"),
    )
    names = []
    for value, known, letter in sets:
        for bit in (1 << place for place in range(32)):
            if value & bit:
                names.append(known.get(bit, f"FEATURE_{letter}{bit.bit_length() - 1}"))
    return names


def group_lines(raw: RawExt4, group: int) -> Iterator[str]:
    """Yield the lines of one block group; a descriptor that cannot be read gets one line that says so."""
    first = raw.first_block(group)
    last = min(first + raw.sb.s_blocks_per_group, raw.blocks) - 1
    try:
        desc = raw.group_desc(group)
    except ImageError as error:
        yield f"Group {group}: (Blocks {first}-{last}) {error}"
        return
    at = raw.group_desc_offset(group)
    flags = ", ".join(_bits(desc.bg_flags, BG_FLAGS))
    csum = f" csum 0x{desc.bg_checksum:04x}" if raw.sb.s_feature_ro_compat & (RO_COMPAT_METADATA_CSUM | 0x10) else ""
    yield (
        f"Group {group}: (Blocks {first}-{last}){csum}"
        + (f" [{flags}]" if flags else "")
        + f", descriptor at byte {at:#x}"
    )
    if raw.has_super(group):
        kind = "Primary" if group == 0 else "Backup"
        yield f"  {kind} superblock at {first if first or raw.block_size > 1024 else 1}, byte {super_offset(raw, group):#x}"
    words = (
        ("Block bitmap", desc.bg_block_bitmap, desc.bg_block_bitmap_csum),
        ("Inode bitmap", desc.bg_inode_bitmap, desc.bg_inode_bitmap_csum),
    )
    for label, block, checksum in words:
        csum = f", csum 0x{checksum:08x}" if raw.sb.s_feature_ro_compat & RO_COMPAT_METADATA_CSUM else ""
        yield f"  {label} at {block} ({relative(raw, group, block)}){csum}, byte {block * raw.block_size:#x}"
    table = desc.bg_inode_table
    end = table + -(-raw.sb.s_inodes_per_group * raw.inode_size // raw.block_size) - 1
    yield f"  Inode table at {table}-{end} ({relative(raw, group, table)}), byte {table * raw.block_size:#x}"
    unit = "clusters" if raw.sb.s_feature_ro_compat & RO_COMPAT_BIGALLOC else "blocks"
    unused = f", {desc.bg_itable_unused} unused inodes" if desc.bg_itable_unused else ""
    yield (
        f"  {desc.bg_free_blocks_count} free {unit}, {desc.bg_free_inodes_count} free inodes, "
        f"{desc.bg_used_dirs_count} directories{unused}"
    )
    yield "  Free blocks: " + free_blocks(raw, group, desc)
    yield "  Free inodes: " + free_inodes(raw, group, desc)


def super_offset(raw: RawExt4, group: int) -> int:
    """Return the byte offset of a group's copy of the superblock."""
    return 1024 if group == 0 else raw.first_block(group) * raw.block_size


def relative(raw: RawExt4, group: int, block: int) -> str:
    """Return where a block lies, counted from its group's start, as dumpe2fs does: "+3" or "bg #0 + 19"."""
    first = raw.first_block(group)
    if first <= block < first + raw.sb.s_blocks_per_group:
        return f"+{block - first}"
    home, inside = divmod(block - raw.sb.s_first_data_block, raw.sb.s_blocks_per_group)
    return f"bg #{home} + {inside}" if block >= raw.sb.s_first_data_block else "outside"


def free_blocks(raw: RawExt4, group: int, desc: Any) -> str:
    """Return the ranges of free blocks of a group, from its bitmap."""
    per_cluster = 1
    if raw.sb.s_feature_ro_compat & RO_COMPAT_BIGALLOC:
        per_cluster = 1 << max(0, min(raw.sb.s_log_cluster_size - raw.sb.s_log_block_size, 20))
    first = raw.first_block(group)
    count = -(-(min(first + raw.sb.s_blocks_per_group, raw.blocks) - first) // per_cluster)
    if desc.bg_flags & 2 and raw.sb.s_feature_ro_compat & (RO_COMPAT_METADATA_CSUM | 0x10):
        return f"(bitmap never written) {desc.bg_free_blocks_count} of {count}"
    return _free_ranges(raw, desc.bg_block_bitmap, count, first, per_cluster)


def free_inodes(raw: RawExt4, group: int, desc: Any) -> str:
    """Return the ranges of free inodes of a group, from its bitmap."""
    first, count = group * raw.sb.s_inodes_per_group + 1, raw.sb.s_inodes_per_group
    if desc.bg_flags & 1 and raw.sb.s_feature_ro_compat & (RO_COMPAT_METADATA_CSUM | 0x10):
        return f"{first}-{first + count - 1}"
    return _free_ranges(raw, desc.bg_inode_bitmap, count, first, 1)


def _free_ranges(raw: RawExt4, block: int, count: int, base: int, step: int) -> str:
    """Return the runs of clear bits of a bitmap as numbers from base on."""
    try:
        bitmap = raw.block(block)
    except ImageError:
        return "(the bitmap cannot be read)"
    bits = "".join(f"{byte:08b}"[::-1] for byte in bitmap)[:count]
    runs, place = [], 0
    while (start := bits.find("0", place)) >= 0:
        end = bits.find("1", start)
        place = len(bits) if end < 0 else end
        low, high = base + start * step, base + (place - 1) * step
        runs.append(f"{low}-{high}" if high > low else str(low))
    return ", ".join(runs)


def when(seconds: int, high: int = 0) -> str:
    """Return a superblock's time as ctime(3) writes it, in UTC; "n/a" for 0."""
    seconds |= high << 32
    if not seconds:
        return "n/a"
    days, rest = divmod(seconds, 86400)
    year, month, day = civil(days)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{DAYS[days % 7]} {MONTHS[month - 1]} {day:>2} {clock} {year}"


def _text(raw: bytes) -> str:
    return printable(raw.split(b"\0")[0])


def _bits(value: int, names: Any) -> list[str]:
    known = [name for bit, name in names.items() if value & bit]
    rest = value & ~sum(names)
    return known + ([hex(rest)] if rest else [])
