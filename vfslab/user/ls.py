"""ls: the names in a directory, for any os-like object.   man 1 ls."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

from vfslab.include.uapi.stat import (
    MAJOR,
    MINOR,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    S_IFSOCK,
    S_ISBLK,
    S_ISCHR,
    S_ISDIR,
    S_ISLNK,
)
from vfslab.user.text import filemode, printable, timestamp

# the colours that GNU ls has built in: bits of the mode that must be set, and the terminal's code; the first that fits
COLORS = MappingProxyType(
    {
        S_IFREG: ((0o4000, "37;41"), (0o2000, "30;43"), (0o100, "01;32"), (0o010, "01;32"), (0o001, "01;32")),
        S_IFDIR: ((0o1002, "30;42"), (0o0002, "34;42"), (0o1000, "37;44"), (0, "01;34")),
        S_IFLNK: ((0, "01;36"),),
        S_IFIFO: ((0, "33"),),
        S_IFSOCK: ((0, "01;35"),),
        S_IFBLK: ((0, "01;33"),),
        S_IFCHR: ((0, "01;33"),),
    }
)


def ls(
    os: Any,
    path: str,
    *,
    long: bool = False,
    all: bool = False,
    inode: bool = False,
    recursive: bool = False,
    color: bool = False,
) -> Iterator[str]:
    """Yield the lines that ls prints for path. OSError if path itself cannot be read.

    An entry that cannot be examined gets a line that says so, and the listing goes on.
    With color each entry is asked for its mode: a directory's record tells its type, not whether it may be run.
    """
    waiting = [path]
    several = recursive
    while waiting:
        here = waiting.pop(0)
        if not S_ISDIR(os.lstat(here).st_mode):
            yield line(os, here, here, long, inode, color)
            continue
        if several:
            yield f"{printable(here)}:"
        names = sorted(os.listdir(here))
        below = []
        for name in [".", "..", *names] if all else [n for n in names if not n.startswith(".")]:
            full = f"{here.rstrip('/')}/{name}"
            try:
                yield line(os, full, name, long, inode, color)
                if recursive and name not in (".", "..") and S_ISDIR(os.lstat(full).st_mode):
                    below.append(full)
            except OSError as error:
                yield f"{printable(name)}: {error.strerror}"
        waiting = below + waiting
        if recursive and waiting:
            yield ""


def line(os: Any, path: str, name: str, long: bool, inode: bool, color: bool = False) -> str:
    """Return the line of one entry."""
    shown = printable(name)
    if not long and not inode and not color:
        return shown
    st = os.lstat(path)
    if color:
        shown = colored(shown, st.st_mode)
    number = f"{st.st_ino:>7} " if inode else ""
    if not long:
        return number + shown
    special = S_ISBLK(st.st_mode) or S_ISCHR(st.st_mode)
    size = f"{MAJOR(st.st_rdev)}, {MINOR(st.st_rdev)}" if special else str(st.st_size)
    target = ""
    if S_ISLNK(st.st_mode):
        target = " -> " + printable(os.readlink(path))
    when = timestamp(st.st_mtime_ns)[:16]
    return (
        f"{number}{filemode(st.st_mode)} {st.st_nlink:>3} {st.st_uid:>5} {st.st_gid:>5} {size:>10} {when} "
        f"{shown}{target}"
    )


def colored(name: str, mode: int) -> str:
    """Return a name with the colour of its kind, which ends with it; a plain file has none."""
    for bits, code in COLORS.get(S_IFMT & mode, ()):
        if mode & bits == bits:
            return f"\x1b[{code}m{name}\x1b[0m"
    return name
