"""Memory for folios, under the limit given at boot.

    filemap, readahead, buffer ──filemap_alloc_folio──▶ free_folios ─▶ buddy.py ─▶ reclaim, then either

Memory of a folio that went is used again for the next of its size: it is still in the CPU's
caches, and nobody has to zero it. So a new folio holds anything; whoever makes it up to date
fills all of it.

Linux: mm/page_alloc.c (alloc_pages, direct reclaim), filemap_alloc_folio() of mm/filemap.c.
Left out: zones, watermarks but one: a 16th of memory is not for folios that can never be
reclaimed, so that there is always something to read with.

Always true
  P1  node.nr_pages counts all memory of folios, in use or kept in free_folios
  P2  nr_pages * PAGE_SIZE + slab_bytes <= limit, but for one smallest folio when all else is in use
"""

from __future__ import annotations

from vfslab.include.fs import AddressSpace
from vfslab.include.mm_types import AS_UNEVICTABLE, PAGE_SHIFT, PAGE_SIZE, PG_LOCKED, Folio
from vfslab.kernel.errno import ENOSPC
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kzalloc
from vfslab.mm.buddy import alloc_pages
from vfslab.mm.vmscan import pages_over, try_to_free_pages

MAX_FOLIO_PAGES = 256
ZERO_PAGE = bytes(PAGE_SIZE)


def filemap_alloc_folio(mapping: AddressSpace, index: int, nr_pages: int, must: bool = True) -> Folio | None:
    """Return a new, locked folio for nr_pages pages from index of mapping, not yet in it; its content is anything.

    Without room and with nothing to reclaim: None, or with `must` memory over the limit.
    """
    node = cpu.kernel.node
    kept = node.free_folios.get(nr_pages)
    if not kept and node.nr_pages + nr_pages + (node.slab_bytes >> PAGE_SHIFT) >= node.limit_pages:
        if not try_to_free_pages(node, nr_pages, nr_pages) and not must:
            return None
        kept = node.free_folios.get(nr_pages)
    if kept:
        pfn, mem = kept.pop()
    else:
        pfn, mem = alloc_pages(node, nr_pages)
        node.nr_pages += nr_pages
    return kzalloc(Folio, PG_LOCKED, mapping, index, nr_pages, mem, pfn)


def filemap_alloc_zeroed(mapping: AddressSpace, index: int, nr_pages: int) -> Folio:
    """Return a new, locked folio of zeros; a mapping whose folios can never go gets ENOSPC at the limit."""
    node = cpu.kernel.node
    reserve = node.limit_pages >> 4 if mapping.flags & AS_UNEVICTABLE else 0
    if pages_over(node, nr_pages + reserve) > 0 and not try_to_free_pages(node, nr_pages + reserve) and reserve:
        raise ENOSPC
    pfn, mem = alloc_pages(node, nr_pages)
    if pfn >= 0:
        mem[:] = ZERO_PAGE if nr_pages == 1 else bytes(nr_pages << PAGE_SHIFT)  # somebody else may have had it before
    node.nr_pages += nr_pages
    return kzalloc(Folio, PG_LOCKED, mapping, index, nr_pages, mem, pfn)


def max_folio_pages() -> int:
    """Return the largest folio that is sensible: 1 MiB, or a 16th of memory where that is less."""
    return min(MAX_FOLIO_PAGES, max(1, cpu.kernel.node.limit_pages >> 4))
