"""Small images full of metadata, for the mutants of tests/mutate.py.

Where Linux cannot mount, mke2fs fills them from a directory: without hash trees, but enough to be damaged.
"""

import os
from dataclasses import dataclass
from functools import partial

from .. import images
from . import e2fs
from .contents import attempt, bigdir, pattern, put, unwritten, write_at

Spec = partial(images.Spec, source="bases", size="4M")


def little_of_all(root):
    """A few files of each kind: what is read whole must be read fast."""
    os.makedirs(f"{root}/etc/deep/er")
    put(f"{root}/etc/hosts", 100)
    put(f"{root}/etc/deep/er/file", 5000)
    os.link(f"{root}/etc/hosts", f"{root}/hard")
    os.symlink("etc/hosts", f"{root}/short-link")
    os.symlink("l" * 300, f"{root}/long-link")
    bigdir(root, 24, 200)
    write_at(f"{root}/pieces", *range(0, 60 * 8192, 8192), size=100)
    write_at(f"{root}/sparse", 0, 300_000)
    unwritten(root)
    os.mkfifo(f"{root}/fifo")
    attempt(os.mknod, f"{root}/device", 0o020644, os.makedev(1, 3))
    for name, size in (("hard", 20), ("etc", 40), ("pieces", 700), ("long-link", 50)):
        attempt(os.setxattr, f"{root}/{name}", "trusted.note", pattern(name, size), follow_symlinks=False)


def little_inline(root):
    """Files and directories that fit into inodes, and some that do not."""
    for count in (0, 1, 3, 8, 14):
        os.mkdir(f"{root}/d{count}")
        for number in range(count):
            put(f"{root}/d{count}/n{number}", number * 20)
    for size in (1, 59, 60, 61, 100, 150, 160, 170, 5000):
        put(f"{root}/f{size}", size)
    os.symlink("f100", f"{root}/link")
    os.symlink("l" * 100, f"{root}/longer-link")
    attempt(os.setxattr, f"{root}/f59", "user.x", b"y" * 20)
    bigdir(root, 60, 100)


def little_unplayed(root):
    """Names and files that stand in the journal alone, with revoked blocks among them."""
    for number in range(20):
        os.mkdir(f"{root}/gone{number}")
        put(f"{root}/stays{number}", 500)
    os.sync()
    for number in range(20):
        os.rmdir(f"{root}/gone{number}")
        put(f"{root}/comes{number}", 1500)
    os.sync()
    e2fs.shutdown(root, 1)


@dataclass(frozen=True)
class Victim:
    """A base image, and how it is struck.

    redo    are checksums made good: yes, no, or None for half of the time
    kinds   regions that are struck; all if empty
    """

    spec: images.Spec
    redo: bool | None = None
    kinds: tuple = ()


def base(name, fill, options, **more):
    """Return the specification of a base; options as mke2fs takes them, in one string."""
    filled = "mke2fs" if e2fs.cannot_mount() else "kernel"
    return Spec(f"base-{name}", options=tuple(options.split()), fill=(fill,), filled=filled, **more)


def bases():
    """Return {name: Victim}. ^resize_inode, because its pointer blocks are read by nobody."""
    ext4, logged = "-t ext4 -N 256", "-b 1024 -J size=1"
    checked = base("ext4", "little_of_all", f"{ext4} {logged} -O ^resize_inode")
    unchecked = f"{ext4} {logged} -O ^metadata_csum,^64bit,uninit_bg,^resize_inode"
    found = {
        "ext4": Victim(checked, redo=False),
        "ext4-redone": Victim(checked, redo=True),
        "no-csum": Victim(base("no-csum", "little_of_all", unchecked)),
        "ext2": Victim(base("ext2", "little_of_all", "-t ext2 -b 1024 -N 256 -O ^resize_inode")),
        "inline": Victim(base("inline", "little_inline", f"{ext4} -b 4096 -O inline_data,^has_journal,^resize_inode")),
    }
    if not e2fs.cannot_mount():  # only a kernel leaves a journal that is worth replaying
        dirty = base("journal", "little_unplayed", f"{ext4} {logged} -O ^resize_inode", clean=False, dirty=True)
        found["journal"] = Victim(dirty, kinds=("journal", "journal-data"))
    return found
