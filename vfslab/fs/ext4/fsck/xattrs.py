"""The attributes of one inode: entries, hashes, the block that several inodes may share, values in inodes."""

from __future__ import annotations

from typing import NamedTuple

from vfslab.fs.buffer import brelse, sb_bread
from vfslab.fs.ext4.block_validity import ext4_inode_block_valid
from vfslab.fs.ext4.ext4 import EXT4_XATTR_INDEX_SYSTEM, EXT4_XATTR_SYSTEM_DATA
from vfslab.fs.ext4.format import EXT4_ROOT_INO, INCOMPAT_EA_INODE, ext4_xattr_header
from vfslab.fs.ext4.fsck.state import Fsck
from vfslab.fs.ext4.xattr import (
    XattrEntry,
    ext4_xattr_block_csum,
    ext4_xattr_block_entries,
    ext4_xattr_hash_entry,
    ext4_xattr_ibody_entries,
    value_words,
)
from vfslab.include.fs import Inode
from vfslab.kernel.errno import KernelError
from vfslab.lib.ondisk import FormatError


class Attributes(NamedTuple):
    """clusters that count as the inode's because of its attributes; the value of system.data, None if there is none."""

    clusters: int
    inline: bytes | None


def check_xattrs_of(fsck: Fsck, inode: Inode, raw: bytes, block: int) -> Attributes:
    """Check the attributes behind the inode and those in its block."""
    clusters, inline = 0, None
    try:
        entries = ext4_xattr_ibody_entries(raw, fsck.sbi.s_inode_size)
    except FormatError as error:
        fsck.report(f"inode {inode.i_ino}: attributes in the inode: {error}")
        entries, fsck.lost = [], True
    for entry in entries:
        if (entry.name_index, entry.name) == (EXT4_XATTR_INDEX_SYSTEM, EXT4_XATTR_SYSTEM_DATA):
            inline = raw[entry.value_at : entry.value_at + entry.value_size]
        clusters += check_entry(fsck, inode.i_ino, entry, raw, "in the inode")
    if block:
        clusters += check_xattr_block(fsck, inode, block)
    return Attributes(clusters, inline)


def check_entry(fsck: Fsck, ino: int, entry: XattrEntry, buffer: bytes, where: str) -> int:
    """Check one entry's hash, or count the inode that holds its value; return the clusters that it counts for."""
    if entry.value_inum:
        sbi, number = fsck.sbi, entry.value_inum
        if (
            not sbi.s_incompat & INCOMPAT_EA_INODE
            or number == EXT4_ROOT_INO
            or not sbi.s_first_ino <= number <= sbi.s_inodes_count
        ):
            fsck.report(f"inode {ino}: attribute {entry.name!r} {where} is said to lie in inode {number}")
            return 0
        fsck.ea_refs[number] = fsck.ea_refs.get(number, 0) + 1
        return -(-entry.value_size // (fsck.sb.s_blocksize * sbi.s_cluster_ratio))
    # Linux once left the hash of attributes in the inode at 0
    if entry.hash or where != "in the inode":
        words = value_words(bytes(buffer[entry.value_at : entry.value_at + entry.value_size]))
        if entry.hash not in (ext4_xattr_hash_entry(entry.name, words, signed) for signed in (False, True)):
            fsck.report(f"inode {ino}: attribute {entry.name!r} {where} has a wrong hash")
    return 0


def check_xattr_block(fsck: Fsck, inode: Inode, block: int) -> int:
    """Check a block of attributes when it is met first; return the clusters that it and its values count for."""
    ino = inode.i_ino
    if not ext4_inode_block_valid(inode, block, 1):
        fsck.report(f"inode {ino}: bad extended attribute block {block}")
        return 0
    known = fsck.attr_blocks.get(block)
    try:
        bh = sb_bread(fsck.sb, block)
    except KernelError as error:
        fsck.failed(ino, error)
        return 0
    data = bytes(bh.b_data)
    brelse(bh)
    try:
        entries = ext4_xattr_block_entries(data)
    except FormatError as error:
        fsck.report(f"inode {ino}: block {block}: attributes: {error}")
        fsck.lost = True
        return 0
    where = f"in block {block}"
    clusters = 1 + sum(
        check_entry(fsck, ino, entry, data, where) for entry in entries if known is None or entry.value_inum
    )
    if known is not None:
        known[1] += 1
        return clusters
    header = ext4_xattr_header(data)
    fsck.attr_blocks[block] = [header.h_refcount, 1]
    if fsck.sbi.s_metadata_csum and ext4_xattr_block_csum(fsck.sbi.s_csum_seed, block, data) != header.h_checksum:
        fsck.report(f"inode {ino}: block {block}: attributes: wrong checksum")
    fsck.claim(ino, block, 1)
    # settle() counts it with the inode's own; who shares it counts it here
    return clusters - 1


def check_sharing(fsck: Fsck) -> None:
    """Hold the reference counts of blocks and inodes with attributes against what was found."""
    for block, (stated, found) in fsck.attr_blocks.items():
        if stated != found:
            fsck.report(f"block {block}: attributes that {found} inodes share, but h_refcount is {stated}")
    for ino, stated in fsck.ea_inodes.items():
        found = fsck.ea_refs.pop(ino, 0)
        if found != stated and not fsck.lost:
            fsck.report(f"inode {ino}: the value of {found} attributes, but its reference count is {stated}")
    for ino in fsck.ea_refs:
        fsck.report(f"inode {ino}: should hold the value of an attribute, but is none for that")
