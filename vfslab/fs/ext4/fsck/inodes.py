"""Every inode of the tables: those in use are checked, the others must not look as if they were.

The number of an inode says what may be expected of it: 1 lists bad blocks, 3 and 4 hold quotas, 7 keeps
blocks for growing, 8 is the journal. These have no name, nor have orphans and the values of
attributes; who has none without a reason is found out in links.py, when all is known.
"""

from __future__ import annotations

import struct

from vfslab.fs.buffer import brelse, sb_bread, sb_breadahead
from vfslab.fs.ext4.balloc import ext4_get_group_desc
from vfslab.fs.ext4.ext4 import EXT4_I, EXT4_SB, Ext4GroupDesc
from vfslab.fs.ext4.format import (
    COMPAT_HAS_JOURNAL,
    EXT4_BAD_INO,
    EXT4_BG_INODE_UNINIT,
    EXT4_EA_INODE_FL,
    EXT4_ENCRYPT_FL,
    EXT4_EXTENTS_FL,
    EXT4_GOOD_OLD_INODE_SIZE,
    EXT4_HUGE_FILE_FL,
    EXT4_INLINE_DATA_FL,
    EXT4_JOURNAL_INO,
    EXT4_RESIZE_INO,
    EXT4_ROOT_INO,
    EXT4_VERITY_FL,
    INCOMPAT_64BIT,
    INCOMPAT_LARGEDIR,
    RO_COMPAT_HUGE_FILE,
    RO_COMPAT_SHARED_BLOCKS,
    ext4_inode,
)
from vfslab.fs.ext4.fsck.maps import check_map, check_resize_inode
from vfslab.fs.ext4.fsck.state import Directory, Fsck, text_of
from vfslab.fs.ext4.fsck.xattrs import check_xattrs_of
from vfslab.fs.ext4.ialloc import ext4_read_inode_bitmap
from vfslab.fs.ext4.inode import CHECKSUM_HI_END, ext4_inode_csum, ext4_inode_is_fast_symlink
from vfslab.fs.jbd2.journal import load_journal
from vfslab.include.fs import Inode
from vfslab.include.uapi.stat import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG
from vfslab.kernel.errno import EFSCORRUPTED, KernelError

TABLE_AHEAD = 32  # blocks of an inode table that are read at once
KINDS = (0x1, 0x2, 0x4, 0x6, 0x8, 0xA, 0xC)  # FIFO, character device, directory, block device, file, symlink, socket

_read = ext4_inode.reader(
    "i_mode", "i_size_lo", "i_ctime", "i_mtime", "i_dtime", "i_links_count", "i_blocks_lo", "i_flags", "l_i_version",
    "i_block", "i_generation", "i_file_acl_lo", "i_size_high", "l_i_blocks_high", "l_i_file_acl_high", "l_i_checksum_lo",
)  # fmt: skip
_read_extra = ext4_inode.reader("i_extra_isize", "i_checksum_hi")


def check_inodes(fsck: Fsck) -> None:
    """Check all inodes of all groups, and collect what the later steps need."""
    for group in range(fsck.sbi.s_groups_count):
        try:
            gdp = ext4_get_group_desc(fsck.sb, group)
            bitmap = ext4_read_inode_bitmap(fsck.sb, group)
        except KernelError as error:
            fsck.group_failed(group, error)
            fsck.lost = fsck.unread = True
            continue
        check_table(fsck, group, gdp, bitmap)
        fsck.progress(fsck.sbi.s_inodes_per_group)


def check_table(fsck: Fsck, group: int, gdp: Ext4GroupDesc, bitmap: bytes) -> None:
    """Check the inode table of one group, as far as it was ever written."""
    sbi = fsck.sbi
    per_block, size = sbi.s_inodes_per_block, sbi.s_inode_size
    written = 0 if gdp.bg_flags & EXT4_BG_INODE_UNINIT else sbi.s_inodes_per_group
    if sbi.s_gdt_csum or sbi.s_metadata_csum:
        written = max(0, written - gdp.bg_itable_unused)
    each_links = struct.Struct(f"<26xH{size - 28}x").iter_unpack
    first_ino = group * sbi.s_inodes_per_group + 1
    for number in range(-(-written // per_block)):
        block = gdp.bg_inode_table + number
        try:
            if number % TABLE_AHEAD == 0:
                sb_breadahead(fsck.sb, block, min(TABLE_AHEAD, -(-written // per_block) - number))
            bh = sb_bread(fsck.sb, block)
        except KernelError:
            fsck.report(f"group {group}: block {block}: the inode table cannot be read")
            fsck.lost = fsck.unread = True
            continue
        data = bytes(bh.b_data)
        brelse(bh)
        at = number * per_block
        for index, (links,) in enumerate(each_links(data[: min(per_block, written - at) * size]), at):
            used = index >> 3 < len(bitmap) and bitmap[index >> 3] >> (index & 7) & 1
            if used or links:
                place = (index - at) * size
                check_inode(fsck, first_ino + index, data[place : place + size])
                if not used:
                    fsck.report(
                        f"inode {first_ino + index}: has names but is free in the inode bitmap of group {group}"
                    )
    check_unwritten(fsck, group, bitmap, written)


def check_unwritten(fsck: Fsck, group: int, bitmap: bytes, written: int) -> None:
    """No inode may be in use behind the part of the table that was ever written."""
    bits = int.from_bytes(bitmap, "little") & (1 << fsck.sbi.s_inodes_per_group) - 1
    if bits >> written:
        ino = group * fsck.sbi.s_inodes_per_group + bits.bit_length()
        fsck.report(f"group {group}: inode {ino} is in use, but the table was never written there (bg_itable_unused)")
        fsck.unread = True


def check_inode(fsck: Fsck, ino: int, raw: bytes) -> None:
    """Check one inode that is in use."""
    sbi = fsck.sbi
    reserved = ino < sbi.s_first_ino and ino != EXT4_ROOT_INO
    if reserved and not any(raw):
        return
    values = _read(raw, 0)
    mode, dtime, links, flags, i_block, generation = (values[at] for at in (0, 4, 5, 7, 9, 10))
    check_raw(fsck, ino, raw, generation, values[15])
    kind = mode >> 12
    inode = fsck.inode(ino, generation, flags, size_of(fsck, mode, values[1], values[12]), i_block)
    inode.i_mode = mode
    if reserved and (kind not in KINDS or ino == EXT4_RESIZE_INO):
        check_hidden(fsck, inode)
        return
    if kind not in KINDS:
        fsck.report(f"inode {ino}: in use, but mode {mode:o} is of no known type")
    if not reserved:
        fsck.inodes[ino] = links << 4 | kind
        if not links or dtime:
            words = (
                "in use, but it has no names (link count 0)" if not links else "in use, but it has a time of deletion"
            )
            fsck.unlinked[ino] = words
            fsck.next_orphan[ino] = dtime & 0xFFFFFFFF
    if flags & EXT4_EA_INODE_FL:
        fsck.ea_inodes[ino] = (values[2] & 0xFFFFFFFF) << 32 | values[8]
    check_contents(fsck, inode, raw, values, reserved)


def size_of(fsck: Fsck, mode: int, low: int, high: int) -> int:
    """Return i_size, whose upper half other things than files have only with large_dir."""
    return low | high << 32 if mode & S_IFMT == S_IFREG or fsck.sbi.s_incompat & INCOMPAT_LARGEDIR else low


def check_raw(fsck: Fsck, ino: int, raw: bytes, generation: int, checksum: int) -> None:
    """Check the checksum and i_extra_isize."""
    sbi, extra = fsck.sbi, 0
    if sbi.s_inode_size > EXT4_GOOD_OLD_INODE_SIZE:
        extra, high = _read_extra(raw, 0)
        if extra & 3 or EXT4_GOOD_OLD_INODE_SIZE + extra > sbi.s_inode_size:
            fsck.report(f"inode {ino}: bad extra_isize {extra} (inode size {sbi.s_inode_size})")
            return
        if extra >= CHECKSUM_HI_END:
            checksum |= high << 16
    if sbi.s_metadata_csum and ext4_inode_csum(sbi, ino, generation, raw, extra) != checksum:
        fsck.report(f"inode {ino}: checksum invalid")


def check_hidden(fsck: Fsck, inode: Inode) -> None:
    """Claim what the inodes of bad blocks and of growing own; they need no type."""
    shared = False
    if inode.i_ino == EXT4_RESIZE_INO:
        check_resize_inode(fsck, inode)
    elif inode.i_ino == EXT4_BAD_INO and any(EXT4_I(inode).i_data):
        system, fsck.sbi.s_system_blks = fsck.sbi.s_system_blks, None
        shared = True  # a bad block may lie anywhere
        try:
            check_map(fsck, inode, keep=False)
        finally:
            fsck.sbi.s_system_blks = system
    fsck.settle(inode.i_ino, shared)


def check_contents(fsck: Fsck, inode: Inode, raw: bytes, values: tuple, reserved: bool) -> None:
    """Check where the data and the attributes lie, and the counts of both."""
    sb, sbi, ino = fsck.sb, EXT4_SB(fsck.sb), inode.i_ino
    ei, kind = EXT4_I(inode), inode.i_mode & S_IFMT
    flags = ei.i_flags
    sectors = values[6] | (values[13] << 32 if sbi.s_ro_compat & RO_COMPAT_HUGE_FILE else 0)
    if sbi.s_ro_compat & RO_COMPAT_HUGE_FILE and flags & EXT4_HUGE_FILE_FL:
        sectors <<= sb.s_blocksize_bits - 9
    inode.i_blocks = sectors
    ei.i_file_acl = values[11] | (values[14] << 32 if sbi.s_incompat & INCOMPAT_64BIT else 0)
    attributes = check_xattrs_of(fsck, inode, raw, ei.i_file_acl)
    runs: list = []
    if has_map(fsck, inode):
        keep = kind in (S_IFDIR, S_IFLNK) or ino in (sbi.s_es.s_orphan_file_inum, sbi.s_es.s_journal_inum)
        runs, end = check_map(fsck, inode, keep)
        check_size(fsck, inode, end)
        if kind == S_IFLNK:
            check_target(fsck, inode, runs)
    clusters = fsck.settle(ino, bool(sbi.s_ro_compat & RO_COMPAT_SHARED_BLOCKS)) + attributes.clusters
    expected = clusters * sbi.s_cluster_ratio * (sb.s_blocksize >> 9)
    if (not reserved or ino == EXT4_JOURNAL_INO) and expected != sectors and not fsck.lost:
        fsck.report(f"inode {ino}: i_blocks is {sectors} sectors, but it owns {expected}")
    if kind == S_IFDIR:
        inline = (bytes(ei.i_data), attributes.inline) if flags & EXT4_INLINE_DATA_FL else None
        fsck.directories.append(Directory(ino, inode.i_generation, flags, inode.i_size, tuple(runs), inline))
    elif ino == sbi.s_es.s_orphan_file_inum:
        fsck.orphan_runs, fsck.orphan_generation = runs, inode.i_generation
    elif ino == sbi.s_es.s_journal_inum and sbi.s_compat & COMPAT_HAS_JOURNAL:
        check_journal(fsck, inode, runs)
    if flags & EXT4_INLINE_DATA_FL and attributes.inline is None:
        fsck.report(f"inode {ino}: inline data without the attribute system.data")
        fsck.unread = fsck.unread or kind == S_IFDIR


def has_map(fsck: Fsck, inode: Inode) -> bool:
    """True if i_block says where the data lies."""
    kind, ei = inode.i_mode & S_IFMT, EXT4_I(inode)
    if ei.i_flags & EXT4_INLINE_DATA_FL:
        if ei.i_flags & EXT4_EXTENTS_FL:
            fsck.report(f"inode {inode.i_ino}: both inline data and extents")
        return False
    if kind == S_IFLNK:
        return not ext4_inode_is_fast_symlink(fsck.sbi, inode, ei)
    return kind in (S_IFREG, S_IFDIR)


def check_size(fsck: Fsck, inode: Inode, end: int) -> None:
    """The written blocks, up to end, must agree with i_size: a directory has no other, a file none far behind it."""
    size, block_size, ino = inode.i_size, fsck.sb.s_blocksize, inode.i_ino
    if inode.i_mode & S_IFMT == S_IFDIR:
        if size % block_size or not size:
            fsck.report(f"inode {ino}: a directory of {size} bytes, which are not whole blocks")
        elif size != end * block_size and not fsck.lost:
            fsck.report(f"inode {ino}: a directory of {size} bytes, but of {end} blocks")
    elif end and size < (end - 1) * block_size and not EXT4_I(inode).i_flags & (EXT4_VERITY_FL | EXT4_ENCRYPT_FL):
        fsck.unlinked.setdefault(ino, f"i_size is {size}, but block {end - 1} of it is written")


def check_target(fsck: Fsck, inode: Inode, runs: list) -> None:
    """The target of a long symlink ends where i_size says, with a zero behind it."""
    if EXT4_I(inode).i_flags & EXT4_ENCRYPT_FL or not runs:
        return
    try:
        target = read_block(fsck, runs[0][2])
    except KernelError as error:
        fsck.failed(inode.i_ino, error)
        return
    if target.find(b"\0") != inode.i_size:
        fsck.report(
            f"inode {inode.i_ino}: block {runs[0][2]}: the symlink's target is not of the {inode.i_size} bytes in i_size"
        )


def check_journal(fsck: Fsck, inode: Inode, runs: list) -> None:
    """Check the journal's superblock; what the log holds was checked when it was replayed."""
    where = {lblk: (count, pblk) for lblk, count, pblk in runs}

    def j_read(block: int) -> bytes:
        for lblk, (count, pblk) in where.items():
            if lblk <= block < lblk + count:
                return read_block(fsck, pblk + block - lblk)
        raise EFSCORRUPTED(f"block {block} of the journal is a hole")

    try:
        load_journal(j_read, fsck.sb.s_blocksize, inode.i_size >> fsck.sb.s_blocksize_bits)
    except KernelError as error:
        fsck.report(f"inode {inode.i_ino}: journal: {text_of(error)}")


def read_block(fsck: Fsck, block: int) -> bytes:
    """Return the bytes of a block."""
    bh = sb_bread(fsck.sb, block)
    data = bytes(bh.b_data)
    brelse(bh)
    return data
