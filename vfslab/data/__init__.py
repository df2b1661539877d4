"""The images that ship with vfslab, compressed.

    deck.img.gz    16 MiB ext4 as mke2fs and debugfs leave it; the book's first chapters read it
    climb.img.gz   20 MiB ext4 with a file for each shape an extent tree can take; chapter 3 climbs on it
    small.img.gz   1 MiB ext4 with a file of five pages and one of 400 extents; two figures need them
    blank.img.gz   2 MiB ext4 with sixteen empty files, into which the lab on extents plants its trees

make_deck_image.py and its like beside this file make them anew. gzip and not xz: a Python in the browser may lack lzma.
"""

import gzip
from importlib import resources


def deck_image() -> bytes:
    """Return the 16 MiB of the deck's image."""
    return _image("deck.img.gz")


def climb_image() -> bytes:
    """Return the 20 MiB of chapter 3's image."""
    return _image("climb.img.gz")


def small_image() -> bytes:
    """Return the 1 MiB of the figures' second image."""
    return _image("small.img.gz")


def blank_image() -> bytes:
    """Return the 2 MiB that the lab on extents plants its trees into."""
    return _image("blank.img.gz")


def _image(name: str) -> bytes:
    return gzip.decompress(resources.files(__package__).joinpath(name).read_bytes())
