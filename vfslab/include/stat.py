"""kstat and kstatfs: what stat and statfs are told, before it is laid out for the caller.

Linux: include/linux/stat.h, statfs.h.
"""

from __future__ import annotations

from vfslab.lib.kstruct import KObject, kstruct

STATX_BASIC_STATS = 0x7FF
STATX_BTIME = 0x800
NSEC_PER_SEC = 1_000_000_000


@kstruct
class Kstat(KObject):
    """Attributes of one inode; blocks of 512 bytes.

    Times are whole seconds since 1970 (may be negative) and nanoseconds; atime, mtime, ctime both in one number.
    """

    dev: int = 0
    ino: int = 0
    mode: int = 0
    nlink: int = 0
    uid: int = 0
    gid: int = 0
    rdev: int = 0
    size: int = 0
    atime_sec: int = 0
    atime_nsec: int = 0
    mtime_sec: int = 0
    mtime_nsec: int = 0
    ctime_sec: int = 0
    ctime_nsec: int = 0
    btime: int | None = None
    blksize: int = 4096
    blocks: int = 0
    attributes: int = 0
    attributes_mask: int = 0

    @property
    def atime(self) -> int:
        """When it was read, in nanoseconds since 1970."""
        return self.atime_sec * NSEC_PER_SEC + self.atime_nsec

    @property
    def mtime(self) -> int:
        """When its content was changed."""
        return self.mtime_sec * NSEC_PER_SEC + self.mtime_nsec

    @property
    def ctime(self) -> int:
        """When anything about it was changed."""
        return self.ctime_sec * NSEC_PER_SEC + self.ctime_nsec


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
