"""The blocks of one inode: every node of its extent tree, or every table of its indirect blocks.

The nodes are read by the functions that reading a file uses, so they must be what those demand (X1 to X5 of
extents.py). What is more here: the whole tree is walked, not the way to one block, and what could not
be followed does not end the walk.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from vfslab.fs.ext4.block_validity import ext4_inode_block_valid
from vfslab.fs.ext4.ext4 import EXT4_I, EXT4_MAP_MAPPED
from vfslab.fs.ext4.extents import (
    EXT_MAX_BLOCKS,
    ext4_ext_check,
    read_extent_tree_block,
    read_extents,
    read_indexes,
)
from vfslab.fs.ext4.format import EXT4_DIND_BLOCK, EXT4_EXTENTS_FL, EXT4_IND_BLOCK, EXT4_N_BLOCKS, EXT4_NDIR_BLOCKS
from vfslab.fs.ext4.fsck.state import Fsck
from vfslab.fs.ext4.indirect import read_table
from vfslab.include.fs import Inode
from vfslab.kernel.errno import KernelError

_i_block = struct.Struct(f"<{EXT4_N_BLOCKS}I").unpack

Run = tuple[int, int, int]  # first file block, blocks, first disk block


def check_map(fsck: Fsck, inode: Inode, keep: bool) -> tuple[list[Run], int]:
    """Claim all blocks of an inode; return (runs of written blocks if they are to be kept, end of the last one)."""
    walk = extent_runs if EXT4_I(inode).i_flags & EXT4_EXTENTS_FL else indirect_runs
    kept, end = [], 0
    for lblk, count, pblk, written in walk(fsck, inode):
        if not fsck.claim(inode.i_ino, pblk, count):
            continue
        if written:
            end = max(end, lblk + count)
            if keep:
                kept.append((lblk, count, pblk))
    return kept, end


def extent_runs(fsck: Fsck, inode: Inode) -> Iterator[tuple[int, int, int, bool]]:
    """Yield (file block, blocks, disk block, written) of all extents; nodes are claimed, what is wrong is reported."""
    root = EXT4_I(inode).i_data
    stack: list[tuple] = [(None, None, 0, EXT_MAX_BLOCKS)]  # (block or None for the root, depth, first, end)
    while stack:
        block, depth, first, end = stack.pop()
        try:
            if block is None:
                node = root
                entries, depth = ext4_ext_check(inode, root, None, None)
            else:
                node, entries = read_extent_tree_block(inode, block, depth)
                if not fsck.claim(inode.i_ino, block, 1):
                    continue
            if depth:
                starts, children = read_indexes(inode, node, entries, first, end, block)
                ends = [*starts[1:], end]
                below = zip(children, [depth - 1] * len(starts), starts, ends, strict=True)
                stack += reversed(list(below))
                continue
            runs = read_extents(inode, node, entries, first, end, block)
        except KernelError as error:
            fsck.failed(inode.i_ino, error)
            fsck.lost = True
            continue
        for lblk, count, pblk, state in runs:
            yield lblk, count, pblk, state == EXT4_MAP_MAPPED


def indirect_runs(fsck: Fsck, inode: Inode) -> Iterator[tuple[int, int, int, bool]]:
    """Yield the same of a file mapped by indirect blocks; the tables are claimed."""
    numbers, bits = _i_block(EXT4_I(inode).i_data), inode.i_blkbits - 2
    yield from table_runs(fsck, inode, numbers[:EXT4_NDIR_BLOCKS], 0)
    base, stack = EXT4_NDIR_BLOCKS, []
    for level in (1, 2, 3):
        stack.append((numbers[EXT4_IND_BLOCK + level - 1], level, base))
        base += 1 << bits * level
    stack.reverse()
    while stack:
        block, level, base = stack.pop()
        if not block:
            continue
        try:
            table = read_table(inode, block)
        except KernelError as error:
            fsck.failed(inode.i_ino, error)
            fsck.lost = True
            continue
        if not fsck.claim(inode.i_ino, block, 1):
            continue
        if level == 1:
            yield from table_runs(fsck, inode, table, base)
        else:
            step = 1 << bits * (level - 1)
            stack += [(child, level - 1, base + place * step) for place, child in enumerate(table) if child][::-1]


def table_runs(fsck: Fsck, inode: Inode, numbers: tuple[int, ...], base: int) -> Iterator[tuple[int, int, int, bool]]:
    """Yield the runs that the numbers of one table make up, if the file may own them."""
    at, end = 0, len(numbers)
    while at < end:
        first, start = numbers[at], at
        at += 1
        if not first:
            continue
        while at < end and numbers[at] == first + at - start:
            at += 1
        if ext4_inode_block_valid(inode, first, at - start):
            yield base + start, at - start, first, True
        else:
            blocks = f"{first}-{first + at - start - 1}" if at - start > 1 else f"{first}"
            fsck.report(f"inode {inode.i_ino}: file block {base + start} lies where no file may (block {blocks})")
            fsck.lost = True


def check_resize_inode(fsck: Fsck, inode: Inode) -> None:
    """Claim the one block that the inode for growing owns; what its table names belongs to the descriptors."""
    block = _i_block(EXT4_I(inode).i_data)[EXT4_DIND_BLOCK]
    if not block:
        return
    try:
        table = read_table(inode, block)
    except KernelError as error:
        fsck.failed(inode.i_ino, error)
        fsck.lost = True
        return
    fsck.claim(inode.i_ino, block, 1)
    for child in filter(None, table):
        if not fsck.is_system(child):
            fsck.report(f"inode {inode.i_ino}: block {child} should be one kept for growing, but is none")
            return
