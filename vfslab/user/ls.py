"""ls: the names in a directory, for any os-like object.   man 1 ls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vfslab.include.uapi.stat import MAJOR, MINOR, S_ISBLK, S_ISCHR, S_ISDIR, S_ISLNK
from vfslab.user.text import filemode, printable, timestamp


def ls(
    os: Any, path: str, *, long: bool = False, all: bool = False, inode: bool = False, recursive: bool = False
) -> Iterator[str]:
    """Yield the lines that ls prints for path. OSError if path itself cannot be read.

    An entry that cannot be examined gets a line that says so, and the listing goes on.
    """
    waiting = [path]
    several = recursive
    while waiting:
        here = waiting.pop(0)
        if not S_ISDIR(os.lstat(here).st_mode):
            yield line(os, here, here, long, inode)
            continue
        if several:
            yield f"{printable(here)}:"
        names = sorted(os.listdir(here))
        below = []
        for name in [".", "..", *names] if all else [n for n in names if not n.startswith(".")]:
            full = f"{here.rstrip('/')}/{name}"
            try:
                yield line(os, full, name, long, inode)
                if recursive and name not in (".", "..") and S_ISDIR(os.lstat(full).st_mode):
                    below.append(full)
            except OSError as error:
                yield f"{printable(name)}: {error.strerror}"
        waiting = below + waiting
        if recursive and waiting:
            yield ""


def line(os: Any, path: str, name: str, long: bool, inode: bool) -> str:
    """Return the line of one entry."""
    if not long and not inode:
        return printable(name)
    st = os.lstat(path)
    number = f"{st.st_ino:>7} " if inode else ""
    if not long:
        return number + printable(name)
    special = S_ISBLK(st.st_mode) or S_ISCHR(st.st_mode)
    size = f"{MAJOR(st.st_rdev)}, {MINOR(st.st_rdev)}" if special else str(st.st_size)
    target = ""
    if S_ISLNK(st.st_mode):
        target = " -> " + printable(os.readlink(path))
    when = timestamp(st.st_mtime_ns)[:16]
    return (
        f"{number}{filemode(st.st_mode)} {st.st_nlink:>3} {st.st_uid:>5} {st.st_gid:>5} {size:>10} {when} "
        f"{printable(name)}{target}"
    )
