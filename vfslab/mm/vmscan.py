"""Reclaim: making room when memory is short.

    mm/page_alloc.py ─┐                       ┌─▶ shrink_lruvec ─▶ folios of the inactive list go
    charge_slab ──────┴▶ try_to_free_pages ───┤                    (a_ops.release_folio is asked)
                           priority 12 .. 0   └─▶ shrink_slab ───▶ unused dentries and inodes go

There is one limit, given at boot, for page cache and cached objects together. Whoever needs
memory beyond it frees some first, itself: a batch of the oldest inactive folios, and a share
of each cache of objects. The priority says how hard: at 12 a 4096th of a list is looked at, at
0 all of it.

Only clean folios go. A dirty folio, one that somebody refers to, and one whose buffers are in
use are put back at the young end. The pages of ramfs are the only copy of their data and so on
no list (AS_UNEVICTABLE).

Linux: mm/vmscan.c, mm/shrinker.c.   Chapter 8.
Left out: kswapd, swap, writeback of dirty folios, cgroups, refault distances (workingset.c).

Always true
  V1  a reclaimed folio was clean, unlocked, unreferenced, and is in no file any more
  V2  reclaim never runs inside reclaim
  V3  nr_pages * PAGE_SIZE + slab_bytes <= limit after a charge, unless nothing more could go
"""

from __future__ import annotations

from vfslab.include.mm_types import (
    PAGE_SHIFT,
    PG_ACTIVE,
    PG_DIRTY,
    PG_LOCKED,
    PG_REFERENCED,
    PG_WRITEBACK,
    Folio,
    Lruvec,
    Shrinker,
)
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kfree, kzalloc
from vfslab.mm.buddy import free_pages

DEF_PRIORITY = 12
SWAP_CLUSTER_MAX = 32  # pages: how much is freed at a time, so that not each allocation has to ask
SHRINK_BATCH = 128  # objects
BUSY = PG_LOCKED | PG_DIRTY | PG_WRITEBACK


def charge_slab(nbytes: int) -> None:
    """Count a cached object; if that takes memory over the limit, make room. Never fails."""
    node = cpu.kernel.node
    if node is None:
        return
    node.slab_bytes += nbytes
    if node.slab_bytes + (node.nr_pages << PAGE_SHIFT) > node.limit_pages << PAGE_SHIFT:
        if node.slab_bytes > node.barren:
            try_to_free_pages(node, 0)


def uncharge_slab(nbytes: int) -> None:
    """A cached object is gone."""
    node = cpu.kernel.node
    if node is not None:
        node.slab_bytes -= nbytes


def register_shrinker(shrinker: Shrinker) -> None:
    """From now on, ask this cache for objects when memory is short."""
    cpu.kernel.node.shrinkers.append(shrinker)


def unregister_shrinker(shrinker: Shrinker) -> None:
    """The cache is no more."""
    cpu.kernel.node.shrinkers.remove(shrinker)


def pages_over(node: Lruvec, nr_pages: int) -> int:
    """Return how many pages must go before nr_pages more can be taken; 0 or less: none."""
    return node.nr_pages + nr_pages + ((node.slab_bytes + 4095) >> PAGE_SHIFT) - node.limit_pages


def try_to_free_pages(node: Lruvec, nr_pages: int, keep: int = 0) -> bool:
    """Make room for nr_pages more pages; return whether there is.

    The memory of folios of `keep` pages is not given up but put into free_folios: one such is room enough.
    """
    if node.reclaiming:
        return False
    node.reclaiming = True
    try:
        drain_free_folios(node, keep)
        for priority in range(DEF_PRIORITY, -1, -1):
            shrink_node(node, priority, nr_pages, keep)
            if pages_over(node, nr_pages) <= 0 or (node.free_folios.get(keep) and pages_over(node, 0) <= 0):
                node.barren = 0
                return True
        # Everything is in use. Do not look again for each object of a long walk.
        node.barren = node.slab_bytes + (node.limit_pages << PAGE_SHIFT >> 6)
        return False
    finally:
        node.reclaiming = False


def drain_free_folios(node: Lruvec, keep: int) -> None:
    """Give up the memory kept for folios of any other size than `keep` pages."""
    for size, mems in node.free_folios.items():
        if size != keep and mems:
            node.nr_pages -= size * len(mems)
            for pfn, mem in mems:
                free_pages(node, pfn, size, mem)
            mems.clear()


def shrink_node(node: Lruvec, priority: int, nr_pages: int, keep: int = 0) -> int:
    """Reclaim once, as hard as priority says, to make room for nr_pages; return how many pages and objects went."""
    need = max(pages_over(node, nr_pages), nr_pages, SWAP_CLUSTER_MAX)
    lru_pages, before = node.nr_inactive + node.nr_active, node.pgscan
    freed = shrink_lruvec(node, priority, need, keep)
    return freed + shrink_slab(node, priority, node.pgscan - before, lru_pages)


def shrink_lruvec(node: Lruvec, priority: int, need: int, keep: int) -> int:
    """Reclaim about `need` pages from the inactive list, topping it up from the active one; return how many."""
    if node.nr_active > node.nr_inactive:
        shrink_active_list(node, need)
    budget = max(node.nr_inactive >> priority, need)
    return shrink_inactive_list(node, min(budget, node.nr_inactive), need, keep)


def shrink_active_list(node: Lruvec, need: int) -> None:
    """Give the oldest `need` active pages their second chance: on the inactive list, to be used or to go."""
    active, inactive = node.active, node.inactive
    while need > 0 and active:
        folio, _ = active.popitem(last=False)
        nr = folio.nr_pages
        folio.flags &= ~(PG_ACTIVE | PG_REFERENCED)
        inactive[folio] = None
        node.nr_active -= nr
        node.nr_inactive += nr
        need -= nr


def shrink_inactive_list(node: Lruvec, budget: int, need: int, keep: int) -> int:
    """Look at up to `budget` pages, oldest first, and take up to `need`; return how many were taken.

    Memory of folios of `keep` pages goes to free_folios, but not what is over the limit. This loop runs for every page that a
    random reader misses, so taking a folio out of its file is written out here.
    """
    inactive, taken, scanned = node.inactive, 0, 0
    kept, surplus = node.free_folios.setdefault(keep, []), pages_over(node, 0)
    while taken < need and scanned < budget and inactive:
        folio, _ = inactive.popitem(False)
        nr, index, mapping = folio.nr_pages, folio.index, folio.mapping
        scanned += nr
        if folio.flags & BUSY or folio._refcount != 1 or (folio.private is not None and not folio_release(folio)):
            inactive[folio] = None
            continue
        taken += nr
        pages = mapping.i_pages
        mapping.nrpages -= nr
        if nr == 1:
            del pages[index]
        else:
            for page in range(index, index + nr):
                del pages[page]
        if nr == keep and surplus <= 0:
            kept.append((folio.pfn, folio.mem))
        else:
            free_pages(node, folio.pfn, nr, folio.mem)
            node.nr_pages -= nr
            surplus -= nr
        kfree(folio)
    node.nr_inactive -= taken
    node.pgscan += scanned
    node.pgsteal += taken
    return taken


def folio_release(folio: Folio) -> bool:
    """Ask the owner of a folio's private data to let go of it; return whether it did.

    Linux: filemap_release_folio().
    """
    release = folio.mapping.a_ops.release_folio
    return release is not None and release(folio)


def shrink_slab(node: Lruvec, priority: int, scanned: int, lru_pages: int) -> int:
    """Ask each cache of objects for its share; return how many objects went.

    That is the share of the folios that was just looked at, at most a batch; or more as the priority says.
    """
    freed = 0
    for shrinker in list(node.shrinkers):
        count = shrinker.count_objects(shrinker)
        share = min(count * scanned // (lru_pages + 1), SHRINK_BATCH)
        share = min(count, max(share, (count >> priority) * 2))
        if share:
            freed += shrinker.scan_objects(shrinker, share)
    return freed


def shrinker_alloc(count_objects: object, scan_objects: object, private_data: object = None) -> Shrinker:
    """Return a registered shrinker; see Shrinker for the two functions."""
    shrinker = kzalloc(Shrinker, count_objects, scan_objects, private_data)
    register_shrinker(shrinker)
    return shrinker
