"""An ext4 device read byte by byte, without mounting it: for dump and hexdump, which must work on damaged images too.

All arithmetic from superblock to inode is here, step by step, as the figures show it.
"""

from __future__ import annotations

from typing import Any

from vfslab.fs.ext4.format import (
    EXT4_EXT_MAGIC,
    EXT4_EXTENTS_FL,
    EXT4_GOOD_OLD_INODE_SIZE,
    EXT4_GOOD_OLD_REV,
    EXT4_MAX_EXTENT_DEPTH,
    EXT4_MIN_DESC_SIZE,
    EXT4_SUPER_MAGIC,
    INCOMPAT_64BIT,
    INCOMPAT_META_BG,
    SUPERBLOCK_OFFSET,
    ext4_extent,
    ext4_extent_header,
    ext4_extent_idx,
    ext4_group_desc,
    ext4_inode,
    ext4_super_block,
)
from vfslab.tools.image import ImageError


class RawExt4:
    """The numbers that say where things lie on an ext4 device, and the bytes there.

    device is a path in the guest, such as /dev/vda; all offsets are bytes from its start.
    """

    def __init__(self, process: Any, device: str):
        self.process, self.device = process, device
        self.fd = process.open(device, process.O_RDONLY)
        self.device_size = process.lseek(self.fd, 0, process.SEEK_END)
        self.sb = sb = ext4_super_block(self.read(SUPERBLOCK_OFFSET, ext4_super_block.size))
        if sb.s_magic != EXT4_SUPER_MAGIC:
            raise ImageError(f"{device}: no ext superblock at byte 1024 (magic {sb.s_magic:#06x}, not 0xef53)")
        if sb.s_log_block_size > 6:
            raise ImageError(f"{device}: superblock: s_log_block_size is {sb.s_log_block_size}, at most 6 makes sense")
        if not (sb.s_blocks_per_group and sb.s_inodes_per_group):
            raise ImageError(f"{device}: superblock: s_blocks_per_group or s_inodes_per_group is 0")
        self.block_size = 1024 << sb.s_log_block_size
        old = sb.s_rev_level == EXT4_GOOD_OLD_REV
        self.inode_size = EXT4_GOOD_OLD_INODE_SIZE if old else sb.s_inode_size
        wide = bool(sb.s_feature_incompat & INCOMPAT_64BIT)
        self.desc_size = max(sb.s_desc_size, EXT4_MIN_DESC_SIZE) if wide else EXT4_MIN_DESC_SIZE
        self.blocks = sb.s_blocks_count if wide else sb.s_blocks_count_lo
        held = min(self.blocks, self.device_size // self.block_size + 1)
        self.groups = max(0, -(-(held - sb.s_first_data_block) // sb.s_blocks_per_group))

    def close(self) -> None:
        """Close the device."""
        self.process.close(self.fd)

    def read(self, offset: int, length: int) -> bytes:
        """Return length bytes from a byte offset; ImageError where the device ends before."""
        data = self.process.pread(self.fd, length, offset) if 0 <= offset < 1 << 62 else b""
        if len(data) < length:
            raise ImageError(
                f"{self.device}: byte {offset:#x} lies beyond the end of the device ({self.device_size} bytes)"
            )
        return data

    def block(self, number: int) -> bytes:
        """Return one block; ImageError for a number there is not."""
        if not 0 <= number < max(self.blocks, 1):
            raise ImageError(f"{self.device}: block {number}: they are numbered 0 to {self.blocks - 1}")
        return self.read(number * self.block_size, self.block_size)

    def first_block(self, group: int) -> int:
        """Return the first block of a group."""
        return self.sb.s_first_data_block + group * self.sb.s_blocks_per_group

    def has_super(self, group: int) -> bool:
        """True if a group begins with a copy of the superblock (documentation, section "Layout")."""
        if group == 0:
            return True
        if self.sb.s_feature_compat & 0x200:
            return group in self.sb.s_backup_bgs
        if group == 1 or not self.sb.s_feature_ro_compat & 1:
            return True
        return any(_is_power(group, base) for base in (3, 5, 7))

    def group_desc_offset(self, group: int) -> int:
        """Return the byte offset of a group's descriptor; under meta_bg it lies in the group's own meta group."""
        per_block = self.block_size // self.desc_size
        block, slot = divmod(group, per_block)
        if self.sb.s_feature_incompat & INCOMPAT_META_BG and block >= self.sb.s_first_meta_bg:
            first = block * per_block
            at = self.first_block(first) + (1 if self.has_super(first) else 0)
            if first == 0 and self.sb.s_first_data_block == 0 and self.block_size == 1024:
                at += 1  # a cluster layout with blocks of 1 KiB keeps block 0 for the boot loader
        else:
            at = self.super_block_number() + 1 + block
        return at * self.block_size + slot * self.desc_size

    def super_block_number(self) -> int:
        """Return the block that the primary superblock lies in."""
        return SUPERBLOCK_OFFSET // self.block_size

    def group_desc(self, group: int) -> ext4_group_desc:
        """Return a group's descriptor; ImageError for a group there is not."""
        if not 0 <= group < self.groups:
            raise ImageError(f"{self.device}: group {group}: there are {self.groups}")
        return ext4_group_desc(self.read(self.group_desc_offset(group), self.desc_size))

    def inode_offset(self, ino: int) -> int:
        """Return the byte offset of an inode; ImageError for a number there is not."""
        if not 1 <= ino <= self.sb.s_inodes_count:
            raise ImageError(f"{self.device}: inode {ino}: they are numbered 1 to {self.sb.s_inodes_count}")
        group, index = divmod(ino - 1, self.sb.s_inodes_per_group)
        return self.group_desc(group).bg_inode_table * self.block_size + index * self.inode_size

    def inode(self, ino: int) -> ext4_inode:
        """Return a view over all bytes of an inode."""
        return ext4_inode(self.read(self.inode_offset(ino), self.inode_size))

    def uses_meta_bg(self, group: int) -> bool:
        """True if the group's descriptor stands in the group itself or a neighbour, not in the table at the start."""
        number = group // (self.block_size // self.desc_size)
        return bool(self.sb.s_feature_incompat & INCOMPAT_META_BG) and number >= self.sb.s_first_meta_bg

    def descriptor_blocks(self, group: int) -> tuple[range, int]:
        """Return (blocks of descriptors at the group's start, blocks kept behind them for growing)."""
        per_block = self.block_size // self.desc_size
        first = self.first_block(group) + (1 if self.has_super(group) else 0)
        if group == 0:
            first = self.super_block_number() + 1
        if self.uses_meta_bg(group):
            return range(first, first + (group % per_block in (0, 1, per_block - 1))), 0
        if not self.has_super(group):
            return range(0), 0
        count = -(-self.groups // per_block)
        if self.sb.s_feature_incompat & INCOMPAT_META_BG:
            count = min(count, self.sb.s_first_meta_bg)
        return range(first, first + count), self.sb.s_reserved_gdt_blocks

    def first_file_block(self, ino: int) -> int:
        """Return the block on which block 0 of a file lies, 0 for a hole; ImageError if its map cannot be followed."""
        inode = self.inode(ino)
        node = bytes(inode.i_block)
        if not inode.i_flags & EXT4_EXTENTS_FL:
            return int.from_bytes(node[:4], "little")
        for _ in range(EXT4_MAX_EXTENT_DEPTH + 1):
            header = ext4_extent_header(node)
            if header.eh_magic != EXT4_EXT_MAGIC or not header.eh_entries:
                break
            if header.eh_depth == 0:
                extent = ext4_extent(node, ext4_extent_header.size)
                return 0 if extent.ee_block else extent.ee_start
            node = self.block(ext4_extent_idx(node, ext4_extent_header.size).ei_leaf)
        raise ImageError(f"{self.device}: inode {ino}: its extent tree cannot be followed")


def _is_power(number: int, base: int) -> bool:
    while number > 1 and number % base == 0:
        number //= base
    return number == 1
