"""kstat and kstatfs: what stat and statfs are told, before it is laid out for the caller.

Linux: include/linux/stat.h, statfs.h.
"""

from __future__ import annotations

from vfslab.lib.kstruct import KObject, kstruct

STATX_BASIC_STATS = 0x7FF
STATX_BTIME = 0x800


@kstruct
class Kstat(KObject):
    """Attributes of one inode; times in nanoseconds since 1970 (may be negative), blocks of 512 bytes."""

    dev: int = 0
    ino: int = 0
    mode: int = 0
    nlink: int = 0
    uid: int = 0
    gid: int = 0
    rdev: int = 0
    size: int = 0
    atime: int = 0
    mtime: int = 0
    ctime: int = 0
    btime: int | None = None
    blksize: int = 4096
    blocks: int = 0
    attributes: int = 0
    attributes_mask: int = 0


@kstruct
class Kstatfs(KObject):
    """Attributes of one filesystem; counts in units of f_bsize."""

    f_type: int = 0
    f_bsize: int = 0
    f_blocks: int = 0
    f_bfree: int = 0
    f_bavail: int = 0
    f_files: int = 0
    f_ffree: int = 0
    f_fsid: int = 0
    f_namelen: int = 255
    f_frsize: int = 0
    f_flags: int = 0
