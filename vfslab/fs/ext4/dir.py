"""Directories: blocks of entries, understood once and then only looked at.

    ┌───────────┬──────────────────┬─────────┬─────────────────────┬──────────────┐
    │ ino 2 `.` │ ino 2 `..`       │ ino 0   │ ino 12 `hosts`      │ tail 0xDE    │   one block
    └─rec_len──▶└─rec_len─────────▶└─unused─▶└─rec_len────────────▶│ checksum     │
                                                                   └──────────────┘
    ──▶ DirBlock: {b"hosts": inode 12, DT_REG, at byte 24, ...}, kept on the buffer (b_private)

rec_len leads from entry to entry, and the last one ends with the block. Blocks of the hash tree
(namei.py) wear the same coat: an unused entry over the whole block, or `..` over all that follows.

A listing is in the order on the disk, whether or not there is a tree; Linux lists indexed directories in the order
of the hash. Positions are bytes, so that seekdir works. Where a block is damaged, all that can be read
is listed first, and then the error is told; Linux leaves the rest out and tells it to the log only.

Linux: fs/ext4/dir.c; ext4_dirblock_csum_verify() of namei.c.   Chapter 3.
Left out: case folding: names are as they are spelled on the disk.

Always true
  P1  a DirBlock belongs to the directory whose block was read and whose checksum was right
  P2  its entries lie inside the block one after the other, and name inodes that can exist
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vfslab.fs.buffer import brelse, charge_buffer
from vfslab.fs.ext4.crypto import ext4_nokey_name
from vfslab.fs.ext4.ext4 import (
    EXT4_I,
    EXT4_MAP_MAPPED,
    EXT4_SB,
    ext4_checksum_error,
    ext4_error,
    ext4_inode_csum_seed,
    ext4_log_error,
)
from vfslab.fs.ext4.format import (
    EXT4_FT_DIR_CSUM,
    EXT4_INDEX_FL,
    EXT4_INLINE_DATA_FL,
    I_BLOCK_SIZE,
    INCOMPAT_FILETYPE,
    dx_countlimit,
    dx_node,
    dx_root,
    ext4_dir_entry_2,
    ext4_dir_entry_tail,
)
from vfslab.fs.ext4.inline import EXT4_INLINE_DOTDOT_SIZE, ext4_inline_content
from vfslab.fs.ext4.inode import ext4_bread, ext4_map_blocks
from vfslab.fs.read_write import generic_file_llseek
from vfslab.include.buffer_head import BH_UPTODATE
from vfslab.include.fs import S_ENCRYPTED, DirContext, File, FileOperations, Inode
from vfslab.include.mm_types import PG_REFERENCED
from vfslab.include.uapi.stat import DT_BLK, DT_CHR, DT_DIR, DT_FIFO, DT_LNK, DT_REG, DT_SOCK, DT_UNKNOWN
from vfslab.kernel.errno import EFSBADCRC, EFSCORRUPTED, EIO, KernelError
from vfslab.lib.crc32c import crc32c
from vfslab.mm.swap import folio_mark_accessed

ENTRY_HEADER, SMALLEST_ENTRY = ext4_dir_entry_2.size, 12
DT_OF = (DT_UNKNOWN, DT_REG, DT_DIR, DT_CHR, DT_BLK, DT_FIFO, DT_SOCK, DT_LNK)  # by file_type
DT_BY_BYTE = bytes(DT_OF) + bytes([DT_UNKNOWN]) * (256 - len(DT_OF))
UNTYPED = bytes([DT_UNKNOWN]) * 256

_read_entry = ext4_dir_entry_2.reader("inode", "rec_len", "name_len", "file_type")
_read_tail = ext4_dir_entry_tail.reader(
    "det_reserved_zero1", "det_rec_len", "det_reserved_zero2", "det_reserved_ft", "det_checksum"
)
_read_countlimit = dx_countlimit.reader("limit", "count")
_read_root = dx_root.reader("dot_rec_len", "dotdot_rec_len", "reserved_zero", "info_length")


class DirBlock(NamedTuple):
    """A directory block that was understood: entries is {name: entry_of(inode number, d_type, byte in the block)}.

    dir     inode number of the directory it was read for
    damage  why the entries end before the block does; None if they do not
    """

    dir: int
    entries: dict[bytes, int]
    damage: str | None


# An entry is kept as one number, for a tuple would take four times the memory, and there are many:
# the inode number, then 16 bits of where it lies in its block, then 8 bits of d_type.
ENTRY_INO, ENTRY_AT, AT_MASK, D_TYPE_MASK = 24, 8, 0xFFFF, 0xFF
ENTRY_BYTES = 200  # what an entry and its name take in Python; reckoned against the memory limit


def entry_of(ino: int, d_type: int, at: int) -> int:
    """Return an entry as it is kept in a DirBlock."""
    return ino << ENTRY_INO | at << ENTRY_AT | d_type


# --- one block ------------------------------------------------------------------------------------


def ext4_rec_len_from_disk(rec_len: int, blocksize: int) -> int:
    """Return the bytes an entry takes: 16 bits cannot hold 65536, so blocks of 64 KiB use the two lowest bits."""
    if blocksize < 65536:
        return rec_len
    if rec_len in (0, 65535):
        return blocksize
    return rec_len & 65532 | (rec_len & 3) << 16


def ext4_read_dirblock(dir: Inode, lblk: int) -> DirBlock:
    """Return the entries of one block; EFSCORRUPTED for a hole, EFSBADCRC if the checksum is wrong, EIO."""
    runs = dir._container.i_extents
    if runs and lblk < runs[0][1]:  # in the first of few extents: written out, for every name that is looked up
        start, _, pblk, state = runs[0]
        sb = dir.i_sb
        bh = sb.s_bdev.bd_buffers.get((pblk + lblk, sb.s_blocksize))
        if bh is not None and not start and state == EXT4_MAP_MAPPED:
            block = bh.b_private
            if type(block) is DirBlock and block.dir == dir.i_ino and bh.b_state & BH_UPTODATE:
                if not bh.b_folio.flags & PG_REFERENCED:
                    folio_mark_accessed(bh.b_folio)
                return block
    bh = ext4_bread(dir, lblk)
    if bh is None:
        ext4_error(dir.i_sb, "ext4_read_dirblock", f"directory hole found for block {lblk}", dir.i_ino)
    block = bh.b_private
    if type(block) is not DirBlock or block.dir != dir.i_ino:
        try:
            data = bytes(bh.b_data)
            if EXT4_SB(dir.i_sb).s_metadata_csum:
                verify_dirblock(dir, data, lblk, bh.b_blocknr)
            block = DirBlock(dir.i_ino, *parse_entries(dir, data))
            if block.damage:
                ext4_log_error(
                    dir.i_sb, "ext4_check_dir_entry", f"bad entry in directory: {block.damage}", dir.i_ino, bh.b_blocknr
                )
            bh.b_private = block
            charge_buffer(bh, len(block.entries) * ENTRY_BYTES)
        finally:
            brelse(bh)
        return block
    brelse(bh)
    return block


def parse_entries(dir: Inode, data: bytes) -> tuple[dict[bytes, int], str | None]:
    """Return ({name: entry_of(inode number, d_type, byte)}, damage) of a piece of a directory; damage is None if all is right."""
    sbi = EXT4_SB(dir.i_sb)
    highest, size, read = sbi.s_inodes_count, len(data), _read_entry
    kinds = DT_BY_BYTE if sbi.s_incompat & INCOMPAT_FILETYPE else UNTYPED
    slash = b"/" in data  # one look at the whole block; most have none
    long_block = size == 65536
    coded = dir.i_flags & S_ENCRYPTED
    entries: dict[bytes, int] = {}
    at = 0
    while at + SMALLEST_ENTRY <= size:
        ino, rec_len, name_len, file_type = read(data, at)
        if long_block:
            rec_len = ext4_rec_len_from_disk(rec_len, size)
        following = at + rec_len
        if rec_len & 3 or rec_len < name_len + ENTRY_HEADER or rec_len < SMALLEST_ENTRY or following > size:
            return entries, f"byte {at}: rec_len {rec_len} cannot be, name_len {name_len}"
        if ino:
            name = data[at + ENTRY_HEADER : at + ENTRY_HEADER + name_len]
            if ino > highest:
                return entries, f"byte {at}: inode {ino} out of bounds"
            if not name or b"\0" in name or (slash and b"/" in name):
                if not coded:
                    return entries, f"byte {at}: {name!r} is no name"
            if coded:
                name = ext4_nokey_name(dir, name)
            if name in entries:
                return entries, f"byte {at}: the name {name!r} is there twice"
            entries[name] = ino << ENTRY_INO | at << ENTRY_AT | kinds[file_type]
        at = following
    if at != size:
        return entries, f"byte {at}: the last entry ends too close to the end of the block"
    return entries, None


# --- checksums of blocks --------------------------------------------------------------------------


def verify_dirblock(dir: Inode, data: bytes, lblk: int, pblk: int) -> None:
    """Raise EFSBADCRC if the checksum of a block is wrong: behind the entries, or behind those of the hash tree."""
    if EXT4_I(dir).i_flags & EXT4_INDEX_FL and dx_entries_offset(data, lblk):
        right = ext4_dx_csum_verify(dir, data, dx_entries_offset(data, lblk))
    else:
        right = ext4_dirblock_csum_verify(dir, data)
    if not right:
        ext4_checksum_error(
            dir.i_sb, "ext4_read_dirblock", f"checksum of directory block {lblk} is wrong", dir.i_ino, pblk
        )


def ext4_dirblock_csum_verify(dir: Inode, data: bytes) -> bool:
    """True if the tail of a block with entries is there and its checksum right."""
    covered = len(data) - ext4_dir_entry_tail.size
    zero1, rec_len, zero2, file_type, checksum = _read_tail(data, covered)
    if (zero1, rec_len, zero2, file_type) != (0, ext4_dir_entry_tail.size, 0, EXT4_FT_DIR_CSUM):
        return False
    return crc32c(ext4_inode_csum_seed(dir), data[:covered]) == checksum


def dx_entries_offset(data: bytes, lblk: int) -> int:
    """Return where the entries of the hash tree begin in a block, 0 if it is not a block of the tree."""
    size = len(data)
    dot, dotdot, reserved_zero, info_length = _read_root(data, 0)
    if lblk == 0:
        is_root = dot == SMALLEST_ENTRY and ext4_rec_len_from_disk(dotdot, size) == size - dot
        return dx_root.size if is_root and not reserved_zero and info_length == 8 else 0
    return dx_node.size if ext4_rec_len_from_disk(dot, size) == size else 0


def ext4_dx_csum_verify(dir: Inode, data: bytes, offset: int) -> bool:
    """True if the checksum behind the limit of a tree block is right; entries not in use do not count."""
    limit, count = _read_countlimit(data, offset)
    tail = offset + limit * dx_countlimit.size
    if count > limit or tail + 8 > len(data):
        return False
    used = offset + count * dx_countlimit.size
    expected = crc32c(ext4_inode_csum_seed(dir), data[:used] + data[tail : tail + 4] + bytes(4))
    return expected == int.from_bytes(data[tail + 4 : tail + 8], "little")


# --- listing --------------------------------------------------------------------------------------


def ext4_readdir(file: File, ctx: DirContext) -> None:
    """Emit entries from ctx.pos on, until the reader is full or the directory ends.

    The first error stands in file.private_data while the rest is listed, and is raised when nothing is left.
    """
    if ctx.pos == 0:
        file.private_data = None
    inline = EXT4_I(file.f_inode).i_flags & EXT4_INLINE_DATA_FL
    actor, emitted = ctx.actor, False
    for base, entries, end in inline_pieces(file) if inline else block_pieces(file, ctx):
        start = ctx.pos - base
        for name, entry in entries.items():
            at = entry >> ENTRY_AT & AT_MASK
            if at >= start:
                if not actor(ctx, name, base + at, entry >> ENTRY_INO, entry & D_TYPE_MASK):
                    ctx.pos = base + at
                    return
                emitted = True
        ctx.pos = max(ctx.pos, end)
    if file.private_data is not None and not emitted:
        raise file.private_data


def block_pieces(file: File, ctx: DirContext) -> Iterator[tuple[int, dict, int]]:
    """Yield (position, entries, position after them) of each block that can be read, from ctx.pos on."""
    dir = file.f_inode
    bits, lblk, blocks = dir.i_blkbits, ctx.pos >> dir.i_blkbits, ext4_dir_blocks(dir)
    while lblk < blocks:
        try:
            block = ext4_read_dirblock(dir, lblk)
        except (EFSCORRUPTED, EFSBADCRC, EIO) as error:
            file.private_data = file.private_data or error
            lblk = next_dirblock(dir, lblk)
            continue
        if block.damage:
            file.private_data = file.private_data or EFSCORRUPTED(f"inode #{dir.i_ino}: block {lblk}: {block.damage}")
        yield lblk << bits, block.entries, lblk + 1 << bits
        lblk += 1
    ctx.pos = max(ctx.pos, lblk << bits)


def ext4_dir_blocks(dir: Inode) -> int:
    """Return how many blocks a directory has; EFSCORRUPTED if that is more than there are in the filesystem."""
    blocks = -(-dir.i_size >> dir.i_blkbits)
    if blocks > dir.i_sb.s_fs_info.s_blocks_count:
        ext4_error(
            dir.i_sb, "ext4_readdir", f"a directory of {dir.i_size} bytes is larger than the filesystem", dir.i_ino
        )
    return blocks


def next_dirblock(dir: Inode, lblk: int) -> int:
    """Return the block to go on with after one that could not be read; a hole is left out as a whole."""
    try:
        state, _, length = ext4_map_blocks(dir, lblk)
    except KernelError:
        return ext4_dir_blocks(dir)
    return lblk + 1 if state == EXT4_MAP_MAPPED else lblk + length


def inline_pieces(file: File) -> Iterator[tuple[int, dict, int]]:
    """Yield what block_pieces yields, for a directory inside its inode; `.` and `..` stand at 0 and 1."""
    dir = file.f_inode
    content = ext4_inline_content(dir)
    yield 0, inline_dots(dir, content), 2
    for base, piece in inline_areas(content):
        entries, damage = ext4_inline_entries(dir, piece)
        if damage:
            file.private_data = file.private_data or EFSCORRUPTED(f"inode #{dir.i_ino}: inline data: {damage}")
        yield base, entries, base + len(piece)


def inline_dots(dir: Inode, content: bytes) -> dict[bytes, int]:
    """Return the entries `.` and `..`, of which only the second's inode number is stored."""
    parent = int.from_bytes(content[:4], "little")
    return {b".": entry_of(dir.i_ino, DT_DIR, 0), b"..": entry_of(parent, DT_DIR, 1)}


def inline_areas(content: bytes) -> tuple[tuple[int, bytes], ...]:
    """Return (position, bytes) of the two areas with entries: the rest of i_block, and the attribute."""
    first, second = content[EXT4_INLINE_DOTDOT_SIZE:I_BLOCK_SIZE], content[I_BLOCK_SIZE:]
    return (EXT4_INLINE_DOTDOT_SIZE, first), (I_BLOCK_SIZE, second)


def ext4_inline_entries(dir: Inode, piece: bytes) -> tuple[dict[bytes, int], str | None]:
    """Return the entries of one area, and why they end early if they do; that is logged."""
    entries, damage = parse_entries(dir, piece)
    if damage:
        ext4_log_error(dir.i_sb, "ext4_check_dir_entry", f"bad entry in inline directory: {damage}", dir.i_ino)
    return entries, damage


ext4_dir_operations = FileOperations(llseek=generic_file_llseek, iterate_shared=ext4_readdir)
