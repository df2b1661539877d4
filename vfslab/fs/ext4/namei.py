"""Looking a name up: straight through the hash tree, or entry by entry.

    hash("hosts") = 0x6d2a...
    block 0, dx_root     [ 0 → 3 | 0x2c.. → 7 | 0x61.. → 4 | 0x9b.. → 9 ]     the last hash that is not above it
                                                   │
    block 4, dx_node     [ 0x61.. → 12 | 0x6b.. → 31 | ... ]                  none, one or two levels of these
                                              │
    block 31             an ordinary directory block: search its entries

Names of one hash may fill more than one leaf: then the next entry has the same hash with its lowest
bit set, and the search goes on there.

A tree that cannot be right is logged and left alone: every block of entries is searched then, as in a
directory without a tree. The damage of a leaf is an error; nothing else could hold the name.

Linux: fs/ext4/namei.c.   Chapter 3.
Left out: making and removing names; trees whose hash is of folded or encrypted names (SipHash).

Always true
  L1  "no such name" is said only after every block that could hold it was read and was whole
  L2  one look-up reads at most three levels of the tree
  L3  a directory names only inodes that may be named: no reserved one, not itself
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from vfslab.fs.buffer import brelse
from vfslab.fs.dcache import d_splice_alias
from vfslab.fs.ext4.dir import (
    ENTRY_INO,
    dx_entries_offset,
    ext4_dir_blocks,
    ext4_dx_csum_verify,
    ext4_inline_entries,
    ext4_read_dirblock,
    inline_areas,
    next_dirblock,
)
from vfslab.fs.ext4.ext4 import EXT4_SB, ext4_error, ext4_log_error
from vfslab.fs.ext4.format import (
    COMPAT_DIR_INDEX,
    EXT4_INDEX_FL,
    EXT4_INLINE_DATA_FL,
    EXT4_NAME_LEN,
    INCOMPAT_LARGEDIR,
    dx_countlimit,
    dx_entry,
    dx_root,
    dx_tail,
)
from vfslab.fs.ext4.hash import DX_HASH_TEA, dx_hash_version, ext4fs_dirhash
from vfslab.fs.ext4.inline import ext4_inline_content
from vfslab.fs.ext4.inode import ext4_bread, ext4_getattr, ext4_iget, ext4_valid_inum
from vfslab.fs.ext4.xattr import ext4_listxattr
from vfslab.include.dcache import Dentry
from vfslab.include.fs import S_CASEFOLD, S_ENCRYPTED, Inode, InodeOperations
from vfslab.kernel.errno import EFSBADCRC, EFSCORRUPTED, EIO, ENAMETOOLONG, ESTALE
from vfslab.lib.ondisk import FormatError

BLOCK_MASK = 0x0FFFFFFF  # the upper 4 bits of a dx_entry's block are reserved

_read_countlimit = dx_countlimit.reader("limit", "count")
_read_info = dx_root.reader("hash_version", "indirect_levels", "unused_flags")
_each_entry = dx_entry.each("hash", "block")


def ext4_lookup(dir: Inode, dentry: Dentry, flags: int) -> Dentry | None:
    """Fill dentry with the inode its name leads to in dir, or with none; return what d_splice_alias does."""
    name = dentry.d_name
    if len(name) > EXT4_NAME_LEN:
        raise ENAMETOOLONG(name)
    ino = ext4_find_entry(dir, name)
    if not ino:
        return d_splice_alias(None, dentry)
    sb = dir.i_sb
    if not ext4_valid_inum(sb.s_fs_info, ino):
        ext4_error(sb, "ext4_lookup", f"bad inode number {ino} of {name!r}", dir.i_ino)
    if ino == dir.i_ino:
        ext4_error(sb, "ext4_lookup", f"{name!r} is linked to its own directory", dir.i_ino)
    try:
        inode = ext4_iget(sb, ino)
    except ESTALE:
        ext4_error(sb, "ext4_lookup", f"deleted inode {ino} is referenced by {name!r}", dir.i_ino)
    return d_splice_alias(inode, dentry)


def ext4_find_entry(dir: Inode, name: bytes) -> int:
    """Return the inode number of name in dir, 0 if there is no such name."""
    flags = dir._container.i_flags  # EXT4_I(dir), without the call
    if flags & EXT4_INLINE_DATA_FL:
        return find_inline_entry(dir, name)
    if flags & EXT4_INDEX_FL and has_usable_tree(dir):
        try:
            return ext4_dx_find_entry(dir, name)
        except FormatError as error:
            ext4_log_error(
                dir.i_sb,
                "dx_probe",
                f"bad hash tree, all blocks are searched instead: {error.field} {error.why}",
                dir.i_ino,
            )
    return find_entry_linear(dir, name)


def find_inline_entry(dir: Inode, name: bytes) -> int:
    """Return the inode number of name in a directory inside its inode, 0 if there is no such name."""
    damaged = None
    for _, piece in inline_areas(ext4_inline_content(dir)):
        entries, damage = ext4_inline_entries(dir, piece)
        if name in entries:
            return entries[name] >> ENTRY_INO
        damaged = damaged or damage
    if damaged:
        raise EFSCORRUPTED(f"inode #{dir.i_ino}: inline data: {damaged}")
    return 0


def find_entry_linear(dir: Inode, name: bytes) -> int:
    """Return the inode number of name, 0 if no block has it; the first damage is raised if it may hide the name (L1)."""
    lblk, blocks, damaged = 0, ext4_dir_blocks(dir), None
    while lblk < blocks:
        try:
            found = find_in_block(dir, lblk, name)
            if found:
                return found
            lblk += 1
        except (EFSCORRUPTED, EFSBADCRC, EIO) as error:
            damaged = damaged or error
            lblk = next_dirblock(dir, lblk)
    if damaged:
        raise damaged
    return 0


def find_in_block(dir: Inode, lblk: int, name: bytes) -> int:
    """Return the inode number of name if it is in this block, else 0; an error if damage may hide it."""
    block = ext4_read_dirblock(dir, lblk)
    found = block.entries.get(name)
    if found is not None:
        return found >> ENTRY_INO
    if block.damage:
        raise EFSCORRUPTED(f"inode #{dir.i_ino}: directory block {lblk}: {block.damage}")
    return 0


# --- the hash tree --------------------------------------------------------------------------------


class DxBlock(NamedTuple):
    """A block of the tree that was understood: hashes[i] is the lowest hash found below blocks[i]."""

    dir: int
    hashes: tuple[int, ...]
    blocks: tuple[int, ...]
    hash_version: int
    indirect_levels: int


def has_usable_tree(dir: Inode) -> bool:
    """True if an indexed directory's hashes are ones that we can compute."""
    return bool(EXT4_SB(dir.i_sb).s_compat & COMPAT_DIR_INDEX) and not dir.i_flags & (S_CASEFOLD | S_ENCRYPTED)


def ext4_dx_find_entry(dir: Inode, name: bytes) -> int:
    """Return the inode number of name, found through the tree, or 0. FormatError if the tree cannot be right."""
    sbi = EXT4_SB(dir.i_sb)
    root = read_dx_block(dir, 0)
    version = dx_hash_version(root.hash_version, sbi.s_es.s_flags)
    hash, _ = ext4fs_dirhash(name, version, sbi.s_hash_seed)
    frames = dx_probe(dir, root, hash)
    while True:
        block, at = frames[-1]
        found = find_in_block(dir, block.blocks[at], name)
        if found or not ext4_htree_next_block(dir, hash, frames):
            return found


def dx_probe(dir: Inode, root: DxBlock, hash: int) -> list[tuple[DxBlock, int]]:
    """Return the way to the leaf for a hash: (block of the tree, which of its entries), from the root down (L2)."""
    frames = [(root, bisect_right(root.hashes, hash) - 1)]
    for _ in range(root.indirect_levels):
        block, at = frames[-1]
        node = read_dx_block(dir, block.blocks[at])
        frames.append((node, bisect_right(node.hashes, hash) - 1))
    return frames


def ext4_htree_next_block(dir: Inode, hash: int, frames: list[tuple[DxBlock, int]]) -> bool:
    """Move frames to the next leaf if names of this hash go on there; return whether they do."""
    level = len(frames) - 1
    while frames[level][1] + 1 >= len(frames[level][0].blocks):
        if level == 0:
            return False
        level -= 1
    block, at = frames[level][0], frames[level][1] + 1
    if block.hashes[at] & ~1 != hash:
        return False
    frames[level] = block, at
    for below in range(level + 1, len(frames)):
        block, at = frames[below - 1]
        frames[below] = read_dx_block(dir, block.blocks[at]), 0
    return True


def read_dx_block(dir: Inode, lblk: int) -> DxBlock:
    """Return a block of the tree; FormatError if it cannot be one."""
    if lblk >= ext4_dir_blocks(dir):
        raise FormatError(lblk, "block", f"{lblk} lies behind the end of the directory")
    try:
        bh = ext4_bread(dir, lblk)
    except (EFSCORRUPTED, EIO) as error:
        raise FormatError(lblk, "block", f"{lblk} cannot be read: {error}") from None
    if bh is None:
        raise FormatError(lblk, "block", f"{lblk} is a hole")
    block = bh.b_private
    if type(block) is not DxBlock or block.dir != dir.i_ino:
        try:
            block = bh.b_private = parse_dx_block(dir, bytes(bh.b_data), lblk)
        finally:
            brelse(bh)
        return block
    brelse(bh)
    return block


def parse_dx_block(dir: Inode, data: bytes, lblk: int) -> DxBlock:
    """Return a tree block's entries, once its header, limits and checksum are right; else FormatError."""
    sbi = EXT4_SB(dir.i_sb)
    offset = dx_entries_offset(data, lblk)
    if not offset:
        raise FormatError(0, "dx_root" if lblk == 0 else "dx_node", f"is missing in block {lblk}")
    limit, count = _read_countlimit(data, offset)
    room = (len(data) - offset - (dx_tail.size if sbi.s_metadata_csum else 0)) // dx_entry.size
    if limit != room:
        raise FormatError(offset, "limit", f"is {limit} in block {lblk}, there is room for {room}")
    if not 0 < count <= limit:
        raise FormatError(offset + 2, "count", f"is {count} of {limit} in block {lblk}")
    if sbi.s_metadata_csum and not ext4_dx_csum_verify(dir, data, offset):
        raise FormatError(offset, "dt_checksum", f"is wrong in block {lblk}")
    version, levels = 0, 0
    if lblk == 0:
        version, levels, unused = _read_info(data, 0)
        if version > DX_HASH_TEA or unused & 1:
            raise FormatError(0, "hash_version", f"is {version}, flags {unused}")
        if levels > (2 if sbi.s_incompat & INCOMPAT_LARGEDIR else 1):
            raise FormatError(0, "indirect_levels", f"is {levels}")
    hashes, blocks = zip(*_each_entry(data[offset : offset + count * dx_entry.size]), strict=True)
    return DxBlock(dir.i_ino, (0, *hashes[1:]), tuple(block & BLOCK_MASK for block in blocks), version, levels)


ext4_dir_inode_operations = InodeOperations(lookup=ext4_lookup, getattr=ext4_getattr, listxattr=ext4_listxattr)
