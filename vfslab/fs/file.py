"""File descriptors: the numbers of one process, and the open files they stand for.

    fd 3 ──fdt──▶ File#7 ──f_path──▶ (mount, dentry) ──▶ inode
    fd 4 ──fdt──▶ File#7                 dup: one file, one position

Linux: fs/file.c, include/linux/fdtable.h.   Chapter 5.
Left out: growing tables, tables shared by threads, RCU. A table is a dict, and belongs to one task.

Always true
  D1  fdt[fd] holds one f_count of its File
  D2  a new descriptor is the lowest free number, and below max_fds
"""

from __future__ import annotations

from types import MappingProxyType

from vfslab.fs.file_table import fput
from vfslab.include.fs import FMODE_PATH, File
from vfslab.include.sched import FilesStruct, TaskStruct
from vfslab.include.uapi.fcntl import O_CLOEXEC
from vfslab.kernel.errno import EBADF, EINVAL, EMFILE, KernelError
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kfree, kzalloc


def fget_raw(fd: int) -> File:
    """Return the file of a descriptor, without a new reference; EBADF if there is none.

    The table keeps the file alive: nobody else can close it while the call is under way.
    """
    file = cpu.current.files.fdt.get(fd)
    if file is None:
        raise EBADF(fd)
    return file


def fdget(fd: int) -> File:
    """Return the file of a descriptor that can be used for more than a path; O_PATH ones are EBADF."""
    file = cpu.current.files.fdt.get(fd)
    if file is None or file.f_mode & FMODE_PATH:
        raise EBADF(fd)
    return file


def get_unused_fd(files: FilesStruct, start: int = 0) -> int:
    """Return the lowest free descriptor from start on; EMFILE when all are taken."""
    fdt, fd = files.fdt, max(start, files.next_fd)
    while fd in fdt:
        fd += 1
    if fd >= files.max_fds:
        raise EMFILE
    return fd


def fd_install(files: FilesStruct, fd: int, file: File, flags: int) -> int:
    """Put file, with the caller's reference, under fd and return fd."""
    files.fdt[fd] = file
    if fd == files.next_fd:
        files.next_fd = fd + 1
    if flags & O_CLOEXEC:
        files.close_on_exec.add(fd)
    return fd


def file_close_fd(files: FilesStruct, fd: int) -> File:
    """Take fd out of the table and return its file, whose reference is now the caller's."""
    file = files.fdt.pop(fd, None)
    if file is None:
        raise EBADF(fd)
    if fd < files.next_fd:
        files.next_fd = fd
    files.close_on_exec.discard(fd)
    return file


def filp_close(file: File) -> None:
    """End one descriptor's use of file. The filesystem may still report an error, but the file is gone."""
    flush = file.f_op.flush
    try:
        if flush is not None:
            flush(file)
    finally:
        fput(file)


def sys_close(fd: int) -> int:
    """Close a descriptor; the other descriptors of the same open file stay usable."""
    filp_close(file_close_fd(cpu.current.files, fd))
    return 0


def sys_close_range(first: int, last: int, flags: int) -> int:
    """Close all descriptors from first to last, ignoring errors."""
    if first > last or flags:
        raise EINVAL
    files = cpu.current.files
    for fd in [fd for fd in files.fdt if first <= fd <= last]:
        close_quietly(files, fd)
    return 0


def close_quietly(files: FilesStruct, fd: int) -> None:
    """Close fd where nobody is left to hear of an error."""
    try:
        filp_close(file_close_fd(files, fd))
    except KernelError:
        pass


def f_dupfd(start: int, file: File, flags: int) -> int:
    """Return a new descriptor, at least start, for the same open file."""
    files = cpu.current.files
    if not 0 <= start < files.max_fds:
        raise EINVAL
    fd = get_unused_fd(files, start)
    file.f_count += 1
    return fd_install(files, fd, file, flags)


def sys_dup(fd: int) -> int:
    """Return the lowest free descriptor, made to share fd's open file."""
    return f_dupfd(0, fget_raw(fd), 0)


def sys_dup3(old: int, new: int, flags: int) -> int:
    """Make new share old's open file, closing what new was before."""
    if flags & ~O_CLOEXEC or old == new:
        raise EINVAL
    files = cpu.current.files
    file = fget_raw(old)
    if not 0 <= new < files.max_fds:
        raise EBADF(new)
    file.f_count += 1
    if new in files.fdt:
        close_quietly(files, new)
    return fd_install(files, new, file, flags)


def sys_dup2(old: int, new: int) -> int:
    """As dup3, but new may be old, which then is only checked."""
    if old == new:
        fget_raw(old)
        return new
    return sys_dup3(old, new, 0)


def copy_files(child: TaskStruct, parent: TaskStruct | None) -> None:
    """Give child a table of its own with parent's open files; called by fork."""
    files = child.files = kzalloc(FilesStruct)
    if parent is None:
        return
    files.fdt = dict(parent.files.fdt)
    files.next_fd, files.max_fds = parent.files.next_fd, parent.files.max_fds
    files.close_on_exec = set(parent.files.close_on_exec)
    for file in files.fdt.values():
        file.f_count += 1


def exit_files(task: TaskStruct) -> None:
    """Close all that task has open, and its table; called by exit."""
    files = task.files
    if files is None:
        return
    for fd in list(files.fdt):
        close_quietly(files, fd)
    task.files = None
    kfree(files)


SYSCALLS = MappingProxyType(
    {"close": sys_close, "close_range": sys_close_range, "dup": sys_dup, "dup2": sys_dup2, "dup3": sys_dup3}
)
