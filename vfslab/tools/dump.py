"""dump: what dumpe2fs prints of superblock and groups, with the byte address of each thing.

The labels are those of dumpe2fs, so that a reader can hold the two side by side; times are UTC.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

from vfslab.fs.ext4.format import (
    BG_FLAGS,
    COMPAT_DIR_INDEX,
    COMPAT_HAS_JOURNAL,
    COMPAT_ORPHAN_FILE,
    COMPAT_SPARSE_SUPER2,
    CREATORS,
    EXT4_BG_BLOCK_UNINIT,
    EXT4_BG_INODE_UNINIT,
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
    RO_COMPAT_GDT_CSUM,
    RO_COMPAT_METADATA_CSUM,
    SB_FLAGS,
)
from vfslab.fs.jbd2.format import (
    CHECKSUM_TYPES,
    JBD2_CRC32_CHKSUM,
    JBD2_DEFAULT_FAST_COMMIT_BLOCKS,
    JBD2_FEATURE_COMPAT_CHECKSUM,
    JBD2_FEATURE_INCOMPAT_CSUM_V2,
    JBD2_FEATURE_INCOMPAT_CSUM_V3,
    JBD2_FEATURE_INCOMPAT_FAST_COMMIT,
    JBD2_MAGIC_NUMBER,
    JBD2_SUPERBLOCK_V1,
    journal_superblock,
)
from vfslab.tools.image import ImageError
from vfslab.tools.raw import RawExt4
from vfslab.user.text import civil, printable

DAYS = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")
JOURNAL_COMPAT = MappingProxyType({1: "journal_checksum"})
JOURNAL_INCOMPAT = MappingProxyType(
    dict(
        zip(
            (1, 2, 4, 8, 16),
            (
                "journal_incompat_revoke",
                "journal_64bit",
                "journal_async_commit",
                "journal_checksum_v2",
                "journal_checksum_v3",
            ),
            strict=True,
        )
    )
)
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
    yield "Free blocks", sb.s_free_blocks_count if wide else sb.s_free_blocks_count_lo
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
    if sb.s_kbytes_written:
        yield "Lifetime writes", amount(sb.s_kbytes_written)
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
    if sb.s_feature_compat & COMPAT_DIR_INDEX or sb.s_def_hash_version:
        yield "Default directory hash", HASHES.get(sb.s_def_hash_version, sb.s_def_hash_version)
    if any(sb.s_hash_seed):
        seed = b"".join(word.to_bytes(4, "little") for word in sb.s_hash_seed)
        yield "Directory Hash Seed", uuid.UUID(bytes=seed)
    if sb.s_feature_compat & COMPAT_HAS_JOURNAL and sb.s_jnl_backup_type:
        yield "Journal backup", "inode blocks" if sb.s_jnl_backup_type == 1 else f"type {sb.s_jnl_backup_type}"
    if sb.s_feature_compat & COMPAT_SPARSE_SUPER2 and any(sb.s_backup_bgs):
        yield "Backup block groups", " ".join(str(group) for group in sb.s_backup_bgs if group)
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
    if sb.s_feature_compat & COMPAT_ORPHAN_FILE:
        yield "Orphan file inode", sb.s_orphan_file_inum
    if sb.s_feature_compat & COMPAT_HAS_JOURNAL and sb.s_journal_inum:
        yield from journal_lines(raw)


def journal_lines(raw: RawExt4) -> Iterator[tuple[str, Any]]:
    """Yield (label, value) of the journal's superblock."""
    try:
        block = raw.first_file_block(raw.sb.s_journal_inum)
        jsb = journal_superblock(raw.block(block)[: journal_superblock.size])
    except ImageError as error:
        yield "Journal superblock", f"cannot be read: {error}"
        return
    if jsb.h_magic != JBD2_MAGIC_NUMBER:
        yield "Journal superblock", f"is none (magic {jsb.h_magic:#010x}, block {block})"
        return
    known = ((jsb.s_feature_compat, JOURNAL_COMPAT, "C"), (jsb.s_feature_incompat, JOURNAL_INCOMPAT, "I"))
    version_1 = jsb.h_blocktype == JBD2_SUPERBLOCK_V1
    names = (
        [] if version_1 else [name for value, table, letter in known for name in feature_names(value, table, letter)]
    )
    fast = jsb.s_num_fc_blks or JBD2_DEFAULT_FAST_COMMIT_BLOCKS
    fast = fast if jsb.s_feature_incompat & JBD2_FEATURE_INCOMPAT_FAST_COMMIT and not version_1 else 0
    kilobytes = jsb.s_maxlen * raw.block_size >> 10
    yield "Journal superblock at", f"byte {block * raw.block_size:#x}"
    yield "Journal features", " ".join(names) or "(none)"
    yield "Total journal size", f"{kilobytes}k" if kilobytes < 8192 else f"{kilobytes >> 10}M"
    yield "Total journal blocks", jsb.s_maxlen
    yield "Max transaction length", jsb.s_maxlen - fast
    yield "Fast commit length", fast
    yield "Journal sequence", f"0x{jsb.s_sequence:08x}"
    yield "Journal start", jsb.s_start
    if jsb.s_feature_incompat & (JBD2_FEATURE_INCOMPAT_CSUM_V2 | JBD2_FEATURE_INCOMPAT_CSUM_V3) and not version_1:
        yield "Journal checksum type", CHECKSUM_TYPES.get(jsb.s_checksum_type, jsb.s_checksum_type)
        yield "Journal checksum", f"0x{jsb.s_checksum:08x}"
    elif jsb.s_feature_compat & JBD2_FEATURE_COMPAT_CHECKSUM and not version_1:
        yield "Journal checksum type", CHECKSUM_TYPES[JBD2_CRC32_CHKSUM]
    if jsb.s_errno:
        yield "Journal errno", jsb.s_errno - (1 << 32) if jsb.s_errno >> 31 else jsb.s_errno


def amount(kilobytes: int) -> str:
    """Return an amount of data as dumpe2fs writes it, such as "84 kB" or "9 MB"."""
    for unit in ("kB", "MB", "GB"):
        if kilobytes < 8192:
            return f"{kilobytes} {unit}"
        kilobytes = kilobytes + 512 >> 10
    return f"{kilobytes} TB"


def features(sb: Any) -> list[str]:
    """Return the names of all feature bits, in the order in which dumpe2fs prints them."""
    sets = (
        (sb.s_feature_compat, EXT4_FEATURE_COMPAT, "C"),
        (sb.s_feature_incompat, EXT4_FEATURE_INCOMPAT, "I"),
        (sb.s_feature_ro_compat, EXT4_FEATURE_RO_COMPAT, "R"),
    )
    return [name for value, known, letter in sets for name in feature_names(value, known, letter)]


def feature_names(value: int, known: Any, letter: str) -> list[str]:
    """Return the names of the bits that are set; one without a name gets the letter of its set and its number."""
    return [known.get(1 << bit, f"FEATURE_{letter}{bit}") for bit in range(32) if value >> bit & 1]


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
    checked = raw.sb.s_feature_ro_compat & (RO_COMPAT_METADATA_CSUM | RO_COMPAT_GDT_CSUM)
    flags = ", ".join(_bits(desc.bg_flags, BG_FLAGS)) if checked else ""
    csum = f" csum 0x{desc.bg_checksum:04x}" if checked else ""
    yield (
        f"Group {group}: (Blocks {first}-{last}){csum}"
        + (f" [{flags}]" if flags else "")
        + f", descriptor at byte {at:#x}"
    )
    yield from start_lines(raw, group, first)
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


def start_lines(raw: RawExt4, group: int, first: int) -> Iterator[str]:
    """Yield what stands at a group's start: superblock, descriptors, blocks kept for growing."""
    blocks, reserved = raw.descriptor_blocks(group)
    descriptors = f"Group descriptors at {blocks.start}-{blocks.stop - 1}" if blocks else ""
    if raw.uses_meta_bg(group) and blocks:
        descriptors = f"Group descriptor at {blocks.start}"
    if raw.has_super(group):
        kind = "Primary" if group == 0 else "Backup"
        at = raw.super_block_number() if group == 0 else first
        text = f"  {kind} superblock at {at}" + (f", {descriptors}" if descriptors else "")
        yield f"{text}, byte {super_offset(raw, group):#x}"
    elif descriptors:
        yield f"  {descriptors}, byte {blocks.start * raw.block_size:#x}"
    if reserved and blocks:
        yield f"  Reserved GDT blocks at {blocks.stop}-{blocks.stop + reserved - 1}"


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
    if desc.bg_flags & EXT4_BG_BLOCK_UNINIT and raw.sb.s_feature_ro_compat & (
        RO_COMPAT_METADATA_CSUM | RO_COMPAT_GDT_CSUM
    ):
        return free_text(never_written(raw, group, desc, count, per_cluster), first, per_cluster)
    return _free_ranges(raw, desc.bg_block_bitmap, count, first, per_cluster)


def never_written(raw: RawExt4, group: int, desc: Any, count: int, per_cluster: int) -> str:
    """Return the bits of a block bitmap that was never written: what the group needs for itself is taken."""
    first = raw.first_block(group)
    blocks, reserved = raw.descriptor_blocks(group)
    table = desc.bg_inode_table
    end = table + -(-raw.sb.s_inodes_per_group * raw.inode_size // raw.block_size)
    taken = [range(blocks.start, blocks.stop + reserved), range(table, end)]
    taken += [range(at, at + 1) for at in (desc.bg_block_bitmap, desc.bg_inode_bitmap)]
    if raw.has_super(group):
        taken.append(range(first, first + 1))
    bits = bytearray(b"0" * count)
    for run in taken:
        for place in range(max(run.start - first, 0) // per_cluster, min(-(-(run.stop - first) // per_cluster), count)):
            bits[place] = ord("1")
    return bits.decode()


def free_inodes(raw: RawExt4, group: int, desc: Any) -> str:
    """Return the ranges of free inodes of a group, from its bitmap."""
    first, count = group * raw.sb.s_inodes_per_group + 1, raw.sb.s_inodes_per_group
    if desc.bg_flags & EXT4_BG_INODE_UNINIT and raw.sb.s_feature_ro_compat & (
        RO_COMPAT_METADATA_CSUM | RO_COMPAT_GDT_CSUM
    ):
        return f"{first}-{first + count - 1}"
    return _free_ranges(raw, desc.bg_inode_bitmap, count, first, 1)


def _free_ranges(raw: RawExt4, block: int, count: int, base: int, step: int) -> str:
    """Return the runs of clear bits of a bitmap as numbers from base on."""
    try:
        bitmap = raw.block(block)
    except ImageError:
        return "(the bitmap cannot be read)"
    return free_text("".join(f"{byte:08b}"[::-1] for byte in bitmap)[:count], base, step)


def free_text(bits: str, base: int, step: int) -> str:
    """Return the runs of zeros in bits as numbers from base on; a cluster is told by its first block, as dumpe2fs does."""
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
