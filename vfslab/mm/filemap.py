"""The page cache: file content in memory, and how read(2) and write(2) go through it.

    read_iter ─▶ filemap_read ──hit──▶ copy_to_iter
                     └─miss─▶ filemap_get_pages ─▶ readahead.py ─▶ a_ops.readahead ┐
                                     └▶ filemap_create_folio ─▶ a_ops.read_folio ──┴▶ fs/mpage.py ─▶ bio
    write_iter ─▶ generic_perform_write ─▶ a_ops.write_begin, copy_from_iter, a_ops.write_end

A folio's life: filemap_alloc_folio() makes it, locked; filemap_add_folio() puts it into its file;
the filesystem fills it and says folio_end_read(), which unlocks it and, if all went well, marks it
up to date. From then on reads copy out of it, until truncation or reclaim takes it away.

Linux: mm/filemap.c, include/linux/pagemap.h.   Chapter 8.
Left out: mmap and page faults, direct I/O (it is served from here), waiting for a locked folio: whatever
fills one does so before it returns. generic_file_write_iter takes no lock and sets no times; its caller does.

Always true
  F1  folio.mapping.i_pages[page] is folio for each page that it covers, as long as it is in the cache
  F2  a folio that is up to date holds what the file holds, and zeros beyond the end of the file: who
      fills one (read_folio, readahead) and who cuts a file short (truncate.py) see to the zeros
  F3  nothing is copied out of a folio that is not up to date, or from beyond i_size
  F4  an error is told only when no byte came before it; else the read is short
  F5  _refcount is 1 for the page cache, and 1 more for each user; while it is above 1 reclaim keeps away
  F6  a folio begins at a multiple of mapping_min_folio_nrpages() pages and is a multiple of it long,
      so the smallest folio around a page that is not cached overlaps with no other
"""

from __future__ import annotations

from vfslab.include.fs import AddressSpace, File, FileRaState
from vfslab.include.mm_types import (
    AS_UNEVICTABLE,
    PAGE_SHIFT,
    PAGE_SIZE,
    PG_ACTIVE,
    PG_DIRTY,
    PG_LOCKED,
    PG_LRU,
    PG_READAHEAD,
    PG_REFERENCED,
    PG_UPTODATE,
    Folio,
)
from vfslab.include.uio import IOCB_APPEND, IOCB_NOWAIT, IovIter, Kiocb
from vfslab.kernel.errno import EAGAIN, EFBIG, EIO, KernelError
from vfslab.kernel.iov_iter import copy_from_iter, copy_to_iter, iov_iter_zero
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kfree, kzalloc
from vfslab.lib.kstruct import KernelBug
from vfslab.mm import readahead
from vfslab.mm.page_alloc import filemap_alloc_folio, filemap_alloc_zeroed, max_folio_pages
from vfslab.mm.swap import folio_activate, folio_get, folio_put, lruvec_del_folio

COPY_MASK = PG_UPTODATE | PG_READAHEAD  # PG_UPTODATE alone of these: just copy; with PG_READAHEAD: first read on ahead
LRU_MASK = PG_LRU | PG_ACTIVE  # PG_LRU alone of these: on the inactive list

__all__ = ["folio_get", "folio_put"]  # they live in mm/swap.py; filesystems look for them here


# --- the table of pages (in Linux a tree, the XArray) -------------------------------------------------------------------------------


def filemap_add_folio(mapping: AddressSpace, folio: Folio) -> None:
    """Put a new folio, made for mapping, into its table and at the young end of the inactive list (a dict in order)."""
    pages, nr = mapping.i_pages, folio.nr_pages
    if nr == 1:
        pages[folio.index] = folio
    else:
        for page in range(folio.index, folio.index + nr):
            pages[page] = folio
    mapping.nrpages += nr
    if not mapping.flags & AS_UNEVICTABLE:
        node = cpu.kernel.node
        folio.flags |= PG_LRU
        node.inactive[folio] = None
        node.nr_inactive += nr


def page_cache_delete(mapping: AddressSpace, folio: Folio) -> None:
    """Take a folio out of the table; it is still in memory."""
    pages, nr = mapping.i_pages, folio.nr_pages
    if nr == 1:
        del pages[folio.index]
    else:
        for page in range(folio.index, folio.index + nr):
            del pages[page]
    mapping.nrpages -= nr


def filemap_remove_folio(folio: Folio) -> None:
    """Take a folio out of its file and off its list; it is freed when nobody refers to it any more."""
    if folio.flags & PG_LRU:
        lruvec_del_folio(cpu.kernel.node, folio)
    page_cache_delete(folio.mapping, folio)
    folio.mapping = None
    folio_put(folio)


def mapping_min_folio_nrpages(mapping: AddressSpace) -> int:
    """Return the pages of the smallest folio: more than one only where a block is longer than a page."""
    blkbits = mapping.host.i_blkbits
    return 1 << (blkbits - PAGE_SHIFT) if blkbits > PAGE_SHIFT else 1


def mapping_set_unevictable(mapping: AddressSpace) -> None:
    """Say that the pages of mapping are the only copy of what is in them: reclaim leaves them alone."""
    mapping.flags |= AS_UNEVICTABLE


# --- one folio ---------------------------------------------------------------------------------------


def filemap_get_folio(mapping: AddressSpace, index: int) -> Folio | None:
    """Return the folio that holds page index with a reference, or None if it is not cached."""
    folio = mapping.i_pages.get(index)
    if folio is not None:
        folio._refcount += 1
    return folio


def __filemap_get_folio(mapping: AddressSpace, index: int, create: bool, length: int = PAGE_SIZE) -> Folio | None:
    """Return the folio of page index, locked and with a reference; a missing one is made, zeroed and not up to date.

    A new one is as long as a write of length bytes from there on can use. Without create a missing one is None.
    filemap_alloc_zeroed makes it locked, or raises ENOSPC if memory is full of what cannot go: for a filesystem
    in memory that is its disk.
    """
    folio = mapping.i_pages.get(index)
    if folio is None:
        if not create:
            return None
        nr = 1
        if length > PAGE_SIZE or mapping.host.i_blkbits > PAGE_SHIFT:
            index, nr = new_folio_span(mapping, index, length)
        folio = filemap_alloc_zeroed(mapping, index, nr)
        filemap_add_folio(mapping, folio)
    else:
        folio_lock(folio)
    folio._refcount += 1
    return folio


def filemap_grab_folio(mapping: AddressSpace, index: int) -> Folio:
    """Return the folio of page index, locked and with a reference, made if need be."""
    return __filemap_get_folio(mapping, index, True)


def new_folio_span(mapping: AddressSpace, index: int, length: int) -> tuple[int, int]:
    """Return (first page, pages) of a new folio at page index that is to hold up to length bytes."""
    least = mapping_min_folio_nrpages(mapping)
    if least > 1:
        return index - index % least, least
    # A folio of 2^n pages lies at a multiple of 2^n pages, as in Linux: `index & -index` is the largest that may.
    want = min(length >> PAGE_SHIFT, max_folio_pages(), index & -index if index else max_folio_pages())
    nr = 1 << (want.bit_length() - 1) if want > 1 else 1
    pages = mapping.i_pages
    while nr > 1 and not pages.keys().isdisjoint(range(index, index + nr)):
        nr >>= 1
    return index, nr


def folio_lock(folio: Folio) -> None:
    """Lock a folio: its content is about to change as a whole."""
    if folio.flags & PG_LOCKED:
        raise KernelBug(f"{folio} is locked, and nobody else runs who could unlock it")
    folio.flags |= PG_LOCKED


def folio_unlock(folio: Folio) -> None:
    """Unlock a folio."""
    folio.flags &= ~PG_LOCKED


def folio_mark_uptodate(folio: Folio) -> None:
    """All bytes of folio are those of the file."""
    folio.flags |= PG_UPTODATE


def folio_end_read(folio: Folio, success: bool) -> None:
    """Reading into a locked folio is over; it is up to date if that succeeded."""
    if success:
        folio.flags = folio.flags & ~PG_LOCKED | PG_UPTODATE
    else:
        folio.flags &= ~PG_LOCKED


def folio_mark_dirty(folio: Folio) -> bool:
    """The folio holds what the disk does not; return whether that is news."""
    dirty_folio = folio.mapping.a_ops.dirty_folio
    if dirty_folio is not None:
        return dirty_folio(folio.mapping, folio)
    return filemap_dirty_folio(folio.mapping, folio)


def filemap_dirty_folio(mapping: AddressSpace, folio: Folio) -> bool:
    """Set the dirty flag; return whether it was clear."""
    newly = not folio.flags & PG_DIRTY
    folio.flags |= PG_DIRTY
    return newly


# --- reading -----------------------------------------------------------------------------------------


def generic_file_read_iter(iocb: Kiocb, it: IovIter) -> int:
    """Read through the page cache; return how many bytes there were. For use as f_op.read_iter."""
    return filemap_read(iocb, it) if it.count else 0


def filemap_read(iocb: Kiocb, it: IovIter) -> int:
    """Copy from the page cache to the caller from ki_pos on, reading what is missing; return how many bytes.

    A first use marks a folio, a second one makes it active; going on within the folio where the last read
    of this file ended is no new use. (References are counted by hand here: it is the hot path.)
    """
    file, pos = iocb.ki_filp, iocb.ki_pos
    mapping = file.f_mapping
    end = pos + it.count
    if end > mapping.host.i_size:
        end = mapping.host.i_size
        if pos >= end:
            return 0
    ra, pages, start = file.f_ra or readahead.file_ra_state_init(file), mapping.i_pages, pos
    last_page = (ra.prev_pos - 1) >> PAGE_SHIFT  # of the read before this one; negative if there was none
    while pos < end:
        folio = pages.get(pos >> PAGE_SHIFT)
        if folio is None or folio.flags & COPY_MASK != PG_UPTODATE:
            try:
                folio = filemap_get_pages(iocb, mapping, ra, pos >> PAGE_SHIFT, (end + PAGE_SIZE - 1) >> PAGE_SHIFT)
            except KernelError:
                if pos > start:
                    break
                raise
            if folio is None:  # a hole in memory: zeros, up to the end of the page
                pos += iov_iter_zero(min(end, (pos | (PAGE_SIZE - 1)) + 1) - pos, it)
                continue
        folio._refcount += 1
        flags, first = folio.flags, folio.index
        if not first <= last_page < first + folio.nr_pages:
            if not flags & PG_REFERENCED:
                folio.flags = flags | PG_REFERENCED
            elif flags & LRU_MASK == PG_LRU:
                folio_activate(folio)
        offset = pos - (first << PAGE_SHIFT)
        stop = offset + end - pos
        piece = folio.mem
        if stop < len(piece) or offset:  # else all of it is wanted
            piece = piece[offset:stop]
        pos += copy_to_iter(piece, it)
        folio._refcount -= 1
    iocb.ki_pos = ra.prev_pos = pos
    return pos - start


def filemap_get_pages(iocb: Kiocb, mapping: AddressSpace, ra: FileRaState, index: int, last_index: int) -> Folio | None:
    """Return the up-to-date folio of page index, reading it if need be, and ahead of it up to last_index or further.

    EIO, or what the filesystem says, if it cannot be read. None is a hole in a file that is in memory only:
    to fill it with zeros would take memory that reclaim could never have back.
    """
    file, pages = iocb.ki_filp, mapping.i_pages
    folio = pages.get(index)
    if iocb.ki_flags & IOCB_NOWAIT and (folio is None or not folio.flags & PG_UPTODATE):
        raise EAGAIN(index)
    if folio is None:
        if mapping.flags & AS_UNEVICTABLE:
            return None
        readahead.page_cache_sync_readahead(mapping, ra, file, index, last_index - index)
        folio = pages.get(index)
        if folio is None:
            return filemap_create_folio(file, mapping, index)
    if not folio.flags & PG_UPTODATE:
        folio = filemap_update_page(file, mapping, folio, index)
    if folio.flags & PG_READAHEAD:
        folio._refcount += 1  # what comes in now must not push this one out
        readahead.page_cache_async_readahead(mapping, ra, file, folio, index)
        folio._refcount -= 1
    return folio


def filemap_create_folio(file: File | None, mapping: AddressSpace, index: int) -> Folio:
    """Return the smallest folio around page index, new, in mapping, and read."""
    nr = 1
    if mapping.host.i_blkbits > PAGE_SHIFT:
        nr = mapping_min_folio_nrpages(mapping)
        index -= index % nr
    folio = filemap_alloc_folio(mapping, index, nr)
    filemap_add_folio(mapping, folio)
    filemap_read_folio(file, mapping, folio)
    return folio


def filemap_read_folio(file: File | None, mapping: AddressSpace, folio: Folio) -> None:
    """Have the filesystem fill a locked folio; EIO if that fails without saying how. It stays, to be tried again."""
    try:
        mapping.a_ops.read_folio(file, folio)
    except KernelError:
        folio.flags &= ~PG_LOCKED
        raise
    if not folio.flags & PG_UPTODATE:
        if folio.flags & PG_LOCKED:
            raise KernelBug(f"{folio} was not unlocked by read_folio")
        raise EIO(folio)


def filemap_update_page(file: File | None, mapping: AddressSpace, folio: Folio, index: int) -> Folio:
    """Return the folio of page index after trying again to read it.

    A long folio may have failed for one bad block: it is split, so that its other pages can be read.
    """
    if folio.nr_pages > mapping_min_folio_nrpages(mapping) and folio.private is None and folio._refcount == 1:
        split_folio(folio)
        folio = mapping.i_pages[index]
    folio_lock(folio)
    filemap_read_folio(file, mapping, folio)
    return folio


def split_folio(folio: Folio) -> None:
    """Replace a folio by the smallest ones, with its bytes; nobody but the cache refers to it.

    Two have use for that: a read that failed for one bad block of a long folio, and a hole punched into one.
    """
    mapping, node = folio.mapping, cpu.kernel.node
    least = mapping_min_folio_nrpages(mapping)
    first, nr, mem, state = folio.index, folio.nr_pages, folio.mem, folio.flags & (PG_UPTODATE | PG_DIRTY)
    pfn = folio.pfn
    lruvec_del_folio(node, folio)
    page_cache_delete(mapping, folio)
    kfree(folio)
    for start in range(0, nr, least):
        part = mem[start << PAGE_SHIFT : (start + least) << PAGE_SHIFT]
        frame = pfn + start if pfn >= 0 else -1
        filemap_add_folio(mapping, kzalloc(Folio, state, mapping, first + start, least, part, frame))


def read_mapping_folio(mapping: AddressSpace, index: int, file: File | None = None) -> Folio:
    """Return the folio of page index, up to date and with a reference; what the filesystem raises if it cannot be."""
    folio = mapping.i_pages.get(index)
    if folio is None:
        folio = filemap_create_folio(file, mapping, index)
    elif not folio.flags & PG_UPTODATE:
        folio = filemap_update_page(file, mapping, folio, index)
    folio._refcount += 1
    return folio


# --- writing -----------------------------------------------------------------------------------------


def generic_file_write_iter(iocb: Kiocb, it: IovIter) -> int:
    """Write through the page cache; return how many bytes were taken. For use as f_op.write_iter.

    The caller holds i_rwsem for writing where other tasks may write, and updates the times of the file.
    """
    inode = iocb.ki_filp.f_mapping.host
    if iocb.ki_flags & IOCB_APPEND:
        iocb.ki_pos = inode.i_size
    room = inode.i_sb.s_maxbytes - iocb.ki_pos
    if it.count > room:
        if room <= 0:
            raise EFBIG(iocb.ki_pos)
        it.count = room
    return generic_perform_write(iocb, it) if it.count else 0


def generic_perform_write(iocb: Kiocb, it: IovIter) -> int:
    """Copy from the caller into the page cache, folio by folio; return how many bytes, moving ki_pos.

    write_begin gives a folio that may be written at that place, and may fail: after the first folio that makes
    the write short. write_end takes note of what was (and moves i_size); it takes all, and does not fail, nor
    does the copy: the caller's bytes are in memory.
    """
    file, start = iocb.ki_filp, iocb.ki_pos
    mapping, pos = file.f_mapping, iocb.ki_pos
    write_begin, write_end = mapping.a_ops.write_begin, mapping.a_ops.write_end
    while it.count:
        try:
            folio, fsdata = write_begin(file, mapping, pos, it.count)
        except KernelError:
            if pos > start:
                break
            raise
        offset = pos - (folio.index << PAGE_SHIFT)
        piece = copy_from_iter((folio.nr_pages << PAGE_SHIFT) - offset, it)
        length = len(piece)
        folio.mem[offset : offset + length] = piece
        pos += write_end(file, mapping, pos, length, length, folio, fsdata)  # so many asked for, so many copied
    iocb.ki_pos = pos
    return pos - start


# --- what is cached ----------------------------------------------------------------------------------


def filemap_cachestat(mapping: AddressSpace, first: int, last: int) -> tuple[int, int]:
    """Return how many of the pages first..last are (cached, dirty), as cachestat(2) counts them."""
    cached = dirty = 0
    for index, folio in mapping.i_pages.items():
        if first <= index <= last:
            cached += 1
            dirty += bool(folio.flags & PG_DIRTY)
    return cached, dirty
