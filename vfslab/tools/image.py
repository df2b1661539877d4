"""Images by name: `disk.img`, `disk.img#1` for a partition, `/dev/sdb1`; opened, attached, mounted, read-only.

    with mounted("disk.img#1") as image:
        image.process.listdir(image.root)

Whatever is wrong with the image ends as one ImageError with one line: what, where.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MOUNTPOINT = "/mnt"


class ImageError(Exception):
    """An image that cannot be used: one line for a person."""


@dataclasses.dataclass
class Image:
    """A mounted image: its kernel handle, a root process, and where its tree begins."""

    spec: str
    kernel: Any
    process: Any
    root: str
    device: str

    def path(self, name: str) -> str:
        """Return the path in the guest for a path in the image."""
        return self.root + "/" + name.lstrip("/")

    def notices(self) -> list[str]:
        """Return what the kernel had to say about the image, beside errors (a replayed journal, for one)."""
        return [text for level, text in self.kernel.kernel.log if level in (4, 5) and "vda" in text]


def split(spec: str) -> tuple[str, int | None]:
    """Return (file name, partition number or None) of an image's name."""
    found = re.fullmatch(r"(.+)#(\d+)", spec)
    if found and not os.path.exists(spec):
        return found[1], int(found[2])
    return spec, None


def check_usable(name: str) -> None:
    """Raise ImageError unless name is something that can be read like a disk."""
    try:
        mode = os.stat(name).st_mode
    except OSError as error:
        raise ImageError(f"{name}: {error.strerror}") from None
    except ValueError:
        raise ImageError(f"{name!r}: not a file name") from None
    if stat.S_ISDIR(mode):
        raise ImageError(f"{name}: is a directory, not an image")
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise ImageError(f"{name}: neither a file nor a block device")


@contextmanager
def attached(spec: str, memory: int = 64 << 20) -> Iterator[tuple[Any, str]]:
    """Boot a kernel with the image attached read-only; give (kernel handle, device path such as "/dev/vda1")."""
    import vfslab

    name, partition = split(spec)
    check_usable(name)
    with vfslab.boot(memory=memory) as kernel:
        try:
            kernel.attach("vda", name, read_only=True)
        except OSError as error:
            raise ImageError(f"{name}: {error.strerror or error}") from None
        disk = kernel.kernel.disks[b"vda"]
        parts = disk.part_tbl
        if partition is not None and partition not in parts:
            known = ", ".join(f"{name}#{number}" for number in sorted(parts)) or "it has no partitions"
            raise ImageError(f"{spec}: no such partition ({known})")
        if partition is None and parts and not looks_like_ext(kernel, "/dev/vda"):
            lines = [
                f"{name}#{number}: {size_text(part.bd_nr_sectors * 512)}" for number, part in sorted(parts.items())
            ]
            raise ImageError(f"{name}: partitioned, name one of: " + "; ".join(lines))
        yield kernel, "/dev/vda" + (str(partition) if partition is not None else "")


def looks_like_ext(kernel: Any, device: str) -> bool:
    """True if an ext superblock's magic stands on the device itself (a table before it is then stale)."""
    process = kernel.process()
    try:
        fd = process.open(device, process.O_RDONLY)
        try:
            return process.pread(fd, 2, 1024 + 56) == b"\x53\xef"
        finally:
            process.close(fd)
    except OSError:
        return False


@contextmanager
def mounted(spec: str, options: str = "ro", memory: int = 64 << 20) -> Iterator[Image]:
    """Boot a kernel with the image mounted read-only; ImageError with the kernel's reason if that fails."""
    with attached(spec, memory) as (kernel, device):
        process = kernel.process()
        process.mkdir(MOUNTPOINT)
        try:
            process.mount(device, MOUNTPOINT, "ext4", options)
        except OSError as error:
            raise ImageError(f"{spec}: {reason(kernel, error)}") from None
        yield Image(spec, kernel, process, MOUNTPOINT, device)


def reason(kernel: Any, error: OSError) -> str:
    """Return why a mount failed: the kernel's last error about it, else the errno's text."""
    for level, text in reversed(kernel.kernel.log):
        if level <= 3:
            return re.sub(r"^EXT4-fs( error)?( \(device )?(\w+)?\)?:? ?", "", text)
    return error.strerror or str(error)


def size_text(size: int) -> str:
    """Return a number of bytes for a person, such as "16.0 MiB"."""
    amount, unit = float(size), "bytes"
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{size} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
