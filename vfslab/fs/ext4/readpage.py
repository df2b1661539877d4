"""Filling the page cache of ext4 files.

    filemap ──▶ ext4_readahead, ext4_read_folio ──▶ mpage, which asks ext4_get_block ──▶ bios
                                                └─▶ inline.py, for data that is in the inode

Linux: fs/ext4/readpage.c, ext4_aops of inode.c.   Chapter 8.
Left out: decryption and verity between disk and cache. Reading an encrypted file fails with ENOKEY when it is opened.
"""

from __future__ import annotations

from vfslab.fs.ext4.ext4 import EXT4_I, EXT4_MAP_MAPPED
from vfslab.fs.ext4.format import EXT4_INLINE_DATA_FL
from vfslab.fs.ext4.inline import ext4_readpage_inline
from vfslab.fs.ext4.inode import ext4_get_block, ext4_map_blocks
from vfslab.fs.mpage import mpage_read_folio, mpage_readahead
from vfslab.include.fs import AddressSpace, AddressSpaceOperations, File
from vfslab.include.mm_types import Folio, ReadaheadControl


def ext4_read_folio(file: File | None, folio: Folio) -> None:
    """Fill one locked folio."""
    inode = folio.mapping.host
    if inode._container.i_flags & EXT4_INLINE_DATA_FL:
        ext4_readpage_inline(inode, folio)
    else:
        mpage_read_folio(folio, ext4_get_block)


def ext4_readahead(rac: ReadaheadControl) -> None:
    """Fill the folios of a read-ahead window; inline data is read when it is asked for."""
    if not rac.mapping.host._container.i_flags & EXT4_INLINE_DATA_FL:
        mpage_readahead(rac, ext4_get_block)


def ext4_bmap(mapping: AddressSpace, block: int) -> int:
    """Return the disk block of a file block, 0 for a hole or data inside the inode."""
    if EXT4_I(mapping.host).i_flags & EXT4_INLINE_DATA_FL:
        return 0
    state, pblk, _ = ext4_map_blocks(mapping.host, block)
    return pblk if state == EXT4_MAP_MAPPED else 0


ext4_aops = AddressSpaceOperations(read_folio=ext4_read_folio, readahead=ext4_readahead, bmap=ext4_bmap)
