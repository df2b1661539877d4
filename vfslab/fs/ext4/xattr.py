"""Extended attributes on disk: behind the inode, in a block, or each in an inode of its own.

    inode      │ 128 bytes │ i_extra_isize │ header │ entry entry ... 0 │ free │ values │
                                                      names grow →            ← values grow
    block      │ header │ entry entry ... 0 │ free │ values │       i_file_acl; shared by equal inodes
    ea_inode   a value that fits nowhere is the content of an inode; e_value_inum names it

An entry holds the name without its prefix; a number stands for "user.", "security." and so on. The
attributes of the inode come first, in a list as in a search.

Linux: fs/ext4/xattr.c, xattr_user.c, xattr_trusted.c, xattr_security.c, xattr_hurd.c, acl.c.   Chapter 3.
Left out: everything that writes; the cache of blocks to share.

Always true
  X1  no entry, name or value is read from outside the inode's tail or the block: check_xattrs() first
  X2  a value that an inode holds is given out only if its checksum and the entry's hash are right
  X3  a list has the names that have a handler, the body's before the block's, each in the order on disk
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, NamedTuple

from vfslab.fs.attr import capable
from vfslab.fs.buffer import brelse, sb_bread
from vfslab.fs.ext4.ext4 import EXT4_I, EXT4_IGET_EA_INODE, EXT4_SB, ext4_checksum_error, ext4_error
from vfslab.fs.ext4.format import (
    EXT4_EA_INODE_FL,
    EXT4_GOOD_OLD_INODE_SIZE,
    EXT4_ROOT_INO,
    EXT4_XATTR_MAGIC,
    ext4_inode,
    ext4_xattr_entry,
    ext4_xattr_header,
    ext4_xattr_ibody_header,
)
from vfslab.include.buffer_head import BH_VERIFIED
from vfslab.include.dcache import Dentry
from vfslab.include.fs import SB_POSIXACL, Inode, XattrHandler
from vfslab.include.sched import CAP_SYS_ADMIN
from vfslab.include.uapi.stat import S_IFLNK, S_IFMT
from vfslab.kernel.errno import EINVAL, ENODATA, EOPNOTSUPP, ERANGE
from vfslab.lib.crc32c import crc32c
from vfslab.lib.ondisk import FormatError

EXT4_XATTR_INDEX_USER, EXT4_XATTR_INDEX_POSIX_ACL_ACCESS, EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT = 1, 2, 3
EXT4_XATTR_INDEX_TRUSTED, EXT4_XATTR_INDEX_SECURITY, EXT4_XATTR_INDEX_SYSTEM, EXT4_XATTR_INDEX_HURD = 4, 6, 7, 10
EXT4_XATTR_SIZE_MAX = 1 << 24

_read_entry = ext4_xattr_entry.reader(
    "e_name_len", "e_name_index", "e_value_offs", "e_value_inum", "e_value_size", "e_hash"
)
_CHECKSUM_AT = ext4_xattr_header.field("h_checksum").offset


class XattrEntry(NamedTuple):
    """One attribute: value_at is where its value lies in the inode or block, if value_inum is 0."""

    name_index: int
    name: bytes
    value_at: int
    value_size: int
    value_inum: int
    hash: int


# --- entries as bytes --------------------------------------------------------------------------------------


def check_xattrs(buffer: Any, first: int, end: int, value_base: int) -> list[XattrEntry]:
    """Return the entries from byte `first` on, all of them checked; FormatError if one cannot be right.

    e_value_offs counts from value_base. Values lie behind the zero that ends the entries, and before end.
    """
    found, at = [], first
    while True:
        if at + 4 > end:
            raise FormatError(at, "e_name_len", "the list of attributes does not end")
        if not any(buffer[at : at + 4]):
            break
        following = at + (ext4_xattr_entry.size + buffer[at] + 3 & ~3)
        if following >= end:
            raise FormatError(at, "e_name_len", "the name goes beyond the end")
        length, index, offset, inum, size, crc = _read_entry(buffer, at)
        name = bytes(buffer[at + ext4_xattr_entry.size : at + ext4_xattr_entry.size + length])
        if b"\0" in name:
            raise FormatError(at, "e_name", "has a NUL byte in it")
        if size > EXT4_XATTR_SIZE_MAX:
            raise FormatError(at, "e_value_size", f"is {size}")
        found.append((at, XattrEntry(index, name, value_base + offset, size, inum, crc)))
        at = following
    for place, entry in found:
        if entry.value_size and not entry.value_inum:
            if entry.value_at < at + 4 or entry.value_at + (entry.value_size + 3 & ~3) > end:
                raise FormatError(place, "e_value_offs", "the value lies among the entries or beyond the end")
    return [entry for _, entry in found]


def ext4_xattr_ibody_entries(raw: Any, inode_size: int) -> list[XattrEntry]:
    """Return the attributes behind the members of an inode, whose inode_size bytes are raw; FormatError."""
    header = ext4_xattr_ibody_header.size
    if inode_size <= EXT4_GOOD_OLD_INODE_SIZE:
        return []
    extra = ext4_inode(raw).i_extra_isize
    at = EXT4_GOOD_OLD_INODE_SIZE + extra
    if not extra or at + header > inode_size or ext4_xattr_ibody_header(raw, at).h_magic != EXT4_XATTR_MAGIC:
        return []
    return check_xattrs(raw, at + header, inode_size, at + header)


def ext4_xattr_block_entries(block: Any) -> list[XattrEntry]:
    """Return the attributes in a block; FormatError."""
    header = ext4_xattr_header(block)
    if header.h_magic != EXT4_XATTR_MAGIC:
        raise FormatError(0, "h_magic", f"is {header.h_magic:#010x}: no block of attributes")
    if header.h_blocks != 1:
        raise FormatError(8, "h_blocks", f"is {header.h_blocks}")
    return check_xattrs(block, ext4_xattr_header.size, len(block), 0)


def ext4_xattr_block_csum(csum_seed: int, number: int, block: Any) -> int:
    """Return the checksum that belongs into h_checksum of the block with this number."""
    crc = crc32c(crc32c(csum_seed, number.to_bytes(8, "little")), block[:_CHECKSUM_AT])
    return crc32c(crc32c(crc, bytes(4)), block[_CHECKSUM_AT + 4 :])


def ext4_xattr_hash_entry(name: bytes, words: tuple[int, ...], signed: bool = False) -> int:
    """Return e_hash: the name's bytes, then the value's 32-bit words (of a value in an inode: its checksum).

    signed: as machines whose chars have a sign once wrote it for names with bytes from 0x80 on.
    """
    value = 0
    for char in name:
        if signed and char > 127:
            char -= 256
        value = (value << 5 ^ value >> 27 ^ char) & 0xFFFFFFFF
    for word in words:
        value = (value << 16 ^ value >> 16 ^ word) & 0xFFFFFFFF
    return value


def value_words(value: bytes) -> tuple[int, ...]:
    """Return a value as 32-bit words, the last one filled up with zeros."""
    padded = value + bytes(-len(value) % 4)
    return struct.unpack(f"<{len(padded) // 4}I", padded)


# --- of an inode -------------------------------------------------------------------------------------------


def ibody_attributes(inode: Inode) -> tuple[list[XattrEntry], bytes]:
    """Return the attributes behind the inode, and its bytes; EUCLEAN if they cannot be right."""
    from vfslab.fs.ext4.inode import ext4_get_inode_loc  # inode.py needs us for inline data

    size = EXT4_SB(inode.i_sb).s_inode_size
    if size <= EXT4_GOOD_OLD_INODE_SIZE:
        return [], b""
    bh, offset = ext4_get_inode_loc(inode.i_sb, inode.i_ino)
    raw = bytes(bh.b_data[offset : offset + size])
    brelse(bh)
    try:
        return ext4_xattr_ibody_entries(raw, size), raw
    except FormatError as error:
        ext4_error(inode.i_sb, "ext4_xattr_ibody_get", f"attributes in the inode: {error}", inode.i_ino)


def block_attributes(inode: Inode) -> tuple[list[XattrEntry], bytes]:
    """Return the attributes in the inode's block, and its bytes; EUCLEAN, or EBADMSG for a wrong checksum."""
    sb, number = inode.i_sb, EXT4_I(inode).i_file_acl
    if not number:
        return [], b""
    sbi = EXT4_SB(sb)
    if not sbi.s_first_data_block < number < sbi.s_blocks_count:
        ext4_error(sb, "ext4_xattr_block_get", "attributes lie outside the filesystem", inode.i_ino, number)
    bh = sb_bread(sb, number)
    try:
        block = bytes(bh.b_data)
        entries = ext4_xattr_block_entries(block)
        if sbi.s_metadata_csum and not bh.b_state & BH_VERIFIED:
            if ext4_xattr_block_csum(sbi.s_csum_seed, number, block) != ext4_xattr_header(block).h_checksum:
                ext4_checksum_error(sb, "ext4_xattr_block_get", "attributes: wrong checksum", inode.i_ino, number)
            bh.b_state |= BH_VERIFIED
        return entries, block
    except FormatError as error:
        ext4_error(sb, "ext4_xattr_block_get", f"attributes: {error}", inode.i_ino, number)
    finally:
        brelse(bh)


def ext4_xattr_get(inode: Inode, name_index: int, name: bytes) -> bytes:
    """Return the value of the attribute with this prefix number and rest of the name; ENODATA if there is none."""
    if len(name) > 255:
        raise ERANGE(name)
    for read in (ibody_attributes, block_attributes):
        entries, buffer = read(inode)
        entry = find_entry(entries, name_index, name)
        if entry is not None:
            return entry_value(inode, entry, buffer)
    raise ENODATA(name)


def ext4_xattr_ibody_get(inode: Inode, name_index: int, name: bytes) -> bytes:
    """Return the value of an attribute behind the inode; ENODATA if it is not there, wherever else it may be."""
    entries, raw = ibody_attributes(inode)
    entry = find_entry(entries, name_index, name)
    if entry is None:
        raise ENODATA(name)
    return entry_value(inode, entry, raw)


def find_entry(entries: list[XattrEntry], name_index: int, name: bytes) -> XattrEntry | None:
    """Return the first entry of this name, or None."""
    for entry in entries:
        if entry.name_index == name_index and entry.name == name:
            return entry
    return None


def entry_value(inode: Inode, entry: XattrEntry, buffer: bytes) -> bytes:
    """Return an attribute's value, from where it lies."""
    if entry.value_inum:
        return ext4_xattr_inode_get(inode, entry)
    return buffer[entry.value_at : entry.value_at + entry.value_size]


def ext4_xattr_list(inode: Inode) -> list[tuple[int, bytes]]:
    """Return (prefix number, rest of the name) of all attributes: the inode's, then the block's."""
    return [(entry.name_index, entry.name) for read in (ibody_attributes, block_attributes) for entry in read(inode)[0]]


# --- values in inodes ----------------------------------------------------------------------------------------


def ext4_xattr_inode_get(inode: Inode, entry: XattrEntry) -> bytes:
    """Return the value that the inode e_value_inum holds; EUCLEAN unless size, checksum and hash are right."""
    from vfslab.fs.ext4.inode import ext4_iget
    from vfslab.fs.inode import iput

    sb, number, where = inode.i_sb, entry.value_inum, "ext4_xattr_inode_get"
    sbi = EXT4_SB(sb)
    if number == EXT4_ROOT_INO or number == inode.i_ino or not sbi.s_first_ino <= number <= sbi.s_inodes_count:
        ext4_error(sb, where, f"a value in inode {number}, which cannot hold one", inode.i_ino)
    ea_inode = ext4_iget(sb, number, EXT4_IGET_EA_INODE)
    try:
        if not EXT4_I(ea_inode).i_flags & EXT4_EA_INODE_FL:
            ext4_error(sb, where, f"inode {number} should hold a value, but is none for that", inode.i_ino)
        if ea_inode.i_size != entry.value_size:
            text = f"value of {entry.value_size} bytes, but inode {number} has {ea_inode.i_size}"
            ext4_error(sb, where, text, inode.i_ino)
        value = b"".join(content(ea_inode))[: entry.value_size]
        if not value_is_right(inode, ea_inode, entry, value):
            ext4_error(sb, where, f"the value in inode {number} has another hash", inode.i_ino)
        return value
    finally:
        iput(ea_inode)


def content(ea_inode: Inode) -> Iterator[bytes]:
    """Yield the blocks of an inode that holds a value; it has no holes."""
    from vfslab.fs.ext4.inode import ext4_bread

    sb = ea_inode.i_sb
    for block in range(-(-ea_inode.i_size // sb.s_blocksize)):
        bh = ext4_bread(ea_inode, block)
        if bh is None:
            ext4_error(sb, "ext4_xattr_inode_read", f"a value with a hole at block {block}", ea_inode.i_ino)
        yield bytes(bh.b_data)
        brelse(bh)


def value_is_right(inode: Inode, ea_inode: Inode, entry: XattrEntry, value: bytes) -> bool:
    """True if the value's checksum is what its inode keeps in place of a time, and the entry's hash contains it.

    Lustre's such inodes have no checksum; they point back to the one inode that they belong to.
    """
    checksum = crc32c(EXT4_SB(inode.i_sb).s_csum_seed, value)
    if checksum == ea_inode.i_atime_sec & 0xFFFFFFFF:
        hashes = [ext4_xattr_hash_entry(entry.name, (checksum,), signed) for signed in (False, True)]
        if entry.hash in hashes:
            return True
    parent = ea_inode.i_mtime_sec & 0xFFFFFFFF, ea_inode.i_generation
    return parent == (inode.i_ino, inode.i_generation)


# --- namespaces ----------------------------------------------------------------------------------------------


def _namespace(index: int, prefix: bytes, listed: Any = None) -> tuple[int, XattrHandler]:
    """Return (index, handler) of a namespace whose names are stored without their prefix."""

    def get(handler: XattrHandler, dentry: Dentry, inode: Inode, suffix: bytes) -> bytes:
        return ext4_xattr_get(inode, index, suffix)

    return index, XattrHandler(prefix=prefix, get=get, list=listed)


def _acl(index: int, name: bytes) -> tuple[int, XattrHandler]:
    """Return (index, handler) of one of the two access control lists, which are whole names."""

    def get(handler: XattrHandler, dentry: Dentry, inode: Inode, suffix: bytes) -> bytes:
        if suffix or not inode.i_sb.s_flags & SB_POSIXACL or inode.i_mode & S_IFMT == S_IFLNK:
            raise EOPNOTSUPP(name + suffix)
        return ext4_acl_to_xattr(ext4_xattr_get(inode, index, b""))

    return index, XattrHandler(
        prefix=name, get=get, list=lambda dentry: bool(dentry.d_inode.i_sb.s_flags & SB_POSIXACL)
    )


def ext4_acl_to_xattr(raw: bytes) -> bytes:
    """Return a list of access rights as getxattr() gives it; EINVAL if the stored one is not in order.

    ext4 stores the id only with entries that name a user or group; getxattr() gives every entry one.
    """
    if len(raw) < 4 or raw[:4] != b"\1\0\0\0":
        raise EINVAL("access control list: version")
    entries, at = [], 4
    while at < len(raw):
        tag = int.from_bytes(raw[at : at + 2], "little")
        named = tag in (0x02, 0x08)  # a user, a group; the others: owner, its group, mask, everybody else
        size = 8 if named else 4
        if tag not in (0x01, 0x02, 0x04, 0x08, 0x10, 0x20) or at + size > len(raw):
            raise EINVAL(f"access control list: entry at byte {at}")
        entries.append(raw[at : at + 8] if named else raw[at : at + 4] + b"\xff\xff\xff\xff")
        at += size
    if not entries:
        raise ENODATA("access control list without entries")
    return b"\2\0\0\0" + b"".join(entries)


_HANDLER_OF = MappingProxyType(
    dict(
        (
            _namespace(EXT4_XATTR_INDEX_USER, b"user."),
            _acl(EXT4_XATTR_INDEX_POSIX_ACL_ACCESS, b"system.posix_acl_access"),
            _acl(EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT, b"system.posix_acl_default"),
            _namespace(EXT4_XATTR_INDEX_TRUSTED, b"trusted.", lambda _: capable(CAP_SYS_ADMIN)),
            _namespace(EXT4_XATTR_INDEX_SECURITY, b"security."),
            _namespace(EXT4_XATTR_INDEX_HURD, b"gnu."),
        )
    )
)
ext4_xattr_handlers = tuple(_HANDLER_OF.values())


def ext4_listxattr(dentry: Dentry) -> list[bytes]:
    """Return the whole names of all attributes that the caller may see (i_op.listxattr).

    system.data, where inline data goes on, has no handler: it is a file's content, not an attribute.
    """
    names = []
    for index, name in ext4_xattr_list(dentry.d_inode):
        handler = _HANDLER_OF.get(index)
        if handler is not None and (handler.list is None or handler.list(dentry)):
            names.append(handler.prefix + name)
    return names
