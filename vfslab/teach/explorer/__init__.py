"""explore(image): an ext4 image as pages that lead to each other; damaged ones too, and without mounting them.

    explore()                         the image of the book
    explore("disk.img")               one's own; "disk.img#1" for a partition; bytes, a file object
    explore(p, device="/dev/vda")     a device of a running kernel, as its page cache has it
    explore("disk.img", at="inode 2")
    explore("disk.img", sb=131072)    through another copy of the superblock, as mount's option sb= counts
    print(explore("disk.img").text("/etc/hosts"))

    source, disk     bytes, and the numbers of the superblock within bounds
    places, owners   what a block is, who owns it        maps, names   extent trees, directories, paths
    pages_*, fields  pages of them, with the names of their bytes       text, html, face   how they are shown

Left out: changing anything; replaying the journal (the kernel does that when it mounts; here is what stands on the disk).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vfslab.teach.explorer.face import Explorer


def explore(
    image: Any = None,
    at: str = "super",
    *,
    pages: list[str] | None = None,
    device: str | None = None,
    sb: int | None = None,
) -> Explorer:
    """Return an explorer of an image. pages: addresses that are offered first, and shown where there is no kernel.

    What cannot be opened at all (no such file, a directory) is an ImageError of one line; a damaged image opens.
    """
    from vfslab.teach.explorer.explored import Explored
    from vfslab.teach.explorer.face import Explorer

    return Explorer(Explored(image, device, sb), at, pages)
