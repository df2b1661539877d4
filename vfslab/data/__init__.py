"""The images that ship with vfslab, compressed.

    deck.img.gz   16 MiB ext4 as mke2fs and debugfs leave it; the book's first chapters read it

make_deck_image.py beside this file makes it anew. gzip and not xz: a Python in the browser may lack lzma.
"""

import gzip
from importlib import resources


def deck_image() -> bytes:
    """Return the 16 MiB of the deck's image."""
    return gzip.decompress(resources.files(__package__).joinpath("deck.img.gz").read_bytes())
