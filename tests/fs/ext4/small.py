"""Small images for the tests of this folder, changed through the layouts that the reader declares."""

import os
from contextlib import contextmanager
from functools import cache

from tests import oracle
from tests.images import e2fs
from vfslab.fs.ext4.format import (
    SUPERBLOCK_OFFSET,
    ext4_group_desc,
    ext4_inode,
    ext4_super_block,
)


@cache
def made(options, requests, size="1M"):
    """Return the bytes of an image made by mke2fs and then debugfs, cached."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "small.img")
        e2fs.mke2fs(path, size, *options.split())
        if requests:
            e2fs.debugfs(path, requests)
        with open(path, "rb") as file:
            return file.read()


def image(options, requests="", size="1M"):
    """Return a fresh bytearray of such an image."""
    return bytearray(made(options, requests, size))


def superblock(data):
    """Return a view of the superblock."""
    return ext4_super_block(data, SUPERBLOCK_OFFSET)


def block_size(data):
    """Return the bytes of a block."""
    return 1024 << superblock(data).s_log_block_size


def inode_at(data, ino):
    """Return the byte where inode ino lies (one group, descriptors behind the superblock)."""
    es = superblock(data)
    size = block_size(data)
    desc = ext4_group_desc(data, (es.s_first_data_block + 1) * size)
    return desc.bg_inode_table_lo * size + (ino - 1) * es.s_inode_size


def inode(data, ino):
    """Return a view of inode ino."""
    return ext4_inode(data, inode_at(data, ino))


@contextmanager
def mounted(data, options="ro"):
    """Yield (p, kernel log as a list of texts that grows) with the image mounted on /mnt."""
    import vfslab

    with vfslab.boot() as kernel:
        kernel.attach("vda", bytes(data), read_only=True)
        p = kernel.process(uid=0, gid=0)
        p.mkdir("/mnt")
        p.mount("/dev/vda", "/mnt", "ext4", options)
        yield p, Log(kernel)
        p.umount("/mnt")


class Log:
    """What the kernel has logged so far."""

    def __init__(self, kernel):
        self.kernel = kernel

    def __contains__(self, text):
        return any(text in line for line in self.lines())

    def lines(self):
        """Return the texts."""
        kernel = self.kernel if hasattr(self.kernel, "log") else self.kernel.kernel
        return [entry[1] if isinstance(entry, tuple) else entry for entry in kernel.log]


def read(p, path, size=1 << 20):
    """Return a file's bytes."""
    fd = p.open(path, os.O_RDONLY)
    try:
        return p.pread(fd, size, 0)
    finally:
        p.close(fd)


__all__ = ["block_size", "image", "inode", "inode_at", "made", "mounted", "oracle", "read", "superblock"]
