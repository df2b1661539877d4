"""The border between Python's os and the kernel's system calls: names, flags, errors, results.

    p.open("/é", os.O_RDONLY)  ──▶  b"/\\xc3\\xa9", x86-64 Linux's O_RDONLY
    OSError(2, ...), os.stat_result  ◀──  -2, Kstat

The guest always speaks x86-64 Linux. The numbers of the host may differ (O_DIRECTORY does on
arm64, ENOTEMPTY on macOS), and a program only ever sees the host's.
"""

from __future__ import annotations

import errno
import os
import sys
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

from vfslab.include.uapi import fcntl as guest
from vfslab.kernel.syscall import message_of, name_of

# --- flags ----------------------------------------------------------------------------------------

OPEN_FLAGS = tuple(name for name in vars(guest) if name.startswith("O_") and name != "O_ACCMODE")
FOREIGN = 32  # a flag that the host lacks stands this many bits higher than any host's flag can


def host_flag(name: str) -> int:
    """Return the number by which programs know a flag: the host's, or one of our own if it has none."""
    number = getattr(os, name, None)
    return getattr(guest, name) << FOREIGN if number is None else number


def translations() -> tuple[tuple[int, int], ...]:
    """Return (host's bits, guest's bits) for each open flag that is not the same number in both."""
    pairs = ((host_flag(name), getattr(guest, name)) for name in OPEN_FLAGS)
    return tuple(sorted(((host, ours) for host, ours in pairs if host != ours), reverse=True))


TRANSLATIONS = translations()


def open_flags(flags: int) -> int:
    """Return open flags of the host as the guest's; bits that nobody knows pass unchanged."""
    if not TRANSLATIONS:
        return flags
    found = 0
    for host, ours in TRANSLATIONS:
        if host and flags & host == host:
            flags &= ~host
            found |= ours
    return flags | found


CONSTANTS = MappingProxyType(
    {name: host_flag(name) for name in OPEN_FLAGS}
    | {name: getattr(guest, name) for name in ("SEEK_SET", "SEEK_CUR", "SEEK_END", "SEEK_DATA", "SEEK_HOLE")}
    | {name: getattr(guest, name) for name in ("F_OK", "R_OK", "W_OK", "X_OK")}
    | {name: value for name, value in vars(guest).items() if name.startswith(("AT_", "RESOLVE_", "RENAME_"))}
    | {"ST_RDONLY": 1, "ST_NOSUID": 2, "ST_NODEV": 4, "ST_NOEXEC": 8, "ST_SYNCHRONOUS": 16, "ST_NOATIME": 1024}
    | {"ST_NODIRATIME": 2048, "ST_RELATIME": 4096, "XATTR_CREATE": 1, "XATTR_REPLACE": 2, "XATTR_SIZE_MAX": 65536}
    | {"CLONE_NEWNS": 0x20000, "CLONE_FS": 0x200, "CLONE_FILES": 0x400}
    | {"MNT_FORCE": 1, "MNT_DETACH": 2, "MNT_EXPIRE": 4, "UMOUNT_NOFOLLOW": 8}
    | {"curdir": ".", "pardir": "..", "sep": "/", "altsep": None, "extsep": ".", "linesep": "\n", "name": "posix"}
)

# --- names ----------------------------------------------------------------------------------------


def fsencode(name: Any) -> bytes:
    """Return a name as bytes: UTF-8, and bytes that are not, as they were (PEP 383)."""
    name = os.fspath(name)
    return name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name


def fsdecode(name: Any) -> str:
    """Return a name as str; what is no UTF-8 becomes lone surrogates that fsencode() turns back."""
    name = os.fspath(name)
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name


def path_bytes(call: str, path: Any) -> bytes:
    """Return a path argument as bytes, or raise what os raises for one that is none."""
    if isinstance(path, str | bytes | os.PathLike):
        name = fsencode(path)
        if b"\0" in name:
            raise ValueError(f"{call}: embedded null character in path")
        return name
    raise TypeError(f"{call}: path should be string, bytes or os.PathLike, not {type(path).__name__}")


def is_descriptor(path: Any) -> bool:
    """True if a path argument is an open file instead of a path."""
    return isinstance(path, int) or hasattr(type(path), "__index__")


# --- errors ---------------------------------------------------------------------------------------


def host_errno(number: int) -> int:
    """Return the host's number for an error of the guest."""
    return getattr(errno, name_of(number), number)


def error_text(number: int) -> str:
    """Return a guest's error in Linux's words. Other hosts, and the Python of a browser, have other ones, or none."""
    return os.strerror(number) if sys.platform == "linux" else message_of(number)


def raise_error(number: int, filename: Any = None, filename2: Any = None) -> NoReturn:
    """Raise the OSError of a negative result, with the names the caller used."""
    number, text = host_errno(-number), error_text(-number)
    if isinstance(filename, os.PathLike):
        filename = os.fspath(filename)
    if isinstance(filename2, os.PathLike):
        filename2 = os.fspath(filename2)
    if filename is None:
        raise OSError(number, text)
    if filename2 is None:
        raise OSError(number, text, filename)
    raise OSError(number, text, filename, None, filename2)


def refuse_negative(value: int) -> int:
    """Return value if it may be the size of a read; EINVAL as os.read has it otherwise."""
    if value < 0:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return value


# --- results --------------------------------------------------------------------------------------

STAT_FIELDS_OF_LINUX = 19
NSEC = 1_000_000_000


def seconds(nsec: int) -> float:
    """Return nanoseconds as st_mtime shows them: whole seconds plus the rest, added as floats."""
    return nsec // NSEC + 1e-9 * (nsec % NSEC)


def stat_result(stat: Any) -> os.stat_result:
    """Return a Kstat as os.stat_result, on a host whose os.stat_result has Linux's fields."""
    atime, mtime, ctime = stat.atime_sec, stat.mtime_sec, stat.ctime_sec
    atime_nsec, mtime_nsec, ctime_nsec = stat.atime_nsec, stat.mtime_nsec, stat.ctime_nsec
    return os.stat_result(
        (
            stat.mode,
            stat.ino,
            stat.dev,
            stat.nlink,
            stat.uid,
            stat.gid,
            stat.size,
            atime,
            mtime,
            ctime,
            atime + 1e-9 * atime_nsec,
            mtime + 1e-9 * mtime_nsec,
            ctime + 1e-9 * ctime_nsec,
            atime * NSEC + atime_nsec,
            mtime * NSEC + mtime_nsec,
            ctime * NSEC + ctime_nsec,
            stat.blksize,
            stat.blocks,
            stat.rdev,
        )
    )


def stat_result_by_name(stat: Any) -> os.stat_result:
    """As stat_result(), where os.stat_result has other fields or another order of them."""
    whole = (stat.mode, stat.ino, stat.dev, stat.nlink, stat.uid, stat.gid, stat.size)
    times = {"atime": stat.atime, "mtime": stat.mtime, "ctime": stat.ctime}
    named = {"st_blksize": stat.blksize, "st_blocks": stat.blocks, "st_rdev": stat.rdev}
    named |= {f"st_{name}": seconds(nsec) for name, nsec in times.items()}
    named |= {f"st_{name}_ns": nsec for name, nsec in times.items()}
    return os.stat_result((*whole, *(nsec // NSEC for nsec in times.values())), named)


def is_linux_layout() -> bool:
    """True if os.stat_result takes its fields in the order in which stat_result() gives them."""
    if os.stat_result.n_fields != STAT_FIELDS_OF_LINUX:
        return False
    probe = os.stat_result(range(STAT_FIELDS_OF_LINUX))
    return (probe.st_atime, probe.st_ctime_ns, probe.st_blksize, getattr(probe, "st_rdev", None)) == (10, 15, 16, 18)


if not is_linux_layout():
    stat_result = stat_result_by_name


class StatvfsResult(NamedTuple):
    """os.statvfs_result for hosts that have none."""

    f_bsize: int
    f_frsize: int
    f_blocks: int
    f_bfree: int
    f_bavail: int
    f_files: int
    f_ffree: int
    f_favail: int
    f_flag: int
    f_namemax: int
    f_fsid: int


ST_VALID = 0x20  # says that f_flags is filled in at all; the C library takes it away


def statvfs_result(buf: Any) -> Any:
    """Return a Kstatfs as os.statvfs_result."""
    files = (buf.f_files, buf.f_ffree, buf.f_ffree)
    fields = (buf.f_bsize, buf.f_frsize, buf.f_blocks, buf.f_bfree, buf.f_bavail, *files)
    fields += (buf.f_flags & ~ST_VALID, buf.f_namelen, buf.f_fsid)
    return getattr(os, "statvfs_result", StatvfsResult._make)(fields)
