"""From a number to an inode in memory, and from a block of a file to a block of the disk.

    ext4_iget(sb, ino) ──▶ ext4_get_inode_loc: group, table, place ──▶ checksum ──▶ fields ──▶ checks by type
    ext4_map_blocks(inode, lblk) ──▶ extents.py, or indirect.py ──▶ block_validity.py
    ext4_bread(inode, lblk) ──▶ the buffer with one block of a directory or another file of metadata

An inode that cannot be right never reaches the VFS: ext4_iget raises, and nothing stays cached.

Linux: fs/ext4/inode.c.   Chapter 3.
Left out: everything that writes; quota; DAX; project inheritance.

Always true
  T1  an inode in the cache had the right checksum when its block was first used, a known type, and a map whose first level may exist
  T2  ext4_map_blocks returns only blocks that the file may own
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from vfslab.fs.buffer import brelse, get_bh, sb_bread, sb_breadahead
from vfslab.fs.ext4.balloc import ext4_get_group_desc
from vfslab.fs.ext4.block_validity import ext4_inode_block_valid
from vfslab.fs.ext4.ext4 import (
    EXT4_I,
    EXT4_IGET_EA_INODE,
    EXT4_IGET_NORMAL,
    EXT4_IGET_SPECIAL,
    EXT4_MAP_HOLE,
    EXT4_MAP_MAPPED,
    EXT4_MAP_UNWRITTEN,
    EXT4_SB,
    Ext4InodeInfo,
    Ext4SbInfo,
    ext4_checksum_error,
    ext4_error,
)
from vfslab.fs.ext4.extents import EXT_MAX_BLOCKS, ext4_ext_check_inode, ext4_ext_map_blocks
from vfslab.fs.ext4.format import (
    COMPAT_DIR_INDEX,
    EXT4_APPEND_FL,
    EXT4_BOOT_LOADER_INO,
    EXT4_CASEFOLD_FL,
    EXT4_DIRSYNC_FL,
    EXT4_EA_INODE_FL,
    EXT4_ENCRYPT_FL,
    EXT4_EXTENTS_FL,
    EXT4_GOOD_OLD_INODE_SIZE,
    EXT4_HUGE_FILE_FL,
    EXT4_IMMUTABLE_FL,
    EXT4_INDEX_FL,
    EXT4_INLINE_DATA_FL,
    EXT4_NOATIME_FL,
    EXT4_ORPHAN_FS,
    EXT4_ROOT_INO,
    EXT4_SYNC_FL,
    EXT4_VERITY_FL,
    I_BLOCK_SIZE,
    INCOMPAT_64BIT,
    INCOMPAT_CASEFOLD,
    INCOMPAT_LARGEDIR,
    RO_COMPAT_HUGE_FILE,
    ext4_inode,
)
from vfslab.fs.ext4.indirect import ext4_ind_check_inode, ext4_ind_map_blocks
from vfslab.fs.inode import iget_failed, iget_locked, init_special_inode, iput
from vfslab.fs.stat import generic_fill_statx_attr, generic_fillattr
from vfslab.include.buffer_head import BH_MAPPED, BH_UNWRITTEN, BH_UPTODATE, BufferHead
from vfslab.include.fs import (
    I_NEW,
    S_APPEND,
    S_CASEFOLD,
    S_DIRSYNC,
    S_ENCRYPTED,
    S_IMMUTABLE,
    S_NOATIME,
    S_SYNC,
    S_VERITY,
    Inode,
    SuperBlock,
)
from vfslab.include.sched import Path
from vfslab.include.stat import STATX_BTIME, Kstat
from vfslab.include.uapi.stat import MKDEV, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG
from vfslab.kernel.errno import ESTALE
from vfslab.lib.crc32c import crc32c

INODE_READAHEAD_BLOCKS = 32
LEAST_AHEAD_BLOCKS, BREAD_AHEAD_BLOCKS = 16, 32

BASE = (
    "i_mode", "i_uid", "i_size_lo", "i_atime", "i_ctime", "i_mtime", "i_gid", "i_links_count", "i_blocks_lo", "i_flags",
    "i_block", "i_generation", "i_file_acl_lo", "i_size_high", "l_i_blocks_high", "l_i_file_acl_high", "l_i_uid_high",
    "l_i_gid_high",
)  # fmt: skip
EXTRA = (
    "i_extra_isize", "i_ctime_extra", "i_mtime_extra", "i_atime_extra", "i_crtime", "i_crtime_extra",
)  # fmt: skip
_read_base, _read_whole = ext4_inode.reader(*BASE), ext4_inode.reader(*BASE, *EXTRA)
NONE_WRONG: frozenset[int] = frozenset()
NO_EXTRA = (0,) * len(EXTRA)
# i_extra_isize with which a member is there: its end, counted from byte 128
CHECKSUM_HI_END, CTIME_END, MTIME_END, ATIME_END, CRTIME_END, CRTIME_EXTRA_END = 4, 8, 12, 16, 20, 24
CHECKSUM_LO = slice(ext4_inode.l_i_checksum_lo.offset, ext4_inode.l_i_checksum_lo.offset + 2)
CHECKSUM_HI = slice(ext4_inode.i_checksum_hi.offset, ext4_inode.i_checksum_hi.offset + 2)
CHECKSUM_BYTES = CHECKSUM_LO.start, CHECKSUM_LO.start + 1, CHECKSUM_HI.start, CHECKSUM_HI.start + 1
CHECKSUM_MEMBERS = "i_generation", "l_i_checksum_lo", "i_extra_isize", "i_checksum_hi"
NSEC_PER_SEC = 1_000_000_000

VFS_FLAGS = (
    (EXT4_SYNC_FL, S_SYNC),
    (EXT4_APPEND_FL, S_APPEND),
    (EXT4_IMMUTABLE_FL, S_IMMUTABLE),
    (EXT4_NOATIME_FL, S_NOATIME),
    (EXT4_DIRSYNC_FL, S_DIRSYNC),
    (EXT4_ENCRYPT_FL, S_ENCRYPTED),
    (EXT4_CASEFOLD_FL, S_CASEFOLD),
    (EXT4_VERITY_FL, S_VERITY),
)
ANY_VFS_FLAG = sum(on_disk for on_disk, _ in VFS_FLAGS)


# --- where an inode lies --------------------------------------------------------------------------


def ext4_valid_inum(sbi: Ext4SbInfo, ino: int) -> bool:
    """True if a directory may name this inode: the root, or one that is not reserved."""
    return sbi.s_first_ino <= ino <= sbi.s_inodes_count or ino == EXT4_ROOT_INO


def ext4_inode_location(sb: SuperBlock, ino: int) -> tuple[int, int]:
    """Return (block, byte within it) of inode ino, which must be between 1 and s_inodes_count."""
    sbi = sb.s_fs_info
    group, index = divmod(ino - 1, sbi.s_inodes_per_group)
    block, place = divmod(index, sbi.s_inodes_per_block)
    gdp = sbi.s_group_desc.get(group) or ext4_get_group_desc(sb, group)
    return gdp.bg_inode_table + block, place * sbi.s_inode_size


def ext4_get_inode_loc(sb: SuperBlock, ino: int) -> tuple[BufferHead, int]:
    """Return the buffer (with a reference) that holds inode ino, and its place in there."""
    sbi = sb.s_fs_info
    if ino in sbi.s_itb_inos and sbi.s_itb_bh.b_state & BH_UPTODATE:
        sbi.s_itb_bh.b_count += 1
        return sbi.s_itb_bh, (ino - sbi.s_itb_inos.start) * sbi.s_inode_size
    block, offset = ext4_inode_location(sb, ino)
    if (block, sb.s_blocksize) not in sb.s_bdev.bd_buffers:
        inode_readahead(sb, ino, block)
    bh = sb_bread(sb, block)
    hold_inode_block(sbi, bh, ino - offset // sbi.s_inode_size)
    return bh, offset


def hold_inode_block(sbi: Ext4SbInfo, bh: BufferHead, first: int) -> None:
    """Keep at hand the block that begins with inode first: inodes of one directory are neighbours on the disk."""
    end_of_group = first - (first - 1) % sbi.s_inodes_per_group + sbi.s_inodes_per_group
    brelse(sbi.s_itb_bh)
    sbi.s_itb_bh = get_bh(bh)
    sbi.s_itb_inos = range(first, min(first + sbi.s_inodes_per_block, end_of_group))


def inode_readahead(sb: SuperBlock, ino: int, block: int) -> None:
    """Bring the blocks around an inode's: inodes made together are used together."""
    sbi = EXT4_SB(sb)
    table = ext4_get_group_desc(sb, (ino - 1) // sbi.s_inodes_per_group).bg_inode_table
    first = max(block & -INODE_READAHEAD_BLOCKS, table)
    last = min(block | INODE_READAHEAD_BLOCKS - 1, table + sbi.s_itb_per_group - 1)
    sb_breadahead(sb, first, last - first + 1)


def ext4_inode_csum(sbi: Ext4SbInfo, ino: int, generation: int, raw: bytes, extra_isize: int) -> int:
    """Return the checksum that belongs to an inode of s_inode_size bytes; its own members count as zero."""
    covered = bytearray(raw)
    covered[CHECKSUM_LO] = b"\0\0"
    number = (ino | generation << 32).to_bytes(8, "little")
    if extra_isize >= CHECKSUM_HI_END:
        covered[CHECKSUM_HI] = b"\0\0"
        return crc32c(sbi.s_csum_seed, number + covered)
    return crc32c(sbi.s_csum_seed, number + covered) & 0xFFFF


def wrong_inodes(sbi: Ext4SbInfo, data: memoryview, first: int) -> frozenset[int]:
    """Return where in a block of the inode table inodes with a wrong checksum begin; first is its first inode's number.

    All at once, when the block is first used: most of its inodes are going to be. One copy of the block serves
    them all, in which the checksums are zero, as they do not cover themselves.
    """
    size, seed, wrong = sbi.s_inode_size, sbi.s_csum_seed, []
    covered, zeros = bytearray(data), bytes(len(data) // size)
    for byte in CHECKSUM_BYTES[: 4 if size > EXT4_GOOD_OLD_INODE_SIZE else 2]:
        covered[byte::size] = zeros
    view = memoryview(covered)
    for place, (generation, checksum, *extra) in enumerate(inode_checksums(sbi, data)):
        at, number = place * size, first + place | generation << 32
        if extra and extra[0] >= CHECKSUM_HI_END:
            right = (
                crc32c(crc32c(seed, number.to_bytes(8, "little")), view[at : at + size]) == checksum | extra[1] << 16
            )
        else:
            raw = bytes(data[at : at + size])
            right = ext4_inode_csum(sbi, first + place, generation, raw, 0) == checksum
        if not right:
            wrong.append(at)
    return frozenset(wrong)


def inode_checksums(sbi: Ext4SbInfo, data: memoryview) -> Iterator[tuple]:
    """Return (i_generation, l_i_checksum_lo, i_extra_isize, i_checksum_hi) of each inode in a block, as far as there is room."""
    if sbi.s_each_csum is None:
        names = CHECKSUM_MEMBERS[: 4 if sbi.s_inode_size > EXT4_GOOD_OLD_INODE_SIZE else 2]
        sbi.s_each_csum = ext4_inode.each(*names, size=sbi.s_inode_size)
    return sbi.s_each_csum(data)


# --- reading an inode -----------------------------------------------------------------------------


def ext4_iget(sb: SuperBlock, ino: int, flags: int = EXT4_IGET_NORMAL) -> Inode:
    """Return inode ino with a reference; EFSCORRUPTED or EFSBADCRC if it cannot be right, ESTALE if it is deleted.

    EXT4_IGET_SPECIAL lets reserved numbers through, EXT4_IGET_EA_INODE wants one that holds an attribute.
    """
    sbi = sb.s_fs_info
    if not sbi.s_first_ino <= ino <= sbi.s_inodes_count:
        if not (ext4_valid_inum(sbi, ino) or (flags & EXT4_IGET_SPECIAL and 1 <= ino <= sbi.s_inodes_count)):
            ext4_error(sb, "ext4_iget", "illegal inode number", ino)
    inode = iget_locked(sb, ino)
    if inode.i_state & I_NEW:
        try:
            ext4_read_inode(sb, sbi, inode, flags)
        except BaseException:
            iget_failed(inode)
            raise
        inode.i_state &= ~I_NEW  # unlock_new_inode()
    elif (EXT4_I(inode).i_flags & EXT4_EA_INODE_FL != 0) != (flags & EXT4_IGET_EA_INODE != 0):
        iput(inode)
        ext4_error(sb, "ext4_iget", "the flag EA_INODE is not as expected", ino)
    return inode


def iget_error(inode: Inode, why: str) -> NoReturn:
    """Log why an inode cannot be right, and raise EFSCORRUPTED."""
    ext4_error(inode.i_sb, "ext4_iget", why, inode.i_ino)


def ext4_read_inode(sb: SuperBlock, sbi: Ext4SbInfo, inode: Inode, wanted: int) -> None:
    """Fill a new inode from the disk, each member once, and check it."""
    ino, inode_size, ei = inode.i_ino, sbi.s_inode_size, inode._container
    bh, at = ext4_get_inode_loc(sb, ino)
    wrong = bh.b_private
    if type(wrong) is not frozenset:
        wrong = NONE_WRONG
        if sbi.s_metadata_csum:
            wrong = bh.b_private = wrong_inodes(sbi, bh.b_data, ino - at // inode_size)
    (
        mode, uid, size, atime, ctime, mtime, gid, links, blocks, flags, i_block, generation, file_acl,
        size_high, blocks_high, file_acl_high, uid_high, gid_high,
        extra, ctime_extra, mtime_extra, atime_extra, crtime, crtime_extra,
    ) = _read_whole(bh.b_data, at) if inode_size > EXT4_GOOD_OLD_INODE_SIZE else _read_base(bh.b_data, at) + NO_EXTRA  # fmt: skip
    bh.b_count -= 1
    if extra:
        if extra & 3 or EXT4_GOOD_OLD_INODE_SIZE + extra > inode_size:
            iget_error(inode, f"bad extra_isize {extra} (inode size {inode_size})")
        ei.i_extra_isize = extra
    if at in wrong:
        ext4_checksum_error(sb, "ext4_iget", "checksum invalid", ino, bh.b_blocknr)
    inode.i_ctime_sec = ctime  # most files have one time three times: one number in memory will do
    inode.i_mtime_sec = ctime if mtime == ctime else mtime
    inode.i_atime_sec = ctime if atime == ctime else atime
    if extra:
        take_extra_times(inode, ei, extra, ctime_extra, mtime_extra, atime_extra, crtime, crtime_extra)
    if not links:
        refuse_unlinked(sbi, ino, mode)
    inode.i_mode, inode.i_nlink, inode.i_generation = sbi.s_modes.setdefault(mode, mode), links, generation
    inode.i_uid, inode.i_gid = uid | uid_high << 16, gid | gid_high << 16
    kind = mode & S_IFMT
    inode.i_size = size | size_high << 32 if kind == S_IFREG or sbi.s_incompat & INCOMPAT_LARGEDIR else size
    if inode.i_size > (sb.s_maxbytes if flags & EXT4_EXTENTS_FL else sbi.s_bitmap_maxbytes):
        iget_error(inode, f"bad i_size value: {inode.i_size}")
    if sbi.s_ro_compat & RO_COMPAT_HUGE_FILE:
        blocks |= blocks_high << 32
        if flags & EXT4_HUGE_FILE_FL:
            blocks <<= sb.s_blocksize_bits - 9
    inode.i_blocks, ei.i_flags = blocks, flags
    if (flags & EXT4_EA_INODE_FL != 0) != (wanted & EXT4_IGET_EA_INODE != 0):
        iget_error(inode, "the flag EA_INODE is not as expected")
    if flags & ANY_VFS_FLAG:
        ext4_set_inode_flags(inode, flags)
    if file_acl or file_acl_high:
        take_file_acl(sbi, inode, ei, file_acl, file_acl_high)
    ext4_set_type(sbi, inode, ei, kind, i_block)


def take_extra_times(
    inode: Inode, ei: Ext4InodeInfo, extra: int, ctime: int, mtime: int, atime: int, crtime: int, crtime_extra: int
) -> None:
    """Add what stands behind byte 128, as far as i_extra_isize reaches: nanoseconds, and two more bits of seconds.

    The lowest two bits count the 2^32 seconds after those that 32 signed bits reach; the rest is nanoseconds.
    """
    if extra >= CRTIME_EXTRA_END and not (ctime | mtime | atime | crtime_extra) & 3:  # all there, and before 2038
        inode.i_ctime_nsec = nsec = ctime >> 2
        inode.i_mtime_nsec = nsec if mtime == ctime else mtime >> 2
        inode.i_atime_nsec = nsec if atime == ctime else atime >> 2
        ei.i_crtime_sec = inode.i_atime_sec if crtime == inode.i_atime_sec else crtime
        ei.i_crtime_nsec = inode.i_atime_nsec if crtime_extra == atime else crtime_extra >> 2
        return
    if extra >= CTIME_END:
        inode.i_ctime_nsec = nsec = ctime >> 2
        if ctime & 3:
            inode.i_ctime_sec += (ctime & 3) << 32
    if extra >= MTIME_END:
        inode.i_mtime_nsec = nsec if mtime == ctime else mtime >> 2
        if mtime & 3:
            inode.i_mtime_sec += (mtime & 3) << 32
    if extra >= ATIME_END:
        inode.i_atime_nsec = nsec if atime == ctime else atime >> 2
        if atime & 3:
            inode.i_atime_sec += (atime & 3) << 32
    if extra >= CRTIME_EXTRA_END:
        sec, nsec = crtime + ((crtime_extra & 3) << 32), crtime_extra >> 2
        ei.i_crtime_sec = inode.i_atime_sec if sec == inode.i_atime_sec else sec
        ei.i_crtime_nsec = inode.i_atime_nsec if nsec == inode.i_atime_nsec else nsec
    elif extra >= CRTIME_END:
        ei.i_crtime_sec = crtime


def refuse_unlinked(sbi: Ext4SbInfo, ino: int, mode: int) -> None:
    """Raise for an inode without names, unless it waits in the list of orphans or is the boot loader's."""
    if ino == EXT4_ROOT_INO:
        ext4_error(sbi.s_sb, "ext4_iget", "root inode unallocated", ino)
    if ino != EXT4_BOOT_LOADER_INO and (not mode or not sbi.s_es.s_state & EXT4_ORPHAN_FS):
        raise ESTALE(f"inode #{ino} is deleted")


def ext4_set_inode_flags(inode: Inode, flags: int) -> None:
    """Set those flags that the VFS knows too."""
    if flags & EXT4_CASEFOLD_FL and not EXT4_SB(inode.i_sb).s_incompat & INCOMPAT_CASEFOLD:
        iget_error(inode, "casefold flag without casefold feature")
    for on_disk, bit in VFS_FLAGS:
        if flags & on_disk:
            inode.i_flags |= bit


def take_file_acl(sbi: Ext4SbInfo, inode: Inode, ei: Ext4InodeInfo, low: int, high: int) -> None:
    """Set the block of extended attributes."""
    ei.i_file_acl = low | high << 32 if sbi.s_incompat & INCOMPAT_64BIT else low
    if ei.i_file_acl and not ext4_inode_block_valid(inode, ei.i_file_acl, 1):
        iget_error(inode, f"bad extended attribute block {ei.i_file_acl}")


# --- by type --------------------------------------------------------------------------------------


def ext4_set_type(sbi: Ext4SbInfo, inode: Inode, ei: Ext4InodeInfo, kind: int, i_block: bytes) -> None:
    """Give the inode the operations of its type, and understand what i_block says."""
    tables = sbi.s_tables.get(kind)
    if tables is None:
        iget_error(inode, f"bogus i_mode ({inode.i_mode:o})")
    inode.i_op, inode.i_fop = tables
    if kind in (S_IFREG, S_IFDIR):
        if ei.i_flags & EXT4_INDEX_FL and kind == S_IFDIR and not sbi.s_compat & COMPAT_DIR_INDEX:
            iget_error(inode, "Dir with htree data on filesystem without dir_index feature")
        take_map(inode, ei, i_block)
    elif kind == S_IFLNK:
        take_symlink(sbi, inode, ei, i_block)
    else:
        init_special_inode(inode, inode.i_mode, decode_dev(i_block))


def take_map(inode: Inode, ei: Ext4InodeInfo, i_block: bytes) -> None:
    """Keep what i_block says about where the data lies, once its first level can be believed."""
    flags = ei.i_flags
    if flags & (EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL) == EXT4_EXTENTS_FL:
        ei.i_extents = runs = ext4_ext_check_inode(inode, i_block)
        if runs is None:
            ei.i_data = i_block
    elif flags & EXT4_INLINE_DATA_FL:
        if flags & EXT4_EXTENTS_FL:
            iget_error(inode, "both inline data and extents")
        ei.i_data = i_block
    else:
        ext4_ind_check_inode(inode, i_block)
        ei.i_data = i_block


def take_symlink(sbi: Ext4SbInfo, inode: Inode, ei: Ext4InodeInfo, i_block: bytes) -> None:
    """A fast symlink has its target in i_block; a slow one is mapped as a file is."""
    if inode.i_flags & (S_APPEND | S_IMMUTABLE):
        iget_error(inode, "immutable or append flags not allowed on symlinks")
    if ei.i_flags & EXT4_ENCRYPT_FL:
        inode.i_op = sbi.s_tables["encrypted symlink"][0]
    if not ext4_inode_is_fast_symlink(sbi, inode, ei):
        take_map(inode, ei, i_block)
    elif ei.i_flags & EXT4_ENCRYPT_FL:
        ei.i_data = i_block
    else:
        target = i_block[: inode.i_size]
        if not 0 < inode.i_size < I_BLOCK_SIZE or b"\0" in target:
            iget_error(inode, f"invalid fast symlink length {inode.i_size}")
        inode.i_link = target


def ext4_inode_is_fast_symlink(sbi: Ext4SbInfo, inode: Inode, ei: Ext4InodeInfo) -> bool:
    """True if a symlink takes no blocks, but for those of its attributes: then its target is in the inode."""
    if ei.i_flags & EXT4_EA_INODE_FL:
        return 0 < inode.i_size < I_BLOCK_SIZE
    if ei.i_flags & EXT4_INLINE_DATA_FL:
        return False
    ea_blocks = inode.i_sb.s_blocksize * sbi.s_cluster_ratio >> 9 if ei.i_file_acl else 0
    return inode.i_blocks == ea_blocks


def decode_dev(i_block: bytes) -> int:
    """Return the device number in i_block: 8 + 8 bits in the first word, else 12 + 20 bits in the second."""
    old = int.from_bytes(i_block[:4], "little")
    if old:
        return MKDEV(old >> 8 & 0xFF, old & 0xFF)
    new = int.from_bytes(i_block[4:8], "little")
    return MKDEV(new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00)


# --- from file blocks to disk blocks --------------------------------------------------------------


def ext4_map_blocks(inode: Inode, lblk: int, max_blocks: int = EXT_MAX_BLOCKS) -> tuple[int, int, int]:
    """Return (EXT4_MAP_*, disk block, blocks) of what begins at file block lblk.

    blocks may be more than max_blocks, which only bounds the work; a hole's disk block is 0.
    """
    if lblk >= EXT_MAX_BLOCKS:
        ext4_error(inode.i_sb, "ext4_map_blocks", f"file block {lblk} cannot exist", inode.i_ino)
    if inode._container.i_flags & EXT4_EXTENTS_FL:
        return ext4_ext_map_blocks(inode, lblk)
    state, pblk, length = found = ext4_ind_map_blocks(inode, lblk, max_blocks)
    if state and not ext4_inode_block_valid(inode, pblk, length):
        ext4_error(inode.i_sb, "ext4_map_blocks", f"file block {lblk} lies where no file may", inode.i_ino, pblk)
    return found


def ext4_get_block(inode: Inode, iblock: int, bh: BufferHead, create: int) -> None:
    """Say in bh where the file block is: BH_MAPPED and b_blocknr, or zeros; b_size shrinks to how far it goes on."""
    bits = inode.i_blkbits
    state, pblk, length = ext4_map_blocks(inode, iblock, bh.b_size >> bits or 1)
    length <<= bits
    if length < bh.b_size or state == EXT4_MAP_HOLE:
        bh.b_size = length
    if state == EXT4_MAP_MAPPED:
        bh.b_state |= BH_MAPPED
        bh.b_blocknr = pblk
    elif state == EXT4_MAP_UNWRITTEN:
        bh.b_state |= BH_UNWRITTEN


def ext4_bread(inode: Inode, lblk: int) -> BufferHead | None:
    """Return the buffer of one block of a file of metadata, with a reference; None where there is a hole."""
    state, pblk, length = ext4_map_blocks(inode, lblk)
    if state != EXT4_MAP_MAPPED:
        return None
    sb = inode.i_sb
    if (pblk, sb.s_blocksize) not in sb.s_bdev.bd_buffers:
        # Behind a directory's last block lie, as likely as not, those of directories that were made after it.
        # Linux's ext4_readdir() reads ahead on the device, too, and not in the directory.
        sb_breadahead(sb, pblk, min(max(length, LEAST_AHEAD_BLOCKS), BREAD_AHEAD_BLOCKS))
    return sb_bread(sb, pblk)


# --- attributes -----------------------------------------------------------------------------------


def ext4_getattr(path: Path, request_mask: int, flags: int) -> Kstat:
    """Return the attributes of an inode; what is inside the inode counts as if it took sectors."""
    inode = path.dentry.d_inode
    stat = generic_fillattr(inode)
    ei = inode._container  # EXT4_I(inode)
    if ei.i_flags & EXT4_INLINE_DATA_FL and inode.i_mode & S_IFMT == S_IFREG:
        stat.blocks += inode.i_size + 511 >> 9
    if request_mask & STATX_BTIME:
        if ei.i_crtime_sec is not None:
            stat.btime = ei.i_crtime_sec * NSEC_PER_SEC + ei.i_crtime_nsec
        generic_fill_statx_attr(inode, stat)
    return stat
