"""What ext4 keeps in memory: the superblock's numbers, and one Ext4InodeInfo around each VFS inode.

    SuperBlock ──s_fs_info──▶ Ext4SbInfo          EXT4_SB(sb)
    Inode ◀──vfs_inode (embedded)── Ext4InodeInfo  EXT4_I(inode)

The three inodes, which are easily confused: `ext4_inode` is the 128 or more bytes on the disk
(format.py), `Ext4InodeInfo` what ext4 remembers of them, and the `Inode` inside it what every
filesystem has and the VFS knows.

Errors are of two kinds. EFSCORRUPTED (EUCLEAN): the bytes cannot be right. EFSBADCRC (EBADMSG): they may
look right but their checksum is wrong. Both are logged first, with inode and block, as Linux does.

Linux: fs/ext4/ext4.h.   Chapter 3.
Left out: everything for writing (delayed allocation, orphans, reservations, handles).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from vfslab.fs.ext4.format import RO_COMPAT_GDT_CSUM, RO_COMPAT_METADATA_CSUM
from vfslab.include.buffer_head import BufferHead
from vfslab.include.fs import Inode, SuperBlock
from vfslab.kernel.errno import EFSBADCRC, EFSCORRUPTED
from vfslab.kernel.printk import KERN_CRIT, KERN_WARNING, printk
from vfslab.lib.crc32c import crc32c
from vfslab.lib.kstruct import Embedded, KernelBug, KObject, Ptr, Ref, embedded, fresh, kstruct

# what ext4_map_blocks() says of a run of blocks (m_flags)
EXT4_MAP_HOLE, EXT4_MAP_MAPPED, EXT4_MAP_UNWRITTEN = 0, 1, 2

# what kinds of inode ext4_iget() lets through
EXT4_IGET_NORMAL, EXT4_IGET_SPECIAL, EXT4_IGET_EA_INODE = 0, 1, 8

# where system.data, the second half of inline data, stands among the attributes
EXT4_XATTR_INDEX_SYSTEM = 7
EXT4_XATTR_SYSTEM_DATA = b"data"


@kstruct
class Ext4GroupDesc(KObject):
    """One block group, as its descriptor tells; the upper halves are already joined."""

    bg_block_bitmap: int = 0
    bg_inode_bitmap: int = 0
    bg_inode_table: int = 0
    bg_free_blocks_count: int = 0
    bg_free_inodes_count: int = 0
    bg_used_dirs_count: int = 0
    bg_flags: int = 0
    bg_itable_unused: int = 0
    bg_block_bitmap_csum: int = 0
    bg_inode_bitmap_csum: int = 0


@kstruct
class Ext4SystemBlocks(KObject):
    """Which blocks hold the filesystem's own structures: sorted runs that do not overlap (block_validity.py).

    owner   the inode that may use the run (the journal), or 0: nobody
    """

    start: list[int] = fresh(list)
    end: list[int] = fresh(list)
    owner: list[int] = fresh(list)


@kstruct
class Ext4SbInfo(KObject):
    """One mounted ext4.

    s_es                  the superblock's bytes, seen through their layout
    s_sb_block            filesystem block that it was read from (a backup's with sb=N); s_sb_offset: byte in it
    s_itb_per_group       blocks of one group's inode table
    s_gdb_count           blocks of all group descriptors
    s_cluster_ratio       blocks in a cluster: 1 without bigalloc
    s_csum_seed           where every checksum starts
    s_overhead            clusters that the filesystem itself takes
    s_bitmap_maxbytes     how big a file mapped by indirect blocks can be
    s_group_desc          {group: Ext4GroupDesc}, filled as groups are used
    s_mount_opts          the options given to mount, {name: value}
    s_journal_text        what the journal's replay in memory did, empty if nothing
    s_free                (free clusters, free inodes), once they have been counted
    s_modes               {mode: mode} of the inodes read so far: equal ones share one number in memory
    s_itb_bh              the block of the inode table that was read last, held; s_itb_inos: its inodes
    s_each_csum           function (block of the inode table) -> iterator of what its inodes' checksums need
    s_tables              {file type: (i_op, f_op)} for new inodes; super.py fills it, inode.py knows no table
    """

    s_sb: Ptr[SuperBlock] = None
    s_es: Any = None
    s_sb_block: int = 0
    s_sb_offset: int = 0
    s_compat: int = 0
    s_incompat: int = 0
    s_ro_compat: int = 0
    s_blocks_count: int = 0
    s_inodes_count: int = 0
    s_first_data_block: int = 0
    s_desc_size: int = 32
    s_inode_size: int = 128
    s_first_ino: int = 11
    s_blocks_per_group: int = 0
    s_clusters_per_group: int = 0
    s_inodes_per_group: int = 0
    s_inodes_per_block: int = 0
    s_itb_per_group: int = 0
    s_desc_per_block: int = 0
    s_gdb_count: int = 0
    s_first_meta_bg: int = 0
    s_groups_count: int = 0
    s_cluster_ratio: int = 1
    s_cluster_bits: int = 0
    s_csum_seed: int = 0
    s_metadata_csum: bool = False
    s_gdt_csum: bool = False
    s_hash_seed: tuple = (0, 0, 0, 0)
    s_overhead: int = 0
    s_bitmap_maxbytes: int = 0
    s_system_blks: Ptr[Ext4SystemBlocks] = None
    s_group_desc: dict[int, Ptr[Ext4GroupDesc]] = fresh(dict)
    s_mount_opts: dict = fresh(dict)
    s_journal_text: str = ""
    s_free: tuple = None
    s_modes: dict[int, int] = fresh(dict)
    s_itb_bh: Ref[BufferHead] = None
    s_itb_inos: range = range(0)
    s_each_csum: Callable = None
    s_tables: Any = None


@kstruct
class Ext4EsTree(KObject):
    """What is known of a file's blocks: runs (first block, blocks, first disk block, EXT4_MAP_*), sorted.

    starts holds the runs' first blocks, for bisect.
    """

    starts: list[int] = fresh(list)
    runs: list[tuple] = fresh(list)


@kstruct
class Ext4InodeInfo(KObject):
    """What ext4 remembers of an inode beside the VFS's part.

    i_data         the 60 bytes i_block: extent tree, block numbers or data; None where nobody needs them
    i_flags        EXT4_*_FL, as on the disk
    i_crtime_sec   when it was made, with i_crtime_nsec; None if the inode has no room for it
    i_extents      the runs of an extent tree that fits into the inode; None for every other file
    i_es_tree      runs of a deeper tree that were already looked up, None before the first
    """

    i_data: bytes = None
    i_flags: int = 0
    i_file_acl: int = 0
    i_extra_isize: int = 0
    i_crtime_sec: int = None
    i_crtime_nsec: int = 0
    i_extents: tuple = None
    i_es_tree: Ptr[Ext4EsTree] = None
    vfs_inode: Embedded[Inode] = embedded(Inode)


def EXT4_SB(sb: SuperBlock) -> Ext4SbInfo:
    """Return ext4's own part of a superblock."""
    return sb.s_fs_info


def EXT4_I(inode: Inode) -> Ext4InodeInfo:
    """Return the Ext4InodeInfo that the VFS inode is embedded in: container_of, on a hot path.

    An inode can only be its vfs_inode, so the type of what it is embedded in says all.
    """
    ei = inode._container
    if type(ei) is not Ext4InodeInfo:
        raise KernelBug(f"{inode} is no inode of ext4")
    return ei


def ext4_inode_csum_seed(inode: Inode) -> int:
    """Return where the checksums of the inode and of its blocks start: so a block of another file is noticed."""
    number = inode.i_ino | inode.i_generation << 32
    return crc32c(inode.i_sb.s_fs_info.s_csum_seed, number.to_bytes(8, "little"))


def ext4_has_metadata_csum(sbi: Ext4SbInfo) -> bool:
    """True if every metadata block carries a crc32c."""
    return bool(sbi.s_ro_compat & RO_COMPAT_METADATA_CSUM)


def ext4_has_group_desc_csum(sbi: Ext4SbInfo) -> bool:
    """True if group descriptors carry a checksum, of either kind; only then do their UNINIT flags count."""
    return bool(sbi.s_ro_compat & (RO_COMPAT_GDT_CSUM | RO_COMPAT_METADATA_CSUM))


# --- the log, and damage --------------------------------------------------------------------------


def ext4_msg(sb: SuperBlock, level: int, text: str) -> None:
    """Log one line about the filesystem as a whole."""
    printk(level, f"EXT4-fs ({sb.s_id.decode(errors='replace')}): {text}")


def ext4_warning(sb: SuperBlock, where: str, text: str, inode: int | None = None) -> None:
    """Log what is odd but not wrong."""
    place = f"{where}: " + (f"inode #{inode}: " if inode else "")
    printk(KERN_WARNING, f"EXT4-fs warning (device {sb.s_id.decode(errors='replace')}): {place}{text}")


def ext4_log_error(sb: SuperBlock, where: str, text: str, inode: int | None = None, block: int | None = None) -> str:
    """Log damage with its place, and return the place and text without the device; the caller goes on."""
    place = (f"inode #{inode}: " if inode else "") + (f"block {block}: " if block is not None else "")
    printk(KERN_CRIT, f"EXT4-fs error (device {sb.s_id.decode(errors='replace')}): {where}: {place}{text}")
    return place + text


def ext4_error(sb: SuperBlock, where: str, text: str, inode: int | None = None, block: int | None = None) -> NoReturn:
    """Log damage with its place and raise EFSCORRUPTED (EUCLEAN); where names the function that found it."""
    raise EFSCORRUPTED(ext4_log_error(sb, where, text, inode, block))


def ext4_checksum_error(
    sb: SuperBlock, where: str, text: str, inode: int | None = None, block: int | None = None
) -> NoReturn:
    """Log a wrong checksum with its place and raise EFSBADCRC (EBADMSG)."""
    raise EFSBADCRC(ext4_log_error(sb, where, text, inode, block))
