"""stat, statx and readlink: what is known about an object, without opening it.

    newfstatat ─▶ user_path_at ─▶ i_op.getattr, or generic_fillattr ─▶ Kstat

Linux: fs/stat.c.   Chapter 4.
Left out: multigrain timestamps, mount ids in statx, the old 32-bit layouts.
"""

from __future__ import annotations

from types import MappingProxyType

from vfslab.fs.file import fget_raw
from vfslab.fs.inode import touch_atime
from vfslab.fs.namei import path_put, user_path_at, vfs_get_link
from vfslab.include.fs import S_APPEND, S_ENCRYPTED, S_IMMUTABLE, S_VERITY, Inode
from vfslab.include.namei import LOOKUP_FOLLOW
from vfslab.include.sched import Path
from vfslab.include.stat import STATX_BASIC_STATS, Kstat
from vfslab.include.uapi.fcntl import AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW
from vfslab.include.uapi.stat import S_IFLNK, S_IFMT
from vfslab.kernel.errno import EINVAL, ENOENT
from vfslab.kernel.sched import cpu

STATX_ATTRIBUTES = ((S_IMMUTABLE, 0x10), (S_APPEND, 0x20), (S_ENCRYPTED, 0x800), (S_VERITY, 0x100000))
AT_STATX_SYNC_TYPE = 0x6000


def generic_fillattr(inode: Inode) -> Kstat:
    """Return what the inode in memory says of itself."""
    return Kstat(
        inode.i_sb.s_dev,
        inode.i_ino,
        inode.i_mode,
        inode.i_nlink,
        inode.i_uid,
        inode.i_gid,
        inode.i_rdev,
        inode.i_size,
        inode.i_atime_sec,
        inode.i_atime_nsec,
        inode.i_mtime_sec,
        inode.i_mtime_nsec,
        inode.i_ctime_sec,
        inode.i_ctime_nsec,
        None,
        1 << inode.i_blkbits,
        inode.i_blocks,
    )


def generic_fill_statx_attr(inode: Inode, stat: Kstat) -> None:
    """Add the attribute bits that statx shows beside stat's fields; called by a filesystem's getattr."""
    flags = inode.i_flags
    for bit, attribute in STATX_ATTRIBUTES:
        if flags & bit:
            stat.attributes |= attribute
        stat.attributes_mask |= attribute


def vfs_getattr(path: Path, request_mask: int, flags: int) -> Kstat:
    """Return the attributes of the object at path, asking its filesystem if it wants to be asked."""
    inode = path.dentry.d_inode
    getattr_op = inode.i_op.getattr
    return generic_fillattr(inode) if getattr_op is None else getattr_op(path, request_mask, flags)


def empty_path(dfd: int) -> Path:
    """Return, without a reference, what an empty path means with AT_EMPTY_PATH: the descriptor itself."""
    return cpu.current.fs.pwd if dfd == AT_FDCWD else fget_raw(dfd).f_path


def vfs_statx(dfd: int, name: bytes, flags: int, request_mask: int) -> Kstat:
    """Return the attributes of what name leads to from dfd."""
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE):
        raise EINVAL(flags)
    if not name and flags & AT_EMPTY_PATH:
        return vfs_getattr(empty_path(dfd), request_mask, flags)
    path = user_path_at(dfd, name, 0 if flags & AT_SYMLINK_NOFOLLOW else LOOKUP_FOLLOW)
    try:
        return vfs_getattr(path, request_mask, flags)
    finally:
        path_put(path)


def sys_newfstatat(dfd: int, name: bytes, flags: int) -> Kstat:
    """stat, lstat and fstatat: the attributes of what name leads to from dfd."""
    if flags & ~AT_SYMLINK_NOFOLLOW:
        return vfs_statx(dfd, name, flags, STATX_BASIC_STATS)
    path = user_path_at(dfd, name, 0 if flags else LOOKUP_FOLLOW)
    inode = path.dentry.d_inode
    getattr_op = inode.i_op.getattr
    if getattr_op is None:
        stat = generic_fillattr(inode)
        path_put(path)
        return stat
    try:
        return getattr_op(path, STATX_BASIC_STATS, 0)
    finally:
        path_put(path)


def sys_fstat(fd: int) -> Kstat:
    """Return the attributes of an open file; an O_PATH descriptor will do."""
    return vfs_getattr(fget_raw(fd).f_path, STATX_BASIC_STATS, 0)


def sys_statx(dfd: int, name: bytes, flags: int, mask: int) -> Kstat:
    """As fstatat, with attribute bits and, where the filesystem keeps one, the time of birth."""
    if flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE or mask & 0x80000000:
        raise EINVAL(flags)
    return vfs_statx(dfd, name, flags, mask)


def sys_readlinkat(dfd: int, name: bytes, size: int = 4096) -> bytes:
    """Return the target of a symbolic link, at most size bytes of it; EINVAL for anything else.

    An empty name means dfd itself, opened with O_PATH | O_NOFOLLOW.
    """
    if size <= 0:
        raise EINVAL(size)
    if not name and dfd != AT_FDCWD:
        return do_readlink(fdget_link(dfd), size)
    path = user_path_at(dfd, name, 0)
    try:
        return do_readlink(path, size)
    finally:
        path_put(path)


def fdget_link(dfd: int) -> Path:
    """Return the path of a descriptor that stands for a symbolic link; ENOENT for any other."""
    path = fget_raw(dfd).f_path
    if path.dentry.d_inode.i_mode & S_IFMT != S_IFLNK:
        raise ENOENT
    return path


def do_readlink(path: Path, size: int) -> bytes:
    """Return up to size bytes of the link at path, and note that it was read."""
    inode = path.dentry.d_inode
    if inode.i_op.readlink is not None:
        return inode.i_op.readlink(path.dentry, size)
    if inode.i_mode & S_IFMT != S_IFLNK:
        raise EINVAL(path.dentry.d_name)
    touch_atime(path)
    return vfs_get_link(path.dentry)[:size]


SYSCALLS = MappingProxyType(
    {"newfstatat": sys_newfstatat, "fstat": sys_fstat, "statx": sys_statx, "readlinkat": sys_readlinkat}
)
