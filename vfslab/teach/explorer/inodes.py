"""An inode in words: type, times, device numbers, target."""

from __future__ import annotations

from typing import Any

from vfslab.fs.ext4.format import EXT4_INLINE_DATA_FL, ext4_inode
from vfslab.include.uapi.stat import (
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
)
from vfslab.user.text import filemode, timestamp

KINDS = {
    S_IFREG: "regular file",
    S_IFDIR: "directory",
    S_IFLNK: "symlink",
    S_IFCHR: "character device",
    S_IFBLK: "block device",
    S_IFIFO: "FIFO",
    S_IFSOCK: "socket",
}
# what each reserved inode is for: kernel documentation, "Special inodes"
PURPOSES = {
    1: "list of defective blocks",
    2: "root directory",
    3: "user quota",
    4: "group quota",
    5: "boot loader",
    6: "undelete directory",
    7: "reserved group descriptors",
    8: "journal",
    9: "exclude inode, for snapshots",
    10: "replica inode, never merged",
}
_read = ext4_inode.reader("i_mode", "i_size_lo", "i_links_count", "i_size_high")


def kind_of(mode: int) -> str:
    """Return the type of a file in words."""
    return KINDS.get(mode & S_IFMT, "no type" if not mode & S_IFMT else f"unknown type {mode >> 12:#o}")


def summary(raw: bytes) -> str:
    """Return an inode in one line."""
    mode, low, links, high = _read(raw, 0)
    if not mode and not links:
        return "not in use" if not any(raw) else "not in use (its bytes are not all zero)"
    return f"{filemode(mode)} {kind_of(mode)}, {low | high << 32} bytes, {links} link{'' if links == 1 else 's'}"


def when(view: Any, which: str) -> str:
    """Return one of the times of an inode, with the extra bits if the inode has them; "" if it has not the time itself."""
    extra_at = ext4_inode.field(f"i_{which}_extra").offset
    data = bytes(view.buffer)
    held = 128 + (int.from_bytes(data[128:130], "little") if len(data) > 130 else 0)
    if which == "crtime" and held < extra_at:
        return ""
    seconds, fraction = getattr(view, f"i_{which}"), 0
    if extra_at + 4 <= min(held, len(data)):
        extra = getattr(view, f"i_{which}_extra")
        seconds, fraction = seconds + ((extra & 3) << 32), extra >> 2
    text = timestamp(seconds * 1_000_000_000 + fraction)
    return text if fraction else text.partition(".")[0]


def device_number(view: Any) -> str:
    """Return the numbers of a device file, empty for other inodes."""
    if not (S_ISCHR(view.i_mode) or S_ISBLK(view.i_mode)):
        return ""
    block = bytes(view.i_block)
    old, new = int.from_bytes(block[:4], "little"), int.from_bytes(block[4:8], "little")
    if old:
        return f"{old >> 8 & 0xFF}:{old & 0xFF}"
    return f"{new >> 8 & 0xFFF}:{new & 0xFF | new >> 12 & 0xFFF00}"


def is_inline(view: Any) -> bool:
    """True if the data lies in the inode itself."""
    return bool(view.i_flags & EXT4_INLINE_DATA_FL)
