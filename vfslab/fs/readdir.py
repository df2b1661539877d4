"""getdents64: the entries of an open directory, a buffer at a time.

    getdents64(fd, count) ─▶ iterate_dir ─▶ f_op.iterate_shared(file, ctx)
                                                  │ for each entry
                                                  └─▶ ctx.actor: filldir64, until the buffer is full

Each entry carries a cookie, d_off: the position from which the next call goes on, also after
lseek, also when names came and went in between. Its meaning is the filesystem's own.

Linux: fs/readdir.c.   Chapter 4.
Left out: the two older record layouts, checks for slashes in names of damaged directories.
"""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType

from vfslab.fs.file import fdget
from vfslab.fs.inode import touch_atime
from vfslab.include.fs import FMODE_NOATIME, S_DEAD, DirContext, File
from vfslab.kernel.errno import EINVAL, ENOENT, ENOTDIR
from vfslab.kernel.locking import down_read

DIRENT64_HEADER = 19  # d_ino 8, d_off 8, d_reclen 2, d_type 1; the name and its NUL follow, padded to 8


def iterate_dir(file: File, ctx: DirContext) -> None:
    """Let the filesystem emit entries from the file's position on; the position moves with them."""
    iterate_shared = file.f_op.iterate_shared
    if iterate_shared is None:
        raise ENOTDIR
    inode = file.f_inode
    with down_read(inode.i_rwsem):
        if inode.i_flags & S_DEAD:
            raise ENOENT
        ctx.pos = file.f_pos
        iterate_shared(file, ctx)
        file.f_pos = ctx.pos
    if not file.f_mode & FMODE_NOATIME:
        touch_atime(file.f_path)


def filldir64(ctx: DirContext, name: bytes, offset: int, ino: int, d_type: int) -> bool:
    """Take one entry into the caller's buffer; False when it does not fit any more."""
    record_length = DIRENT64_HEADER + len(name) + 1 + 7 & ~7
    if record_length > ctx.room:
        ctx.room = -1
        return False
    ctx.room -= record_length
    ctx.entries.append((ino, offset, d_type, name))
    return True


def sys_getdents64(fd: int, count: int) -> list[tuple[int, int, int, bytes]]:
    """Return entries (ino, off, d_type, name) that fill count bytes; an empty list at the end.

    off is where the entry after this one begins. EINVAL if not even one entry fits.
    """
    ctx = DirContext(filldir64, 0, [], count)
    iterate_dir(fdget(fd), ctx)
    entries = ctx.entries
    if not entries:
        if ctx.room < 0:
            raise EINVAL(count)
        return entries
    entries.append((0, ctx.pos, 0, b""))
    return [(ino, after[1], d_type, name) for (ino, _, d_type, name), after in pairwise(entries)]


SYSCALLS = MappingProxyType({"getdents64": sys_getdents64})
