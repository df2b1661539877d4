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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vfslab.init.machine import Machine

MOUNTPOINT = "/mnt"
KERN_ERR, KERN_WARNING, KERN_NOTICE = 3, 4, 5  # levels of the kernel's log, as dmesg(1) knows them


class ImageError(Exception):
    """An image that cannot be used: one line for a person."""


@dataclasses.dataclass
class Image:
    """A mounted image: its machine, a process of root, and where its tree begins for that.

    inside is a second process, to which the image's root is "/": there links in the image that begin with "/" lead to
    where they were meant to, and nothing leads out.
    """

    spec: str
    kernel: Machine
    process: Any
    root: str
    device: str
    inside: Any

    def notices(self) -> list[str]:
        """Return what the kernel had to say about the image, beside errors (a replayed journal, for one)."""
        wanted = (KERN_WARNING, KERN_NOTICE)
        return [without_device(text) for level, text in self.kernel.kernel.log if level in wanted and "vda" in text]


def split(spec: str) -> tuple[str, int | None]:
    """Return (file name, partition number or None) of an image's name."""
    found = re.fullmatch(r"(.+)#(\d{1,9})", spec, re.DOTALL)
    if found and not os.path.lexists(spec):
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
    if stat.S_ISREG(mode) and not os.stat(name).st_size:
        raise ImageError(f"{name}: is empty, not an image")


@contextmanager
def attached(source: Any, memory: int = 64 << 20) -> Iterator[tuple[Machine, str]]:
    """Boot a machine with an image attached read-only; give (machine, device path such as "/dev/vda1").

    source is the image's name as above, or its content: bytes, a bytearray or a file object.
    """
    from vfslab.init.machine import boot  # the whole kernel: loaded when there is an image to look at

    name, partition = "image", None
    if isinstance(source, str | os.PathLike):
        name, partition = split(os.fspath(source))
        check_usable(name)
        source = name
    with boot(memory) as machine:
        try:
            machine.attach("vda", source, read_only=True)
        except OSError as error:
            raise ImageError(f"{name}: {error.strerror or error}") from None
        yield machine, "/dev/vda" + choose_partition(machine, name, partition)


def choose_partition(machine: Machine, name: str, partition: int | None) -> str:
    """Return the device's suffix for a partition, empty for the whole; ImageError lists the partitions if one is needed."""
    parts = machine.kernel.disks[b"vda"].part_tbl
    numbers = sorted(number for number in parts if number)
    if partition is not None:
        if partition not in numbers:
            known = ", ".join(f"{name}#{number}" for number in numbers) or "it has no partitions"
            raise ImageError(f"{name}#{partition}: no such partition ({known})")
        return str(partition)
    if numbers and not looks_like_ext(machine, "/dev/vda"):
        lines = [f"{name}#{number}: {size_text(parts[number].bd_nr_sectors * 512)}" for number in numbers]
        raise ImageError(f"{name}: partitioned, name one of: " + "; ".join(lines))
    return ""


def looks_like_ext(machine: Machine, device: str) -> bool:
    """True if an ext superblock's magic stands on the device itself (a table before it is then stale)."""
    process = machine.process()
    try:
        fd = process.open(device, process.O_RDONLY)
        try:
            return process.pread(fd, 2, 1024 + 56) == b"\x53\xef"
        finally:
            process.close(fd)
    except OSError:
        return False


@contextmanager
def mounted(source: Any, options: str = "ro", memory: int = 64 << 20) -> Iterator[Image]:
    """Boot a machine with the image mounted read-only; ImageError with the kernel's reason if that fails."""
    with attached(source, memory) as (machine, device):
        spec = os.fspath(source) if isinstance(source, str | os.PathLike) else "image"
        process = machine.process()
        process.mkdir(MOUNTPOINT)
        try:
            process.mount(device, MOUNTPOINT, "ext4", options)
        except OSError as error:
            raise ImageError(f"{spec}: {reason(machine, error)}") from None
        inside = machine.process()
        inside.chroot(MOUNTPOINT)
        inside.chdir("/")
        yield Image(spec, machine, process, MOUNTPOINT, device, inside)


def reason(machine: Machine, error: OSError) -> str:
    """Return why a mount failed: the kernel's last error about it, else the errno's text."""
    for level, text in reversed(machine.kernel.log):
        if level <= KERN_ERR:
            return without_device(text)
    return error.strerror or str(error)


def without_device(text: str) -> str:
    """Return a line of the kernel's log without the words for filesystem, device and function."""
    text = re.sub(r"^EXT4-fs (error|warning) \(device \w+\): \w+: |^EXT4-fs \(\w+\): ", "", text)
    return text.replace("inode #", "inode ")


def size_text(size: int) -> str:
    """Return a number of bytes for a person, such as "16.0 MiB"."""
    amount, unit = float(size), "bytes"
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{size} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
