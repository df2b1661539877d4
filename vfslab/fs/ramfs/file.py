"""Holes in files of ramfs: a page that was never written does not exist.

    lseek(SEEK_DATA), lseek(SEEK_HOLE)   look which pages the mapping has
    fallocate(PUNCH_HOLE)                takes pages away;  without it: makes them

Linux: mapping_seek_hole_data() of mm/filemap.c, shmem_fallocate() of mm/shmem.c.   Chapter 8.
Linux's ramfs can neither; here they make holes visible on the root filesystem, as on tmpfs.
"""

from __future__ import annotations

from vfslab.fs.attr import file_modified
from vfslab.fs.read_write import generic_file_llseek, vfs_setpos
from vfslab.include.fs import AddressSpace, File
from vfslab.include.mm_types import PAGE_SHIFT, PAGE_SIZE, PG_UPTODATE
from vfslab.include.uapi.falloc import FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE
from vfslab.include.uapi.fcntl import SEEK_DATA, SEEK_HOLE
from vfslab.kernel.errno import ENXIO, EOPNOTSUPP
from vfslab.kernel.locking import down_write
from vfslab.mm.filemap import filemap_grab_folio, folio_mark_uptodate, folio_put, folio_unlock, split_folio
from vfslab.mm.truncate import truncate_inode_pages_range


def ramfs_file_llseek(file: File, offset: int, whence: int) -> int:
    """Move the position; SEEK_DATA and SEEK_HOLE by what pages there are."""
    if whence not in (SEEK_DATA, SEEK_HOLE):
        return generic_file_llseek(file, offset, whence)
    inode = file.f_inode
    if not 0 <= offset < inode.i_size:
        raise ENXIO(offset)
    pos = mapping_seek_hole_data(file.f_mapping, offset, inode.i_size, whence)
    return vfs_setpos(file, pos, inode.i_sb.s_maxbytes)


def mapping_seek_hole_data(mapping: AddressSpace, start: int, end: int, whence: int) -> int:
    """Return where data (or a hole) next is, from start on; ENXIO if no data follows."""
    pages, page = mapping.i_pages, start >> PAGE_SHIFT
    last = (end - 1) >> PAGE_SHIFT
    if whence == SEEK_HOLE:
        while page <= last and page in pages:
            page += 1
        return min(max(start, page << PAGE_SHIFT), end)
    following = [index for index in pages if page <= index <= last]
    if not following:
        raise ENXIO(start)
    return max(start, min(following) << PAGE_SHIFT)


def split_at(mapping: AddressSpace, pos: int) -> None:
    """Split a folio of many pages that pos lies in: a hole begins or ends there, and whole pages are to go."""
    folio = mapping.i_pages.get(pos >> PAGE_SHIFT)
    if folio is not None and folio.nr_pages > 1:
        split_folio(folio)


def ramfs_fallocate(file: File, mode: int, offset: int, length: int) -> None:
    """Make sure that pages are there, or with PUNCH_HOLE that they are not."""
    if mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE):
        raise EOPNOTSUPP(mode)
    inode, end = file.f_inode, offset + length
    with down_write(inode.i_rwsem):
        file_modified(file)
        if mode & FALLOC_FL_PUNCH_HOLE:
            split_at(file.f_mapping, offset)
            split_at(file.f_mapping, end)
            truncate_inode_pages_range(file.f_mapping, offset, end - 1)
            return
        for index in range(offset >> PAGE_SHIFT, (end + PAGE_SIZE - 1) >> PAGE_SHIFT):
            folio = filemap_grab_folio(file.f_mapping, index)
            if not folio.flags & PG_UPTODATE:
                folio_mark_uptodate(folio)  # it came as zeros
            folio_unlock(folio)
            folio_put(folio)
        if end > inode.i_size and not mode & FALLOC_FL_KEEP_SIZE:
            inode.i_size = end
