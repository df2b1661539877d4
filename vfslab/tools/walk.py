"""The walk of check: every name is looked up, every attribute and byte read, through system calls alone.

A directory is entered by chdir(name) and left by chdir(".."), so that no path is ever too long. On a damaged
image names can lead in circles, and sizes can promise what no device holds. Therefore:

Always true
  W1  a directory is entered once; its second name is damage
  W2  there are no more names than the device has room for, nor is more data read than twice its size
  W3  long holes are not read
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from typing import Any

from vfslab.include.uapi.fcntl import O_DIRECTORY, O_RDONLY, SEEK_DATA
from vfslab.include.uapi.stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK
from vfslab.tools.image import without_device

TYPES = (
    (S_IFREG, "file"), (S_IFDIR, "dir"), (S_IFLNK, "symlink"), (S_IFCHR, "char"), (S_IFBLK, "block"),
    (S_IFIFO, "fifo"), (S_IFSOCK, "socket"),
)  # fmt: skip
HASHED = 64 << 20  # bytes of a file that the manifest's sha256 covers
CHUNK = 1 << 20
WINDOW = 16 << 10
LEAST_BLOCK = 1024
GETDENTS = 32768
LEAST_ENTRY = 12  # bytes of the shortest directory entry
NO_DAMAGE = (errno.ENOKEY, errno.EOPNOTSUPP, errno.ENODATA)  # encrypted; a namespace that is not read; gone
KERN_ERR = 3


class Walk:
    """One walk over a mounted image; lines, entries and read tell the result."""

    def __init__(self, image: Any, manifest: Callable[[dict], Any] | None, progress: Callable[[str, int], Any]):
        self.p, self.log = image.inside, image.kernel.kernel.log
        self.manifest, self.progress = manifest, progress
        self.lines: list[str] = []
        self.entries = self.read = 0
        self.seen: set[int] = set()  # directories
        self.contents: dict[int, tuple] = {}  # of files with several names
        self.buffer = memoryview(bytearray(CHUNK))
        self.zeros = bytes(CHUNK)
        self.size = device_size(image.process, image.device)
        self.budget = 2 * self.size + CHUNK

    # --- names ---

    def run(self) -> None:
        """Walk from the root."""
        self.p.chdir(b"/")
        entry = self.examine(b"/", b".")
        ino = entry.get("ino", 0)
        self.seen.add(ino)
        stack = [(b"/", ino, self.visit(b"/", entry))]
        while stack:
            path, _, below = stack[-1]
            if not below:
                stack.pop()
                if stack and not self.climb(*stack[-1][:2]):
                    return
                continue
            name, entry = below.pop()
            child = path.rstrip(b"/") + b"/" + name
            try:
                self.p.chdir(name)
            except OSError as error:
                self.problem(child, error, entry)
                self.tell(entry)
                continue
            stack.append((child, entry["ino"], self.visit(child, entry)))

    def climb(self, path: bytes, ino: int) -> bool:
        """Go up to the directory of that path; False, and a line, if it cannot be reached any more."""
        try:
            self.p.chdir(b"..")
            if self.p.stat(b".").st_ino != ino:
                self.p.chdir(b"/")  # damage has moved the directory: go down to it again
                for name in filter(None, path.split(b"/")):
                    self.p.chdir(name)
            return True
        except OSError as error:
            self.problem(path, error)
            return False

    def visit(self, path: bytes, entry: dict) -> list[tuple[bytes, dict]]:
        """Read the current directory and examine all in it; return (name, entry) of the directories to enter, last first."""
        below = []
        for name in self.names(path, entry):
            child = path.rstrip(b"/") + b"/" + name
            found = self.examine(child, name)
            if found["type"] == "dir":
                if found["ino"] in self.seen:
                    self.note(
                        found,
                        "EUCLEAN",
                        f"{os.fsdecode(child)}: a directory that has another name too (inode {found['ino']})",
                    )
                else:
                    self.seen.add(found["ino"])
                    below.append((name, found))
                    continue
            self.tell(found)
        self.tell(entry)
        return below[::-1]

    def names(self, path: bytes, entry: dict) -> list[bytes]:
        """Return the names in the current directory, as many as can be read."""
        found: list[bytes] = []
        try:
            fd = self.p.open(b".", O_RDONLY | O_DIRECTORY)
            try:
                while batch := self.p.getdents64(fd, GETDENTS):
                    found += [name for _ino, _off, _type, name in batch if name not in (b".", b"..")]
                    if self.entries + len(found) > self.size // LEAST_ENTRY:
                        self.note(
                            entry,
                            "EUCLEAN",
                            f"{os.fsdecode(path)}: more names than the device has room for, not all are read",
                        )
                        break
            finally:
                self.p.close(fd)
        except OSError as error:
            self.problem(path, error, entry)
        return found

    def examine(self, path: bytes, name: bytes) -> dict:
        """Return the entry of one name in the current directory, with its attributes and data read."""
        entry: dict = {"path": os.fsdecode(path), "type": "unknown"}
        self.entries += 1
        self.progress("entries", 1)
        try:
            st = self.p.lstat(name)
        except OSError as error:
            self.problem(path, error, entry)
            return entry
        kind = st.st_mode & S_IFMT
        entry |= {"type": dict(TYPES).get(kind, "unknown"), "size": st.st_size, "ino": st.st_ino}
        try:
            if kind == S_IFLNK:
                entry["target"] = os.fsdecode(self.p.readlink(name))
            elif kind == S_IFREG:
                self.content(name, st, entry)
        except OSError as error:
            self.problem(path, error, entry)
        self.attributes(path, name, entry)
        return entry

    def attributes(self, path: bytes, name: bytes, entry: dict) -> None:
        """Read all extended attributes."""
        try:
            for attribute in self.p.listxattr(name, follow_symlinks=False):
                self.p.getxattr(name, attribute, follow_symlinks=False)
        except OSError as error:
            self.problem(path, error, entry)

    # --- data ---

    def content(self, name: bytes, st: Any, entry: dict) -> None:
        """Read a file, once however many names it has."""
        known = self.contents.get(st.st_ino)
        if known is None:
            digest = hashlib.sha256() if self.manifest is not None else None
            fd = self.p.open(name, O_RDONLY)
            try:
                self.data(fd, st, digest)
            finally:
                self.p.close(fd)
            known = (digest.hexdigest(),) if digest is not None else ()
            if st.st_nlink > 1:
                self.contents[st.st_ino] = known
        if known:
            entry["sha256"] = known[0]

    def data(self, fd: int, st: Any, digest: Any) -> None:
        """Read a file's data into the digest as far as that covers; of a sparse file, only windows with data in them.

        The ends of holes are not asked for: where damage makes one table stand for thousands, that takes for ever.
        """
        at, end = 0, st.st_size
        sparse = st.st_blocks * 512 < end
        window = WINDOW if sparse else CHUNK
        windows = st.st_blocks * 512 // LEAST_BLOCK + 1  # each has a block of its own in it
        while at < end:
            if sparse:
                start = self.next_data(fd, at, end)
                self.hash_zeros(digest, at, start)
                at = start
            count = self.p.preadv(fd, [self.buffer[: min(window, end - at)]], at) if at < end else 0
            if not count and at < end:
                raise OSError(errno.EIO, "the file ends before its size")
            if digest is not None and at < HASHED:
                digest.update(self.buffer[: min(count, HASHED - at)])
            at += count
            self.read += count
            self.progress("bytes", count)
            self.budget -= 2 * LEAST_BLOCK if sparse else count
            windows -= sparse
            if self.budget < 0 or windows < 0:
                raise OSError(errno.EUCLEAN, "more data than the device holds, not read to the end")

    def next_data(self, fd: int, at: int, end: int) -> int:
        """Return where data goes on, or the end if nothing more follows."""
        try:
            return self.p.lseek(fd, at, SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return end

    def hash_zeros(self, digest: Any, start: int, end: int) -> None:
        """Add the zeros of a hole to the digest."""
        end = min(end, HASHED)
        while digest is not None and start < end:
            digest.update(self.zeros[: min(CHUNK, end - start)])
            start += CHUNK

    # --- telling ---

    def problem(self, path: bytes, error: OSError, entry: dict | None = None) -> None:
        """Note an error, with what the kernel's log says of it; errors that are no damage go to the entry only."""
        words = [without_device(text) for level, text in self.log if level <= KERN_ERR]
        self.log.clear()
        text = f"{os.fsdecode(path)}: {error.strerror}"
        if words:
            text += ": " + "; ".join(dict.fromkeys(words))
        damage = "" if error.errno in NO_DAMAGE else text
        self.note(entry, errno.errorcode.get(error.errno or 0, str(error.errno)), damage)

    def note(self, entry: dict | None, err: str, line: str) -> None:
        """Put err into an entry that has none yet, and the line among the lines."""
        if entry is not None:
            entry.setdefault("err", err)
        if line and line not in self.lines:
            self.lines.append(line)

    def tell(self, entry: dict) -> None:
        """Hand an entry to whoever wants the manifest."""
        if self.manifest is not None:
            self.manifest({name: value for name, value in entry.items() if name != "ino"})


def device_size(p: Any, device: str) -> int:
    """Return how many bytes a device has."""
    fd = p.open(device, O_RDONLY)
    try:
        return p.lseek(fd, 0, 2)
    finally:
        p.close(fd)
