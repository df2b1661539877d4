"""Functions as they are after an early step, before a later step asks for them again. The last form is the package's."""

# ruff: noqa: F811  (the same function comes again, a step later)

from vfslab.fs.ext4.ext4 import EXT4_I, EXT4_MAP_HOLE, EXT4_MAP_MAPPED, EXT4_MAP_UNWRITTEN
from vfslab.fs.ext4.extents import (
    ENTRY,
    EXT_MAX_BLOCKS,
    HEADER,
    Run,
    _each_extent,
    _each_index,
    _read_header,
    bad_node,
    ext4_find_leaf,
)
from vfslab.fs.ext4.format import EXT4_EXT_MAGIC, EXT_INIT_MAX_LEN
from vfslab.include.fs import Inode

# step 1


def ext4_ext_check(inode: Inode, node: bytes, depth: int | None, block: int | None) -> tuple[int, int]:
    """Return (entries, depth) from the header of a node; bad_node(inode, why, block) if it does not have the mark.

    depth: step 6 needs it.
    """
    magic, entries, room, found = _read_header(node, 0)
    if magic != EXT4_EXT_MAGIC:
        bad_node(inode, "invalid magic", block)
    return entries, found


def read_extents(inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None) -> list[Run]:
    """Return a leaf's extents as runs, in order: (first file block, blocks, first disk block, EXT4_MAP_MAPPED).

    first, end and block: step 6 needs them.
    """
    runs = []
    for start, length, high, low in _each_extent(node[HEADER : HEADER + ENTRY * entries]):
        runs.append((start, length, high << 32 | low, EXT4_MAP_MAPPED))
    return runs


# step 2


def ext4_ext_map_blocks(inode: Inode, lblk: int) -> tuple[int, int, int]:
    """Return (EXT4_MAP_*, disk block, blocks) of what begins at file block lblk: an extent's rest, or a hole's.

    lblk is below EXT_MAX_BLOCKS; a hole's disk block is 0. The runs are in EXT4_I(inode).i_extents.
    """
    for start, length, pblk, state in EXT4_I(inode).i_extents:
        if lblk < start:
            return EXT4_MAP_HOLE, 0, start - lblk
        if lblk < start + length:
            return state, pblk + lblk - start, start + length - lblk
    return EXT4_MAP_HOLE, 0, EXT_MAX_BLOCKS - lblk


# step 3


def read_extents(inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None) -> list[Run]:
    """Return a leaf's extents as runs, in order: (first file block, blocks, first disk block, EXT4_MAP_*).

    first, end and block: step 6 needs them.
    """
    runs = []
    for start, length, high, low in _each_extent(node[HEADER : HEADER + ENTRY * entries]):
        state = EXT4_MAP_MAPPED
        if length > EXT_INIT_MAX_LEN:
            length, state = length - EXT_INIT_MAX_LEN, EXT4_MAP_UNWRITTEN
        runs.append((start, length, high << 32 | low, state))
    return runs


# step 4


def read_indexes(
    inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None
) -> tuple[list[int], list[int]]:
    """Return (first file blocks, nodes) of an inner node's entries, in order.

    first, end and block: step 6 needs them.
    """
    starts, children = [], []
    for start, low, high in _each_index(node[HEADER : HEADER + ENTRY * entries]):
        starts.append(start)
        children.append(high << 32 | low)
    return starts, children


def ext4_ext_map_blocks(inode: Inode, lblk: int) -> tuple[int, int, int]:
    """Return (EXT4_MAP_*, disk block, blocks) of what begins at file block lblk: an extent's rest, or a hole's.

    lblk is below EXT_MAX_BLOCKS; a hole's disk block is 0. EXT4_I(inode).i_extents is None if the tree has leaves of its own.
    """
    runs, end = EXT4_I(inode).i_extents, EXT_MAX_BLOCKS
    if runs is None:
        _first, end, runs = ext4_find_leaf(inode, lblk)
    for start, length, pblk, state in runs:
        if lblk < start:
            return EXT4_MAP_HOLE, 0, start - lblk
        if lblk < start + length:
            return state, pblk + lblk - start, start + length - lblk
    return EXT4_MAP_HOLE, 0, end - lblk
