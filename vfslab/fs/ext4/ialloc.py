"""Inode bitmaps: which inodes of a group are in use.

Reading a file does not ask them: a name leads to an inode, and the inode itself says whether it is
alive. They are read to check a filesystem.

Linux: fs/ext4/ialloc.c.   Chapter 3.
Left out: allocation.
"""

from __future__ import annotations

from collections.abc import Iterator

from vfslab.fs.buffer import brelse, sb_bread
from vfslab.fs.ext4.balloc import bitmap_csum_verify, ext4_get_group_desc
from vfslab.fs.ext4.ext4 import EXT4_SB, Ext4GroupDesc, Ext4SbInfo, ext4_checksum_error
from vfslab.fs.ext4.format import EXT4_BG_INODE_UNINIT
from vfslab.include.fs import SuperBlock


def ext4_inode_bitmap_csum_verify(sbi: Ext4SbInfo, gdp: Ext4GroupDesc, bitmap: bytes) -> bool:
    """True if the bitmap's checksum is the one in its group's descriptor, or if there are none."""
    return bitmap_csum_verify(sbi, gdp.bg_inode_bitmap_csum, bitmap[: sbi.s_inodes_per_group // 8])


def ext4_read_inode_bitmap(sb: SuperBlock, group: int) -> bytes:
    """Return a group's inode bitmap, verified; empty if it was never written: no inode is in use then."""
    gdp = ext4_get_group_desc(sb, group)
    if gdp.bg_flags & EXT4_BG_INODE_UNINIT:
        return b""
    bh = sb_bread(sb, gdp.bg_inode_bitmap)
    bitmap = bytes(bh.b_data)
    brelse(bh)
    if not ext4_inode_bitmap_csum_verify(EXT4_SB(sb), gdp, bitmap):
        ext4_checksum_error(
            sb, "ext4_read_inode_bitmap", f"group {group}: bad inode bitmap checksum", block=gdp.bg_inode_bitmap
        )
    return bitmap


def ext4_used_inodes(sb: SuperBlock, group: int) -> Iterator[int]:
    """Yield the numbers of the inodes that a group's bitmap calls used."""
    per_group = EXT4_SB(sb).s_inodes_per_group
    bitmap = ext4_read_inode_bitmap(sb, group)[: per_group // 8]
    for index, byte in enumerate(bitmap):
        for bit in range(8) if byte else ():
            if byte >> bit & 1:
                yield group * per_group + index * 8 + bit + 1
