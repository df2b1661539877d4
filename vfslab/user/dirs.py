"""Directories as programs like them: listdir, scandir, walk, makedirs, over getdents64 alone."""

from __future__ import annotations

import os
import stat as st
from collections.abc import Callable, Iterator
from typing import Any

from vfslab.include.uapi.fcntl import AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_NONBLOCK
from vfslab.include.uapi.stat import DT_DIR, DT_LNK, DT_REG, DT_UNKNOWN
from vfslab.kernel.syscall import syscall
from vfslab.user.abi import is_descriptor, path_bytes, raise_error

GETDENTS_BYTES = 32768
SEEK_SET = 0
ENOENT = 2
DOTS = b".", b".."


class DirEntry:
    """One entry of a directory as scandir() gives it: name and path, and what is known without asking again."""

    __slots__ = ("_d_type", "_dir_fd", "_ino", "_lstat", "_p", "_stat", "name", "path")

    def __init__(self, p: Any, name: Any, path: Any, ino: int, d_type: int, dir_fd: int | None) -> None:
        self._p, self.name, self.path, self._ino, self._d_type = p, name, path, ino, d_type
        self._dir_fd = dir_fd
        self._stat = self._lstat = None

    def inode(self) -> int:
        """Return the inode number in the directory's record."""
        return self._ino

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return the attributes, asked for once."""
        if not follow_symlinks or not self.is_symlink():
            if self._lstat is None:
                self._lstat = self._p.stat(self._asked, dir_fd=self._dir_fd, follow_symlinks=False)
            return self._lstat
        if self._stat is None:
            self._stat = self._p.stat(self._asked, dir_fd=self._dir_fd)
        return self._stat

    @property
    def _asked(self) -> Any:
        return self.path if self._dir_fd is None else self.name

    def _is(self, d_type: int, kind: int, follow_symlinks: bool) -> bool:
        """True if the entry is of this type, asking the inode only where the record does not tell."""
        known = self._d_type  # as is_dir() has looked, for most entries
        if known == DT_UNKNOWN or (known == DT_LNK and follow_symlinks):
            try:
                return st.S_IFMT(self.stat(follow_symlinks=follow_symlinks).st_mode) == kind
            except FileNotFoundError:
                return False
        return known == d_type

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """True for a directory."""
        known = self._d_type
        if known in (DT_DIR, DT_REG):
            return known == DT_DIR
        return self._is(DT_DIR, st.S_IFDIR, follow_symlinks)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """True for a regular file."""
        return self._is(DT_REG, st.S_IFREG, follow_symlinks)

    def is_symlink(self) -> bool:
        """True for a symbolic link."""
        if self._d_type == DT_UNKNOWN:
            if self._lstat is None:
                self._lstat = self._p.stat(self._asked, dir_fd=self._dir_fd, follow_symlinks=False)
            return st.S_ISLNK(self._lstat.st_mode)
        return self._d_type == DT_LNK

    def is_junction(self) -> bool:
        """False: Linux has no junctions."""
        return False

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"


class ScandirIterator:
    """What scandir() returns: an iterator of DirEntry, and a context manager that closes the directory."""

    def __init__(self, p: Any, fd: int, path: Any, dir_fd: int | None, decode: Callable[[bytes], Any]) -> None:
        self._p, self._fd, self._path, self._dir_fd, self._decode = p, fd, path, dir_fd, decode
        self._ready: list[DirEntry] = []  # the next one last

    def __iter__(self) -> ScandirIterator:
        return self

    def __next__(self) -> DirEntry:
        ready = self._ready
        while not ready:
            if self._fd < 0:
                raise StopIteration
            entries = readdir(self._p, self._fd, None if self._dir_fd is not None else self._path)
            if entries:
                self._show(entries)
            else:
                self.close()
        return ready.pop()

    def _show(self, entries: list) -> None:
        """Make DirEntries of what getdents64 gave, but for `.` and `..`."""
        p, dir_fd, decode, before = self._p, self._dir_fd, self._decode, self._before()
        for ino, _off, d_type, name in reversed(entries):
            if name not in DOTS:
                shown = decode(name)
                self._ready.append(DirEntry(p, shown, before + shown, ino, d_type, dir_fd))

    def _before(self) -> Any:
        """Return what stands before a name in a path: the directory and a slash, nothing if it was given as a descriptor."""
        if self._dir_fd is not None:
            return ""
        path, slash = self._path, b"/" if isinstance(self._path, bytes) else "/"
        return path if path.endswith(slash) else path + slash

    def close(self) -> None:
        """Close the directory; entries already given stay usable."""
        self._ready.clear()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            if self._dir_fd is not None:
                self._p.lseek(fd, 0, SEEK_SET)
            self._p.close(fd)

    def __enter__(self) -> ScandirIterator:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            self.close()
        except OSError:
            pass


def decode_name(name: bytes) -> str:
    """Return a name as str; fsdecode() does it for anything that may be a path."""
    return name.decode("utf-8", "surrogateescape")


def readdir(p: Any, fd: int, path: Any) -> list[tuple[int, int, int, bytes]]:
    """Return the next entries of an open directory, none at its end; an error names path.

    A directory that was removed has come to its end, as POSIX wants it of the C library.
    """
    entries = syscall(p.task, "getdents64", fd, GETDENTS_BYTES)
    if type(entries) is int:
        if entries == -ENOENT:
            return []
        raise_error(entries, path)
    return entries


class DirectoryCalls:
    """Calls about whole directories; a part of Process."""

    task: Any
    DirEntry = DirEntry

    def _opendir(self, call: str, path: Any) -> tuple[int, Any, int | None, Callable[[bytes], Any]]:
        """Return (descriptor, path, descriptor given by the caller or None, how to show names) for path."""
        if path is None:
            path = "."
        if is_descriptor(path):
            # os reads through a duplicate, from where the descriptor stands, and rewinds it in the end
            fd = syscall(self.task, "fcntl", path, 1030, 0)
            if fd < 0:
                raise_error(fd)
            return fd, path, path, decode_name
        name = path_bytes(call, path)
        fd = syscall(self.task, "openat", AT_FDCWD, name, O_DIRECTORY | O_NONBLOCK | O_CLOEXEC, 0)
        if fd < 0:
            raise_error(fd, path)
        path = os.fspath(path)
        return fd, path, None, bytes if isinstance(path, bytes) else decode_name

    def listdir(self, path: Any = None) -> list:
        """Return the names in a directory, in its own order, without "." and ".."."""
        fd, path, given, _decode = self._opendir("listdir", path)
        names: list[bytes] = []
        try:
            while True:
                entries = readdir(self, fd, None if given is not None else path)
                if not entries:
                    break
                names += [entry[3] for entry in entries]
            if given is not None:
                self.lseek(fd, 0, SEEK_SET)
        finally:
            self.close(fd)
        if isinstance(path, bytes):
            return [name for name in names if name not in (b".", b"..")]
        return [name.decode("utf-8", "surrogateescape") for name in names if name not in (b".", b"..")]

    def scandir(self, path: Any = None) -> ScandirIterator:
        """Return an iterator of DirEntry."""
        return ScandirIterator(self, *self._opendir("scandir", path))

    def makedirs(self, name: Any, mode: int = 0o777, exist_ok: bool = False) -> None:
        """Make a directory and those above it that are missing."""
        head, tail = self.path.split(name)
        if not tail:
            head, tail = self.path.split(head)
        if head and tail and not self.path.exists(head):
            try:
                self.makedirs(head, exist_ok=exist_ok)
            except FileExistsError:
                pass  # somebody else was quicker
            if self.fsencode(tail) == b".":
                return  # "new/." is there once "new" is
        try:
            self.mkdir(name, mode)
        except OSError:
            if not exist_ok or not self.path.isdir(name):
                raise

    def removedirs(self, name: Any) -> None:
        """Remove an empty directory, and those above it that become empty."""
        self.rmdir(name)
        head, tail = self.path.split(name)
        if not tail:
            head, tail = self.path.split(head)
        while head and tail:
            try:
                self.rmdir(head)
            except OSError:
                break
            head, tail = self.path.split(head)

    def renames(self, old: Any, new: Any) -> None:
        """Rename, making the directories that new needs and removing those that old leaves empty."""
        head, tail = self.path.split(new)
        if head and tail and not self.path.exists(head):
            self.makedirs(head)
        self.rename(old, new)
        head, tail = self.path.split(old)
        if head and tail:
            try:
                self.removedirs(head)
            except OSError:
                pass

    def walk(
        self, top: Any, topdown: bool = True, onerror: Callable | None = None, followlinks: bool = False
    ) -> Iterator[tuple[Any, list, list]]:
        """Yield (directory, names of directories, names of others) for each directory from top on."""
        todo: list[Any] = [os.fspath(top)]
        while todo:
            top = todo.pop()
            if isinstance(top, tuple):
                yield top
                continue
            try:
                dirs, others, enter = self._sorted_out(top, topdown, followlinks)
            except OSError as error:
                if onerror is not None:
                    onerror(error)
                continue
            if topdown:
                yield top, dirs, others
                for name in reversed(dirs):
                    below = self.path.join(top, name)
                    if followlinks or not self.path.islink(below):
                        todo.append(below)
            else:
                todo.append((top, dirs, others))
                todo += reversed(enter)

    def _sorted_out(self, top: Any, topdown: bool, followlinks: bool) -> tuple[list, list, list]:
        """Return names of directories, of others, and (bottom-up) the paths to enter."""
        dirs, others, enter = [], [], []
        with self.scandir(top) as entries:
            for entry in entries:
                try:
                    is_dir = entry.is_dir()
                except OSError:
                    is_dir = False
                (dirs if is_dir else others).append(entry.name)
                if is_dir and not topdown and (followlinks or not entry.is_symlink()):
                    enter.append(entry.path)
        return dirs, others, enter
