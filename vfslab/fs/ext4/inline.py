"""Inline data: small files and directories that live in their inode.

    i_block, 60 bytes                 behind the inode, an attribute named system.data
    ┌──────────────────────────┐      ┌─────────────────────────────────────────┐
    │ the first 60 bytes       │      │ what follows; of length 0 if 60 are enough │
    └──────────────────────────┘      └─────────────────────────────────────────┘
    in a directory: 4 bytes, the inode of `..`; then entries up to byte 60; more entries in the attribute

Linux: fs/ext4/inline.c.   Chapter 3.
Left out: everything that writes, and so the conversion to blocks.

Always true
  N1  the attribute is there, even if it is empty: an inode without it is damaged
  N2  a file may be longer than what is kept of it: the rest is a hole. mke2fs makes such files of zeros alone
"""

from __future__ import annotations

from vfslab.fs.ext4.ext4 import (
    EXT4_I,
    EXT4_XATTR_INDEX_SYSTEM,
    EXT4_XATTR_SYSTEM_DATA,
    ext4_error,
)
from vfslab.fs.ext4.xattr import ext4_xattr_ibody_get
from vfslab.include.fs import Inode
from vfslab.include.mm_types import PAGE_SHIFT, Folio
from vfslab.kernel.errno import ENODATA, KernelError
from vfslab.mm.filemap import folio_end_read

EXT4_INLINE_DOTDOT_SIZE = 4


def ext4_inline_content(inode: Inode) -> bytes:
    """Return all bytes there is room for: those of i_block, then those of the attribute."""
    try:
        more = ext4_xattr_ibody_get(inode, EXT4_XATTR_INDEX_SYSTEM, EXT4_XATTR_SYSTEM_DATA)
    except ENODATA:
        ext4_error(inode.i_sb, "ext4_find_inline_data", "inline data without the attribute system.data", inode.i_ino)
    return EXT4_I(inode).i_data + more


def ext4_read_inline_data(inode: Inode) -> bytes:
    """Return the i_size bytes of a symlink; EFSCORRUPTED if there is room for less."""
    content = ext4_inline_content(inode)
    if inode.i_size > len(content):
        text = f"i_size {inode.i_size}, but inline data of {len(content)} bytes"
        ext4_error(inode.i_sb, "ext4_read_inline_data", text, inode.i_ino)
    return content[: inode.i_size]


def ext4_readpage_inline(inode: Inode, folio: Folio) -> None:
    """Fill one locked folio of a file with inline data; behind that data are zeros (N2)."""
    try:
        data = ext4_inline_content(inode)[: inode.i_size]
    except KernelError:
        folio_end_read(folio, False)
        raise
    part = data[folio.index << PAGE_SHIFT :][: len(folio.mem)]
    folio.mem[:] = part + bytes(len(folio.mem) - len(part))
    folio_end_read(folio, True)
