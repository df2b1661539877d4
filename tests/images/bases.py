"""Small images full of metadata, for the mutants of tests/mutate.py.

Where Linux cannot mount, mke2fs fills them from a directory: without hash trees, but enough to be damaged.
"""

import os
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


def base(name, fill, *options):
    """Return the specification of a base."""
    return Spec(f"base-{name}", options=options, fill=(fill,), filled="mke2fs" if e2fs.cannot_mount() else "kernel")


def bases():
    """Return {name: (specification, are checksums made good)}; None is half of the time."""
    small = ("-b", "1024", "-N", "256", "-J", "size=1")
    plain = "^resize_inode"  # its pointer blocks are read by nobody
    checked = base("ext4", "little_of_all", "-t", "ext4", "-O", plain, *small)
    return {
        "ext4": (checked, False),
        "ext4-redone": (checked, True),
        "no-csum": (
            base("no-csum", "little_of_all", "-t", "ext4", "-O", f"^metadata_csum,^64bit,uninit_bg,{plain}", *small),
            None,
        ),
        "ext2": (base("ext2", "little_of_all", "-t", "ext2", "-O", plain, "-b", "1024", "-N", "256"), None),
        "inline": (
            base(
                "inline",
                "little_inline",
                "-t",
                "ext4",
                "-b",
                "4096",
                "-O",
                f"inline_data,^has_journal,{plain}",
                "-N",
                "128",
            ),
            None,
        ),
    }
