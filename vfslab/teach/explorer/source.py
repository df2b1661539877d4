"""Bytes to look at, without a kernel: a file, a block device, one partition of it, or memory.

    explore("disk.img#2")  ─▶ Window over the file from the partition's first byte on
    explore(bytes)         ─▶ Memory; a bytearray may change meanwhile, and is seen changed
    explore(p, "/dev/vda") ─▶ the process of a running kernel: the device as its page cache has it

Each has the few functions of `os` that tools/raw.py calls. No kernel is kept running for the explorer: a chapter
may patch the kernel's functions only while none runs.
"""

from __future__ import annotations

import os
import zlib
from typing import Any

from vfslab.tools.image import ImageError, attached, check_usable, split

MOST_SUMMED = 64 << 20  # memory up to this size is looked at for changes


class Unusable(ImageError):
    """What cannot be explored at all: IPython shows it as one line."""

    def _render_traceback_(self) -> list[str]:
        return [f"explore: {self}"]


class Memory:
    """Bytes or a bytearray, with the face of `os`."""

    O_RDONLY, SEEK_END = os.O_RDONLY, os.SEEK_END

    def __init__(self, data: Any):
        self.data = data

    def open(self, name: str, flags: int) -> int:
        """Return a descriptor; there is one."""
        return 0

    def lseek(self, fd: int, offset: int, whence: int) -> int:
        """Return the size: nobody asks for another place."""
        return len(self.data)

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        """Return up to length bytes."""
        return bytes(self.data[offset : offset + length])

    def close(self, fd: int) -> None:
        """Close nothing."""

    def state(self) -> Any:
        """Return something that is different when the bytes have changed."""
        if isinstance(self.data, bytes) or len(self.data) > MOST_SUMMED:
            return len(self.data)
        return zlib.crc32(self.data)


class Window(Memory):
    """A part of a file of the host, or of any seekable binary file object."""

    def __init__(self, name: str | None, stream: Any, start: int = 0, size: int | None = None):
        self.name, self.stream, self.start = name, stream, start
        self.size = stream.seek(0, os.SEEK_END) if size is None else size

    def lseek(self, fd: int, offset: int, whence: int) -> int:
        return self.size

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        self.stream.seek(self.start + offset)
        return self.stream.read(max(0, min(length, self.size - offset))) or b""

    def close(self, fd: int) -> None:
        if self.name is not None:
            self.stream.close()

    def state(self) -> Any:
        if self.name is None:
            return self.size
        try:
            st = os.stat(self.name)
        except OSError:
            return None
        return st.st_mtime_ns, st.st_size


def open_source(image: Any) -> tuple[Any, str]:
    """Return (what to read from, its name for people); Unusable says why not."""
    if image is None:
        from vfslab.data import deck_image

        return Memory(deck_image()), "the book's image"
    if isinstance(image, bytes | bytearray | memoryview):
        return Memory(image), "image"
    if isinstance(image, str | os.PathLike):
        return open_path(os.fspath(image))
    if hasattr(image, "seek") and hasattr(image, "read"):
        return Window(None, image), str(getattr(image, "name", "image"))
    raise Unusable(f"{type(image).__name__}: give a file name, bytes, a file object, or a process and its device")


def open_path(spec: str) -> tuple[Any, str]:
    """Return (Window, name) of an image by its name; a partition is found as the kernel finds it."""
    name, number = split(spec)
    try:
        check_usable(name)
        window = Window(name, open(name, "rb", buffering=0))  # noqa: SIM115 (it stays open as long as the explorer)
        if number is None and window.pread(0, 2, 1024 + 56) == b"\x53\xef":
            return window, os.path.basename(name)
        start, size = partition(spec, window.size)
    except ImageError as error:
        raise Unusable(str(error)) from None
    except OSError as error:
        raise Unusable(f"{name}: {error.strerror or error}") from None
    return Window(name, window.stream, start, min(size, window.size - start)), os.path.basename(spec)


def partition(spec: str, size: int) -> tuple[int, int]:
    """Return (first byte, bytes) of the partition that spec names, or of the whole; ImageError lists partitions."""
    with attached(spec) as (machine, device):
        number = device.removeprefix("/dev/vda")
        if not number:
            return 0, size
        part = machine.kernel.disks[b"vda"].part_tbl[int(number)]
        return part.bd_start_sect * 512, part.bd_nr_sectors * 512
