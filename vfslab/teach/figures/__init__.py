"""The figures: each a small scene that is played on a live kernel, then drawn from its objects.

    graph = draw("F5")                 on the image that ships
    graph = draw("F6", "my.img")       on one's own
    steps("F8")                        those that move: a Timeline, to be stepped forward and back

A figure holds no numbers of its own: remove the objects and it fails, change a field and the picture changes.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vfslab.viz.model import Graph

if TYPE_CHECKING:
    from vfslab.viz.timeline import Timeline

DEVICE, MOUNTPOINT = "/dev/vda", "/mnt"


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure: what it shows, and the function (image or None) -> Graph that plays and draws it.

    moving: the function (image or None) -> Timeline that plays it step by step, if there is one
    """

    title: str
    module: str
    function: str
    moving: str = ""

    def scene(self, name: str = "") -> Callable[[Any], Any]:
        """Return the function that draws it, or another one of its module."""
        return getattr(importlib.import_module(f"vfslab.teach.figures.{self.module}"), name or self.function)


FIGURES = MappingProxyType(
    {
        "F1": Figure("The way of a read() through the layers", "request", "way_of_a_read"),
        "F2": Figure("Two processes, three open files: from descriptors to the disk", "vfs", "open_files"),
        "F3": Figure("A block group, an inode and its extent tree, with byte addresses", "group", "block_group"),
        "F4": Figure("The reserved inodes", "ondisk", "reserved_inodes"),
        "F5": Figure("From the superblock to the bytes of inode 2", "ondisk", "inode_address"),
        "F6": Figure("Inode table and directory blocks: names, hard and soft links", "ondisk", "names_and_inodes"),
        "F7": Figure("stat(): the name, the nameidata of the walk, and the path it fills", "walk", "stat_walk"),
        "F8": Figure("A path walk, round by round", "walk", "path_walk", "path_walk_steps"),
        "F9": Figure("The mount hash table before and after a mount", "mounts", "mount_after"),
        "F10": Figure(
            "ls --color mnt: its system calls, and how openat() gets onto the mount",
            "listing",
            "list_mount",
            "list_mount_steps",
        ),
        "F12": Figure("A disk and its partitions: from the node in /dev to the driver", "block", "disk_and_driver"),
        "F15": Figure("Descriptor, file, dentry, inode, data: dup() and a hard link", "vfs", "abstractions"),
        "F17": Figure("The VFS and its three caches, between system calls and drivers", "cache", "vfs_and_its_caches"),
        "F19": Figure("Four bytes bring a page; the next four ask no filesystem", "cache", "a_page_for_four_bytes"),
    }
)


def draw(name: str, image: str | None = None) -> Graph:
    """Return the graph of one figure, played on the image that ships or on a given one. KeyError if there is none."""
    from vfslab.teach.figures.parts import renumbered
    from vfslab.teach.livepatch import aside

    scene = FIGURES[name].scene()
    with aside():  # the reader's kernel may run patched code: a figure shows the package's
        graph = renumbered(scene(image))
    graph.title = f"{name}: {FIGURES[name].title}"
    return graph


def steps(name: str, image: str | None = None) -> Timeline:
    """Return a figure as a Timeline, step by step. KeyError if there is none, ValueError if it does not move."""
    from vfslab.teach.livepatch import aside

    figure = FIGURES[name]
    if not figure.moving:
        moving = ", ".join(other for other, each in FIGURES.items() if each.moving)
        raise ValueError(f"{name} is one picture; figures that are played step by step: {moving}")
    scene = figure.scene(figure.moving)
    with aside():
        return scene(image)


@contextmanager
def stage(image: str | None = None, shipped: Callable[[], bytes] | None = None) -> Iterator[tuple[Any, Any, str]]:
    """Boot a kernel with the image mounted read-only on /mnt; give (kernel handle, root process, device path).

    shipped makes the image that is taken if none is given; the deck's if that is None.
    """
    import vfslab

    if image is not None:
        from vfslab.tools.image import mounted

        with mounted(image) as opened:
            yield opened.kernel, opened.process, opened.device
        return
    with vfslab.boot() as kernel:
        kernel.attach("vda", (shipped or vfslab.deck_image)(), read_only=True)
        process = kernel.process()
        process.mkdir(MOUNTPOINT)
        process.mount(DEVICE, MOUNTPOINT, "ext4", "ro")
        yield kernel, process, DEVICE


def some_files(process: Any, count: int, below: str = MOUNTPOINT, least: int = 1) -> list[str]:
    """Return the paths of up to count regular files, fewest links last, in walking order; OSError if there is none.

    least is how many bytes each must have.
    """
    from vfslab.include.uapi.stat import S_ISREG

    found: list[tuple[int, int, str]] = []
    for top, _dirs, names in process.walk(below):
        for name in sorted(names):
            path = f"{top}/{name}"
            st = process.lstat(path)
            if S_ISREG(st.st_mode) and st.st_size >= least:
                found.append((-min(st.st_nlink, 2), len(found), path))
        if len(found) > 200:
            break
    if not found:
        wanted = "with content" if least == 1 else f"of at least {least} bytes"
        raise OSError(2, f"the image holds no file {wanted}", below)
    return [path for _, _, path in sorted(found)[:count]]


def landmarks(image: str | None = None) -> tuple[str, str, str]:
    """Return names for walks in an image: a directory in its root, a directory in that one, and another name in its root.

    OSError if no directory lies in another. A kernel of its own looks, so one that is watched still knows none of them.
    """
    with stage(image) as (_kernel, process, _device):
        names = sorted(process.listdir(MOUNTPOINT))
        for first in names:
            top = f"{MOUNTPOINT}/{first}"
            below = sorted(process.listdir(top)) if is_directory(process, top) else []
            for second in below:
                if is_directory(process, f"{top}/{second}"):
                    return first, second, next(name for name in reversed(names) if name != first)
    raise OSError(2, "the image holds no directory in another one", MOUNTPOINT)


def is_directory(process: Any, path: str) -> bool:
    """True if path is a directory, and no link to one."""
    from vfslab.include.uapi.stat import S_ISDIR

    return S_ISDIR(process.lstat(path).st_mode)
