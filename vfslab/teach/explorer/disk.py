"""An ext4 device whose numbers may be wrong: what RawExt4 computes, kept within bounds, and what is odd said once.

    Disk(os_like, name)              the superblock at byte 1024
    Disk(os_like, name, at=...)      a copy of it elsewhere, because the first is damaged
    find_backup(os_like)             where a copy lies

Nothing here is in proportion to what a member claims: loops go over what the device really holds.

Left out: the journal's content is not replayed; the explorer shows the bytes as they lie there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from vfslab.fs.ext4.format import (
    EXT4_BG_BLOCK_UNINIT,
    EXT4_BG_INODE_UNINIT,
    EXT4_GOOD_OLD_REV,
    EXT4_SUPER_MAGIC,
    INCOMPAT_64BIT,
    INCOMPAT_CSUM_SEED,
    INCOMPAT_RECOVER,
    RO_COMPAT_BIGALLOC,
    RO_COMPAT_GDT_CSUM,
    RO_COMPAT_METADATA_CSUM,
    SUPERBLOCK_OFFSET,
    ext4_group_desc,
    ext4_super_block,
)
from vfslab.lib.crc32c import crc32c
from vfslab.tools.image import ImageError
from vfslab.tools.raw import RawExt4

SPARSE_GROUPS = (1, 3, 5, 7, 9, 25, 27, 49)
MOST_SEARCHED = 256 << 20  # bytes from the start in which a lost superblock is looked for
PIECE = 1 << 20

_NAMES = ("block_bitmap", "inode_bitmap", "inode_table", "free_blocks_count", "free_inodes_count", "used_dirs_count")
_LOW = ext4_group_desc.reader(*(f"bg_{name}_lo" for name in _NAMES), "bg_flags", "bg_itable_unused_lo")
_HIGH = ext4_group_desc.reader(*(f"bg_{name}_hi" for name in _NAMES), "bg_itable_unused_hi")


class Desc(NamedTuple):
    """What a group descriptor says, upper halves joined."""

    block_bitmap: int
    inode_bitmap: int
    inode_table: int
    free_blocks: int
    free_inodes: int
    dirs: int
    flags: int
    unused: int


class Disk(RawExt4):
    """RawExt4 with bounds. findings: what is odd about the superblock, one line each."""

    def __init__(self, source: Any, name: str, at: int = SUPERBLOCK_OFFSET):
        self.super_at = at
        self._table: tuple[int, bytes] = (-1, b"")
        super().__init__(source, name)
        sb = self.sb
        self.findings: list[str] = []
        self.device_blocks = -(-self.device_size // self.block_size)
        self.has_csum = bool(sb.s_feature_ro_compat & RO_COMPAT_METADATA_CSUM)
        self.has_group_csum = bool(sb.s_feature_ro_compat & (RO_COMPAT_METADATA_CSUM | RO_COMPAT_GDT_CSUM))
        self.bound()
        per_cluster = 1
        if sb.s_feature_ro_compat & RO_COMPAT_BIGALLOC:
            per_cluster = 1 << max(0, min(sb.s_log_cluster_size - sb.s_log_block_size, 16))
        self.per_cluster = per_cluster
        self.csum_seed = sb.s_checksum_seed if sb.s_feature_incompat & INCOMPAT_CSUM_SEED else crc32c(~0, sb.s_uuid)

    def read(self, offset: int, length: int) -> bytes:
        """Return length bytes from a byte offset; while the superblock is not known, it is read from its copy."""
        if "sb" not in self.__dict__:
            offset = self.super_at
        return super().read(offset, length)

    def bound(self) -> None:
        """Replace numbers that nothing can be computed with, and say which."""
        sb, odd = self.sb, self.findings.append
        if not 128 <= self.inode_size <= self.block_size or self.inode_size & self.inode_size - 1:
            odd(f"s_inode_size {self.inode_size} is not possible: 256 is taken instead")
            self.inode_size = 256
        if self.desc_size > min(self.block_size, 1024) or self.desc_size & self.desc_size - 1:
            wide = 64 if sb.s_feature_incompat & INCOMPAT_64BIT else 32
            odd(f"s_desc_size {self.desc_size} is not possible: {wide} is taken instead")
            self.desc_size = wide
        if sb.s_inodes_per_group > 8 * self.block_size:
            odd(f"s_inodes_per_group {sb.s_inodes_per_group}: a bitmap of one block has {8 * self.block_size} bits")
        if sb.s_blocks_per_group > 8 * self.block_size and not sb.s_feature_ro_compat & RO_COMPAT_BIGALLOC:
            odd(f"s_blocks_per_group {sb.s_blocks_per_group}: a bitmap of one block has {8 * self.block_size} bits")
        if self.blocks > self.device_size // self.block_size:
            held = self.device_size // self.block_size
            odd(
                f"s_blocks_count is {self.blocks}, but the device holds {held} blocks: it was cut off, or the number is wrong"
            )
        if not self.groups:
            odd(f"s_first_data_block {sb.s_first_data_block} is behind the last block: there are no groups")
        elif self.groups * sb.s_inodes_per_group < sb.s_inodes_count:
            odd(f"s_inodes_count {sb.s_inodes_count}: {self.groups} groups of {sb.s_inodes_per_group} hold fewer")
        if self.super_at == SUPERBLOCK_OFFSET and sb.s_block_group_nr:
            odd(f"s_block_group_nr is {sb.s_block_group_nr}: the first superblock says 0")

    @property
    def end(self) -> int:
        """The block behind the last that there is: on the device and in the filesystem."""
        return max(1, min(self.blocks, self.device_blocks))

    @property
    def inodes(self) -> int:
        """The inodes there can be: s_inodes_count, but no more than the groups hold."""
        return min(self.sb.s_inodes_count, self.groups * self.sb.s_inodes_per_group)

    @property
    def needs_recovery(self) -> bool:
        """True if the journal holds changes that are not yet where they belong."""
        return bool(self.sb.s_feature_incompat & INCOMPAT_RECOVER)

    def table_blocks(self) -> int:
        """Return how many blocks the inode table of one group takes."""
        return -(-min(self.sb.s_inodes_per_group, 8 * self.block_size) * self.inode_size // self.block_size)

    def group_of(self, block: int) -> int | None:
        """Return the group a block lies in; None before the first group and behind the last."""
        group = (block - self.sb.s_first_data_block) // self.sb.s_blocks_per_group
        return group if 0 <= group < self.groups else None

    def group_range(self, group: int) -> tuple[int, int]:
        """Return (first block, last block) of a group."""
        first = self.first_block(group)
        return first, min(first + self.sb.s_blocks_per_group, self.end) - 1

    # --- descriptors and bitmaps ----------------------------------------------------------------

    def desc(self, group: int) -> Desc:
        """Return what a group's descriptor says; ImageError if it cannot be read."""
        at = self.group_desc_offset(group)
        start = at // self.block_size * self.block_size
        if start != self._table[0]:  # descriptors are asked for in order: the last block of them is kept
            self._table = (start, self.read(start, self.block_size))
        buffer, inside = self._table[1], at - start
        low = _LOW(buffer, inside)
        if self.desc_size < 64:
            return Desc(*low[:6], low[6], low[7])
        high = _HIGH(buffer, inside)
        joined = [low[n] | high[n] << (32 if n < 3 else 16) for n in range(6)]
        return Desc(*joined, low[6], low[7] | high[6] << 16)

    def forget(self) -> None:
        """Read descriptors anew: the bytes may have changed."""
        self._table = (-1, b"")

    def never_written(self, desc: Desc) -> tuple[bool, bool]:
        """Return (the block bitmap was never written, the inode bitmap was never written)."""
        flags = desc.flags if self.has_group_csum else 0
        return bool(flags & EXT4_BG_BLOCK_UNINIT), bool(flags & EXT4_BG_INODE_UNINIT)

    def inode_bits(self, group: int) -> bytes:
        """Return a group's inode bitmap, empty if it was never written."""
        desc = self.desc(group)
        return b"" if self.never_written(desc)[1] else self.block(desc.inode_bitmap)

    def inode_used(self, ino: int) -> bool | None:
        """Return what the inode bitmap says of an inode; None if it cannot be read."""
        group, index = divmod(ino - 1, self.sb.s_inodes_per_group)
        try:
            bits = self.inode_bits(group)
        except ImageError:
            return None
        return bool(index // 8 < len(bits) and bits[index // 8] >> index % 8 & 1)

    def block_used(self, block: int) -> bool | None:
        """Return what the block bitmap says of a block; None where there is no bitmap, or it was never written."""
        group = self.group_of(block)
        if group is None:
            return None
        try:
            desc = self.desc(group)
            if self.never_written(desc)[0]:
                return None
            place = (block - self.first_block(group)) // self.per_cluster
            bits = self.block(desc.block_bitmap)
        except ImageError:
            return None
        return bool(bits[place // 8] >> place % 8 & 1) if place // 8 < len(bits) else None

    def linked_inodes(self) -> Iterator[tuple[str, int]]:
        """Yield (what for, number) of the inodes that the superblock names."""
        sb = self.sb
        for what, number in (
            ("journal", sb.s_journal_inum),
            ("user quota", sb.s_usr_quota_inum),
            ("group quota", sb.s_grp_quota_inum),
            ("project quota", sb.s_prj_quota_inum),
            ("orphan file", sb.s_orphan_file_inum),
        ):
            if number and sb.s_rev_level != EXT4_GOOD_OLD_REV:
                yield what, number


# --- when the first superblock is gone ------------------------------------------------------------


def is_super(head: bytes, group: int | None = None) -> bool:
    """True if 1024 bytes look like a superblock, of the given group if there is one."""
    if len(head) < 1024:
        return False
    sb = ext4_super_block(head)
    sane = sb.s_magic == EXT4_SUPER_MAGIC and sb.s_log_block_size <= 6
    sane = sane and sb.s_blocks_per_group > 0 and sb.s_inodes_per_group > 0 and sb.s_rev_level <= 1
    return sane and (group is None or sb.s_block_group_nr == group)


def find_backup(source: Any) -> int | None:
    """Return the byte of the first good copy of the superblock: where mke2fs puts it, else anywhere near the start."""
    for log in range(7):
        size = 1024 << log
        for group in SPARSE_GROUPS:
            at = (group * 8 * size + (log == 0)) * size
            head = source.pread(0, 1024, at)
            if is_super(head, group) and ext4_super_block(head).s_log_block_size == log:
                return at
    for start in range(0, MOST_SEARCHED, PIECE):
        piece = source.pread(0, PIECE, start)
        place = piece.find(struct.pack("<H", EXT4_SUPER_MAGIC), 56)
        while place >= 0:
            at = place - 56
            if at % 1024 == 0 and start + at != SUPERBLOCK_OFFSET and is_super(piece[at : at + 1024]):
                if ext4_super_block(piece, at).s_block_group_nr:
                    return start + at
            place = piece.find(struct.pack("<H", EXT4_SUPER_MAGIC), place + 1)
        if len(piece) < PIECE:
            break
    return None
