"""Where a file's blocks lie: extent trees and indirect blocks, followed with a limit.

    runs(disk, inode bytes, Budget) ─▶ Run(first file block, count, first disk block, what)

A tree that bites its own tail, goes too deep or leads nowhere ends with a line in `problems`, never in a loop.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from vfslab.fs.ext4.format import (
    EXT4_EXT_MAGIC,
    EXT4_EXTENTS_FL,
    EXT4_INLINE_DATA_FL,
    EXT4_MAX_EXTENT_DEPTH,
    EXT4_NDIR_BLOCKS,
    EXT_INIT_MAX_LEN,
    I_BLOCK_OFFSET,
    I_BLOCK_SIZE,
    ext4_extent,
    ext4_extent_header,
    ext4_extent_idx,
)
from vfslab.include.uapi.stat import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG
from vfslab.tools.image import ImageError

_read_header = ext4_extent_header.reader("eh_magic", "eh_entries", "eh_max", "eh_depth")
_each_extent = ext4_extent.each("ee_block", "ee_len", "ee_start_hi", "ee_start_lo")
_each_index = ext4_extent_idx.each("ei_block", "ei_leaf_lo", "ei_leaf_hi")
ENTRY = ext4_extent_header.size
MOST_WAITING = 200_000
INDIRECT = ("indirect block", "double-indirect block", "triple-indirect block")


class Run(NamedTuple):
    """count blocks from disk on hold the file from block logical on; what: "data", "unwritten" or a kind of node."""

    logical: int
    count: int
    disk: int
    what: str


@dataclasses.dataclass
class Budget:
    """How many inodes and blocks may still be read for one answer. spent: the limit ended it before its end."""

    left: int
    spent: bool = False
    problems: list[str] = dataclasses.field(default_factory=list)

    def take(self, amount: int = 1) -> bool:
        """Return whether there is enough left, and take it."""
        if self.left < amount:
            self.spent = True
            return False
        self.left -= amount
        return True


class Node(NamedTuple):
    """A node of an extent tree as it lies on the disk; problem: why it is not (wholly) one."""

    depth: int
    entries: int
    room: int
    extents: list[tuple[int, int, int, bool]]  # first file block, blocks, first disk block, unwritten
    indexes: list[tuple[int, int]]  # first file block, block of the node below
    problem: str


def read_node(data: bytes) -> Node:
    """Return the node that data holds, from its first byte on."""
    magic, entries, room, depth = _read_header(data, 0)
    fits = len(data) // ENTRY - 1
    problem = ""
    if magic != EXT4_EXT_MAGIC:
        return Node(0, 0, 0, [], [], f"eh_magic is {magic:#06x}, not 0xf30a: no node of an extent tree")
    if entries > fits or entries > room or room > fits:
        problem = f"eh_entries {entries}, eh_max {room}: there is room for {fits}"
    if depth > EXT4_MAX_EXTENT_DEPTH:
        return Node(depth, entries, room, [], [], f"eh_depth is {depth}, at most {EXT4_MAX_EXTENT_DEPTH} is possible")
    body = data[ENTRY : ENTRY * (1 + min(entries, fits))]
    if depth:
        indexes = [(block, low | high << 32) for block, low, high in _each_index(body)]
        return Node(depth, entries, room, [], indexes, problem)
    extents = [
        (block, count - EXT_INIT_MAX_LEN, low | high << 32, True)
        if count > EXT_INIT_MAX_LEN
        else (block, count, low | high << 32, False)
        for block, count, high, low in _each_extent(body)
    ]
    return Node(depth, entries, room, extents, [], problem)


def is_mapped(mode: int, flags: int, size: int) -> bool:
    """True if i_block of such an inode leads to blocks: not a device, nor inline data, nor a short symlink."""
    if flags & EXT4_INLINE_DATA_FL:
        return False
    kind = mode & S_IFMT
    if kind == S_IFLNK:
        return bool(flags & EXT4_EXTENTS_FL) or size >= I_BLOCK_SIZE
    return kind in (S_IFREG, S_IFDIR, 0)


def runs(disk: Any, view: Any, budget: Budget) -> Iterator[Run]:
    """Yield the runs of an inode in the order of the file, each node before what hangs below it."""
    if is_mapped(view.i_mode, view.i_flags, view.i_size):
        yield from runs_of(disk, bytes(view.i_block), view.i_flags, budget)


def runs_of(disk: Any, i_block: bytes, flags: int, budget: Budget) -> Iterator[Run]:
    """Yield the runs that 60 bytes of i_block lead to."""
    if flags & EXT4_EXTENTS_FL:
        yield from tree_runs(disk, i_block, budget)
    else:
        yield from merged(table_runs(disk, i_block, budget))


def tree_runs(disk: Any, i_block: bytes, budget: Budget) -> Iterator[Run]:
    """Yield the runs of an extent tree, depth first."""
    waiting: list[tuple[int, int, int]] = []  # block of a node, its depth as the parent says, its first file block
    seen: set[int] = set()
    node, block, depth = read_node(i_block), 0, -1
    while True:
        if node.problem:
            budget.problems.append(node.problem if depth < 0 else f"block {block}: {node.problem}")
        for logical, count, start, unwritten in node.extents:
            if count:
                yield Run(logical, count, start, "unwritten" if unwritten else "data")
        waiting += [(below, node.depth - 1, logical) for logical, below in reversed(node.indexes)]
        budget.left -= len(waiting) > MOST_WAITING and budget.left  # only a damaged tree is so wide
        node = Node(0, 0, 0, [], [], "")
        if not waiting:
            return
        block, depth, logical = waiting.pop()
        if not budget.take():
            return
        yield Run(logical, 1, block, "node")
        if block in seen:
            budget.problems.append(f"block {block} is a node of the tree twice")
            continue
        seen.add(block)
        try:
            node = read_node(disk.block(block))
        except ImageError as error:
            budget.problems.append(f"node in block {block}: {error}")
            continue
        if node.depth != depth and not node.problem:
            budget.problems.append(f"block {block}: eh_depth is {node.depth}, not {depth}")
            node = node._replace(indexes=[])


def table_runs(disk: Any, i_block: bytes, budget: Budget) -> Iterator[Run]:
    """Yield the blocks of an old map one by one, tables before what they hold."""
    numbers = struct.unpack("<15I", i_block)
    for logical in range(EXT4_NDIR_BLOCKS):
        if numbers[logical]:
            yield Run(logical, 1, numbers[logical], "data")
    per_table = disk.block_size // 4
    logical, seen = EXT4_NDIR_BLOCKS, set[int]()
    for level in range(3):
        if numbers[EXT4_NDIR_BLOCKS + level]:
            yield from below(disk, numbers[EXT4_NDIR_BLOCKS + level], level, logical, budget, seen)
        logical += per_table ** (level + 1)


def below(disk: Any, block: int, level: int, logical: int, budget: Budget, seen: set[int]) -> Iterator[Run]:
    """Yield one table and all that hangs below it; level 0 holds blocks of data."""
    if not budget.take():
        return
    yield Run(logical, 1, block, INDIRECT[level])
    if block in seen:
        budget.problems.append(f"block {block} is a table of this file twice")
        return
    seen.add(block)
    try:
        data = disk.block(block)
    except ImageError as error:
        budget.problems.append(f"table in block {block}: {error}")
        return
    if not any(data):
        return
    step = (disk.block_size // 4) ** level
    for place, number in enumerate(struct.unpack(f"<{len(data) // 4}I", data)):
        if number and level:
            yield from below(disk, number, level - 1, logical + place * step, budget, seen)
            if budget.spent:
                return
        elif number:
            yield Run(logical + place, 1, number, "data")


def merged(single: Iterator[Run]) -> Iterator[Run]:
    """Yield blocks that follow each other in the file and on the disk as one run."""
    last: Run | None = None
    for run in single:
        if last and run.what == last.what == "data":
            if (run.logical, run.disk) == (last.logical + last.count, last.disk + last.count):
                last = last._replace(count=last.count + 1)
                continue
        if last:
            yield last
        last = run
    if last:
        yield last


def place_of(found: list[Run], logical: int) -> int:
    """Return the disk block of a file block, 0 for a hole."""
    for run in found:
        if run.what in ("data", "unwritten") and run.logical <= logical < run.logical + run.count:
            return run.disk + logical - run.logical
    return 0


def i_block_of(view: Any) -> bytes:
    """Return the 60 bytes of i_block."""
    return bytes(view.buffer[view.offset + I_BLOCK_OFFSET : view.offset + I_BLOCK_OFFSET + I_BLOCK_SIZE])
