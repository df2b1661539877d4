"""utimensat: set the two times that a program may set.   Linux: fs/utimes.c.   Chapter 4.

A time is nanoseconds since 1970, or UTIME_NOW, or UTIME_OMIT. None for both means now, and then
permission to write is enough; to set any other time one must own the file.
"""

from __future__ import annotations

from types import MappingProxyType

from vfslab.fs.attr import inode_owner_or_capable, notify_change
from vfslab.fs.file import fdget
from vfslab.fs.mount import mnt_drop_write, mnt_want_write
from vfslab.fs.namei import path_put, user_path_at
from vfslab.fs.permission import inode_permission
from vfslab.include.fs import (
    ATTR_ATIME,
    ATTR_ATIME_SET,
    ATTR_CTIME,
    ATTR_MTIME,
    ATTR_MTIME_SET,
    MAY_WRITE,
    S_APPEND,
    S_IMMUTABLE,
    Iattr,
    Inode,
)
from vfslab.include.namei import LOOKUP_FOLLOW
from vfslab.include.sched import Path
from vfslab.include.uapi.fcntl import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW
from vfslab.kernel.errno import EFAULT, EINVAL, EPERM
from vfslab.kernel.locking import down_write

NSEC_PER_SEC = 1_000_000_000
UTIME_NOW, UTIME_OMIT = "now", "omit"  # in Linux two impossible values of tv_nsec


def chosen_times(times: tuple | None, inode: Inode) -> Iattr:
    """Return the change that times asks for, after the check that needs only write permission."""
    attr = Iattr(ATTR_CTIME | ATTR_MTIME | ATTR_ATIME)
    if times is None or times == (UTIME_NOW, UTIME_NOW):
        if inode.i_flags & S_IMMUTABLE:
            raise EPERM
        if not inode_owner_or_capable(inode):
            inode_permission(inode, MAY_WRITE)
        return attr
    if inode.i_flags & (S_IMMUTABLE | S_APPEND):
        raise EPERM
    for wanted, bit, set_bit, member in (
        (times[0], ATTR_ATIME, ATTR_ATIME_SET, "ia_atime"),
        (times[1], ATTR_MTIME, ATTR_MTIME_SET, "ia_mtime"),
    ):
        if wanted == UTIME_OMIT:
            attr.ia_valid &= ~bit
        elif wanted != UTIME_NOW:
            attr.ia_valid |= set_bit
            setattr(attr, member, clamped_time(wanted, inode))
    if not attr.ia_valid & (ATTR_ATIME_SET | ATTR_MTIME_SET) and not inode_owner_or_capable(inode):
        raise EPERM
    return attr


def clamped_time(nsec: int, inode: Inode) -> tuple[int, int]:
    """Return (seconds, nanoseconds) as the filesystem can keep them: in its range and granularity."""
    sb = inode.i_sb
    sec, nsec = divmod(nsec, NSEC_PER_SEC)
    if not sb.s_time_min < sec < sb.s_time_max:
        return min(max(sec, sb.s_time_min), sb.s_time_max), 0
    return sec, nsec - nsec % sb.s_time_gran


def vfs_utimes(path: Path, times: tuple | None) -> None:
    """Set the times of the object at path."""
    inode = path.dentry.d_inode
    mnt_want_write(path.mnt)
    try:
        if times != (UTIME_OMIT, UTIME_OMIT):
            attr = chosen_times(times, inode)
            with down_write(inode.i_rwsem):
                notify_change(path.dentry, attr)
    finally:
        mnt_drop_write(path.mnt)


def sys_utimensat(dfd: int, name: bytes | None, times: tuple | None, flags: int) -> int:
    """Set (atime, mtime) of name, or of the open file dfd when name is None."""
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise EINVAL(flags)
    if name is None:
        if dfd == AT_FDCWD:
            raise EFAULT
        vfs_utimes(fdget(dfd).f_path, times)
        return 0
    path = user_path_at(dfd, name, 0 if flags & AT_SYMLINK_NOFOLLOW else LOOKUP_FOLLOW)
    try:
        vfs_utimes(path, times)
    finally:
        path_put(path)
    return 0


SYSCALLS = MappingProxyType({"utimensat": sys_utimensat})
