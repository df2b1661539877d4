"""Read-ahead: how much of a file to bring in, and when, beyond what was asked for.

    miss          ─▶ page_cache_sync_readahead    a stream begins or was lost: choose a window
    marked folio  ─▶ page_cache_async_readahead   the stream runs: bring the next window in time
                          └▶ page_cache_ra_order ─▶ folios ─▶ a_ops.readahead(rac)

The window of an open file (FileRaState) in pages; the mark stands async_size before its end:

    start                        start + size
      |──────────────#───────────────|
                     └── async_size ─┘    reading page # brings the window that follows

A read at the start of a file, or right after the previous one, is sequential: four pages for
one, then twice as much with each mark met, up to ra_pages. Any other small read is random and
brings only what it asks for; unless the page cache holds the pages before it, which is the trace
that a stream leaves. A request longer than ra_pages is read whole, in one folio if it is aligned;
it brings nothing beyond, as reading ahead of the device's answer saves no time where it comes at once.

A folio starts at a multiple of its size, a power of two up to 1 MiB, and never crosses a mark;
at the end of the file it is cut to what is there, so a small file is one folio of its size.

Linux: mm/readahead.c ("Readahead Overview"), the policy of 6.12.   Chapter 8.
Left out: POSIX_FADV_NOREUSE, plugging (fs/mpage.py does it), block cgroups. Beyond Linux: a stream
over a file that is large against memory gives its own read-once folios back (drop_behind),
where Linux lets them age; their memory serves the next window while it is still in the caches.
And a long request does not go round single pages that are cached in its way (drop_islands).

Always true
  R1  readahead is given folios that are locked, in the page cache and contiguous
  R2  nothing is read beyond the page that holds the last byte of the file
  R3  a folio that readahead did not take is in the page cache no more
"""

from __future__ import annotations

from vfslab.include.fs import FMODE_RANDOM, AddressSpace, File, FileRaState
from vfslab.include.mm_types import (
    PAGE_SHIFT,
    PAGE_SIZE,
    PG_ACTIVE,
    PG_DIRTY,
    PG_LOCKED,
    PG_READAHEAD,
    PG_WRITEBACK,
    Folio,
    ReadaheadControl,
)
from vfslab.kernel.sched import cpu
from vfslab.mm import filemap
from vfslab.mm.page_alloc import MAX_FOLIO_PAGES, filemap_alloc_folio, max_folio_pages
from vfslab.mm.swap import free_folio, lruvec_del_folio

DROP_BEHIND_PAGES = 512  # 2 MiB: the tail of a stream that stays; more would not fit the caches of a processor
LONG_STRETCH = 33  # pages: more than the usual window
BUSY = PG_LOCKED | PG_DIRTY | PG_WRITEBACK


def file_ra_state_init(file: File) -> FileRaState:
    """Give a file that is going to be read its read-ahead state, and return it."""
    ra = file.f_ra = FileRaState()
    ra._container = file
    file._slab.number(ra)
    return ra


def page_cache_sync_readahead(mapping: AddressSpace, ra: FileRaState, file: File, index: int, req_count: int) -> None:
    """Page index is missing and req_count pages from there on are wanted: bring them, and more if it is a stream.

    A random read of one page brings nothing here: filemap_create_folio() reads that single folio.
    """
    max_pages = ra.ra_pages
    if not index and req_count <= MAX_FOLIO_PAGES and req_count << PAGE_SHIFT >= mapping.host.i_size:
        page_cache_ra_whole(mapping, ra, file, req_count)
        return
    sequential = 0 <= index - (ra.prev_pos >> PAGE_SHIFT) <= 1
    if req_count == 1 and index and not sequential and index - 1 not in mapping.i_pages:
        return
    if file.f_mode & FMODE_RANDOM or not max_pages:
        if req_count > 1:
            page_cache_ra_unbounded(mapping, file, index, min(req_count, MAX_FOLIO_PAGES), -1)
        return
    if req_count > max_pages:
        max_pages = min(req_count, MAX_FOLIO_PAGES)
    if not index or sequential or req_count > ra.ra_pages:
        size = get_init_ra_size(req_count, max_pages)
    else:
        history = pages_before(mapping, index, max_pages) if index - 1 in mapping.i_pages else 0
        if history <= req_count:
            if req_count > 1:
                page_cache_ra_unbounded(mapping, file, index, req_count, -1)
            return
        if history >= index:
            history *= 2  # cached from its first page on: most likely all of it will be read
        size = min(history + req_count, max_pages)
    ra.start, ra.size, ra.async_size = index, size, max(size - req_count, 0)
    if sequential:
        drop_behind(mapping, index, size)
    page_cache_ra_order(mapping, ra, file)


def page_cache_ra_whole(mapping: AddressSpace, ra: FileRaState, file: File, nr: int) -> None:
    """A file of nr pages, none of them cached, is wanted whole: one folio if that can be, one bio, and no window."""
    ra.start, ra.size, ra.async_size = 0, nr, 0
    if mapping.i_pages or nr > max_folio_pages() or mapping.host.i_blkbits > PAGE_SHIFT:
        page_cache_ra_order(mapping, ra, file)
        return
    folio = filemap_alloc_folio(mapping, 0, nr, must=False)
    if folio is not None:
        filemap.filemap_add_folio(mapping, folio)
        read_pages(ReadaheadControl(file, mapping, ra, 0, nr, [folio]))


def page_cache_async_readahead(mapping: AddressSpace, ra: FileRaState, file: File, folio: Folio, index: int) -> None:
    """Page index of a marked folio is being read: bring the window after the current one."""
    folio.flags &= ~PG_READAHEAD
    max_pages = ra.ra_pages
    if not max_pages:
        return
    expected = ra.start + ra.size - ra.async_size
    if folio.index <= expected < folio.index + folio.nr_pages:
        ra.start += ra.size
        ra.size = get_next_ra_size(ra.size, max_pages)
        drop_behind(mapping, ra.start, ra.size)
    else:
        # A mark of another stream, or of one that has been away: go on where its pages end.
        start = next_miss(mapping, index + 1, max_pages)
        if start - index > max_pages:
            return
        ra.start = start
        ra.size = get_next_ra_size(start - index + 1, max_pages)
    ra.async_size = ra.size
    page_cache_ra_order(mapping, ra, file)


def get_init_ra_size(req_count: int, max_pages: int) -> int:
    """Return the first window for a request of req_count pages: four times as much, at most max_pages."""
    size = 1 << (req_count - 1).bit_length()
    if size <= max_pages // 32:
        return size * 4
    if size <= max_pages // 4:
        return size * 2
    return max_pages


def get_next_ra_size(size: int, max_pages: int) -> int:
    """Return the window after one of `size` pages: small ones grow fast, at most to max_pages."""
    if size < max_pages // 16:
        return size * 4
    if size <= max_pages // 2:
        return size * 2
    return max_pages


def pages_before(mapping: AddressSpace, index: int, limit: int) -> int:
    """Return how many pages right before index are cached, counting up to limit."""
    pages, page = mapping.i_pages, index - 1
    while page >= 0 and index - page <= limit and page in pages:
        page -= 1
    return index - 1 - page


def next_miss(mapping: AddressSpace, index: int, limit: int) -> int:
    """Return the first page from index on that is not cached, looking at up to limit pages."""
    pages, end = mapping.i_pages, index + limit
    while index < end and index in pages:
        index += 1
    return index


def page_cache_ra_order(mapping: AddressSpace, ra: FileRaState, file: File) -> None:
    """Bring the window of ra, with its mark."""
    mark = ra.start + ra.size - ra.async_size if ra.async_size else -1
    page_cache_ra_unbounded(mapping, file, ra.start, ra.size, mark)


def page_cache_ra_unbounded(mapping: AddressSpace, file: File | None, index: int, nr: int, mark: int) -> None:
    """Bring what is missing of nr pages from index, within the file; the folio that starts at page `mark` is marked.

    Linux: page_cache_ra_unbounded() and do_page_cache_ra(), which keeps to the file.
    """
    inode = mapping.host
    min_pages = filemap.mapping_min_folio_nrpages(mapping)
    index -= index % min_pages
    eof = (inode.i_size + PAGE_SIZE - 1) >> PAGE_SHIFT
    end = min(index + nr, eof)
    pages = mapping.i_pages
    while index < end:
        if index in pages and not drop_islands(mapping, index, end):
            index = pages[index].index + pages[index].nr_pages
            continue
        rac = ReadaheadControl(file, mapping, None, index)
        index = fill_with_folios(rac, index, end, mark, eof, min_pages)
        if not rac.folios:
            return
        read_pages(rac)


def fill_with_folios(rac: ReadaheadControl, index: int, end: int, mark: int, eof: int, min_pages: int) -> int:
    """Put new folios for the pages missing from index on into the page cache and rac; return where it stopped."""
    mapping, pages, largest = rac.mapping, rac.mapping.i_pages, max(max_folio_pages(), min_pages)
    while index < end and index not in pages:
        stop = mark if index < mark < end else end
        nr = folio_size(index, stop, eof, largest, min_pages)
        if nr > 1 and not pages.keys().isdisjoint(range(index + 1, index + nr)):
            if not drop_islands(mapping, index + 1, end):
                nr = min(nr, next_hit(pages, index + 1) - index)
        folio = filemap_alloc_folio(mapping, index, nr, must=False)
        if folio is None:
            break
        if index <= mark < index + nr:
            folio.flags |= PG_READAHEAD
        filemap.filemap_add_folio(mapping, folio)
        rac.folios.append(folio)
        rac._nr_pages += nr
        index += nr
    return index


def folio_size(index: int, stop: int, eof: int, largest: int, min_pages: int) -> int:
    """Return how many pages the folio at index is to have: aligned, not beyond stop, cut at the end of the file."""
    aligned = min(index & -index, largest) if index else largest
    room = max(stop - index, min(min_pages, eof - index))
    if room >= aligned:
        return aligned
    if index + room == eof:
        return room
    return max(1 << (room.bit_length() - 1), min(min_pages, eof - index))


def next_hit(pages: dict[int, Folio], index: int) -> int:
    """Return the first page from index on that is cached; there is one."""
    while index not in pages:
        index += 1
    return index


def read_pages(rac: ReadaheadControl) -> None:
    """Have the filesystem fill the folios of rac; those it does not take leave the page cache."""
    aops = rac.mapping.a_ops
    if aops.readahead is not None:
        aops.readahead(rac)
    for folio in rac.folios:
        folio.flags &= ~PG_LOCKED
        filemap.filemap_remove_folio(folio)
    rac.folios.clear()


def readahead_folio(rac: ReadaheadControl) -> Folio | None:
    """Return the next folio to fill, locked, or None after the last; folio_end_read() it when that is done."""
    if not rac.folios:
        return None
    folio = rac.folios.pop(0)
    rac._index += folio.nr_pages
    rac._nr_pages -= folio.nr_pages
    return folio


def readahead_folios(rac: ReadaheadControl) -> list[Folio]:
    """Return all folios of rac at once, for a filesystem that maps whole runs."""
    folios, rac.folios = rac.folios, []
    rac._index += rac._nr_pages
    rac._nr_pages = 0
    return folios


def drop_islands(mapping: AddressSpace, index: int, end: int) -> bool:
    """Forget what random reads have left here and there in a stretch to be read whole; return whether it is empty.

    A few idle pages are read again with the rest: one long bio costs less than many around them.
    """
    pages = mapping.i_pages
    if end - index < LONG_STRETCH:
        return False
    islands = dict.fromkeys(pages[page] for page in range(index, end) if page in pages)
    if sum(folio.nr_pages for folio in islands) > (end - index) >> 1:
        return False
    gone = 0
    for folio in islands:
        if not folio.flags & BUSY and folio._refcount == 1 and folio.private is None and folio.index >= index:
            filemap.filemap_remove_folio(folio)
            gone += 1
    return gone == len(islands)


def drop_behind(mapping: AddressSpace, index: int, nr: int) -> None:
    """A stream is to bring nr pages from index: of a large file, let go as many read-once pages some way behind it."""
    node = cpu.kernel.node
    if mapping.host.i_size >> PAGE_SHIFT <= node.limit_pages >> 1:
        return
    pages = mapping.i_pages
    behind = index - min(DROP_BEHIND_PAGES, node.limit_pages >> 3)
    page = max(behind - nr, 0)
    while page < behind:
        folio = pages.get(page)
        if folio is None:
            page += 1
            continue
        page = folio.index + folio.nr_pages
        if folio.flags & (BUSY | PG_ACTIVE) or folio._refcount != 1 or folio.private is not None:
            continue
        lruvec_del_folio(node, folio)
        filemap.page_cache_delete(mapping, folio)
        free_folio(node, folio, keep=True)


def force_page_cache_readahead(mapping: AddressSpace, file: File | None, index: int, nr: int) -> None:
    """Bring nr pages from index whatever the pattern: readahead(2), POSIX_FADV_WILLNEED."""
    while nr > 0:
        step = min(nr, MAX_FOLIO_PAGES)
        page_cache_ra_unbounded(mapping, file, index, step, -1)
        index += step
        nr -= step
