"""Mounting ext4: from the 1024 bytes at byte 1024 to a root directory.

    mount(2) ─▶ ext4_init_fs_context ─▶ ext4_parse_param ─▶ get_tree_bdev ─▶ ext4_fill_super
                    superblock ─▶ geometry ─▶ journal, if dirty ─▶ descriptors, system zone ─▶ root inode

It is read-only: a mount that wants to write is EROFS, and mount(8) tries again with ro. A dirty journal
is played in memory. What is damaged but can be gone without is logged; what all else hangs on
is refused with one line that says what and, for the superblock, where a backup is.

Linux: fs/ext4/super.c.   Chapter 3.
Left out: everything that writes; quota; the sysfs files; remounting with other options.
"""

from __future__ import annotations

from types import MappingProxyType

from vfslab.fs.buffer import bdev_drop_overlay, brelse
from vfslab.fs.dcache import d_make_root
from vfslab.fs.ext4.balloc import ext4_count_free, ext4_num_base_meta_blocks
from vfslab.fs.ext4.block_validity import ext4_protect_reserved_inode, ext4_setup_system_zone
from vfslab.fs.ext4.dir import ext4_dir_operations
from vfslab.fs.ext4.ext4 import EXT4_I, EXT4_IGET_SPECIAL, EXT4_SB, Ext4InodeInfo, Ext4SbInfo, ext4_error, ext4_msg
from vfslab.fs.ext4.ext4_jbd2 import ext4_get_journal_inode, ext4_journal_runs, ext4_load_journal
from vfslab.fs.ext4.file import ext4_file_inode_operations, ext4_file_operations, ext4_special_inode_operations
from vfslab.fs.ext4.format import (
    COMPAT_HAS_JOURNAL,
    EXT4_ERROR_FS,
    EXT4_GOOD_OLD_INODE_SIZE,
    EXT4_NAME_LEN,
    EXT4_ROOT_INO,
    EXT4_SUPER_MAGIC,
    INCOMPAT_CASEFOLD,
    INCOMPAT_EXTENTS,
    INCOMPAT_RECOVER,
    RO_COMPAT_BIGALLOC,
    RO_COMPAT_VERITY,
)
from vfslab.fs.ext4.geometry import DEFAULT_SB_BLOCK, ext4_fill_sb_info, ext4_read_super
from vfslab.fs.ext4.inode import ext4_iget
from vfslab.fs.ext4.namei import ext4_dir_inode_operations
from vfslab.fs.ext4.symlink import ext4_encrypted_symlink_inode_operations, ext4_symlink_inode_operations
from vfslab.fs.ext4.xattr import ext4_xattr_handlers
from vfslab.fs.inode import iput
from vfslab.fs.super import get_tree_bdev, kill_block_super, sb_rdonly
from vfslab.include.dcache import Dentry
from vfslab.include.fs import (
    FS_REQUIRES_DEV,
    SB_POSIXACL,
    SB_RDONLY,
    FileSystemType,
    Inode,
    SuperBlock,
    SuperOperations,
)
from vfslab.include.fs_context import FsContext, FsContextOperations
from vfslab.include.stat import Kstatfs
from vfslab.include.uapi.stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK
from vfslab.kernel.errno import EINVAL, EROFS, KernelError
from vfslab.kernel.printk import KERN_ERR, KERN_INFO, KERN_NOTICE, KERN_WARNING
from vfslab.kernel.slab import kfree, kmem_cache_alloc, kzalloc, kzalloc_around

set_vfs_inode = Ext4InodeInfo.vfs_inode.__set__  # the slot behind a member that else comes late
_SPECIAL = (ext4_special_inode_operations, None)
TABLES = MappingProxyType(
    {
        S_IFREG: (ext4_file_inode_operations, ext4_file_operations),
        S_IFDIR: (ext4_dir_inode_operations, ext4_dir_operations),
        S_IFLNK: (ext4_symlink_inode_operations, None),
        "encrypted symlink": (ext4_encrypted_symlink_inode_operations, None),
        **dict.fromkeys((S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK), _SPECIAL),
    }
)


# --- options --------------------------------------------------------------------------------------

# known to mount(8), of no effect on a reader; with = where a value may follow
TOLERATED = frozenset(
    b"""acl auto_da_alloc barrier barrier= block_validity bsddf bsdgroups commit= data= data_err= dax= debug delalloc
    dioread_lock dioread_nolock discard errors= grpid grpjquota= grpquota i_version init_itable init_itable= inode_readahead_blks=
    journal_async_commit journal_checksum journal_dev= journal_ioprio= journal_path= jqfmt= lazytime max_batch_time= max_dir_size_kb=
    mb_optimize_scan= min_batch_time= nobarrier noauto_da_alloc nobh nodelalloc nodiscard nodioread_nolock nogrpid nobsdgroups noinit_itable
    nojournal_checksum nombcache noprefetch_block_bitmaps noquota oldalloc orlov prefetch_block_bitmaps prjquota quota resgid= resuid=
    stripe= sysvgroups usrjquota= usrquota user_xattr warn_on_error nowarn_on_error""".split()
)
MEANT = frozenset((b"sb=", b"noload", b"norecovery", b"minixdf", b"noacl", b"nouser_xattr", b"noblock_validity"))


def ext4_parse_param(fc: FsContext, key: bytes, value: bytes | None) -> bool:
    """Take one mount option; False if ext4 has none of that name, EINVAL if its value makes no sense."""
    name = key if value is None else key + b"="
    if name in TOLERATED:
        return True
    if name not in MEANT:
        return False
    if name == b"sb=" and not (value.isdigit() and 0 < int(value) < 1 << 48):
        raise EINVAL(b"sb=" + value)
    fc.fs_private[key.decode()] = int(value) if name == b"sb=" else True
    return True


def ext4_get_tree(fc: FsContext) -> None:
    """Find or make the superblock on the device."""
    get_tree_bdev(fc, ext4_fill_super)


def ext4_reconfigure(fc: FsContext) -> None:
    """Remount: it stays read-only."""
    if fc.sb_flags_mask & SB_RDONLY and not fc.sb_flags & SB_RDONLY:
        raise EROFS("this ext4 is read-only")


ext4_context_ops = FsContextOperations(
    parse_param=ext4_parse_param, get_tree=ext4_get_tree, reconfigure=ext4_reconfigure
)


def ext4_init_fs_context(fc: FsContext) -> None:
    """Begin a mount."""
    fc.fs_private = {}
    fc.ops = ext4_context_ops


# --- mounting -------------------------------------------------------------------------------------


def ext4_fill_super(sb: SuperBlock, fc: FsContext) -> None:
    """Make sb the ext4 on its device, with its root; whatever is wrong is in the log."""
    if not sb_rdonly(sb):
        ext4_msg(sb, KERN_NOTICE, "writing is not possible: mount it read-only")
        raise EROFS(sb.s_id)
    sbi = sb.s_fs_info = kzalloc(Ext4SbInfo, s_sb=sb, s_mount_opts=fc.fs_private, s_tables=TABLES)
    sb_block = fc.fs_private.get("sb", DEFAULT_SB_BLOCK)
    ext4_fill_sb_info(sb, sbi, ext4_read_super(sb, sb_block), sb_block)
    fill_vfs_super(sb, sbi)
    try:
        if sbi.s_incompat & INCOMPAT_RECOVER:
            recover(sb, sbi)
        protect_metadata(sb, sbi)
        sbi.s_overhead = ext4_calculate_overhead(sb)
        sb.s_root = ext4_root(sb)
    except BaseException:
        forget_blocks(sb, sbi)
        raise
    announce(sb, sbi)


def fill_vfs_super(sb: SuperBlock, sbi: Ext4SbInfo) -> None:
    """Set what the VFS wants to know of the filesystem."""
    sb.s_magic, sb.s_op, sb.s_xattr = EXT4_SUPER_MAGIC, ext4_sops, ext4_xattr_handlers
    sb.s_uuid = sbi.s_es.s_uuid
    if "noacl" not in sbi.s_mount_opts:
        sb.s_flags |= SB_POSIXACL
    fine = sbi.s_inode_size > EXT4_GOOD_OLD_INODE_SIZE
    sb.s_time_gran = 1 if fine else 1_000_000_000
    sb.s_time_min = -(1 << 31)
    sb.s_time_max = (1 << 34) - (1 << 31) - 1 if fine else (1 << 31) - 1


def recover(sb: SuperBlock, sbi: Ext4SbInfo) -> None:
    """Play the dirty journal in memory, unless the mount was told not to."""
    if sbi.s_mount_opts.keys() & {"noload", "norecovery"}:
        ext4_msg(sb, KERN_WARNING, "the journal is dirty and was not played: what is shown may be old")
        return
    sbi.s_journal_text = ext4_load_journal(sb)
    ext4_msg(sb, KERN_NOTICE, sbi.s_journal_text or "the journal is marked dirty but holds nothing")


def protect_metadata(sb: SuperBlock, sbi: Ext4SbInfo) -> None:
    """Set up block_validity: the blocks that no file may own, but the journal its own."""
    if "noblock_validity" in sbi.s_mount_opts:
        return
    ext4_setup_system_zone(sb)
    number = sbi.s_es.s_journal_inum
    if not sbi.s_compat & COMPAT_HAS_JOURNAL or not number:
        return
    try:
        journal = ext4_get_journal_inode(sb)
    except KernelError as error:
        ext4_msg(sb, KERN_ERR, f"the journal's inode {number} cannot be read: {error}")
        return
    try:
        ext4_protect_reserved_inode(sb, number, ext4_journal_runs(journal))
    except KernelError as error:
        ext4_msg(sb, KERN_ERR, f"the journal's blocks cannot be found: {error}")
    finally:
        iput(journal)


def ext4_root(sb: SuperBlock) -> Dentry:
    """Return the dentry of the root directory."""
    inode = ext4_iget(sb, EXT4_ROOT_INO, EXT4_IGET_SPECIAL)
    if inode.i_mode & S_IFMT != S_IFDIR or not inode.i_size:
        iput(inode)
        ext4_error(sb, "ext4_fill_super", "corrupt root inode, run e2fsck", EXT4_ROOT_INO)
    return d_make_root(inode)


def announce(sb: SuperBlock, sbi: Ext4SbInfo) -> None:
    """Log that it is mounted, and what the user should know of it."""
    if sbi.s_es.s_state & EXT4_ERROR_FS:
        ext4_msg(sb, KERN_WARNING, "mounting fs with errors, running e2fsck is recommended")
    if sbi.s_incompat & INCOMPAT_CASEFOLD:
        ext4_msg(sb, KERN_NOTICE, "case-insensitive directories: names are found by their exact spelling only")
    if sbi.s_ro_compat & RO_COMPAT_VERITY:
        ext4_msg(sb, KERN_NOTICE, "files sealed by fs-verity are read without verifying their hashes")
    uuid = sb.s_uuid.hex()
    text = "-".join((uuid[:8], uuid[8:12], uuid[12:16], uuid[16:20], uuid[20:]))
    ext4_msg(sb, KERN_INFO, f"mounted filesystem {text} ro")


# --- the superblock's operations --------------------------------------------------------------------


def ext4_alloc_inode(sb: SuperBlock) -> Inode:
    """Return a blank inode inside a blank Ext4InodeInfo, put together by hand: thousands are made in one walk."""
    inode = kmem_cache_alloc(Inode)
    ei = inode._container = kzalloc_around(Ext4InodeInfo, inode)
    set_vfs_inode(ei, inode)
    return inode


def ext4_free_inode(inode: Inode) -> None:
    """Give both back."""
    ei = EXT4_I(inode)
    if ei.i_es_tree is not None:
        kfree(ei.i_es_tree)
    kfree(inode)
    kfree(ei)


def ext4_put_super(sb: SuperBlock) -> None:
    """Unmount: forget the overlay and what was computed."""
    forget_blocks(sb, EXT4_SB(sb))
    sb.s_fs_info = None


def forget_blocks(sb: SuperBlock, sbi: Ext4SbInfo) -> None:
    """Let go of the blocks that are held while the filesystem is mounted."""
    brelse(sbi.s_itb_bh)
    sbi.s_itb_bh, sbi.s_itb_inos = None, range(0)
    bdev_drop_overlay(sb.s_bdev)


def ext4_statfs(dentry: Dentry, buf: Kstatfs) -> None:
    """Fill in sizes as df shows them: without the filesystem's own blocks, unless minixdf wants them counted."""
    sb = dentry.d_sb
    sbi = EXT4_SB(sb)
    es, bits = sbi.s_es, sbi.s_cluster_bits
    clusters, inodes = ext4_count_free(sb)
    overhead = 0 if "minixdf" in sbi.s_mount_opts else sbi.s_overhead << bits
    reserved = es.s_r_blocks_count + (ext4_resv_clusters(sbi) << bits)
    buf.f_type, buf.f_bsize, buf.f_frsize, buf.f_namelen = (
        EXT4_SUPER_MAGIC,
        sb.s_blocksize,
        sb.s_blocksize,
        EXT4_NAME_LEN,
    )
    buf.f_blocks = sbi.s_blocks_count - overhead
    buf.f_bfree = clusters << bits
    buf.f_bavail = max(buf.f_bfree - reserved, 0)
    buf.f_files, buf.f_ffree = sbi.s_inodes_count, inodes
    buf.f_fsid = int.from_bytes(sb.s_uuid[:8], "little") ^ int.from_bytes(sb.s_uuid[8:], "little")


def ext4_resv_clusters(sbi: Ext4SbInfo) -> int:
    """Return the clusters that writers of extents keep for metadata: one in fifty, at most 4096."""
    if not sbi.s_incompat & INCOMPAT_EXTENTS:
        return 0
    return min((sbi.s_blocks_count >> sbi.s_cluster_bits) // 50, 4096)


def ext4_calculate_overhead(sb: SuperBlock) -> int:
    """Return the clusters that hold no files: those before the first group, each group's own, and the journal."""
    sbi = EXT4_SB(sb)
    es = sbi.s_es
    if sbi.s_ro_compat & RO_COMPAT_BIGALLOC and 0 < es.s_overhead_clusters <= sbi.s_blocks_count:
        return es.s_overhead_clusters  # several groups' parts may share a cluster: mke2fs has counted
    blocks = sbi.s_first_data_block + sbi.s_groups_count * (sbi.s_itb_per_group + 2)
    for group in range(sbi.s_groups_count):
        blocks += ext4_num_base_meta_blocks(sbi, group)
    return (blocks >> sbi.s_cluster_bits) + (journal_blocks(sb) >> sbi.s_cluster_bits)


def journal_blocks(sb: SuperBlock) -> int:
    """Return how many blocks the journal takes, 0 if it is not in this filesystem or cannot be read."""
    sbi = EXT4_SB(sb)
    if not sbi.s_compat & COMPAT_HAS_JOURNAL or not sbi.s_es.s_journal_inum:
        return 0
    try:
        journal = ext4_get_journal_inode(sb)
    except KernelError:
        return 0
    blocks = journal.i_size >> sb.s_blocksize_bits
    iput(journal)
    return min(blocks, sbi.s_blocks_count)


def ext4_show_options(root: Dentry) -> list[bytes]:
    """Return the options that are not the usual ones."""
    options = EXT4_SB(root.d_sb).s_mount_opts
    return [f"{name}={value}".encode() if name == "sb" else name.encode() for name, value in options.items()]


ext4_sops = SuperOperations(
    alloc_inode=ext4_alloc_inode,
    free_inode=ext4_free_inode,
    put_super=ext4_put_super,
    statfs=ext4_statfs,
    show_options=ext4_show_options,
)


def ext4_fs_type() -> FileSystemType:
    """Return ext4 for one kernel to register."""
    return kzalloc(
        FileSystemType,
        name=b"ext4",
        fs_flags=FS_REQUIRES_DEV,
        init_fs_context=ext4_init_fs_context,
        kill_sb=kill_block_super,
    )


def ext3_fs_type() -> FileSystemType:
    """Return the same under the name of ext3: an ext4 without the newer features."""
    fs_type = ext4_fs_type()
    fs_type.name = b"ext3"
    return fs_type


def ext2_fs_type() -> FileSystemType:
    """Return the same under the name of ext2: an ext4 without a journal and the newer features."""
    fs_type = ext4_fs_type()
    fs_type.name = b"ext2"
    return fs_type
