"""The half of os that works on paths: stat, mkdir, rename, chmod, xattrs and their like."""

from __future__ import annotations

import errno
import os
from typing import Any

from vfslab.include.uapi.fcntl import (
    AT_EACCESS,
    AT_FDCWD,
    AT_REMOVEDIR,
    AT_SYMLINK_FOLLOW,
    AT_SYMLINK_NOFOLLOW,
)
from vfslab.kernel.syscall import syscall
from vfslab.user.abi import fsdecode, is_descriptor, path_bytes, raise_error, stat_result, statvfs_result

NSEC = 1_000_000_000


def dir_or_cwd(dir_fd: int | None) -> int:
    """Return what an *at system call takes for dir_fd."""
    return AT_FDCWD if dir_fd is None else dir_fd


def nofollow(follow_symlinks: bool) -> int:
    """Return the flag of an *at system call for follow_symlinks."""
    return 0 if follow_symlinks else AT_SYMLINK_NOFOLLOW


def alone(call: str, dir_fd: int | None, follow_symlinks: bool) -> None:
    """Raise ValueError for arguments that make no sense beside a descriptor."""
    if dir_fd is not None:
        raise ValueError(f"{call}: can't specify dir_fd without matching path")
    if not follow_symlinks:
        raise ValueError(f"{call}: cannot use fd and follow_symlinks together")


class NameCalls:
    """Calls that take a path; a part of Process."""

    task: Any

    def _at(self, call: str, path: Any, *args: Any, dir_fd: int | None = None) -> Any:
        """Return the result of the system call (dfd, path, ...); its error names path."""
        result = syscall(self.task, call, dir_or_cwd(dir_fd), path_bytes(call, path), *args)
        if type(result) is int and result < 0:
            raise_error(result, path)
        return result

    # --- what it is

    def stat(self, path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        """Return the attributes of path, or of an open file."""
        if type(path) is str and "\0" not in path:
            name = path.encode("utf-8", "surrogateescape")
        elif is_descriptor(path):
            alone("stat", dir_fd, follow_symlinks)
            stat = syscall(self.task, "fstat", path)
            if type(stat) is int:
                raise_error(stat, path)
            return stat_result(stat)
        else:
            name = path_bytes("stat", path)
        dfd = AT_FDCWD if dir_fd is None else dir_fd
        stat = syscall(self.task, "newfstatat", dfd, name, 0 if follow_symlinks else AT_SYMLINK_NOFOLLOW)
        if type(stat) is int:
            raise_error(stat, path)
        return stat_result(stat)

    def lstat(self, path: Any, *, dir_fd: int | None = None) -> os.stat_result:
        """As stat(), of a symbolic link itself."""
        if type(path) is str and "\0" not in path:
            name = path.encode("utf-8", "surrogateescape")
        else:
            name = path_bytes("lstat", path)
        dfd = AT_FDCWD if dir_fd is None else dir_fd
        stat = syscall(self.task, "newfstatat", dfd, name, AT_SYMLINK_NOFOLLOW)
        if type(stat) is int:
            raise_error(stat, path)
        return stat_result(stat)

    def statx(self, path: Any, flags: int = 0, mask: int = 0xFFF, *, dir_fd: int | None = None) -> Any:
        """Return the kernel's Kstat: as stat(), and btime and attributes; AT_EMPTY_PATH works on dir_fd."""
        return self._at("statx", path, flags, mask, dir_fd=dir_fd)

    def statvfs(self, path: Any) -> Any:
        """Return the counts of path's filesystem."""
        if is_descriptor(path):
            buf = syscall(self.task, "fstatfs", path)
        else:
            buf = syscall(self.task, "statfs", path_bytes("statvfs", path))
        if type(buf) is int:
            raise_error(buf, path)
        return statvfs_result(buf)

    def access(
        self,
        path: Any,
        mode: int,
        *,
        dir_fd: int | None = None,
        effective_ids: bool = False,
        follow_symlinks: bool = True,
    ) -> bool:
        """True if the real user (or the effective one) may do all of mode with path."""
        flags = nofollow(follow_symlinks) | (AT_EACCESS if effective_ids else 0)
        name = path_bytes("access", path)
        return syscall(self.task, "faccessat2", dir_or_cwd(dir_fd), name, mode, flags) == 0

    def readlink(self, path: Any, *, dir_fd: int | None = None) -> Any:
        """Return the target of a symbolic link, as str if path is str."""
        target = self._at("readlinkat", path, dir_fd=dir_fd)
        return target if isinstance(os.fspath(path), bytes) else fsdecode(target)

    # --- names come and go

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        """Make a directory."""
        self._at("mkdirat", path, mode, dir_fd=dir_fd)

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        """Remove an empty directory."""
        self._at("unlinkat", path, AT_REMOVEDIR, dir_fd=dir_fd)

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        """Remove a name that is no directory."""
        if type(path) is str and "\0" not in path:
            name = path.encode("utf-8", "surrogateescape")
        else:
            name = path_bytes("unlinkat", path)
        result = syscall(self.task, "unlinkat", AT_FDCWD if dir_fd is None else dir_fd, name, 0)
        if result < 0:
            raise_error(result, path)

    remove = unlink

    def mknod(self, path: Any, mode: int = 0o600, device: int = 0, *, dir_fd: int | None = None) -> None:
        """Make a node: a regular file, FIFO, socket or device."""
        self._make_node("mknod", path, mode, device, dir_fd)

    def mkfifo(self, path: Any, mode: int = 0o666, *, dir_fd: int | None = None) -> None:
        """Make a named pipe."""
        self._make_node("mkfifo", path, mode & 0o7777 | 0o010000, 0, dir_fd)

    def _make_node(self, call: str, path: Any, mode: int, device: int, dir_fd: int | None) -> None:
        name = path_bytes(call, path)
        result = syscall(self.task, "mknodat", dir_or_cwd(dir_fd), name, mode, device)
        if result < 0:
            raise_error(result)  # os names no file here

    def _two(self, call: str, src: Any, src_dir_fd: int | None, dst: Any, dst_dir_fd: int | None, flags: int) -> None:
        """Run a system call (dfd, path, dfd, path, flags)."""
        one, other = path_bytes(call, src), path_bytes(call, dst)
        result = syscall(self.task, call, dir_or_cwd(src_dir_fd), one, dir_or_cwd(dst_dir_fd), other, flags)
        if result < 0:
            raise_error(result, src, dst)

    def rename(self, src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        """Give src the name dst, replacing what had it."""
        self._two("renameat2", src, src_dir_fd, dst, dst_dir_fd, 0)

    replace = rename

    def renameat2(
        self, src: Any, dst: Any, flags: int, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None:
        """As rename(), with RENAME_NOREPLACE or RENAME_EXCHANGE."""
        self._two("renameat2", src, src_dir_fd, dst, dst_dir_fd, flags)

    def link(
        self,
        src: Any,
        dst: Any,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """Give src a second name. As with os on Linux, a plain link() does not follow src."""
        follow = follow_symlinks and (src_dir_fd is not None or dst_dir_fd is not None)
        self._two("linkat", src, src_dir_fd, dst, dst_dir_fd, AT_SYMLINK_FOLLOW if follow else 0)

    def symlink(self, src: Any, dst: Any, target_is_directory: bool = False, *, dir_fd: int | None = None) -> None:
        """Make dst a symbolic link with the text src."""
        target, name = path_bytes("symlink", src), path_bytes("symlink", dst)
        result = syscall(self.task, "symlinkat", target, dir_or_cwd(dir_fd), name)
        if result < 0:
            raise_error(result, src, dst)

    # --- attributes

    def chmod(self, path: Any, mode: int, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:
        """Change the permissions of path, or of an open file."""
        if is_descriptor(path):
            alone("chmod", dir_fd, follow_symlinks)
            result = syscall(self.task, "fchmod", path, mode)
            if result < 0:
                raise_error(result, path)
            return
        self._at("fchmodat2", path, mode, nofollow(follow_symlinks), dir_fd=dir_fd)

    def chown(self, path: Any, uid: int, gid: int, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:
        """Change the owner of path, or of an open file; -1 leaves one as it is."""
        if is_descriptor(path):
            alone("chown", dir_fd, follow_symlinks)
            result = syscall(self.task, "fchown", path, uid, gid)
            if result < 0:
                raise_error(result, path)
            return
        self._at("fchownat", path, uid, gid, nofollow(follow_symlinks), dir_fd=dir_fd)

    def lchown(self, path: Any, uid: int, gid: int) -> None:
        """Change the owner of a symbolic link itself."""
        self._at("fchownat", path, uid, gid, AT_SYMLINK_NOFOLLOW)

    def utime(
        self,
        path: Any,
        times: tuple | None = None,
        *,
        ns: tuple | None = None,
        dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """Set access and modification time, in seconds or nanoseconds; None means now."""
        if times is not None and ns is not None:
            raise ValueError("utime: you may specify either 'times' or 'ns' but not both")
        if times is not None:
            if not isinstance(times, tuple) or len(times) != 2:
                raise TypeError("utime: 'times' must be either a tuple of two ints or None")
            ns = tuple(nanoseconds(time) for time in times)
        elif ns is not None and (not isinstance(ns, tuple) or len(ns) != 2):
            raise TypeError("utime: 'ns' must be a tuple of two ints")
        if is_descriptor(path):
            alone("utime", dir_fd, follow_symlinks)
            result = syscall(self.task, "utimensat", path, None, ns, 0)
        else:
            name = path_bytes("utime", path)
            result = syscall(self.task, "utimensat", dir_or_cwd(dir_fd), name, ns, nofollow(follow_symlinks))
        if result < 0:
            raise_error(result)  # os names no file here

    def truncate(self, path: Any, length: int) -> None:
        """Make a file length bytes long."""
        if is_descriptor(path):
            self.ftruncate(path, length)
            return
        result = syscall(self.task, "truncate", path_bytes("truncate", path), length)
        if result < 0:
            raise_error(result, path)

    # --- extended attributes

    def _xattr(self, call: str, path: Any, follow_symlinks: bool, *args: Any) -> Any:
        """Run the variant of an xattr call that fits path and follow_symlinks."""
        if is_descriptor(path):
            alone(call, None, follow_symlinks)
            result = syscall(self.task, "f" + call, path, *args)
        else:
            result = syscall(self.task, call if follow_symlinks else "l" + call, path_bytes(call, path), *args)
        if type(result) is int and result < 0:
            raise_error(result, path)
        return result

    def getxattr(self, path: Any, attribute: Any, *, follow_symlinks: bool = True) -> bytes:
        """Return the value of an extended attribute."""
        return self._xattr("getxattr", path, follow_symlinks, path_bytes("getxattr", attribute))

    def setxattr(self, path: Any, attribute: Any, value: Any, flags: int = 0, *, follow_symlinks: bool = True) -> None:
        """Set an extended attribute; XATTR_CREATE and XATTR_REPLACE insist."""
        self._xattr("setxattr", path, follow_symlinks, path_bytes("setxattr", attribute), bytes(value), flags)

    def listxattr(self, path: Any = None, *, follow_symlinks: bool = True) -> list[str]:
        """Return the names of the extended attributes."""
        names = self._xattr("listxattr", "." if path is None else path, follow_symlinks)
        return [fsdecode(name) for name in names]

    def removexattr(self, path: Any, attribute: Any, *, follow_symlinks: bool = True) -> None:
        """Remove an extended attribute."""
        self._xattr("removexattr", path, follow_symlinks, path_bytes("removexattr", attribute))

    # --- where the process is

    def chdir(self, path: Any) -> None:
        """Change the working directory."""
        if is_descriptor(path):
            result = syscall(self.task, "fchdir", path)
        else:
            result = syscall(self.task, "chdir", path_bytes("chdir", path))
        if result < 0:
            raise_error(result, path)

    def chroot(self, path: Any) -> None:
        """Make path the root of this process."""
        result = syscall(self.task, "chroot", path_bytes("chroot", path))
        if result < 0:
            raise_error(result, path)

    def getcwdb(self) -> bytes:
        """Return the working directory."""
        cwd = syscall(self.task, "getcwd")
        if type(cwd) is int:
            raise_error(cwd)
        if not cwd.startswith(b"/"):
            raise_error(-errno.ENOENT)  # "(unreachable)/...": as in glibc, no path rather than a wrong one
        return cwd

    def getcwd(self) -> str:
        """Return the working directory as str."""
        return fsdecode(self.getcwdb())


def nanoseconds(time: Any) -> int:
    """Return seconds (int or float) as nanoseconds, rounded down as os.utime does."""
    if isinstance(time, int):
        return time * NSEC
    whole = int(time // 1)
    return whole * NSEC + int((time - whole) * NSEC)
