"""statfs: how big a filesystem is and how much of it is free.   Linux: fs/statfs.c.   Chapter 6.

    statfs("/mnt/a") ─▶ the dentry's superblock ─▶ s_op.statfs(dentry, Kstatfs)

f_flags comes from the mount, not from the superblock: two mounts of one filesystem may differ.
"""

from __future__ import annotations

from types import MappingProxyType

from vfslab.fs.file import fget_raw
from vfslab.fs.namei import path_put, user_path_at
from vfslab.include.fs import SB_RDONLY, SB_SYNCHRONOUS
from vfslab.include.mount import (
    MNT_NOATIME,
    MNT_NODEV,
    MNT_NODIRATIME,
    MNT_NOEXEC,
    MNT_NOSUID,
    MNT_NOSYMFOLLOW,
    MNT_READONLY,
    MNT_RELATIME,
)
from vfslab.include.namei import LOOKUP_FOLLOW
from vfslab.include.sched import Path
from vfslab.include.stat import Kstatfs
from vfslab.include.uapi.fcntl import AT_FDCWD
from vfslab.kernel.errno import ENOSYS

ST_RDONLY, ST_NOSUID, ST_NODEV, ST_NOEXEC, ST_SYNCHRONOUS, ST_VALID = 1, 2, 4, 8, 16, 32
ST_NOATIME, ST_NODIRATIME, ST_RELATIME, ST_NOSYMFOLLOW = 1024, 2048, 4096, 8192

FLAGS_BY_MNT = (
    (MNT_READONLY, ST_RDONLY),
    (MNT_NOSUID, ST_NOSUID),
    (MNT_NODEV, ST_NODEV),
    (MNT_NOEXEC, ST_NOEXEC),
    (MNT_NOATIME, ST_NOATIME),
    (MNT_NODIRATIME, ST_NODIRATIME),
    (MNT_RELATIME, ST_RELATIME),
    (MNT_NOSYMFOLLOW, ST_NOSYMFOLLOW),
)
FLAGS_BY_SB = ((SB_RDONLY, ST_RDONLY), (SB_SYNCHRONOUS, ST_SYNCHRONOUS))


def vfs_statfs(path: Path) -> Kstatfs:
    """Return the counts of the filesystem that path lies on, and the flags of its mount."""
    sb = path.dentry.d_sb
    if sb.s_op is None or sb.s_op.statfs is None:
        raise ENOSYS(sb.s_id)
    buf = Kstatfs(f_type=sb.s_magic, f_bsize=sb.s_blocksize)
    sb.s_op.statfs(path.dentry, buf)
    buf.f_frsize = buf.f_frsize or buf.f_bsize
    buf.f_flags = ST_VALID
    for flags, table in ((path.mnt.mnt_flags, FLAGS_BY_MNT), (sb.s_flags, FLAGS_BY_SB)):
        for bit, shown in table:
            if flags & bit:
                buf.f_flags |= shown
    return buf


def sys_statfs(name: bytes) -> Kstatfs:
    """Return the counts of the filesystem that name leads to."""
    path = user_path_at(AT_FDCWD, name, LOOKUP_FOLLOW)
    try:
        return vfs_statfs(path)
    finally:
        path_put(path)


def sys_fstatfs(fd: int) -> Kstatfs:
    """Return the counts of the filesystem that an open file lies on."""
    return vfs_statfs(fget_raw(fd).f_path)


SYSCALLS = MappingProxyType({"statfs": sys_statfs, "fstatfs": sys_fstatfs})
