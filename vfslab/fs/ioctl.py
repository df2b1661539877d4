"""ioctl: what a driver or filesystem offers and no other call does.   Linux: fs/ioctl.c.   Chapter 9.

    ioctl(fd, cmd, arg) ─▶ one that any file knows, here ─▶ else f_op.unlocked_ioctl(file, cmd, arg)

arg is a Python object instead of a user pointer; what a command would store through it, it returns.
Left out: FIBMAP, file cloning, freezing.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from vfslab.fs.file import fdget
from vfslab.include.fs import MAX_LFS_FILESIZE, File
from vfslab.include.uapi.fcntl import O_NONBLOCK
from vfslab.include.uapi.stat import S_IFMT, S_IFREG
from vfslab.kernel.errno import EFBIG, ENOTTY, EOPNOTSUPP
from vfslab.kernel.sched import cpu

FIOCLEX, FIONCLEX, FIONREAD, FIONBIO, FIGETBSZ = 0x5451, 0x5450, 0x541B, 0x5421, 2
FS_IOC_FIEMAP = 0xC020660B


def ioctl_fiemap(file: File, arg: Any) -> list:
    """Return the extents of a file between two offsets: [(logical, physical, length, flags)], in bytes."""
    fiemap = file.f_inode.i_op.fiemap
    if fiemap is None:
        raise EOPNOTSUPP
    start, length = arg if arg is not None else (0, MAX_LFS_FILESIZE)
    if start > file.f_inode.i_sb.s_maxbytes:
        raise EFBIG(start)
    return fiemap(file.f_inode, start, length)


def sys_ioctl(fd: int, cmd: int, arg: Any = None) -> Any:
    """Return what the command gives; ENOTTY if neither we nor the file know it."""
    file = fdget(fd)
    if cmd == FIOCLEX:
        cpu.current.files.close_on_exec.add(fd)
        return 0
    if cmd == FIONCLEX:
        cpu.current.files.close_on_exec.discard(fd)
        return 0
    if cmd == FIONBIO:
        file.f_flags = file.f_flags | O_NONBLOCK if arg else file.f_flags & ~O_NONBLOCK
        return 0
    if file.f_inode.i_mode & S_IFMT == S_IFREG:
        if cmd == FIONREAD:
            return file.f_inode.i_size - file.f_pos
        if cmd == FIGETBSZ:
            return file.f_inode.i_sb.s_blocksize
    if cmd == FS_IOC_FIEMAP:
        return ioctl_fiemap(file, arg)
    if file.f_op.unlocked_ioctl is None:
        raise ENOTTY(cmd)
    return file.f_op.unlocked_ioctl(file, cmd, arg)


SYSCALLS = MappingProxyType({"ioctl": sys_ioctl})
