"""Checksums of ext4's metadata, recomputed: each function returns (stored, computed), or None if there is none to check.

    superblock, descriptor, bitmaps, inode, extent node, directory block, hash-tree block, attribute block

All are crc32c over the bytes with the checksum's own member left out or zero; what a block belongs to (the volume,
the inode and its generation) goes in first, so that a block in the wrong place has a wrong checksum too.
"""

from __future__ import annotations

from typing import Any

from vfslab.fs.ext4.format import (
    EXT4_FT_DIR_CSUM,
    ext4_dir_entry_tail,
    ext4_group_desc,
    ext4_inode,
    ext4_super_block,
    ext4_xattr_header,
)
from vfslab.lib.crc16 import crc16
from vfslab.lib.crc32c import crc32c
from vfslab.teach.explorer.maps import read_node

Pair = tuple[int, int] | None

DESC_AT = ext4_group_desc.bg_checksum.offset
SUPER_AT = ext4_super_block.s_checksum.offset
INODE_LO, INODE_HI = ext4_inode.l_i_checksum_lo.offset, ext4_inode.i_checksum_hi.offset
XATTR_AT = ext4_xattr_header.h_checksum.offset


def superblock(disk: Any, data: bytes) -> Pair:
    """Check the 1024 bytes of a superblock or of a copy of it."""
    sb = ext4_super_block(data)
    return (sb.s_checksum, crc32c(~0, data[:SUPER_AT])) if disk.has_csum else None


def descriptor(disk: Any, group: int, data: bytes) -> Pair:
    """Check a group descriptor of s_desc_size bytes."""
    if not disk.has_group_csum:
        return None
    number, stored = group.to_bytes(4, "little"), int.from_bytes(data[DESC_AT : DESC_AT + 2], "little")
    if disk.has_csum:
        whole = number + data[:DESC_AT] + b"\0\0" + data[DESC_AT + 2 :]
        return stored, crc32c(disk.csum_seed, whole) & 0xFFFF
    return stored, crc16(crc16(~0, disk.sb.s_uuid), number + data[:DESC_AT] + data[DESC_AT + 2 :])


def bitmap(disk: Any, expected: int, data: bytes, bits: int) -> Pair:
    """Check a bitmap of so many bits against what the descriptor holds; short descriptors hold 16 bits of it."""
    if not disk.has_csum:
        return None
    mask = 0xFFFFFFFF if disk.desc_size >= 64 else 0xFFFF
    return expected & mask, crc32c(disk.csum_seed, data[: bits // 8]) & mask


def seed_of(disk: Any, ino: int, generation: int) -> int:
    """Return where the checksums of an inode and of its blocks begin."""
    return crc32c(disk.csum_seed, ino.to_bytes(4, "little") + generation.to_bytes(4, "little"))


def inode(disk: Any, ino: int, data: bytes) -> Pair:
    """Check an inode of s_inode_size bytes."""
    if not disk.has_csum:
        return None
    view = ext4_inode(data)
    covered, long = bytearray(data), len(data) > 130 and view.i_extra_isize >= INODE_HI + 2 - 128
    covered[INODE_LO : INODE_LO + 2] = b"\0\0"
    stored = view.l_i_checksum_lo
    if long:
        covered[INODE_HI : INODE_HI + 2] = b"\0\0"
        stored |= view.i_checksum_hi << 16
    crc = crc32c(seed_of(disk, ino, view.i_generation), covered)
    return stored, crc if long else crc & 0xFFFF


def extent_node(disk: Any, ino: int, generation: int, data: bytes) -> Pair:
    """Check a block that is a node of an extent tree."""
    tail = 12 * (1 + read_node(data).room)
    if not disk.has_csum or tail + 4 > len(data):
        return None
    return int.from_bytes(data[tail : tail + 4], "little"), crc32c(seed_of(disk, ino, generation), data[:tail])


def directory(disk: Any, ino: int, generation: int, data: bytes) -> Pair:
    """Check a directory block, with entries or of the hash tree."""
    if not disk.has_csum:
        return None
    seed = seed_of(disk, ino, generation)
    start = tree_entries(data)
    if start:
        limit, count = (int.from_bytes(data[start + n : start + n + 2], "little") for n in (0, 2))
        used, tail = start + 8 * count, start + 8 * limit
        if count > limit or tail + 8 > len(data):
            return None
        return int.from_bytes(data[tail + 4 : tail + 8], "little"), crc32c(
            seed, data[:used] + data[tail : tail + 4] + bytes(4)
        )
    last = ext4_dir_entry_tail(data, len(data) - 12)
    if (last.det_reserved_zero1, last.det_rec_len, last.det_reserved_ft) != (0, 12, EXT4_FT_DIR_CSUM):
        return 0, crc32c(seed, data[:-12])
    return last.det_checksum, crc32c(seed, data[:-12])


def tree_entries(data: bytes) -> int:
    """Return where the entries of a hash tree begin in a directory block; 0: it is a block of names."""
    if len(data) < 40:
        return 0
    size, whole = len(data), (len(data) & 65535, 65535 if len(data) == 65536 else len(data))
    first, second = int.from_bytes(data[4:6], "little"), int.from_bytes(data[16:18], "little")
    if not any(data[:4]) and first in whole and not data[6]:
        return 8
    if first == 12 and data[6:7] == b"\1" and second in (size - 12, (size - 12) & 65535) and data[29] == 8:
        return 32 if not any(data[24:28]) else 0
    return 0


def attributes(disk: Any, block: int, data: bytes) -> Pair:
    """Check a block of extended attributes."""
    if not disk.has_csum:
        return None
    crc = crc32c(crc32c(disk.csum_seed, block.to_bytes(8, "little")), data[:XATTR_AT] + bytes(4) + data[XATTR_AT + 4 :])
    return int.from_bytes(data[XATTR_AT : XATTR_AT + 4], "little"), crc
