"""Directories of a fast-commit replay: names added and removed in the draft.

    fc_add_entry ──▶ a block with room, or a new one        fc_delete_entry ──▶ the entry before takes the space

To keep one way of adding a name, an indexed directory becomes a plain one when the first name is added,
and one inside its inode gets a block. Readers find names either way; only this mount sees it.

Linux: what ext4_add_entry() and ext4_delete_entry() of fs/ext4/namei.c do for replay.   Chapter 10.
Left out: the hash tree is not kept, and a directory never shrinks.

Always true
  O4  a block that replay changes had a right checksum before, and has one afterwards
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vfslab.fs.ext4.fc_overlay import (
    MOST_RUNS,
    FcInode,
    FcOverlay,
    fc_add_range,
    fc_block,
    fc_csum_seed,
    fc_edit_block,
    fc_iget,
    fc_new_block,
    fc_runs,
)
from vfslab.fs.ext4.format import (
    EXT4_FT_DIR_CSUM,
    EXT4_INDEX_FL,
    EXT4_INLINE_DATA_FL,
    INCOMPAT_FILETYPE,
    dx_countlimit,
    dx_entry,
    dx_node,
    dx_root,
    ext4_dir_entry_2,
    ext4_dir_entry_tail,
    ext4_inode,
)
from vfslab.fs.ext4.xattr import EXT4_XATTR_INDEX_SYSTEM, ext4_xattr_ibody_entries, find_entry
from vfslab.include.uapi.stat import S_IFDIR, S_IFMT
from vfslab.kernel.errno import EFSBADCRC, EFSCORRUPTED
from vfslab.lib.crc32c import crc32c
from vfslab.lib.ondisk import FormatError

HEAD, TAIL = ext4_dir_entry_2.size, ext4_dir_entry_tail.size
MAX_INDIRECT_LEVELS = 3
_read_entry = ext4_dir_entry_2.reader("inode", "rec_len", "name_len", "file_type")
# file type of a directory entry, by the upper four bits of i_mode
_TYPES = (0, 5, 3, 0, 2, 0, 4, 0, 1, 0, 7, 0, 6, 0, 0, 0)


class Entry(NamedTuple):
    """One entry of a directory block: where it stands, how far it reaches, and what it says."""

    at: int
    length: int
    ino: int
    file_type: int
    name: bytes


def room(name: bytes) -> int:
    """Return the bytes that an entry of this name takes."""
    return HEAD + len(name) + 3 & ~3


def file_type(mode: int) -> int:
    """Return the file type that directory entries have for a mode."""
    return _TYPES[mode >> 12]


def read_entries(block: bytes, end: int) -> Iterator[Entry]:
    """Yield the entries of a directory block, unused ones too; EUCLEAN if they do not fill it."""
    at = 0
    while at < end:
        if at + HEAD > end:
            raise EFSCORRUPTED(f"directory: an entry at byte {at} does not fit into its block")
        ino, coded, name_length, kind = _read_entry(block, at)
        length = coded if len(block) < 65536 else rec_len_from_disk(coded, len(block))
        if length < HEAD or length & 3 or at + length > end or HEAD + name_length > length:
            raise EFSCORRUPTED(f"directory: bad entry at byte {at} of its block")
        yield Entry(at, length, ino, kind, bytes(block[at + HEAD : at + HEAD + name_length]))
        at += length


def rec_len_from_disk(coded: int, block_size: int) -> int:
    """Return an entry's length; in blocks of 64 KiB the two lowest bits stand for 65536 and 131072."""
    return block_size if coded in (0, 65535) else (coded & 65532) | (coded & 3) << 16


def put_entry(block: bytearray, at: int, length: int, ino: int, kind: int, name: bytes) -> None:
    """Write one entry."""
    coded = 65535 if length == 65536 else length
    block[at : at + HEAD + len(name)] = (
        ext4_dir_entry_2.pack(inode=ino, rec_len=coded, name_len=len(name), file_type=kind) + name
    )


# --- blocks of a directory -----------------------------------------------------------------------------------


def entries_end(draft: FcOverlay) -> int:
    """Return where the entries of a directory block end: with metadata_csum a checksum follows."""
    size = draft.sbi.s_sb.s_blocksize
    return size - TAIL if draft.sbi.s_metadata_csum else size


def dir_blocks(draft: FcOverlay, dir: FcInode) -> dict[int, int]:
    """Return {file block: disk block} of a directory."""
    runs = fc_runs(draft, dir)
    if sum(run[1] for run in runs) > MOST_RUNS:
        raise EFSCORRUPTED(f"directory {dir.ino}: too large for a fast commit")
    blocks = ext4_inode(dir.raw).i_size // draft.sbi.s_sb.s_blocksize
    return {first + i: disk + i for first, length, disk, _ in runs for i in range(length) if first + i < blocks}


def verify_dir_block(draft: FcOverlay, dir: FcInode, block: bytes) -> None:
    """Raise EBADMSG if a block with names has no checksum or a wrong one."""
    if not draft.sbi.s_metadata_csum:
        return
    tail = ext4_dir_entry_tail(block, len(block) - TAIL)
    if tail.det_reserved_ft != EXT4_FT_DIR_CSUM or tail.det_rec_len != TAIL:
        raise EFSBADCRC(f"directory {dir.ino}: a block without checksum")
    if tail.det_checksum != crc32c(fc_csum_seed(draft, dir), block[: len(block) - TAIL]):
        raise EFSBADCRC(f"directory {dir.ino}: wrong checksum")


def seal_dir_block(draft: FcOverlay, dir: FcInode, block: bytearray) -> None:
    """Write the checksum of a changed block with names."""
    if draft.sbi.s_metadata_csum:
        at = len(block) - TAIL
        crc = crc32c(fc_csum_seed(draft, dir), block[:at])
        block[at:] = ext4_dir_entry_tail.pack(det_rec_len=TAIL, det_reserved_ft=EXT4_FT_DIR_CSUM, det_checksum=crc)


def clear_dir_block(draft: FcOverlay, dir: FcInode, block: bytearray, keep: bytes = b"") -> None:
    """Make a block one unused entry, or, with the first 24 bytes of a directory to keep, `.` and `..` and nothing else."""
    end = entries_end(draft)
    block[:] = keep.ljust(len(block), b"\0")
    if keep:
        parent, _, _, kind = _read_entry(keep, 12)
        put_entry(block, 12, end - 12, parent, kind, b"..")
    else:
        put_entry(block, 0, end, 0, 0, b"")
    seal_dir_block(draft, dir, block)


# --- making any directory a plain one ------------------------------------------------------------------------


def fc_names(draft: FcOverlay, dir: FcInode) -> dict[bytes, tuple[int, int]]:
    """Return {name: (inode number, file block)} of a directory, which is a plain one from now on."""
    if dir.names is not None:
        return dir.names
    view = ext4_inode(dir.raw)
    if view.i_mode & S_IFMT != S_IFDIR:
        raise EFSCORRUPTED(f"inode {dir.ino} is no directory")
    if not dir.valid:
        raise EFSBADCRC(f"directory {dir.ino}: the inode's checksum is wrong")
    if view.i_flags & EXT4_INLINE_DATA_FL:
        return leave_inode(draft, dir)
    blocks = dir_blocks(draft, dir)
    if view.i_flags & EXT4_INDEX_FL:
        drop_index(draft, dir, blocks)
    names, end = {}, entries_end(draft)
    for logical, disk in blocks.items():
        block = fc_block(draft, disk)
        verify_dir_block(draft, dir, block)
        names.update((entry.name, (entry.ino, logical)) for entry in read_entries(block, end) if entry.ino)
    dir.names = names
    return names


def drop_index(draft: FcOverlay, dir: FcInode, blocks: dict[int, int]) -> None:
    """Turn root and inner blocks of a hash tree into blocks with names: without names, but for `.` and `..`."""
    root = fc_block(draft, blocks[0]) if 0 in blocks else b""
    if len(root) < dx_root.size or dx_root(root).indirect_levels >= MAX_INDIRECT_LEVELS:
        raise EFSCORRUPTED(f"directory {dir.ino}: bad root of the hash tree")
    inner = index_blocks(draft, blocks, root, dx_root.size, dx_root(root).indirect_levels)
    for logical in {0, *inner}:
        block = fc_edit_block(draft, blocks[logical])
        clear_dir_block(draft, dir, block, bytes(block[:24]) if logical == 0 else b"")
    ext4_inode(dir.raw).i_flags &= ~EXT4_INDEX_FL


def index_blocks(draft: FcOverlay, blocks: dict[int, int], node: bytes, at: int, levels: int) -> set[int]:
    """Return the file blocks that are inner nodes below a node of the hash tree, whose entries begin at byte `at`."""
    found: set[int] = set()
    if not levels:
        return found
    count = dx_countlimit(node, at).count
    if at + count * dx_entry.size > len(node):
        raise EFSCORRUPTED("bad node of a directory's hash tree")
    for index in range(count):
        logical = dx_entry(node, at + index * dx_entry.size).block & 0x0FFFFFFF
        if logical in found or logical not in blocks:
            raise EFSCORRUPTED("bad block number in a directory's hash tree")
        found.add(logical)
        found |= index_blocks(draft, blocks, fc_block(draft, blocks[logical]), dx_node.size, levels - 1)
    return found


def leave_inode(draft: FcOverlay, dir: FcInode) -> dict[bytes, tuple[int, int]]:
    """Move a directory out of its inode into a block of its own; return its names."""
    view = ext4_inode(dir.raw)
    i_block = bytes(view.i_block)
    try:
        entries = ext4_xattr_ibody_entries(bytes(dir.raw), len(dir.raw))
    except FormatError as error:
        raise EFSCORRUPTED(f"directory {dir.ino}: {error}") from None
    rest = find_entry(entries, EXT4_XATTR_INDEX_SYSTEM, b"data")
    second = bytes(dir.raw[rest.value_at : rest.value_at + rest.value_size]) if rest else b""
    inside = [entry for part in (i_block[4:], second) for entry in read_entries(part, len(part)) if entry.ino]
    view.i_flags &= ~EXT4_INLINE_DATA_FL
    dir.runs, dir.nodes = [], 0
    fc_init_new_dir(draft, dir, int.from_bytes(i_block[:4], "little"))
    for entry in inside:
        insert(draft, dir, entry.name, entry.ino, entry.file_type)
    return dir.names


def fc_init_new_dir(draft: FcOverlay, dir: FcInode, parent: int) -> None:
    """Give a directory its first block, with `.` and `..`."""
    kind = file_type(S_IFDIR) if draft.sbi.s_incompat & INCOMPAT_FILETYPE else 0
    disk = fc_new_block(draft)
    block = draft.edited[disk]
    put_entry(block, 0, 12, dir.ino, kind, b".")
    put_entry(block, 12, entries_end(draft) - 12, parent, kind, b"..")
    seal_dir_block(draft, dir, block)
    dir.runs, dir.nodes = [], 0
    fc_add_range(draft, dir, 0, 1, disk, False)
    ext4_inode(dir.raw).i_size = len(block)
    dir.names = {b".": (dir.ino, 0), b"..": (parent, 0)}


# --- names ---------------------------------------------------------------------------------------------------


def fc_add_entry(draft: FcOverlay, parent: int, name: bytes, inode: FcInode) -> bool:
    """Add a name for an inode to a directory; False if it is there already."""
    dir = fc_iget(draft, parent)
    if name in fc_names(draft, dir):
        return False
    has_type = draft.sbi.s_incompat & INCOMPAT_FILETYPE
    insert(draft, dir, name, inode.ino, file_type(ext4_inode(inode.raw).i_mode) if has_type else 0)
    return True


def insert(draft: FcOverlay, dir: FcInode, name: bytes, ino: int, kind: int) -> None:
    """Put an entry into the first block with room for it, or into a new one."""
    blocks = dir_blocks(draft, dir)
    for logical in blocks:
        if logical >= dir.room_from and insert_into(draft, dir, blocks[logical], name, ino, kind):
            dir.names[name] = ino, logical
            return
        dir.room_from = max(dir.room_from, logical)  # full, or nearly: the next name need not look again
    view, size = ext4_inode(dir.raw), draft.sbi.s_sb.s_blocksize
    logical, disk = max(view.i_size // size, max(blocks, default=-1) + 1), fc_new_block(draft)
    clear_dir_block(draft, dir, draft.edited[disk])
    fc_add_range(draft, dir, logical, 1, disk, False)
    view.i_size = (logical + 1) * size
    insert_into(draft, dir, disk, name, ino, kind)
    dir.names[name] = ino, logical


def insert_into(draft: FcOverlay, dir: FcInode, disk: int, name: bytes, ino: int, kind: int) -> bool:
    """Put an entry into a block of a directory; False if there is no room."""
    need, end = room(name), entries_end(draft)
    for entry in read_entries(fc_block(draft, disk), end):
        used = room(entry.name) if entry.ino else 0
        if entry.length - used < need:
            continue
        block = fc_edit_block(draft, disk)
        if used:
            put_entry(block, entry.at, used, entry.ino, entry.file_type, entry.name)
        put_entry(block, entry.at + used, entry.length - used, ino, kind, name)
        seal_dir_block(draft, dir, block)
        return True
    return False


def fc_delete_entry(draft: FcOverlay, parent: int, name: bytes, ino: int) -> bool:
    """Remove a name from a directory if it stands for this inode; False if it does not."""
    dir = fc_iget(draft, parent)
    found = fc_names(draft, dir).get(name)
    if found is None or found[0] != ino:
        return False
    disk, before = dir_blocks(draft, dir)[found[1]], None
    block = fc_edit_block(draft, disk)
    for entry in read_entries(bytes(block), entries_end(draft)):
        if entry.ino == ino and entry.name == name:
            break
        before = entry
    if before is None:
        put_entry(block, entry.at, entry.length, 0, 0, b"")
    else:
        put_entry(block, before.at, before.length + entry.length, before.ino, before.file_type, before.name)
    seal_dir_block(draft, dir, block)
    dir.room_from = min(dir.room_from, found[1])
    del dir.names[name]
    return True
