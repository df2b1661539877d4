"""The same question, asked of the kernel that this notebook runs on.

    release()                              "6.12.48", or None where the kernel below is not Linux
    lookup(path, RESOLVE_CACHED)           "found", or the name of the error: openat2(2) on the live kernel

openat2 has no function in Python's os module, so it is called by its number. Where it cannot be asked
(another system, a sandbox that forbids it), lookup() returns None and the caller shows what was recorded.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

from vfslab.include.uapi.fcntl import AT_FDCWD, O_CLOEXEC, O_PATH

SYS_OPENAT2 = 437  # the same number on all architectures, as of all calls since 5.1
NOT_ASKED = (errno.ENOSYS, errno.EPERM)  # an old kernel; a sandbox


def release() -> str | None:
    """Return the release of the kernel below us, or None if it is not Linux."""
    return platform.release() if sys.platform == "linux" else None


def lookup(path: str | bytes, resolve: int = 0) -> str | None:
    """Return what openat2(path, O_PATH, resolve) says: "found", or an error's name; None if it cannot be asked here."""
    if release() is None:
        return None
    how = struct.pack("=QQQ", O_PATH | O_CLOEXEC, 0, resolve)  # struct open_how: flags, mode, resolve
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(SYS_OPENAT2, AT_FDCWD, os.fsencode(path), how, ctypes.c_size_t(len(how)))
    if fd >= 0:
        os.close(fd)
        return "found"
    number = ctypes.get_errno()
    return None if number in NOT_ASKED else errno.errorcode.get(number, str(number))
