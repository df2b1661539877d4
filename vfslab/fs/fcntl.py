"""fcntl: small questions and changes about a descriptor.   Linux: fs/fcntl.c.   Chapter 5.

FD_CLOEXEC belongs to the descriptor; O_APPEND and its like belong to the open file, so a dup sees them too.
Left out: locks, owners and signals, leases, pipe sizes, seals.
"""

from __future__ import annotations

from types import MappingProxyType

from vfslab.fs.file import f_dupfd, fget_raw
from vfslab.include.fs import FMODE_CAN_ODIRECT, FMODE_PATH, S_APPEND, File
from vfslab.include.uapi.fcntl import (
    F_DUPFD,
    F_DUPFD_CLOEXEC,
    F_GETFD,
    F_GETFL,
    F_SETFD,
    F_SETFL,
    FD_CLOEXEC,
    O_APPEND,
    O_CLOEXEC,
    O_DIRECT,
    O_NOATIME,
    O_NONBLOCK,
)
from vfslab.kernel.errno import EBADF, EINVAL, EPERM
from vfslab.kernel.sched import cpu

SETFL_MASK = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME


def setfl(file: File, flags: int) -> int:
    """Change the flags of an open file that may be changed; the others stay as they are."""
    if file.f_inode.i_flags & S_APPEND and not flags & O_APPEND:
        raise EPERM
    if flags & O_DIRECT and not file.f_mode & FMODE_CAN_ODIRECT:
        raise EINVAL(flags)
    file.f_flags = flags & SETFL_MASK | file.f_flags & ~SETFL_MASK
    return 0


def sys_fcntl(fd: int, cmd: int, arg: int = 0) -> int:
    """Do what cmd says with a descriptor or its file; EINVAL for commands that are not known."""
    file = fget_raw(fd)
    closing = cpu.current.files.close_on_exec
    if cmd in (F_DUPFD, F_DUPFD_CLOEXEC):
        return f_dupfd(arg, file, O_CLOEXEC if cmd == F_DUPFD_CLOEXEC else 0)
    if cmd == F_GETFD:
        return FD_CLOEXEC if fd in closing else 0
    if cmd == F_SETFD:
        (closing.add if arg & FD_CLOEXEC else closing.discard)(fd)
        return 0
    if cmd == F_GETFL:
        return file.f_flags
    if file.f_mode & FMODE_PATH:
        raise EBADF(fd)
    if cmd == F_SETFL:
        return setfl(file, arg)
    raise EINVAL(cmd)


SYSCALLS = MappingProxyType({"fcntl": sys_fcntl})
