"""sync, syncfs, fsync: until what was written is where it belongs.   Linux: fs/sync.c.   Chapter 8.

fsync(fd) ─▶ f_op.fsync(file, start, end, datasync)      one file
sync()    ─▶ s_op.sync_fs(sb, wait) of each superblock    all of them
"""

from __future__ import annotations

from types import MappingProxyType

from vfslab.fs.file import fdget
from vfslab.fs.super import sync_filesystem
from vfslab.include.fs import MAX_LFS_FILESIZE, File
from vfslab.kernel.errno import EINVAL
from vfslab.kernel.sched import cpu


def vfs_fsync(file: File, datasync: bool) -> None:
    """Make one file durable; EINVAL for what cannot be."""
    fsync = file.f_op.fsync
    if fsync is None:
        raise EINVAL
    fsync(file, 0, MAX_LFS_FILESIZE, datasync)


def sys_fsync(fd: int) -> int:
    """Make content and attributes of an open file durable."""
    vfs_fsync(fdget(fd), False)
    return 0


def sys_fdatasync(fd: int) -> int:
    """As fsync, without attributes that are not needed to read the content."""
    vfs_fsync(fdget(fd), True)
    return 0


def sys_syncfs(fd: int) -> int:
    """Make the whole filesystem of an open file durable."""
    sync_filesystem(fdget(fd).f_path.dentry.d_sb)
    return 0


def sys_sync() -> int:
    """Make all filesystems durable; nobody hears of an error."""
    for sb in list(cpu.kernel.super_blocks):
        sync_filesystem(sb)
    return 0


SYSCALLS = MappingProxyType({"fsync": sys_fsync, "fdatasync": sys_fdatasync, "syncfs": sys_syncfs, "sync": sys_sync})
