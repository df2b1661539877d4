"""A dirty journal, played in memory: the mount is read-only, and so is the image.

    journal inode ──ext4_bread──▶ jbd2: {block: bytes} ──▶ fast commits on top ──▶ bdev_overlay

From then on the overlaid blocks hide those of the device for every reader, and the image file is as it was.

Linux: ext4_load_journal() of fs/ext4/super.c, fs/ext4/ext4_jbd2.c.   Chapter 10.
Left out: journals on other devices; a clean one is not needed, a dirty one is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from vfslab.fs.buffer import bdev_overlay, brelse, sb_bread
from vfslab.fs.ext4.ext4 import (
    EXT4_IGET_SPECIAL,
    EXT4_MAP_HOLE,
    EXT4_SB,
    Ext4SbInfo,
    ext4_error,
    ext4_msg,
)
from vfslab.fs.ext4.format import COMPAT_HAS_JOURNAL, EXT4_SUPER_MAGIC, ext4_super_block
from vfslab.fs.ext4.geometry import ext4_fill_sb_info, ext4_superblock_csum_verify
from vfslab.fs.ext4.inode import ext4_bread, ext4_iget, ext4_map_blocks
from vfslab.fs.inode import iput
from vfslab.include.fs import Inode, SuperBlock
from vfslab.include.uapi.stat import S_IFMT, S_IFREG
from vfslab.kernel.errno import EFSCORRUPTED, EINVAL, KernelError
from vfslab.kernel.printk import KERN_ERR

if TYPE_CHECKING:
    from vfslab.fs.jbd2.recovery import RecoveryInfo

HINT = "; the mount option noload shows what is there without it"


def ext4_get_journal_inode(sb: SuperBlock) -> Inode:
    """Return the journal's inode with a reference; EFSCORRUPTED if it cannot be a journal."""
    number = EXT4_SB(sb).s_es.s_journal_inum
    inode = ext4_iget(sb, number, EXT4_IGET_SPECIAL)
    if inode.i_mode & S_IFMT != S_IFREG or not inode.i_nlink:
        iput(inode)
        ext4_error(sb, "ext4_get_journal_inode", "invalid journal inode", number)
    return inode


def ext4_journal_runs(inode: Inode) -> list[tuple[int, int]]:
    """Return (disk block, blocks) of all pieces of the journal."""
    runs, lblk, blocks = [], 0, min(inode.i_size >> inode.i_blkbits, EXT4_SB(inode.i_sb).s_blocks_count)
    while lblk < blocks:
        state, pblk, length = ext4_map_blocks(inode, lblk)
        if state != EXT4_MAP_HOLE:
            runs.append((pblk, min(length, blocks - lblk)))
        lblk += length
    return runs


def ext4_load_journal(sb: SuperBlock) -> str:
    """Play the journal into an overlay of the device; return a line that says what was done.

    A damaged journal is refused, as Linux does: what it holds may be newer than what the image shows.
    """
    sbi = EXT4_SB(sb)
    es = sbi.s_es
    if not sbi.s_compat & COMPAT_HAS_JOURNAL:
        refuse_journal(sb, EINVAL, "needs recovery, but has no journal")
    if not es.s_journal_inum:
        text = f"the journal is on another device ({es.s_journal_dev:#x}) and must be played first"
        refuse_journal(sb, EINVAL, text)
    inode = ext4_get_journal_inode(sb)
    try:
        return replay(sb, inode)
    except KernelError as error:
        refuse_journal(sb, type(error), f"the journal cannot be played: {': '.join(map(str, error.args))}")
    finally:
        iput(inode)


def refuse_journal(sb: SuperBlock, number: type[KernelError], text: str) -> NoReturn:
    """Log why a dirty journal prevents the mount, and raise the error."""
    ext4_msg(sb, KERN_ERR, text + HINT)
    raise number(text)


def replay(sb: SuperBlock, inode: Inode) -> str:
    """Put the journal's blocks over the device; return what was done."""
    from vfslab.fs.ext4.fast_commit import ext4_fc_replay  # most journals are clean: their mounts need none of this
    from vfslab.fs.jbd2.journal import load_journal
    from vfslab.fs.jbd2.recovery import jbd2_journal_recover

    sbi = EXT4_SB(sb)

    def j_read(block: int) -> bytes:
        bh = ext4_bread(inode, block)
        if bh is None:
            raise EFSCORRUPTED(f"block {block} of the journal is a hole")
        data = bytes(bh.b_data)
        brelse(bh)
        return data

    journal = load_journal(j_read, sb.s_blocksize, inode.i_size >> inode.i_blkbits)
    overlay, info = jbd2_journal_recover(journal)
    refuse_damage(sbi, overlay, info)
    take_replayed_superblock(sb, overlay)
    ext4_fc_replay(sbi, journal, overlay, info, lambda block: read_block(sb, block))
    refuse_damage(sbi, overlay, info)
    bdev_overlay(sb.s_bdev, overlay, sb.s_blocksize)
    return info.text


def read_block(sb: SuperBlock, block: int) -> bytes:
    """Return a block of the device."""
    bh = sb_bread(sb, block)
    data = bytes(bh.b_data)
    brelse(bh)
    return data


def refuse_damage(sbi: Ext4SbInfo, overlay: dict[int, bytes], info: RecoveryInfo) -> None:
    """Raise EFSCORRUPTED if the journal was damaged, or belongs to another filesystem."""
    if info.damage:
        raise EFSCORRUPTED(info.damage)
    beyond = [block for block in overlay if block >= sbi.s_blocks_count]
    if beyond:
        raise EFSCORRUPTED(f"it has block {beyond[0]}, which the filesystem has not")


def take_replayed_superblock(sb: SuperBlock, overlay: dict[int, bytes]) -> None:
    """Believe the superblock that was in the journal, if there was one."""
    sbi = EXT4_SB(sb)
    block = overlay.get(sbi.s_sb_block)
    if block is None:
        return
    at = sbi.s_sb_offset
    es = ext4_super_block(bytearray(block[at : at + ext4_super_block.size]))
    if (es.s_magic, es.s_log_block_size) != (EXT4_SUPER_MAGIC, sbi.s_es.s_log_block_size):
        raise EFSCORRUPTED("its copy of the superblock is another filesystem's")
    if not ext4_superblock_csum_verify(es):
        raise EFSCORRUPTED("its copy of the superblock has a wrong checksum")
    sbi.s_group_desc.clear()
    ext4_fill_sb_info(sb, sbi, es, sbi.s_sb_block * sb.s_blocksize + at >> 10)
