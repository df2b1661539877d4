"""An image, and the questions one can ask about it: what lies where, and who owns it.

    image = Explored(None)                  the book's image
    image.block(35)                         places and owners of a block
    image.inode(16), image.extents(16), image.directory(12), image.group(0), image.groups()
    image.page("block 35")                  the same as a page; any address gives one, damage is told on it

Answers are made when they are asked for. No question reads more than its limit; what was left out is said.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from vfslab.fs.ext4.format import SUPERBLOCK_OFFSET
from vfslab.lib.ondisk import FormatError
from vfslab.teach.explorer import source
from vfslab.teach.explorer.disk import Desc, Disk, find_backup, is_super
from vfslab.teach.explorer.maps import Budget, Run, runs
from vfslab.teach.explorer.names import Names, Part, parts
from vfslab.teach.explorer.owners import Answer, Owners
from vfslab.teach.explorer.page import Page
from vfslab.teach.explorer.places import Place, Places
from vfslab.tools.image import ImageError

MOST_NODES = 4096  # nodes and tables read to answer one question about a file


class Limit(str):
    """A line that is no damage: the answer is not complete."""


class BlockAnswer(NamedTuple):
    """What a block is: places of the filesystem's own, the bitmap's word, owners as far as they were searched."""

    places: list[Place]
    used: bool | None
    owners: Answer


class Explored:
    """One image. name: for people. wrong: why there is nothing but bytes, or None."""

    def __init__(self, image: Any, device: str | None = None, sb: int | None = None):
        self.process = hasattr(image, "pread") and hasattr(image, "O_RDONLY")
        if self.process:
            self.source, self.name = image, device or "/dev/vda"
        else:
            self.source, self.name = source.open_source(image)
        self.size = 0
        self._sb = sb
        self.given = None if self.process else image  # what a kernel could mount
        if image is None:
            self.given = self.source.data
        self.load()

    def load(self) -> None:
        """Read the superblock, or the first copy of it that is good, and forget all that was known."""
        self.wrong: str | None = None
        self.backup: int | None = None
        self.state = self.source.state() if hasattr(self.source, "state") else None
        at = SUPERBLOCK_OFFSET if self._sb is None else self._sb * 1024
        reader, path = self.reader()
        try:
            self.disk: Any = Disk(reader, path, at)
        except (ImageError, FormatError) as error:
            self.wrong = str(error)
            self.backup = find_backup(reader) if self._sb is None else None
            try:
                self.disk = Disk(reader, path, self.backup) if self.backup else None
            except (ImageError, FormatError):
                self.disk = self.backup = None
        except OSError as error:
            raise source.Unusable(f"{self.name}: {error.strerror or error}") from None
        self.size = reader.lseek(0, 0, reader.SEEK_END) if self.disk is None else self.disk.device_size
        if self.disk is not None:
            self.disk.device = self.name
            self.places, self.owners, self.names = Places(self.disk), Owners(self.disk), Names(self.disk)

    def reader(self) -> tuple[Any, str]:
        """Return (the bytes with the face of `os`, the path to open there)."""
        return (_OneDevice(self.source, self.name), self.name) if self.process else (self.source, self.name)

    def refresh(self) -> None:
        """Load again if the bytes have changed since."""
        if self.process or self.source.state() != self.state:
            self.load()

    # --- questions ------------------------------------------------------------------------------

    def groups(self) -> Iterator[tuple[int, Desc]]:
        """Yield (number, descriptor) of all groups; ImageError at one that cannot be read."""
        return ((group, self.disk.desc(group)) for group in range(self.disk.groups))

    def group(self, number: int) -> list[Place]:
        """Return the parts of a group and where they lie. ImageError if there is no such group."""
        self.disk.group_desc(number)
        return self.places.of_group(number)

    def block(self, number: int, effort: int = 1) -> BlockAnswer:
        """Return what a block is and who owns it; more effort searches more inodes. ImageError beyond the last block."""
        if not 0 <= number < self.disk.end:
            raise ImageError(f"{self.name}: block {number}: they are numbered 0 to {self.disk.end - 1}")
        return BlockAnswer(self.places.at(number), self.disk.block_used(number), self.owners.of(number, effort))

    def inode(self, number: int) -> Any:
        """Return a view over the bytes of an inode. ImageError if there is no such inode."""
        return self.disk.inode(number)

    def extents(self, number: int, most: int = MOST_NODES) -> tuple[list[Run], list[str]]:
        """Return (runs of an inode's blocks, tree nodes and tables among them; what is wrong with its map)."""
        budget = Budget(most)
        found: list[Run] = []
        for run in runs(self.disk, self.disk.inode(number), budget):
            found.append(run)
            if len(found) >= 16 * most:
                budget.spent = True
                break
        problems = [*budget.problems[:16]]
        if budget.spent:
            problems.append(Limit(f"the map has more than {most} nodes or tables: the rest was not read"))
        return found, problems

    def directory(self, number: int, first: int = 0, most: int = MOST_NODES) -> Iterator[Part]:
        """Yield the pieces of a directory with their entries, from file block first on."""
        return parts(self.disk, number, self.disk.inode(number), Budget(most), first)

    def bytes(self, offset: int, length: int) -> bytes:
        """Return bytes of the device; fewer at its end."""
        return self.reader()[0].pread(0, max(0, min(length, self.size - offset)), offset) if offset >= 0 else b""

    # --- pages ------------------------------------------------------------------------------------

    def page(self, address: str) -> Page:
        """Return the page of an address. There is always one: what cannot be shown is told on it."""
        from vfslab.teach.explorer.addresses import page_of

        return page_of(self, address)

    def first_super(self) -> bytes:
        """Return the 1024 bytes where the first superblock should be."""
        return self.bytes(SUPERBLOCK_OFFSET, 1024).ljust(1024, b"\0")

    def first_is_good(self) -> bool:
        """True if these look like a superblock."""
        return is_super(self.first_super())


class _OneDevice:
    """A process that keeps one descriptor of a device open, and gives its bytes."""

    def __init__(self, process: Any, device: str):
        self.process, self.device = process, device
        self.O_RDONLY, self.SEEK_END = process.O_RDONLY, process.SEEK_END

    def open(self, name: str, flags: int) -> int:
        """Return a number; the device is opened for each read, so that nothing keeps it busy."""
        return 0

    def lseek(self, fd: int, offset: int, whence: int) -> int:
        """Return the device's size."""
        with self._opened() as fd:
            return self.process.lseek(fd, offset, whence)

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        """Return bytes of the device."""
        with self._opened() as fd:
            return self.process.pread(fd, length, offset)

    def close(self, fd: int) -> None:
        """Nothing is open."""

    @contextmanager
    def _opened(self) -> Iterator[int]:
        if getattr(getattr(self.process, "task", self), "files", self) is None:
            raise OSError(errno.ESRCH, "the process is gone, or its kernel was shut down")
        fd = self.process.open(self.device, self.process.O_RDONLY)
        try:
            yield fd
        finally:
            self.process.close(fd)
