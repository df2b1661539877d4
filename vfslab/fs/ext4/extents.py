"""Extent trees: on which disk blocks the blocks of a file lie.

    inode.i_block, 60 bytes                     one block of the filesystem
    ┌─────────┬───────┬───────┬─ ─ ─┐           ┌─────────┬────────┬────────┬─ ─ ─┬──────────┐
    │ header  │ index │ index │     │  ei_leaf  │ header  │ extent │ extent │     │ tail     │
    │ depth 1 │ 0     │ 1000  │     │──────────▶│ depth 0 │ 0 + 8  │ 8 + 90 │     │ checksum │
    └─────────┴───────┴───────┴─ ─ ─┘           └─────────┴────────┴────────┴─ ─ ─┴──────────┘

An extent is a run: so many file blocks from ee_block on lie in one piece on the disk. Up to four of
them fit into the inode; then the tree grows a level, up to five. Nodes of depth 0 hold extents,
the others hold indexes, each the first file block below it. What no extent covers is a hole.

In memory i_block is EXT4_I(inode).i_data. A tree that lies in it altogether is decoded when the inode is
read, into i_extents (ext4_ext_check_inode). Of any other tree each leaf that was read is kept, holes and
all, in i_es_tree (extents_status.py, Linux's "extent status" tree). We only read, so neither goes stale.

Read it in this order: ext4_ext_map_blocks, which everybody calls; ext4_find_leaf, the way down;
ext4_ext_check, what a node must be to be believed.

Linux: fs/ext4/extents.c.   Chapter 3.
Left out: growing, splitting and shrinking the tree.

Always true of each node on the way down, before it is used
  X1  a node's depth is one less than its parent's: the way down ends after i_block's eh_depth steps
  X2  entries are sorted by file block and extents do not overlap
  X3  a node's first entry starts where its parent's index says, and no entry reaches past the next index
  X4  every block of an extent, and every node, is one that the file may own (block_validity.py)
  X5  with metadata_csum, a node that is a block has the checksum in its tail

An ee_len of 1 to 32768 is written data; above 32768 the extent is unwritten (its blocks are taken but
read as zeros) and 32768 blocks longer than it is. So exactly 32768 is written.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import NoReturn

from vfslab.fs.buffer import brelse, sb_bread
from vfslab.fs.ext4.block_validity import ext4_sb_block_valid
from vfslab.fs.ext4.ext4 import (
    EXT4_I,
    EXT4_MAP_HOLE,
    EXT4_MAP_MAPPED,
    EXT4_MAP_UNWRITTEN,
    EXT4_SB,
    Ext4EsTree,
    ext4_checksum_error,
    ext4_error,
    ext4_inode_csum_seed,
)
from vfslab.fs.ext4.extents_status import ext4_es_cache_leaf, ext4_es_lookup_extent
from vfslab.fs.ext4.format import (
    EXT4_EXT_MAGIC,
    EXT4_MAX_EXTENT_DEPTH,
    EXT_INIT_MAX_LEN,
    ext4_extent,
    ext4_extent_header,
    ext4_extent_idx,
    ext4_extent_tail,
)
from vfslab.include.buffer_head import BH_VERIFIED
from vfslab.include.fs import Inode
from vfslab.kernel.slab import kzalloc
from vfslab.lib.crc32c import crc32c

EXT_MAX_BLOCKS = 0xFFFFFFFF  # file block numbers have 32 bits; the last one is never a block: it serves as the end
HEADER, ENTRY = ext4_extent_header.size, ext4_extent.size  # an index is as long as an extent, 12 bytes
ONE_EXTENT = struct.pack("<4H", EXT4_EXT_MAGIC, 1, 4, 0)  # how the header of a root with a single extent begins

_read_header = ext4_extent_header.reader("eh_magic", "eh_entries", "eh_max", "eh_depth")
_read_extent = ext4_extent.reader("ee_block", "ee_len", "ee_start_hi", "ee_start_lo")
_read_tail = ext4_extent_tail.reader("et_checksum")
_each_extent = ext4_extent.each("ee_block", "ee_len", "ee_start_hi", "ee_start_lo")
_each_index = ext4_extent_idx.each("ei_block", "ei_leaf_lo", "ei_leaf_hi")

Run = tuple[int, int, int, int]  # first file block, blocks, first disk block, EXT4_MAP_*


def ext4_ext_map_blocks(inode: Inode, lblk: int) -> tuple[int, int, int]:
    """Return (EXT4_MAP_*, disk block, blocks) of what begins at file block lblk: an extent's rest, or a hole's.

    lblk is below EXT_MAX_BLOCKS; a hole's disk block is 0.
    """
    ei = inode._container
    if ei.i_extents is not None:  # the few runs of a tree that lies in the inode
        for start, length, pblk, state in ei.i_extents:
            if lblk < start:
                return EXT4_MAP_HOLE, 0, start - lblk
            if lblk < start + length:
                return state, pblk + lblk - start, start + length - lblk
        return EXT4_MAP_HOLE, 0, EXT_MAX_BLOCKS - lblk
    tree = ei.i_es_tree
    if tree is None:
        tree = ei.i_es_tree = kzalloc(Ext4EsTree)
    run = ext4_es_lookup_extent(tree, lblk)
    if run is None:
        first, end, runs = ext4_find_leaf(inode, lblk)
        ext4_es_cache_leaf(tree, first, end, with_holes(runs, first, end))
        run = ext4_es_lookup_extent(tree, lblk)  # found: what was put in covers all from first to end
    start, length, pblk, state = run
    skipped = lblk - start
    return state, 0 if state == EXT4_MAP_HOLE else pblk + skipped, length - skipped


def with_holes(runs: list[Run], first: int, end: int) -> list[Run]:
    """Return the runs with the holes between them, so that together they cover all from first to end."""
    covered, at = [], first
    for run in runs:
        if run[0] > at:
            covered.append((at, run[0] - at, 0, EXT4_MAP_HOLE))
        covered.append(run)
        at = run[0] + run[1]
    if at < end:
        covered.append((at, end - at, 0, EXT4_MAP_HOLE))
    return covered


def ext4_find_leaf(inode: Inode, lblk: int) -> tuple[int, int, list[Run]]:
    """Return (first, end, runs) of the leaf that is in charge of lblk: it tells all from first up to end."""
    first, end, node, block = 0, EXT_MAX_BLOCKS, EXT4_I(inode).i_data, None
    entries, depth = ext4_ext_check(inode, node, None, None)
    while depth:
        starts, children = read_indexes(inode, node, entries, first, end, block)
        place = bisect_right(starts, lblk) - 1
        if place < 0:
            return 0, starts[0], []  # a hole: only the root may begin after file block 0 (X3)
        if place + 1 < len(starts):
            end = starts[place + 1]
        first, block, depth = starts[place], children[place], depth - 1
        node, entries = read_extent_tree_block(inode, block, depth)
    return first, end, read_extents(inode, node, entries, first, end, block)


def read_extent_tree_block(inode: Inode, block: int, depth: int) -> tuple[bytes, int]:
    """Return (node, entries in it) of the node in a block, its header and checksum verified (X1, X5)."""
    bh = sb_bread(inode.i_sb, block)
    node = bytes(bh.b_data)  # a copy: the buffer is given back before the node is used
    try:
        entries, _ = ext4_ext_check(inode, node, depth, block)  # first: eh_max says where the checksum lies
        # The inode's number is part of the checksum: b_private tells for which one it was found right.
        if not bh.b_state & BH_VERIFIED or bh.b_private != inode.i_ino:
            ext4_extent_block_csum_verify(inode, node, block)
            bh.b_state |= BH_VERIFIED
            bh.b_private = inode.i_ino
    finally:
        brelse(bh)
    return node, entries


def ext4_ext_check(inode: Inode, node: bytes, depth: int | None, block: int | None) -> tuple[int, int]:
    """Return (entries, depth) of a node whose header can be believed (X1); EFSCORRUPTED if it cannot.

    depth is what the parent demands; None for the root, which says it itself.
    """
    magic, entries, room, found = _read_header(node, 0)
    if magic != EXT4_EXT_MAGIC:
        bad_node(inode, "invalid magic", block)
    if found > EXT4_MAX_EXTENT_DEPTH:
        bad_node(inode, f"too large eh_depth {found}", block)
    if depth is not None and found != depth:
        bad_node(inode, f"unexpected eh_depth {found}, not {depth}", block)
    if not 0 < room <= (len(node) - HEADER) // ENTRY:
        bad_node(inode, f"invalid eh_max {room}", block)
    if entries > room:
        bad_node(inode, f"invalid eh_entries {entries} of {room}", block)
    if found and not entries:
        bad_node(inode, "eh_entries is 0 but eh_depth is > 0", block)
    return entries, found


def bad_node(inode: Inode, why: str, block: int | None) -> NoReturn:
    """Raise EFSCORRUPTED for a node of the tree; block None is the inode itself.

    The log names ext4_ext_check, as Linux's does, whichever function of this file found it.
    """
    ext4_error(inode.i_sb, "ext4_ext_check", f"bad extent tree: {why}", inode.i_ino, block)


def ext4_extent_block_csum_verify(inode: Inode, node: bytes, block: int) -> None:
    """Raise EFSBADCRC if the checksum behind the last possible entry is wrong (X5)."""
    if not EXT4_SB(inode.i_sb).s_metadata_csum:
        return
    _, _, room, _ = _read_header(node, 0)
    tail = HEADER + ENTRY * room  # four bytes at least are left there: 12 does not divide a block
    if crc32c(ext4_inode_csum_seed(inode), node[:tail]) != _read_tail(node, tail)[0]:
        ext4_checksum_error(inode.i_sb, "ext4_find_extent", "extent tree checksum is wrong", inode.i_ino, block)


def read_indexes(
    inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None
) -> tuple[list[int], list[int]]:
    """Return (first file blocks, nodes) of an inner node's entries, in order (X2, X3, X4); EFSCORRUPTED if they lie.

    The parent gives file blocks first to end - 1 into this node's charge; block None is the root.
    """
    sbi, ino = EXT4_SB(inode.i_sb), inode.i_ino
    starts, children, floor = [], [], first
    for start, low, high in _each_index(node[HEADER : HEADER + ENTRY * entries]):
        if start < floor or start >= end:
            bad_node(inode, f"invalid index entries (file block {start})", block)
        if block is not None and not starts and start != first:
            bad_node(inode, f"the node starts at file block {start}, its index at {first}", block)
        child = high << 32 | low
        if not ext4_sb_block_valid(sbi, ino, child, 1):
            bad_node(inode, f"the node below file block {start} lies where no file may (disk block {child})", block)
        starts.append(start)
        children.append(child)
        floor = start + 1
    return starts, children


def read_extents(inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None) -> list[Run]:
    """Return a leaf's extents as runs, in order (X2, X3, X4); first, end and block as for read_indexes."""
    sbi, ino = EXT4_SB(inode.i_sb), inode.i_ino
    runs, floor = [], first
    for start, length, high, low in _each_extent(node[HEADER : HEADER + ENTRY * entries]):
        state = EXT4_MAP_MAPPED
        if length > EXT_INIT_MAX_LEN:
            length, state = length - EXT_INIT_MAX_LEN, EXT4_MAP_UNWRITTEN
        pblk = high << 32 | low
        if not length or start < floor or start + length > end:
            bad_node(inode, f"invalid extent entries (file block {start}, {length} blocks)", block)
        if block is not None and not runs and start != first:
            bad_node(inode, f"the leaf starts at file block {start}, its index at {first}", block)
        if not ext4_sb_block_valid(sbi, ino, pblk, length):
            bad_node(inode, f"file block {start} lies where no file may (disk block {pblk}, {length} blocks)", block)
        runs.append((start, length, pblk, state))
        floor = start + length
    return runs


def ext4_ext_check_inode(inode: Inode, root: bytes) -> tuple[Run, ...] | None:
    """Check the root of a tree as it comes from the disk; return its runs if it is all there is, else None."""
    if root.startswith(ONE_EXTENT):  # what most files have is checked here, without detours
        start, length, high, low = _read_extent(root, HEADER)
        pblk = high << 32 | low
        if 0 < length <= EXT_INIT_MAX_LEN and start + length <= EXT_MAX_BLOCKS:
            if ext4_sb_block_valid(inode.i_sb.s_fs_info, inode.i_ino, pblk, length):
                return ((start, length, pblk, EXT4_MAP_MAPPED),)
    entries, depth = ext4_ext_check(inode, root, None, None)
    if depth:
        read_indexes(inode, root, entries, 0, EXT_MAX_BLOCKS, None)
        return None
    return tuple(read_extents(inode, root, entries, 0, EXT_MAX_BLOCKS, None))
