"""Indirect blocks: how ext2 and ext3 map a file, block by block.

    i_block   0 ... 11   the first 12 blocks of the file
              12  ──▶ [ numbers of p blocks ]                        p = block size / 4
              13  ──▶ [ ──▶ [ numbers ] ... ]                        p * p blocks
              14  ──▶ [ ──▶ [ ──▶ [ numbers ] ... ] ... ]            p * p * p blocks

A number of 0 is a hole: of one block where a data block would stand, of all that lies below where a
table would stand. Runs are found by comparing neighbours; they end at the latest with their table.

Linux: fs/ext4/indirect.c.   Chapter 3.
Left out: allocation, truncation.

Always true
  I1  at most three tables are read for one look-up, whatever the numbers say
  I2  every table and every block is one that the file may own (block_validity.py)
"""

from __future__ import annotations

import struct

from vfslab.fs.buffer import brelse, sb_bread
from vfslab.fs.ext4.block_validity import ext4_inode_block_valid
from vfslab.fs.ext4.ext4 import EXT4_I, EXT4_MAP_HOLE, EXT4_MAP_MAPPED, ext4_error, ext4_warning
from vfslab.fs.ext4.format import EXT4_IND_BLOCK, EXT4_N_BLOCKS, EXT4_NDIR_BLOCKS
from vfslab.include.fs import Inode
from vfslab.kernel.errno import EIO

_i_block = struct.Struct(f"<{EXT4_N_BLOCKS}I").unpack


def ext4_block_to_path(inode: Inode, lblk: int) -> list[int]:
    """Return the way to file block lblk: the place in i_block, then one in each table. EIO beyond the last table."""
    bits = inode.i_blkbits - 2  # a table holds 1 << bits numbers
    if lblk < EXT4_NDIR_BLOCKS:
        return [lblk]
    left = lblk - EXT4_NDIR_BLOCKS
    for level in (1, 2, 3):
        if left < 1 << bits * level:
            mask = (1 << bits) - 1
            return [EXT4_IND_BLOCK + level - 1] + [left >> bits * step & mask for step in range(level - 1, -1, -1)]
        left -= 1 << bits * level
    ext4_warning(inode.i_sb, "ext4_block_to_path", f"file block {lblk} is beyond what can be mapped", inode.i_ino)
    raise EIO(lblk)


def ext4_ind_map_blocks(inode: Inode, lblk: int, max_blocks: int) -> tuple[int, int, int]:
    """Return (EXT4_MAP_*, disk block, blocks) of what begins at file block lblk.

    A run of data is counted up to max_blocks; a hole is as long as the table or subtree that is missing.
    """
    path = ext4_block_to_path(inode, lblk)
    numbers, place = _i_block(EXT4_I(inode).i_data), path[0]
    bits = inode.i_blkbits - 2
    for level in range(len(path) - 1, 0, -1):  # how many tables are still below
        table = numbers[place]
        if not table:
            below = 1 << bits * level
            inside = sum(step << bits * up for up, step in enumerate(reversed(path[-level:])))
            return EXT4_MAP_HOLE, 0, below - inside
        place = path[-level]
        numbers = read_table(inode, table)
    if len(path) == 1:
        numbers = numbers[:EXT4_NDIR_BLOCKS]
    return run_of(numbers, place, max_blocks)


def read_table(inode: Inode, block: int) -> tuple[int, ...]:
    """Return the numbers in an indirect block."""
    if not ext4_inode_block_valid(inode, block, 1):
        ext4_error(inode.i_sb, "ext4_get_branch", "an indirect block lies where no file may", inode.i_ino, block)
    bh = sb_bread(inode.i_sb, block)
    numbers = struct.unpack(f"<{len(bh.b_data) // 4}I", bh.b_data)
    brelse(bh)
    return numbers


def run_of(numbers: tuple[int, ...], place: int, max_blocks: int) -> tuple[int, int, int]:
    """Return what begins at one place of a table: zeros (a hole), or blocks that follow each other on the disk."""
    first, at = numbers[place], place + 1
    if not first:
        while at < len(numbers) and not numbers[at]:
            at += 1
        return EXT4_MAP_HOLE, 0, at - place
    end = min(len(numbers), place + max_blocks)
    while at < end and numbers[at] == first + at - place:
        at += 1
    return EXT4_MAP_MAPPED, first, at - place


def ext4_ind_check_inode(inode: Inode, root: bytes) -> None:
    """Raise EFSCORRUPTED if a number in i_block is no block that the file may own."""
    for block in _i_block(root):
        if block and not ext4_inode_block_valid(inode, block, 1):
            ext4_error(inode.i_sb, "ext4_check_blockref", "invalid block number in the inode", inode.i_ino, block)
