"""Page frames: which of the machine's memory is free, and how it is cut up.

    page_alloc.py ──alloc_pages──▶ pcp ◀──cut up── free_area[9] ... free_area[0]
    swap.py, vmscan.py ──free_pages──▶ ...

A free block has 2^order frames and begins at a multiple of that. Cut in two it gives a pair of
buddies, whose numbers differ in one bit:

    order 3   8 ────────────────────────────── 15
    order 2   8 ──────────── 11   12 ────────── 15     the buddy of 12 is 12 ^ 4, that is 8
    order 1                       12 ── 13  14 ── 15   the buddy of 12 is 12 ^ 2, that is 14

alloc_pages() cuts the smallest block that will do until it fits; free_pages() joins what comes
back with its buddy, if that is free too, and so on. Single frames come and go too often for
that: a whole block is cut up at once, and the frames wait on a list (pcp).

The frames are memory of the host, which gives it when it is first touched.

Linux: mm/page_alloc.c, the larger half of it.   Chapter 8.
Left out: zones, migration types, compaction: a folio that finds no block gets memory of its own.

Always true
  A1  each frame of node.memory is in one folio, in free_folios, in pcp, or in one block of free_area
      (but for one that a buffer still shows whose folio is gone: it is never used again)
  A2  a block of free_area has no free buddy, but at the largest order
"""

from __future__ import annotations

import sys

from vfslab.include.mm_types import PAGE_SHIFT, Lruvec

MAX_PAGE_ORDER = 9  # 512 pages: a huge page of most hosts


def free_area_init(node: Lruvec) -> None:
    """Give node as many page frames as its limit allows, all free.

    The host gives memory when it is first touched, here in huge pages: that takes it a tenth of the
    time that single pages would. A host without them has nothing to gain, and node has no frames.
    """
    frames = node.limit_pages >> MAX_PAGE_ORDER << MAX_PAGE_ORDER
    if sys.platform != "linux" or not frames:
        return
    import mmap  # not every host has it

    try:
        memory = mmap.mmap(-1, frames << PAGE_SHIFT, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_HUGEPAGE)
    except (OSError, AttributeError):
        return  # the host cannot promise so much at once, or has no huge pages
    node.memory = memoryview(memory)
    node.free_area = [set() for _ in range(MAX_PAGE_ORDER)]
    node.free_area.append(set(range(0, frames, 1 << MAX_PAGE_ORDER)))


def free_area_exit(node: Lruvec) -> None:
    """The machine is switched off: the host has its memory back as soon as no folio is in it any more."""
    node.memory = None
    for free in (node.free_area, node.pcp, node.free_folios):
        free.clear()


def alloc_pages(node: Lruvec, nr_pages: int) -> tuple[int, memoryview]:
    """Return (first frame, memory) of nr_pages free frames in a row; -1 and other memory if there are none."""
    if nr_pages == 1 and (node.pcp or rmqueue_bulk(node)):
        return node.pcp.pop()
    if node.memory is not None:
        order = (nr_pages - 1).bit_length()
        pfn = rmqueue(node.free_area, order)
        if pfn < 0 and node.pcp:
            drain_pages(node)
            pfn = rmqueue(node.free_area, order)
        if pfn >= 0:
            free_range(node, pfn + nr_pages, pfn + (1 << order))
            return pfn, node.memory[pfn << PAGE_SHIFT : (pfn + nr_pages) << PAGE_SHIFT]
    return -1, memoryview(bytearray(nr_pages << PAGE_SHIFT))


def rmqueue(free_area: list[set[int]], order: int) -> int:
    """Take a block of 2^order frames and return its first, cutting a larger one if need be; -1 if there is none."""
    for larger in range(order, len(free_area)):
        if free_area[larger]:
            pfn = free_area[larger].pop()
            while larger > order:
                larger -= 1
                free_area[larger].add(pfn + (1 << larger))
            return pfn
    return -1


def rmqueue_bulk(node: Lruvec) -> bool:
    """Cut a block into single frames for node.pcp, the largest there is; False if nothing is free."""
    for order in range(len(node.free_area) - 1, -1, -1):
        if node.free_area[order]:
            first, memory = node.free_area[order].pop(), node.memory
            frames = range(first + (1 << order) - 1, first - 1, -1)
            node.pcp += [(pfn, memory[pfn << PAGE_SHIFT : (pfn + 1) << PAGE_SHIFT]) for pfn in frames]
            return True
    return False


def free_pages(node: Lruvec, pfn: int, nr_pages: int, mem: memoryview) -> None:
    """Give frames back; other memory goes with its last user."""
    if pfn < 0:
        return
    if nr_pages == 1:
        node.pcp.append((pfn, mem))
    else:
        free_range(node, pfn, pfn + nr_pages)


def free_range(node: Lruvec, pfn: int, end: int) -> None:
    """Put the frames from pfn up to end into free_area, as few blocks."""
    while pfn < end:
        order = (end - pfn).bit_length() - 1
        if pfn:
            order = min(order, (pfn & -pfn).bit_length() - 1)
        __free_one_page(node.free_area, pfn, order)
        pfn += 1 << order


def __free_one_page(free_area: list[set[int]], pfn: int, order: int) -> None:
    """Put a block of 2^order frames into free_area, joined with its buddy as long as that is free."""
    while order < MAX_PAGE_ORDER and pfn ^ (1 << order) in free_area[order]:
        free_area[order].remove(pfn ^ (1 << order))
        pfn &= ~(1 << order)
        order += 1
    free_area[order].add(pfn)


def drain_pages(node: Lruvec) -> None:
    """Give the single frames at hand back to free_area: a longer folio needs some of them."""
    pcp, node.pcp = node.pcp, []
    for pfn, _ in pcp:
        __free_one_page(node.free_area, pfn, 0)
