"""p.path: what os.path is to os. Questions about names are posixpath's; questions about files go to p."""

from __future__ import annotations

import posixpath
import stat
from typing import Any

from vfslab.user.abi import raise_error

ELOOP = 40
MAXSYMLINKS = 40


class PathModule:
    """An os.path that asks one process."""

    def __init__(self, p: Any) -> None:
        self._p = p

    def __getattr__(self, name: str) -> Any:
        return getattr(posixpath, name)

    def _mode(self, path: Any, ask: Any) -> int:
        """Return st_mode of path, or 0 where there is nothing to ask about."""
        try:
            return ask(path).st_mode
        except (OSError, ValueError):
            return 0

    def exists(self, path: Any) -> bool:
        """True if path, or what a link leads to, exists."""
        return bool(self._mode(path, self._p.stat))

    def lexists(self, path: Any) -> bool:
        """True if path exists, be it a link that leads nowhere."""
        return bool(self._mode(path, self._p.lstat))

    def isdir(self, path: Any) -> bool:
        """True for a directory, or a link to one."""
        return stat.S_ISDIR(self._mode(path, self._p.stat))

    def isfile(self, path: Any) -> bool:
        """True for a regular file, or a link to one."""
        return stat.S_ISREG(self._mode(path, self._p.stat))

    def islink(self, path: Any) -> bool:
        """True for a symbolic link."""
        return stat.S_ISLNK(self._mode(path, self._p.lstat))

    def ismount(self, path: Any) -> bool:
        """True if another filesystem begins here, or this is the root."""
        try:
            here = self._p.lstat(path)
            if stat.S_ISLNK(here.st_mode):
                return False
            above = self._p.lstat(posixpath.join(path, b".." if isinstance(path, bytes) else ".."))
        except (OSError, ValueError):
            return False
        return here.st_dev != above.st_dev or here.st_ino == above.st_ino

    def getsize(self, path: Any) -> int:
        """Return st_size."""
        return self._p.stat(path).st_size

    def getmtime(self, path: Any) -> float:
        """Return st_mtime."""
        return self._p.stat(path).st_mtime

    def getatime(self, path: Any) -> float:
        """Return st_atime."""
        return self._p.stat(path).st_atime

    def getctime(self, path: Any) -> float:
        """Return st_ctime."""
        return self._p.stat(path).st_ctime

    def samefile(self, one: Any, other: Any) -> bool:
        """True if both lead to the same inode."""
        return posixpath.samestat(self._p.stat(one), self._p.stat(other))

    def sameopenfile(self, one: int, other: int) -> bool:
        """True if both descriptors are of the same inode."""
        return posixpath.samestat(self._p.fstat(one), self._p.fstat(other))

    def abspath(self, path: Any) -> Any:
        """Return path from the root on, without dots."""
        path = self._p.fspath(path)
        if not path.startswith(b"/" if isinstance(path, bytes) else "/"):
            path = posixpath.join(self._p.getcwdb() if isinstance(path, bytes) else self._p.getcwd(), path)
        return posixpath.normpath(path)

    def relpath(self, path: Any, start: Any = None) -> Any:
        """Return path as seen from start, by default the working directory."""
        path = self.abspath(path)
        start = self.abspath(start if start is not None else path[:0] + (b"." if isinstance(path, bytes) else "."))
        return posixpath.relpath(path, start)

    def realpath(self, path: Any, *, strict: bool = False) -> Any:
        """Return path from the root on with all links followed; a missing rest stays as it is unless strict."""
        path = self._p.fspath(path)
        if isinstance(path, bytes):
            return self._p.fsencode(self.realpath(self._p.fsdecode(path), strict=strict))
        todo = (path if path.startswith("/") else posixpath.join(self._p.getcwd(), path)).split("/")[::-1]
        done, links = "/", 0
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                done = posixpath.dirname(done)
                continue
            there = posixpath.join(done, name)
            target = self._link_target(there, strict)
            if target is None:
                done = there
                continue
            links += 1
            if links > MAXSYMLINKS:
                if strict:
                    raise_error(-ELOOP, path)
                return posixpath.normpath(posixpath.join(there, *todo[::-1]))
            done = "/" if target.startswith("/") else done
            todo += target.split("/")[::-1]
        return done

    def _link_target(self, path: str, strict: bool) -> str | None:
        """Return where path points to, or None if it is no link (or, unless strict, if it is not there)."""
        try:
            return self._p.readlink(path) if stat.S_ISLNK(self._p.lstat(path).st_mode) else None
        except OSError:
            if strict:
                raise
            return None
