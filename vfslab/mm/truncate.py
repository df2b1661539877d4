"""Taking pages out of a file's page cache: because the file ends there, or to have them read anew.

    truncate_setsize ─▶ i_size ─▶ truncate_pagecache ─▶ whole folios go, the one across the end is cut
    evict_inode ──────────────────▶ truncate_inode_pages(mapping, 0)
    fadvise, BLKFLSBUF ───────────▶ invalidate_mapping_pages: clean and idle ones only

Linux: mm/truncate.c.   Chapter 8.
Left out: shadow entries, waiting for writeback.

Always true
  T1  after truncate_inode_pages(mapping, n) no byte at n or beyond is cached, but for zeros in the page of n
  T2  invalidation never loses a byte that is not on the disk as well
"""

from __future__ import annotations

from vfslab.include.fs import AddressSpace, Inode
from vfslab.include.mm_types import PAGE_SHIFT, PAGE_SIZE, PG_DIRTY, PG_LOCKED, PG_WRITEBACK, Folio
from vfslab.kernel.sched import cpu
from vfslab.mm.buddy import free_range
from vfslab.mm.filemap import filemap_remove_folio
from vfslab.mm.vmscan import folio_release


def truncate_inode_pages(mapping: AddressSpace, lstart: int) -> None:
    """Remove all cached bytes of mapping from byte lstart on, dirty or not."""
    pages = mapping.i_pages
    if lstart <= 0:
        while pages:
            truncate_folio(pages[next(reversed(pages))])  # from the end, where a dictionary has no gaps to pass
    elif pages:
        truncate_inode_pages_range(mapping, lstart, -1)


def truncate_inode_pages_range(mapping: AddressSpace, lstart: int, lend: int) -> None:
    """Remove the cached bytes lstart..lend (inclusive; -1: to the end); parts of pages become zeros."""
    end = lend + 1 if lend >= 0 else 1 << 64
    for folio in folios_in_range(mapping, lstart >> PAGE_SHIFT, (end - 1) >> PAGE_SHIFT):
        first = folio.index << PAGE_SHIFT
        after = first + (folio.nr_pages << PAGE_SHIFT)
        if lstart <= first and after <= end:
            truncate_folio(folio)
        else:
            truncate_partial_folio(folio, max(lstart - first, 0), min(end, after) - first)


truncate_inode_pages_final = truncate_inode_pages


def folios_in_range(mapping: AddressSpace, first: int, last: int) -> list[Folio]:
    """Return the folios that hold any of the pages first..last, each once."""
    pages = mapping.i_pages
    if first <= 0 and last >= 1 << 50:
        return list(dict.fromkeys(pages.values()))
    if last - first < len(pages):
        return list(dict.fromkeys(pages[page] for page in range(first, last + 1) if page in pages))
    return list(dict.fromkeys(folio for page, folio in pages.items() if first <= page <= last))


def truncate_folio(folio: Folio) -> None:
    """Remove a whole folio; what hangs on it goes first, and whoever still refers to it has it alone."""
    if folio.private is not None:
        invalidate_folio = folio.mapping.a_ops.invalidate_folio
        if invalidate_folio is not None:
            invalidate_folio(folio, 0, folio.nr_pages << PAGE_SHIFT)
    folio.flags &= ~PG_DIRTY
    filemap_remove_folio(folio)


def truncate_partial_folio(folio: Folio, start: int, stop: int) -> None:
    """Zero bytes start..stop of a folio, of which some page stays; pages cut off at its end give their memory back."""
    length = folio.nr_pages << PAGE_SHIFT
    folio.mem[start:stop] = bytes(stop - start)
    keep = (start + PAGE_SIZE - 1) >> PAGE_SHIFT
    if stop == length and keep < folio.nr_pages and folio.private is None and folio._refcount == 1:
        shorten_folio(folio, keep)


def shorten_folio(folio: Folio, keep: int) -> None:
    """Cut a folio down to its first `keep` pages."""
    mapping, node, nr = folio.mapping, cpu.kernel.node, folio.nr_pages
    pages = mapping.i_pages
    for page in range(folio.index + keep, folio.index + nr):
        del pages[page]
    mapping.nrpages -= nr - keep
    node.nr_pages -= nr - keep
    if folio in node.active:
        node.nr_active -= nr - keep
    elif folio in node.inactive:
        node.nr_inactive -= nr - keep
    folio.mem = folio.mem[: keep << PAGE_SHIFT]
    if folio.pfn >= 0:
        free_range(node, folio.pfn + keep, folio.pfn + nr)
    folio.nr_pages = keep


def truncate_pagecache(inode: Inode, newsize: int) -> None:
    """The file has become newsize bytes long: forget what was beyond."""
    truncate_inode_pages(inode.i_mapping, newsize)


def truncate_pagecache_range(inode: Inode, lstart: int, lend: int) -> None:
    """A hole was punched at bytes lstart..lend (inclusive): forget what was there."""
    truncate_inode_pages_range(inode.i_mapping, lstart, lend)


def truncate_setsize(inode: Inode, newsize: int) -> None:
    """Set the size of a file and fit its page cache to it; the disk's blocks are the filesystem's affair."""
    oldsize, inode.i_size = inode.i_size, newsize
    if newsize < oldsize:
        truncate_pagecache(inode, newsize)


def invalidate_mapping_pages(mapping: AddressSpace, start: int, end: int) -> int:
    """Forget the clean, idle folios that lie wholly within pages start..end; return how many pages went."""
    gone = 0
    for folio in folios_in_range(mapping, start, end):
        if folio.index < start or folio.index + folio.nr_pages - 1 > end:
            continue
        if folio.flags & (PG_DIRTY | PG_LOCKED | PG_WRITEBACK) or folio._refcount != 1:
            continue
        if folio.private is not None and not folio_release(folio):
            continue
        gone += folio.nr_pages
        filemap_remove_folio(folio)
    return gone
