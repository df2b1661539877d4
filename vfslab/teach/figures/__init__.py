"""The figures: each a small scene that is played on a live kernel, then drawn from its objects.

    graph = draw("F5")                 on the image that ships
    graph = draw("F6", "my.img")       on one's own

A figure holds no numbers of its own: remove the objects and it fails, change a field and the picture changes.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from vfslab.viz.model import Graph

DEVICE, MOUNTPOINT = "/dev/vda", "/mnt"


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure: what it shows, and the function (image or None) -> Graph that plays and draws it."""

    title: str
    module: str
    function: str

    def scene(self) -> Callable[[Any], Graph]:
        """Return the function that draws it."""
        return getattr(importlib.import_module(f"vfslab.teach.figures.{self.module}"), self.function)


FIGURES = MappingProxyType(
    {
        "F1": Figure("The way of a read() through the layers", "request", "way_of_a_read"),
        "F2": Figure("Two processes, three open files: from descriptors to the disk", "vfs", "open_files"),
        "F3": Figure("A block group, an inode and its extent tree, with byte addresses", "ondisk", "block_group"),
        "F4": Figure("The reserved inodes", "ondisk", "reserved_inodes"),
        "F5": Figure("From the superblock to the bytes of inode 2", "ondisk", "inode_address"),
        "F6": Figure("Inode table and directory blocks: names, hard and soft links", "ondisk", "names_and_inodes"),
        "F9": Figure("The mount hash table before and after a mount", "mounts", "mount_after"),
        "F12": Figure("A disk and its partitions: from the node in /dev to the driver", "block", "disk_and_driver"),
        "F15": Figure("Descriptor, file, dentry, inode, data: dup() and a hard link", "vfs", "abstractions"),
    }
)


def draw(name: str, image: str | None = None) -> Graph:
    """Return the graph of one figure, played on the image that ships or on a given one. KeyError if there is none."""
    from vfslab.teach.figures.parts import renumbered

    graph = renumbered(FIGURES[name].scene()(image))
    graph.title = f"{name}: {FIGURES[name].title}"
    return graph


@contextmanager
def stage(image: str | None = None) -> Iterator[tuple[Any, Any, str]]:
    """Boot a kernel with the image mounted read-only on /mnt; give (kernel handle, root process, device path)."""
    import vfslab

    if image is not None:
        from vfslab.tools.image import mounted

        with mounted(image) as opened:
            yield opened.kernel, opened.process, opened.device
        return
    with vfslab.boot() as kernel:
        kernel.attach("vda", vfslab.deck_image(), read_only=True)
        process = kernel.process()
        process.mkdir(MOUNTPOINT)
        process.mount(DEVICE, MOUNTPOINT, "ext4", "ro")
        yield kernel, process, DEVICE


def some_files(process: Any, count: int, below: str = MOUNTPOINT) -> list[str]:
    """Return the paths of up to count non-empty regular files, fewest links last, in walking order; OSError if none."""
    from vfslab.include.uapi.stat import S_ISREG

    found: list[tuple[int, int, str]] = []
    for top, _dirs, names in process.walk(below):
        for name in sorted(names):
            path = f"{top}/{name}"
            st = process.lstat(path)
            if S_ISREG(st.st_mode) and st.st_size:
                found.append((-min(st.st_nlink, 2), len(found), path))
        if len(found) > 200:
            break
    if not found:
        raise OSError(2, "the image holds no file with content", below)
    return [path for _, _, path in sorted(found)[:count]]
