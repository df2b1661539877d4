"""Make the small image of the figures: 1 MiB of ext4 with blocks of 1 KiB, and two files longer than the deck has.

    long.txt     20 KiB in one extent: five pages of numbered lines
    holes.txt    400 blocks of text with a hole behind each: an extent tree of depth 2

mke2fs -d makes it, without root or a mount. Identifiers and times are fixed, so one version of e2fsprogs
makes the same bytes each time.

    python -m vfslab.data.make_small_image small.img.gz
"""

import gzip
import os
import sys
import tempfile
from pathlib import Path

from vfslab.data.make_deck_image import MKE2FS_CONF, TIME, run

SIZE, BLOCK = 1 << 20, 1024
EXTENTS = 400  # 84 fit into a block of 1 KiB, and 4 into the inode
UUID = "736d616c-6c20-7666-736c-616220657874"
HASH_SEED = "5eed0002-0002-4003-8004-000500060007"


def numbered(size):
    """Return size bytes of lines of 16, each beginning with its own position: "0x01000 abcdefg"."""
    return b"".join(b"%#07x abcdefg\n" % at for at in range(0, size, 16))


def make_files(tree):
    """Write the two files below tree, with fixed times."""
    (tree / "long.txt").write_bytes(numbered(20 << 10))
    with open(tree / "holes.txt", "wb") as file:
        for number in range(EXTENTS):
            file.seek(2 * number * BLOCK)
            file.write(numbered(BLOCK))
    for path in (*tree.iterdir(), tree):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (TIME, TIME))


def make_small_image(path):
    """Write the image to path."""
    path = Path(path).resolve()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "mke2fs.conf").write_text(MKE2FS_CONF)
        tree = work / "tree"
        tree.mkdir()
        make_files(tree)
        with open(path, "wb") as image:
            image.truncate(SIZE)
        options = ("-U", UUID, "-E", f"hash_seed={HASH_SEED},root_owner=0:0", "-O", "^has_journal,^resize_inode")
        run(
            "mke2fs",
            "-q",
            "-F",
            "-t",
            "ext4",
            "-T",
            "small",
            "-b",
            str(BLOCK),
            "-N",
            "32",
            *options,
            "-d",
            tree,
            path,
            cwd=work,
        )
        # a file's change time cannot be chosen by who makes it, only by who edits the image
        edits = "".join(f"set_inode_field {name.name} ctime @{TIME}\n" for name in sorted(tree.iterdir()))
        run("debugfs", "-w", "-f", "-", path, cwd=work, stdin=edits + f"set_inode_field / ctime @{TIME}\n")


def main(target):
    """Make the image at target, compressed if its name ends in .gz."""
    if not target.endswith(".gz"):
        return make_small_image(target)
    with tempfile.TemporaryDirectory() as name:
        image = Path(name) / "small.img"
        make_small_image(image)
        Path(target).write_bytes(gzip.compress(image.read_bytes(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_small_image.py TARGET.img or TARGET.img.gz")
    main(sys.argv[1])
