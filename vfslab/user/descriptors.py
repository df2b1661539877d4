"""The half of os that works on descriptors: read, write, lseek, dup and their like."""

from __future__ import annotations

import os
from typing import Any

from vfslab.include.uapi.fcntl import (
    AT_FDCWD,
    F_DUPFD_CLOEXEC,
    F_GETFD,
    F_GETFL,
    F_SETFD,
    F_SETFL,
    FD_CLOEXEC,
    O_CLOEXEC,
    O_NONBLOCK,
)
from vfslab.kernel.syscall import syscall
from vfslab.user.abi import open_flags, path_bytes, raise_error, refuse_negative, stat_result, statvfs_result


class DescriptorCalls:
    """Calls that take a descriptor; a part of Process."""

    task: Any

    def _call(self, name: str, *args: Any) -> Any:
        """Return the result of a system call whose error names no file."""
        result = syscall(self.task, name, *args)
        if type(result) is int and result < 0:
            raise_error(result)
        return result

    # --- open, close, dup

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """Return a descriptor for path; as with os.open it does not survive an exec."""
        name = path.encode("utf-8", "surrogateescape") if type(path) is str and "\0" not in path else None
        if name is None:
            name = path_bytes("open", path)
        dfd = AT_FDCWD if dir_fd is None else dir_fd
        fd = syscall(self.task, "openat", dfd, name, open_flags(flags) | O_CLOEXEC, mode)
        if fd < 0:
            raise_error(fd, path)
        return fd

    def openat2(self, path: Any, flags: int, mode: int = 0, resolve: int = 0, *, dir_fd: int | None = None) -> int:
        """Return a descriptor for path; RESOLVE_* flags limit where the walk may go."""
        dfd = AT_FDCWD if dir_fd is None else dir_fd
        name = path_bytes("openat2", path)
        fd = syscall(self.task, "openat2", dfd, name, open_flags(flags) | O_CLOEXEC, mode, resolve)
        if fd < 0:
            raise_error(fd, path)
        return fd

    def close(self, fd: int) -> None:
        """Close a descriptor."""
        result = syscall(self.task, "close", fd)
        if result < 0:
            raise_error(result)

    def closerange(self, fd_low: int, fd_high: int) -> None:
        """Close all descriptors from fd_low up to, not including, fd_high, ignoring errors."""
        if fd_high > max(fd_low, 0):
            self._call("close_range", max(fd_low, 0), fd_high - 1, 0)

    def dup(self, fd: int) -> int:
        """Return another descriptor of the same open file."""
        return self._call("fcntl", fd, F_DUPFD_CLOEXEC, 0)

    def dup2(self, fd: int, fd2: int, inheritable: bool = True) -> int:
        """Make fd2 a descriptor of fd's open file, and return it."""
        if inheritable or fd == fd2:
            return self._call("dup2", fd, fd2)
        return self._call("dup3", fd, fd2, O_CLOEXEC)

    def get_inheritable(self, fd: int) -> bool:
        """True if the descriptor would survive an exec."""
        return not self._call("fcntl", fd, F_GETFD) & FD_CLOEXEC

    def set_inheritable(self, fd: int, inheritable: bool) -> None:
        """Say whether the descriptor would survive an exec."""
        self._call("fcntl", fd, F_SETFD, 0 if inheritable else FD_CLOEXEC)

    def get_blocking(self, fd: int) -> bool:
        """True unless O_NONBLOCK is set."""
        return not self._call("fcntl", fd, F_GETFL) & O_NONBLOCK

    def set_blocking(self, fd: int, blocking: bool) -> None:
        """Clear or set O_NONBLOCK."""
        flags = self._call("fcntl", fd, F_GETFL)
        self._call("fcntl", fd, F_SETFL, flags & ~O_NONBLOCK if blocking else flags | O_NONBLOCK)

    def fcntl(self, fd: int, cmd: int, arg: int = 0) -> int:
        """fcntl(2), with the numbers of the guest."""
        return self._call("fcntl", fd, cmd, arg)

    def ioctl(self, fd: int, cmd: int, arg: Any = None) -> Any:
        """ioctl(2); arg is an object, and what C would store through a pointer is returned."""
        return self._call("ioctl", fd, cmd, arg)

    def isatty(self, fd: int) -> bool:
        """False: there are no terminals."""
        return False

    # --- read and write

    def read(self, fd: int, n: int) -> bytes:
        """Return up to n bytes at the position."""
        data = syscall(self.task, "read", fd, n if n >= 0 else refuse_negative(n))
        if type(data) is int:
            raise_error(data)
        return data

    def pread(self, fd: int, n: int, offset: int) -> bytes:
        """Return up to n bytes at offset."""
        data = syscall(self.task, "pread64", fd, n if n >= 0 else refuse_negative(n), offset)
        if type(data) is int:
            raise_error(data)
        return data

    def readv(self, fd: int, buffers: Any) -> int:
        """Fill writable buffers at the position; return the number of bytes read."""
        return self._call("readv", fd, list(buffers))

    def preadv(self, fd: int, buffers: Any, offset: int, flags: int = 0) -> int:
        """Fill writable buffers at offset; return the number of bytes read."""
        if flags:
            return self._call("preadv2", fd, list(buffers), offset, flags)
        return self._call("preadv", fd, list(buffers), offset)

    def readinto(self, fd: int, buffer: Any) -> int:
        """Fill one writable buffer at the position (os has this since Python 3.14)."""
        return self._call("readv", fd, [buffer])

    def write(self, fd: int, data: Any) -> int:
        """Write data at the position; return how many bytes were taken."""
        if type(data) is not bytes:
            data = memoryview(data).cast("B")
        written = syscall(self.task, "write", fd, data)
        if written < 0:
            raise_error(written)
        return written

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        """Write data at offset; return how many bytes were taken."""
        return self._call("pwrite64", fd, memoryview(data).cast("B"), offset)

    def writev(self, fd: int, buffers: Any) -> int:
        """Write buffers one after the other at the position."""
        return self._call("writev", fd, [memoryview(buffer).cast("B") for buffer in buffers])

    def pwritev(self, fd: int, buffers: Any, offset: int, flags: int = 0) -> int:
        """Write buffers one after the other at offset."""
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        if flags:
            return self._call("pwritev2", fd, views, offset, flags)
        return self._call("pwritev", fd, views, offset)

    def lseek(self, fd: int, pos: int, how: int) -> int:
        """Move the position and return it."""
        return self._call("lseek", fd, pos, how)

    def copy_file_range(
        self, src: int, dst: int, count: int, offset_src: int | None = None, offset_dst: int | None = None
    ) -> int:
        """Copy count bytes from file to file; return how many there were."""
        if count < 0:
            raise ValueError("negative value for 'count' not allowed")
        return self._call("copy_file_range", src, offset_src, dst, offset_dst, count, 0)

    def sendfile(self, out_fd: int, in_fd: int, offset: int | None, count: int) -> int:
        """Copy count bytes of in_fd, from offset or its position on, to out_fd's position."""
        return self._call("sendfile64", out_fd, in_fd, offset, count)

    # --- size and durability

    def ftruncate(self, fd: int, length: int) -> None:
        """Make the file length bytes long."""
        self._call("ftruncate", fd, length)

    def posix_fallocate(self, fd: int, offset: int, len: int) -> None:  # noqa: A002  (os calls it so)
        """Make sure that a write to this range needs no more space."""
        self._call("fallocate", fd, 0, offset, len)

    def fallocate(self, fd: int, mode: int, offset: int, length: int) -> None:
        """fallocate(2): reserve, punch holes."""
        self._call("fallocate", fd, mode, offset, length)

    def fsync(self, fd: Any) -> None:
        """Make the file durable."""
        self._call("fsync", descriptor(fd))

    def fdatasync(self, fd: Any) -> None:
        """Make the file's content durable."""
        self._call("fdatasync", descriptor(fd))

    def syncfs(self, fd: int) -> None:
        """Make the file's whole filesystem durable."""
        self._call("syncfs", fd)

    def sync(self) -> None:
        """Make everything durable."""
        self._call("sync")

    # --- what the file is

    def fstat(self, fd: int) -> os.stat_result:
        """Return the attributes of an open file."""
        stat = syscall(self.task, "fstat", fd)
        if type(stat) is int:
            raise_error(stat)
        return stat_result(stat)

    def fstatvfs(self, fd: int) -> Any:
        """Return the counts of an open file's filesystem."""
        return statvfs_result(self._call("fstatfs", fd))

    def fchmod(self, fd: int, mode: int) -> None:
        """Change the permissions of an open file."""
        self._call("fchmod", fd, mode)

    def fchown(self, fd: int, uid: int, gid: int) -> None:
        """Change the owner of an open file; -1 leaves one as it is."""
        self._call("fchown", fd, uid, gid)

    def fchdir(self, fd: Any) -> None:
        """Make an open directory the working directory."""
        self._call("fchdir", descriptor(fd))

    def getdents64(self, fd: int, count: int = 32768) -> list[tuple[int, int, int, bytes]]:
        """Return the next entries (inode number, cookie, d_type, name) of an open directory."""
        return self._call("getdents64", fd, count)


def descriptor(fd: Any) -> int:
    """Return the number of a descriptor, or of an object with fileno()."""
    return fd if isinstance(fd, int) else fd.fileno()
