"""ramfs: names in the dentry cache, content in the page cache, and nothing behind them.

    mkdir ─▶ ramfs_mknod ─▶ ramfs_get_inode ─▶ a dentry that is pinned: it has no other home

It shows how little a filesystem has to do itself: make inodes and choose operation tables.
It is the root filesystem, so it is the first that every kernel mounts.

Linux: fs/ramfs/inode.c, file-mmu.c.   Chapter 2.
Left out: mmap. Beyond Linux: extended attributes, as tmpfs has them (mm/shmem.c); Linux's
ramfs has none. Like Linux's it knows no limit of its own; memory is the limit: ENOSPC.

Always true
  R1  a page of a file stays in memory as long as the file is that long; a hole takes no page
  R2  nothing survives umount
"""

from __future__ import annotations

from vfslab.fs.attr import file_modified
from vfslab.fs.dcache import d_instantiate, d_make_root
from vfslab.fs.inode import (
    clear_nlink,
    generic_delete_inode,
    get_next_ino,
    inc_nlink,
    init_special_inode,
    inode_init_mapping,
    inode_init_owner,
    inode_lock,
    inode_set_ctime_current,
    inode_unlock,
    new_inode,
    simple_inode_init_ts,
)
from vfslab.fs.libfs import (
    noop_fsync,
    page_get_link,
    page_symlink,
    ram_aops,
    simple_dir_operations,
    simple_getattr,
    simple_link,
    simple_lookup,
    simple_pin,
    simple_rename,
    simple_rmdir,
    simple_setattr,
    simple_statfs,
    simple_unlink,
    touch_dirs,
)
from vfslab.fs.ramfs.file import ramfs_fallocate, ramfs_file_llseek
from vfslab.fs.read_write import file_accessed
from vfslab.fs.super import get_tree_nodev, kill_litter_super
from vfslab.fs.xattr import SECURITY, TRUSTED, USER, simple_xattr_get, simple_xattr_set
from vfslab.include.dcache import Dentry
from vfslab.include.fs import (
    FS_USERNS_MOUNT,
    File,
    FileOperations,
    FileSystemType,
    Inode,
    InodeOperations,
    SuperBlock,
    SuperOperations,
    XattrHandler,
)
from vfslab.include.fs_context import FsContext, FsContextOperations
from vfslab.include.mm_types import AS_UNEVICTABLE, PAGE_SHIFT, PAGE_SIZE
from vfslab.include.uapi.stat import S_IALLUGO, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG
from vfslab.include.uio import IovIter, Kiocb
from vfslab.kernel.errno import EINVAL
from vfslab.kernel.slab import kzalloc
from vfslab.mm.filemap import generic_file_read_iter, generic_file_write_iter

RAMFS_MAGIC = 0x858458F6
RAMFS_DEFAULT_MODE = 0o755


# --- inodes ---------------------------------------------------------------------------------------


def ramfs_get_inode(sb: SuperBlock, dir: Inode | None, mode: int, dev: int) -> Inode:
    """Return a new inode below dir, with the operations of its kind."""
    inode = new_inode(sb)
    inode.i_ino = get_next_ino()
    inode_init_owner(inode, dir, mode)
    simple_inode_init_ts(inode)
    kind = mode & S_IFMT
    if kind == S_IFREG:
        inode.i_op, inode.i_fop = ramfs_file_inode_operations, ramfs_file_operations
        inode_init_mapping(inode, ram_aops, AS_UNEVICTABLE)
    elif kind == S_IFDIR:
        inode.i_op, inode.i_fop = ramfs_dir_inode_operations, simple_dir_operations
        inc_nlink(inode)  # its own "."
    elif kind == S_IFLNK:
        inode.i_op = ramfs_symlink_inode_operations
        inode_init_mapping(inode, ram_aops, AS_UNEVICTABLE)
    else:
        inode.i_op = ramfs_special_inode_operations
        init_special_inode(inode, inode.i_mode, dev)
    return inode


def ramfs_mknod(dir: Inode, dentry: Dentry, mode: int, dev: int) -> None:
    """Make an object of any kind but a link under dentry's name."""
    inode = ramfs_get_inode(dir.i_sb, dir, mode, dev)
    simple_pin(dentry, inode)
    dir.i_mtime_sec = dir.i_ctime_sec = inode.i_ctime_sec
    dir.i_mtime_nsec = dir.i_ctime_nsec = inode.i_ctime_nsec


def ramfs_mkdir(dir: Inode, dentry: Dentry, mode: int) -> None:
    """Make a directory; its ".." is a link to dir."""
    ramfs_mknod(dir, dentry, mode | S_IFDIR, 0)
    inc_nlink(dir)


def ramfs_create(dir: Inode, dentry: Dentry, mode: int, excl: bool) -> None:
    """Make a regular file."""
    ramfs_mknod(dir, dentry, mode | S_IFREG, 0)


def ramfs_symlink(dir: Inode, dentry: Dentry, target: bytes) -> None:
    """Make a symbolic link; its text is the content of its one page."""
    inode = ramfs_get_inode(dir.i_sb, dir, S_IFLNK | 0o777, 0)
    page_symlink(inode, target)
    simple_pin(dentry, inode)
    touch_dirs(dir)


def ramfs_tmpfile(dir: Inode, file: File, mode: int) -> None:
    """Make a regular file without a name, for open(O_TMPFILE)."""
    inode = ramfs_get_inode(dir.i_sb, dir, mode, 0)
    clear_nlink(inode)
    d_instantiate(file.f_path.dentry, inode)


# --- content --------------------------------------------------------------------------------------


def ramfs_file_read_iter(iocb: Kiocb, it: IovIter) -> int:
    """Read out of the page cache."""
    done = generic_file_read_iter(iocb, it)
    file_accessed(iocb.ki_filp)
    return done


def ramfs_file_write_iter(iocb: Kiocb, it: IovIter) -> int:
    """Write into the page cache, where it stays."""
    file = iocb.ki_filp
    inode = file.f_inode
    inode_lock(inode)
    try:
        if it.count:
            file_modified(file)
        return generic_file_write_iter(iocb, it)
    finally:
        inode_unlock(inode)


# --- extended attributes --------------------------------------------------------------------------


def ramfs_xattr_get(handler: XattrHandler, dentry: Dentry, inode: Inode, suffix: bytes) -> bytes:
    """Return an attribute's value."""
    return simple_xattr_get(inode.i_private or {}, handler.prefix + suffix)


def ramfs_xattr_set(
    handler: XattrHandler, dentry: Dentry, inode: Inode, suffix: bytes, value: bytes | None, flags: int
) -> None:
    """Set or remove an attribute; i_private is the dict of all."""
    if inode.i_private is None:
        inode.i_private = {}
    simple_xattr_set(inode.i_private, handler.prefix + suffix, value, flags)
    inode_set_ctime_current(inode)


def ramfs_listxattr(dentry: Dentry) -> list[bytes]:
    """Return the names of all attributes."""
    return list(dentry.d_inode.i_private or ())


ramfs_xattr_handlers = tuple(
    XattrHandler(prefix=prefix, get=ramfs_xattr_get, set=ramfs_xattr_set) for prefix in (USER, TRUSTED, SECURITY)
)

# --- what ramfs can do ----------------------------------------------------------------------------

ramfs_file_operations = FileOperations(
    read_iter=ramfs_file_read_iter,
    write_iter=ramfs_file_write_iter,
    llseek=ramfs_file_llseek,
    fallocate=ramfs_fallocate,
    fsync=noop_fsync,
)

ramfs_file_inode_operations = InodeOperations(
    setattr=simple_setattr,
    getattr=simple_getattr,
    listxattr=ramfs_listxattr,
)

ramfs_special_inode_operations = InodeOperations(setattr=simple_setattr, listxattr=ramfs_listxattr)

ramfs_symlink_inode_operations = InodeOperations(
    get_link=page_get_link,
    setattr=simple_setattr,
    listxattr=ramfs_listxattr,
)

ramfs_dir_inode_operations = InodeOperations(
    lookup=simple_lookup,
    create=ramfs_create,
    link=simple_link,
    unlink=simple_unlink,
    symlink=ramfs_symlink,
    mkdir=ramfs_mkdir,
    rmdir=simple_rmdir,
    mknod=ramfs_mknod,
    rename=simple_rename,
    tmpfile=ramfs_tmpfile,
    setattr=simple_setattr,
    listxattr=ramfs_listxattr,
)

ramfs_ops = SuperOperations(statfs=simple_statfs, drop_inode=generic_delete_inode)


# --- mounting -------------------------------------------------------------------------------------


def ramfs_parse_param(fc: FsContext, key: bytes, value: bytes | None) -> bool:
    """Take the one option, mode=0755: the permissions of the root. Others are ignored, as in Linux."""
    if key == b"source":
        return False
    if key == b"mode":
        try:
            fc.fs_private = int(value or b"", 8) & S_IALLUGO
        except ValueError:
            raise EINVAL(key) from None
    return True


def ramfs_fill_super(sb: SuperBlock, fc: FsContext) -> None:
    """Set up a new, empty filesystem."""
    sb.s_blocksize, sb.s_blocksize_bits = PAGE_SIZE, PAGE_SHIFT
    sb.s_magic = RAMFS_MAGIC
    sb.s_op = ramfs_ops
    sb.s_xattr = ramfs_xattr_handlers
    mode = RAMFS_DEFAULT_MODE if fc.fs_private is None else fc.fs_private
    sb.s_root = d_make_root(ramfs_get_inode(sb, None, S_IFDIR | mode, 0))


def ramfs_get_tree(fc: FsContext) -> None:
    """Each mount of ramfs is a filesystem of its own."""
    get_tree_nodev(fc, ramfs_fill_super)


ramfs_context_ops = FsContextOperations(parse_param=ramfs_parse_param, get_tree=ramfs_get_tree)


def ramfs_init_fs_context(fc: FsContext) -> None:
    """Prepare a mount of ramfs."""
    fc.ops = ramfs_context_ops


def ramfs_fs_type() -> FileSystemType:
    """Return ramfs for one kernel to register."""
    return kzalloc(
        FileSystemType,
        name=b"ramfs",
        fs_flags=FS_USERNS_MOUNT,
        init_fs_context=ramfs_init_fs_context,
        kill_sb=kill_litter_super,
    )
