"""Two lists of folios, oldest first, and how a folio moves between them.

                filemap_add_folio      used again              never used again
    new folio ──────────────▶ inactive ──────────▶ active ──────────────────────▶ inactive ──▶ reclaimed
                                 └────────── not used again ──────────────────────────────────▶ reclaimed

A folio starts on the inactive list. The first use marks it referenced, the second moves it to
the active list; so what is read once, however much of it, cannot push out what is read often.
Reclaim takes the oldest inactive folios, and when the active list is the longer one, its
oldest folios get a second chance at the end of the inactive list (mm/vmscan.py).

Linux: mm/swap.c, include/linux/mm_inline.h.   Chapter 8.
Left out: swap, anonymous memory, batches per CPU. Folios that cannot be reclaimed are on no list.

Always true
  S1  a folio with PG_LRU is on one list: active if PG_ACTIVE, else inactive
  S2  nr_inactive and nr_active are the pages of the folios on each list
  S3  the memory of a folio is given back when its last reference goes
"""

from __future__ import annotations

from vfslab.include.mm_types import PG_ACTIVE, PG_LRU, PG_REFERENCED, Folio, Lruvec
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kfree
from vfslab.mm.buddy import free_pages


def lruvec_del_folio(node: Lruvec, folio: Folio) -> None:
    """Take a folio off its list, if it is on one."""
    flags = folio.flags
    if not flags & PG_LRU:
        return
    if flags & PG_ACTIVE:
        del node.active[folio]
        node.nr_active -= folio.nr_pages
    else:
        del node.inactive[folio]
        node.nr_inactive -= folio.nr_pages
    folio.flags = flags & ~(PG_LRU | PG_ACTIVE)


def folio_mark_accessed(folio: Folio) -> None:
    """Note a use: unreferenced -> referenced; inactive and referenced -> active."""
    flags = folio.flags
    if not flags & PG_REFERENCED:
        folio.flags = flags | PG_REFERENCED
    elif flags & (PG_ACTIVE | PG_LRU) == PG_LRU:
        folio_activate(folio)


def folio_activate(folio: Folio) -> None:
    """Move a folio from the inactive to the active list; its next use will count anew."""
    node, nr = cpu.kernel.node, folio.nr_pages
    del node.inactive[folio]
    node.active[folio] = None
    node.nr_inactive -= nr
    node.nr_active += nr
    folio.flags = folio.flags & ~PG_REFERENCED | PG_ACTIVE


def folio_get(folio: Folio) -> Folio:
    """Return folio with one more reference: it stays in memory, although perhaps not in its file."""
    folio._refcount += 1
    return folio


def folio_put(folio: Folio) -> None:
    """Give back a reference; the last one frees the folio."""
    folio._refcount -= 1
    if not folio._refcount:
        free_folio(cpu.kernel.node, folio)


def free_folio(node: Lruvec, folio: Folio, keep: bool = False) -> None:
    """Give back a folio that nobody refers to; keep its memory for the next one of its size if asked."""
    nr = folio.nr_pages
    if keep:
        node.free_folios.setdefault(nr, []).append((folio.pfn, folio.mem))
    else:
        free_pages(node, folio.pfn, nr, folio.mem)
        node.nr_pages -= nr
    kfree(folio)
