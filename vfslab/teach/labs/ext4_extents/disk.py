"""Disks for a scene: a small ext4 whose files get the extent trees that the scene wants.

    disk = Disk(rng)
    disk.file("a", [(0, 3, 700, True), (5, 1, 90, False)])       two extents, the second one unwritten
    disk.file("b", disk.runs(40, gap=2), depth=2, room=8)         a tree of three levels
    disk.change(block, 6, b"\1\0"), disk.seal(block, "b")         damage, and a checksum that does not show it

The blank image is mke2fs's; trees are written into it by the layouts of fs/ext4/format.py, checksums and all. Every
block that a file may own is filled with its own number, so what was read tells where it was read: shown() says so.
The root directory of that image has no extents: it is found whatever the learner's functions do.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from random import Random
from typing import Any

from vfslab.data import blank_image
from vfslab.data.make_blank_image import NAMES
from vfslab.fs.ext4.format import (
    EXT4_EXT_MAGIC,
    I_BLOCK_OFFSET,
    I_BLOCK_SIZE,
    ext4_extent,
    ext4_extent_header,
    ext4_extent_idx,
    ext4_group_desc,
    ext4_inode,
    ext4_super_block,
)
from vfslab.lib.crc32c import crc32c

BLOCK = 1024
ENTRY = ext4_extent.size
ROOT_ROOM, NODE_ROOM = (I_BLOCK_SIZE - ENTRY) // ENTRY, (BLOCK - ENTRY) // ENTRY  # entries: 4 and 84
UNWRITTEN = 32768
FIRST_FILE = 12  # inode number of the file "a"; the others follow
LABEL = b"block %9d\n"  # 16 bytes, which fill a block 64 times
Run = tuple[int, int, int, bool]  # first file block, blocks, first disk block, written


@functools.lru_cache(1)
def labelled() -> bytes:
    """Return the blank image with its own number in every block that is free."""
    image = bytearray(blank_image())
    for block in free_blocks(image):
        image[block * BLOCK : (block + 1) * BLOCK] = LABEL % block * 64
    return bytes(image)


def free_blocks(image: bytes | bytearray) -> list[int]:
    """Return the blocks that no file and no structure has."""
    bitmap = ext4_group_desc(image, 2 * BLOCK).bg_block_bitmap * BLOCK
    count = len(image) // BLOCK - 1  # bit 0 is block 1
    return [1 + bit for bit in range(count) if not image[bitmap + bit // 8] >> bit % 8 & 1]


class Disk:
    """An image in the making. free: blocks that nobody has yet; nodes: {name: [(block, depth)]}, from the top down."""

    def __init__(self, rng: Random):
        self.rng = rng
        self.image = bytearray(labelled())
        self.free = set(free_blocks(self.image))
        self.nodes: dict[str, list[tuple[int, int]]] = {}
        self.superblock = ext4_super_block(self.image, BLOCK)

    # -- where ---------------------------------------------------------------------------------------

    def take(self, count: int = 1) -> int:
        """Return the first of so many free blocks in a row, somewhere on the disk; they are free no more."""
        while True:
            first = self.rng.randrange(20, len(self.image) // BLOCK - count)
            row = range(first, first + count)
            if self.free.issuperset(row):
                self.free.difference_update(row)
                return first

    def runs(self, count: int, gap: int = 0, longest: int = 5, start: int = 0, unwritten: float = 0.0) -> list[Run]:
        """Return so many runs in different places; between two of them a hole of up to gap blocks (often none)."""
        made, at, rng = [], start, self.rng
        for _ in range(count):
            length = rng.randint(1, longest)
            made.append((at, length, self.take(length), rng.random() >= unwritten))
            at += length + (rng.randint(1, gap) if gap and rng.random() < 0.6 else 0)
        return made

    def inode_at(self, name: str) -> int:
        """Return the byte at which a file's inode begins."""
        table = ext4_group_desc(self.image, 2 * BLOCK).bg_inode_table * BLOCK
        return table + (number(name) - 1) * self.superblock.s_inode_size

    def inode(self, name: str) -> ext4_inode:
        """Return a view of a file's inode: what is written into it lands on the disk. Then seal_inode()."""
        return ext4_inode(self.image, self.inode_at(name))

    # -- trees ----------------------------------------------------------------------------------------

    def file(
        self, name: str, runs: list[Run], depth: int = 0, room: int = 4, blocks: int | None = None, tail: int = 0
    ) -> str:
        """Give a file its extents; return its path.

        depth   levels below the root; room: how many entries each node on the way is filled with at the most
        blocks  the file's size, else up to the end of the last run; tail: bytes that its last block lacks
        """
        self.nodes[name] = []
        level = [(run[0], packed_extent(run)) for run in runs]
        for height in range(depth):
            level = [self.node(name, height, level[at : at + room]) for at in range(0, len(level), room)]
        assert len(level) <= ROOT_ROOM, f"{len(level)} entries in the root"
        self.nodes[name].sort(key=lambda node: -node[1])
        end = runs[-1][0] + runs[-1][1] if runs else 0
        self.root(name, packed_node(depth, [entry for _, entry in level], ROOT_ROOM, I_BLOCK_SIZE))
        self.size(name, (end if blocks is None else blocks) * BLOCK - tail)
        return f"/mnt/{name}"

    def node(self, name: str, depth: int, entries: list[tuple[int, bytes]]) -> tuple[int, bytes]:
        """Write a node into a block of its own; return (its first file block, the index that leads to it)."""
        block = self.take()
        self.write(block, packed_node(depth, [entry for _, entry in entries], NODE_ROOM, BLOCK))
        self.nodes[name].append((block, depth))
        self.seal(block, name)
        return entries[0][0], bytes(ext4_extent_idx.pack(ei_block=entries[0][0], ei_leaf=block))

    def write(self, block: int, data: bytes) -> None:
        """Write a whole block."""
        self.image[block * BLOCK : (block + 1) * BLOCK] = data

    def root(self, name: str, i_block: bytes) -> None:
        """Write a file's i_block."""
        self.inode(name).i_block = i_block
        self.seal_inode(name)

    def size(self, name: str, size: int) -> None:
        """Say how many bytes a file has."""
        inode = self.inode(name)
        inode.i_size_lo, inode.i_size_high = size & 0xFFFFFFFF, size >> 32
        self.seal_inode(name)

    # -- damage ------------------------------------------------------------------------------------------

    def change(self, block: int, offset: int, data: bytes) -> None:
        """Change some bytes of a block; its checksum stays what it was."""
        self.image[block * BLOCK + offset : block * BLOCK + offset + len(data)] = data

    def change_root(self, name: str, offset: int, data: bytes) -> None:
        """Change some bytes of a file's i_block; the inode's checksum is right again."""
        at = self.inode_at(name) + I_BLOCK_OFFSET + offset
        self.image[at : at + len(data)] = data
        self.seal_inode(name)

    def seal(self, block: int, name: str) -> None:
        """Write the right checksum behind the last entry that a node of this file has room for."""
        at = block * BLOCK
        tail = at + ENTRY + ENTRY * ext4_extent_header(self.image, at).eh_max
        if tail + 4 <= at + BLOCK:
            checksum = crc32c(self.seed(name), bytes(self.image[at:tail]))
            self.image[tail : tail + 4] = checksum.to_bytes(4, "little")

    def seal_inode(self, name: str) -> None:
        """Write the right checksum into a file's inode."""
        inode = self.inode(name)
        inode.l_i_checksum_lo = inode.i_checksum_hi = 0
        at = self.inode_at(name)
        checksum = crc32c(self.seed(name), bytes(self.image[at : at + self.superblock.s_inode_size]))
        inode.l_i_checksum_lo, inode.i_checksum_hi = checksum & 0xFFFF, checksum >> 16

    def seed(self, name: str) -> int:
        """Return where the checksums of a file's inode and nodes start."""
        start = crc32c(0xFFFFFFFF, bytes(self.superblock.s_uuid))
        generation = self.inode(name).i_generation
        return crc32c(start, number(name).to_bytes(4, "little") + generation.to_bytes(4, "little"))


def number(name: str) -> int:
    """Return a file's inode number."""
    return FIRST_FILE + NAMES.index(name)


def packed_extent(run: Run) -> bytes:
    """Return the 12 bytes of an extent."""
    start, length, block, written = run
    return bytes(ext4_extent.pack(ee_block=start, ee_len=length + (0 if written else UNWRITTEN), ee_start=block))


def packed_node(depth: int, entries: list[bytes], room: int, size: int) -> bytes:
    """Return a node: header, entries, zeros."""
    header = ext4_extent_header.pack(eh_magic=EXT4_EXT_MAGIC, eh_entries=len(entries), eh_max=room, eh_depth=depth)
    node = bytes(header) + b"".join(entries)
    return node + bytes(size - len(node))


# --- telling ------------------------------------------------------------------------------------------


def shown(data: bytes, first: int = 0) -> list[str]:
    """Return which disk blocks the content of a file comes from: ["0 to 2: disk blocks 700 to 702", "3: zeros"].

    first is the file block at which data begins.
    """
    found = [block_of(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
    return [words(first + start, count, what) for start, count, what in joined(found)]


def block_of(piece: bytes) -> int | str:
    """Return the number of the disk block that a piece of a file comes from; else what it is."""
    if not any(piece):
        return "zeros"
    try:
        block = int(piece[6:15])
    except ValueError:
        return "something else"
    return block if (LABEL % block * BLOCK)[: len(piece)] == piece else "something else"


def joined(found: list[int | str]) -> Iterator[tuple[int, int, int | str]]:
    """Yield (first, count, what) of what goes on in the same way."""
    start = 0
    for place in range(1, len(found) + 1):
        before = found[place - 1]
        follows = before + 1 if isinstance(before, int) else before
        if place == len(found) or found[place] != follows:
            yield start, place - start, found[start]
            start = place


def words(start: int, count: int, what: Any) -> str:
    """Return one line about a run of file blocks."""
    place = span(start, count)
    if isinstance(what, str):
        return f"{place}: {what}"
    return f"{place}: disk block{'s' * (count > 1)} {span(what, count)}"


def span(start: int, count: int) -> str:
    return f"{start} to {start + count - 1}" if count > 1 else str(start)


def told_runs(runs: list[Run]) -> str:
    """Return a few runs in words, for the line that names a problem."""
    each = (f"{start}+{length} at {block}{'' if written else ' unwritten'}" for start, length, block, written in runs)
    return ", ".join(each) or "no extent"
