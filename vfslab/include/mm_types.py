"""Memory of the page cache: folios, and the lists by which it is reclaimed.

Linux: include/linux/mm_types.h (folio), mmzone.h (lruvec), pagemap.h (readahead_control).
Left out: page tables, zones, swap, an object for each page.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from vfslab.lib.kstruct import KObject, Ptr, fresh, kstruct

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT

# folio flags (Linux: bit numbers PG_*; here the bits themselves)
PG_LOCKED, PG_UPTODATE, PG_DIRTY, PG_LRU, PG_ACTIVE, PG_REFERENCED = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
PG_WRITEBACK, PG_READAHEAD, PG_RECLAIM, PG_ERROR, PG_PRIVATE = 0x40, 0x80, 0x100, 0x200, 0x400

AS_EIO, AS_UNEVICTABLE = 1, 8  # flags of an address space: an error to be told; its pages are its only copy


@kstruct(count="_refcount")
class Folio(KObject):
    """Some pages of one file, contiguous in memory: the unit of the page cache.

    index      page number of its first page in the file
    nr_pages   its length in pages
    mem        its bytes (folio_address() gives them); length nr_pages * PAGE_SIZE
    pfn        number of its first page frame in node.memory (folio_pfn()); -1 if its memory is not from there
    _refcount  1 for the page cache, more while somebody looks
    private    buffer heads, if a filesystem or the block device hung any on it
    """

    flags: int = 0
    mapping: Ptr[AddressSpace] = None
    index: int = 0
    nr_pages: int = 1
    mem: memoryview = None
    pfn: int = -1
    _refcount: int = 1
    private: Any = None


@kstruct
class ReadaheadControl(KObject):
    """A run of fresh, locked folios that a filesystem is to fill: _nr_pages pages from page _index."""

    file: Ptr[File] = None
    mapping: Ptr[AddressSpace] = None
    ra: Ptr[FileRaState] = None
    _index: int = 0
    _nr_pages: int = 0
    folios: list = fresh(list)


@kstruct
class Shrinker(KObject):
    """A cache of objects that can be made smaller (a superblock's dentries and inodes)."""

    count_objects: Callable = None  # (shrinker) -> how many could go
    scan_objects: Callable = None  # (shrinker, nr) -> how many went
    private_data: Any = None


@kstruct
class Lruvec(KObject):
    """Folios that may be reclaimed, oldest first, and how much there is.

    nr_inactive, nr_active   pages on each list
    nr_pages      pages of memory taken: all folios, on a list or not, and free_folios
    limit_pages   what boot(memory=...) allows; page cache and cached objects are both counted
    slab_bytes    what cached dentries and inodes are reckoned to take
    reclaiming    memory is being freed: what that allocates must not ask for more
    barren        slab_bytes below which reclaim need not be tried again: the last try found nothing
    shrinkers     whom to ask for cached objects when memory is short
    memory        the page frames that the machine was booted with, or None: then each folio has memory of its own
    free_area     free blocks of 2^order page frames, by order: sets of first frames (mm/buddy.py)
    pcp           single free frames (pfn, mem), ready to be taken; in Linux one such list for each processor
    free_folios   memory of folios that went, kept for the next of their size: {nr_pages: [(pfn, mem), ...]}
    pgscan, pgsteal          pages looked at and pages taken by reclaim, as in /proc/vmstat
    """

    inactive: OrderedDict = fresh(OrderedDict)
    active: OrderedDict = fresh(OrderedDict)
    nr_inactive: int = 0
    nr_active: int = 0
    nr_pages: int = 0
    limit_pages: int = 0
    slab_bytes: int = 0
    shrinkers: list[Ptr[Shrinker]] = fresh(list)
    memory: memoryview = None
    free_area: list = fresh(list)
    pcp: list = fresh(list)
    free_folios: dict = fresh(dict)
    reclaiming: bool = False
    barren: int = 0
    pgsteal: int = 0
    pgscan: int = 0
