"""stat: what an inode says of itself, for any os-like object.   man 1 stat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vfslab.include.uapi.stat import MAJOR, MINOR, S_IFMT, S_ISBLK, S_ISCHR, S_ISLNK
from vfslab.user.text import filemode, printable, timestamp

KINDS = (
    (0o140000, "socket"), (0o120000, "symbolic link"), (0o100000, "regular file"), (0o060000, "block special file"),
    (0o040000, "directory"), (0o020000, "character special file"), (0o010000, "fifo"),
)  # fmt: skip


def stat(os: Any, path: str) -> Iterator[str]:
    """Yield the lines that stat prints for path, symlinks not followed. OSError if there is no such entry."""
    st = os.lstat(path)
    kind = dict(KINDS).get(st.st_mode & S_IFMT, "unknown")
    name = printable(path)
    if S_ISLNK(st.st_mode):
        name += " -> " + printable(os.readlink(path))
    yield f"  File: {name}"
    yield f"  Size: {st.st_size:<12} Blocks: {st.st_blocks:<10} IO Block: {st.st_blksize:<6} {kind}"
    device = ""
    if S_ISBLK(st.st_mode) or S_ISCHR(st.st_mode):
        device = f"  Device type: {MAJOR(st.st_rdev)},{MINOR(st.st_rdev)}"
    yield f"Device: {MAJOR(st.st_dev)},{MINOR(st.st_dev):<9} Inode: {st.st_ino:<11} Links: {st.st_nlink}{device}"
    yield f"Access: ({st.st_mode & 0o7777:04o}/{filemode(st.st_mode)})  Uid: {st.st_uid:<7} Gid: {st.st_gid}"
    for label, ns in (("Access", st.st_atime_ns), ("Modify", st.st_mtime_ns), ("Change", st.st_ctime_ns)):
        yield f"{label}: {timestamp(ns)} +0000"
