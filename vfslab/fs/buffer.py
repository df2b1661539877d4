"""Buffer heads: single blocks of a device, as windows into the folios of its page cache.

    sb_bread(sb, block) ─▶ bdev.bd_buffers ──hit──▶ BufferHead, b_count + 1
                               └─miss─▶ a folio of bdev.bd_mapping ─▶ bio ─▶ BufferHead

Metadata is read in blocks, whatever size a block has, and the page cache holds pages. A buffer
head is the tie: b_data is a slice of its folio's memory, so /dev/vda read as a file and the
filesystem mounted from it see the same bytes. The buffers of a folio hang on folio.private
and live until it is reclaimed; so do the marks that a filesystem makes on them (BH_VERIFIED).

The usual four calls:  bh = sb_bread(sb, block);  look at bh.b_data;  mark_buffer_dirty(bh);  brelse(bh)

Linux: fs/buffer.c, include/linux/buffer_head.h.   Chapter 8.
Left out: buffer heads on data folios, block_write_begin, the per-CPU LRU of buffers, background writeback.
Beyond Linux: an overlay (bdev_overlay) holds the blocks that a journal's replay would write to a
device that must not be written. They are pinned and win over the device for every reader.

Always true
  B1  bd_buffers finds every buffer head of the device by (block number, block size)
  B2  b_data of a buffer that is up to date is what the device holds, or will (BH_DIRTY), or would (overlay)
  B3  a folio with a buffer that is dirty or referenced is not reclaimed
  B4  a block is never read over a buffer that is up to date
"""

from __future__ import annotations

from collections.abc import Callable

from vfslab.block.bio import bio_add_mem, bio_alloc, bio_put, guard_bio_eod
from vfslab.block.blk_core import submit_bio_wait
from vfslab.fs.mpage import mpage_read_folio
from vfslab.include.blk_types import REQ_META, REQ_OP_READ, REQ_OP_WRITE, REQ_RAHEAD, BlockDevice
from vfslab.include.buffer_head import BH_DIRTY, BH_LOCK, BH_MAPPED, BH_UPTODATE, BufferHead
from vfslab.include.fs import SuperBlock
from vfslab.include.mm_types import (
    PAGE_SHIFT,
    PAGE_SIZE,
    PG_DIRTY,
    PG_LOCKED,
    PG_PRIVATE,
    PG_REFERENCED,
    PG_UPTODATE,
    Folio,
)
from vfslab.kernel.errno import EBUSY, EIO, KernelError
from vfslab.kernel.slab import kfree, kzalloc
from vfslab.mm.filemap import filemap_add_folio, filemap_remove_folio, folio_end_read
from vfslab.mm.page_alloc import filemap_alloc_folio
from vfslab.mm.swap import folio_mark_accessed
from vfslab.mm.truncate import invalidate_mapping_pages
from vfslab.mm.vmscan import charge_slab, uncharge_slab

READAHEAD_PAGES = 32  # the longest folio that is read for metadata: 128 KiB


# --- finding and reading -----------------------------------------------------------------------------


def sb_bread(sb: SuperBlock, block: int) -> BufferHead:
    """Return the buffer of a block of the filesystem, up to date, with a reference; EIO if it cannot be read."""
    bh = sb.s_bdev.bd_buffers.get((block, sb.s_blocksize))
    if bh is None or not bh.b_state & BH_UPTODATE:
        return __bread(sb.s_bdev, block, sb.s_blocksize)
    bh.b_count += 1
    if not bh.b_folio.flags & PG_REFERENCED:
        folio_mark_accessed(bh.b_folio)
    return bh


def sb_getblk(sb: SuperBlock, block: int) -> BufferHead:
    """Return the buffer of a block with a reference, whatever is in it: to be filled, or read later."""
    return bdev_getblk(sb.s_bdev, block, sb.s_blocksize)


def sb_find_get_block(sb: SuperBlock, block: int) -> BufferHead | None:
    """Return the buffer of a block with a reference if there is one in memory, else None."""
    bh = sb.s_bdev.bd_buffers.get((block, sb.s_blocksize))
    if bh is not None:
        bh.b_count += 1
    return bh


def sb_breadahead(sb: SuperBlock, block: int, nr: int = 1) -> None:
    """Bring nr blocks into memory, with as few bios as can be; what cannot be read is left out silently."""
    bdev, size = sb.s_bdev, sb.s_blocksize
    per_block = max(1, size >> PAGE_SHIFT)
    index = block * size >> PAGE_SHIFT
    end = min((block + nr) * size, bdev.bd_nr_sectors << 9)
    end = (end + PAGE_SIZE - 1) >> PAGE_SHIFT
    pages = bdev.bd_mapping.i_pages
    while index < end:
        if index in pages:
            index += per_block
            continue
        stop = index + per_block
        while stop < end and stop not in pages and stop - index < READAHEAD_PAGES:
            stop += per_block
        folio = filemap_alloc_folio(bdev.bd_mapping, index, stop - index, must=False)
        if folio is None:
            return
        filemap_add_folio(bdev.bd_mapping, folio)
        if not read_bdev_folio(bdev, folio, REQ_OP_READ | REQ_META | REQ_RAHEAD):
            filemap_remove_folio(folio)
        index = stop


def __bread(bdev: BlockDevice, block: int, size: int) -> BufferHead:
    """Return the buffer of block number `block`, counted in blocks of size bytes, as sb_bread() does."""
    bh = bdev_getblk(bdev, block, size)
    if not bh.b_state & BH_UPTODATE:
        try:
            bh_read(bh)
        except KernelError:
            brelse(bh)
            raise
    folio_mark_accessed(bh.b_folio)
    return bh


def bdev_getblk(bdev: BlockDevice, block: int, size: int) -> BufferHead:
    """Return the buffer of a block with a reference, not read if it is new; EIO beyond the end of the device."""
    bh = bdev.bd_buffers.get((block, size))
    if bh is None:
        if block < 0 or (block + 1) * size > bdev.bd_nr_sectors << 9:
            raise EIO(bdev.bd_device, f"block {block} is beyond the end of the device")
        bh = create_buffer(grow_dev_folio(bdev, block * size >> PAGE_SHIFT, size), bdev, block, size)
    bh.b_count += 1
    return bh


def grow_dev_folio(bdev: BlockDevice, index: int, size: int) -> Folio:
    """Return a folio of the device's page cache that holds a whole block of size bytes at page index."""
    mapping, nr = bdev.bd_mapping, max(1, size >> PAGE_SHIFT)
    folio = mapping.i_pages.get(index)
    if folio is not None and index + nr <= folio.index + folio.nr_pages:
        return folio
    if nr > 1:
        # A block longer than a page is one piece of memory: what is cached page by page has to go.
        for page in range(index, index + nr):
            old = mapping.i_pages.get(page)
            if old is not None and not invalidate_mapping_pages(mapping, old.index, old.index + old.nr_pages - 1):
                raise EBUSY(bdev.bd_device, f"page {page} is in use with another block size")
    folio = filemap_alloc_folio(mapping, index, nr)
    folio.flags &= ~PG_LOCKED
    filemap_add_folio(mapping, folio)
    return folio


def create_buffer(folio: Folio, bdev: BlockDevice, block: int, size: int) -> BufferHead:
    """Return a new buffer head, with no reference yet, for a block that lies in folio."""
    offset = block * size - (folio.index << PAGE_SHIFT)
    state = BH_MAPPED | (BH_UPTODATE if folio.flags & PG_UPTODATE else 0)
    bh = kzalloc(BufferHead, state, folio, block, size, folio.mem[offset : offset + size], bdev)
    if folio.private is None:
        folio.private = [bh]
        folio.flags |= PG_PRIVATE
    else:
        folio.private.append(bh)
    bdev.bd_buffers[block, size] = bh
    return bh


def bh_read(bh: BufferHead) -> None:
    """Make a buffer up to date: with its whole folio at once if nothing in that is known yet, else alone."""
    folio = bh.b_folio
    if not any(other.b_state & (BH_UPTODATE | BH_DIRTY) for other in folio.private):
        folio.flags |= PG_LOCKED
        if read_bdev_folio(bh.b_bdev, folio, REQ_OP_READ | REQ_META):
            return
    bio = bio_alloc(bh.b_bdev, REQ_OP_READ | REQ_META)
    bio.bi_sector = bh.b_blocknr * bh.b_size >> 9
    bio_add_mem(bio, bh.b_data)
    try:
        submit_bio_wait(bio)
    except KernelError as error:
        raise EIO(bh.b_bdev.bd_device, f"block {bh.b_blocknr}") from error
    finally:
        bio_put(bio)
    bh.b_state |= BH_UPTODATE


def read_bdev_folio(bdev: BlockDevice, folio: Folio, opf: int) -> bool:
    """Fill a locked folio of the device's page cache in which nothing is up to date; return whether that worked."""
    room = (bdev.bd_nr_sectors << 9) - (folio.index << PAGE_SHIFT)
    if room < folio.nr_pages << PAGE_SHIFT:
        folio.mem[room:] = bytes((folio.nr_pages << PAGE_SHIFT) - room)  # the device ends within a page
    bio = bio_alloc(bdev, opf)
    bio.bi_sector = folio.index << PAGE_SHIFT - 9
    bio_add_mem(bio, folio.mem)
    guard_bio_eod(bio)
    try:
        submit_bio_wait(bio)
    except KernelError:
        folio_end_read(folio, False)
        return False
    finally:
        bio_put(bio)
    folio_end_read(folio, True)
    for bh in folio.private or ():
        bh.b_state |= BH_UPTODATE
    return True


def block_read_full_folio(folio: Folio, get_block: Callable) -> None:
    """Make a locked folio up to date around those of its buffers that are so already. For a_ops.read_folio."""
    buffers = folio.private or ()
    kept = [(bh, bytes(bh.b_data)) for bh in buffers if bh.b_state & (BH_UPTODATE | BH_DIRTY)]
    mpage_read_folio(folio, get_block)
    for bh, content in kept:
        bh.b_data[:] = content
    if folio.flags & PG_UPTODATE:
        for bh in buffers:
            bh.b_state |= BH_UPTODATE


# --- references --------------------------------------------------------------------------------------


def get_bh(bh: BufferHead) -> BufferHead:
    """Return bh with one more reference."""
    bh.b_count += 1
    return bh


def brelse(bh: BufferHead | None) -> None:
    """Give back a reference; the buffer stays cached with its folio."""
    if bh is not None:
        bh.b_count -= 1


def charge_buffer(bh: BufferHead, nbytes: int) -> None:
    """Count the memory of what a filesystem has hung on b_private; it goes with the buffer. The caller holds bh."""
    more, bh.b_cost = nbytes - bh.b_cost, nbytes
    charge_slab(more)


def free_buffer(bh: BufferHead) -> None:
    """Give back a buffer head that nobody refers to."""
    if bh.b_cost:
        uncharge_slab(bh.b_cost)
    kfree(bh)


def try_to_free_buffers(folio: Folio) -> bool:
    """Drop the buffers of a folio if none is in use; return whether it has none now. For a_ops.release_folio."""
    buffers = folio.private
    for bh in buffers:
        if bh.b_count or bh.b_state & (BH_DIRTY | BH_LOCK):
            return False
    folio.private = None
    folio.flags &= ~PG_PRIVATE
    for bh in buffers:
        del bh.b_bdev.bd_buffers[bh.b_blocknr, bh.b_size]
        free_buffer(bh)
    return True


def block_invalidate_folio(folio: Folio, offset: int, length: int) -> None:
    """The device's content is forgotten: its buffers are not found any more. For a_ops.invalidate_folio.

    A buffer that somebody still refers to stays his, cut off from the device.
    """
    if offset or length < folio.nr_pages << PAGE_SHIFT or folio.private is None:
        return
    buffers, folio.private = folio.private, None
    folio.flags &= ~PG_PRIVATE
    for bh in buffers:
        del bh.b_bdev.bd_buffers[bh.b_blocknr, bh.b_size]
        if bh.b_count:
            bh.b_state &= ~(BH_DIRTY | BH_MAPPED)
            folio.pfn = -1  # his too is the memory: nobody else is given it
        else:
            free_buffer(bh)


# --- writing -----------------------------------------------------------------------------------------


def mark_buffer_dirty(bh: BufferHead) -> None:
    """The buffer holds what the device does not; it is written by sync_dirty_buffer() or sync_blockdev()."""
    bh.b_state |= BH_DIRTY | BH_UPTODATE
    bh.b_folio.flags |= PG_DIRTY


def sync_dirty_buffer(bh: BufferHead) -> None:
    """Write a buffer now if it is dirty; EIO, and it is clean all the same, if that fails."""
    if not bh.b_state & BH_DIRTY:
        return
    bh.b_state &= ~BH_DIRTY
    folio = bh.b_folio
    bio = bio_alloc(bh.b_bdev, REQ_OP_WRITE | REQ_META)
    bio.bi_sector = bh.b_blocknr * bh.b_size >> 9
    bio_add_mem(bio, bh.b_data)
    try:
        submit_bio_wait(bio)
    finally:
        bio_put(bio)
        if folio.private and not any(other.b_state & BH_DIRTY for other in folio.private):
            folio.flags &= ~PG_DIRTY


def sync_dirty_buffers(bdev: BlockDevice) -> None:
    """Write all dirty buffers of a device, in the order of its blocks; the first error is raised at the end."""
    error = None
    dirty = [bh for bh in bdev.bd_buffers.values() if bh.b_state & BH_DIRTY]
    for bh in sorted(dirty, key=lambda bh: bh.b_blocknr * bh.b_size):
        try:
            sync_dirty_buffer(bh)
        except KernelError as caught:
            error = error or caught
    if error is not None:
        raise error


# --- overlay -----------------------------------------------------------------------------------------


def bdev_overlay(bdev: BlockDevice, blocks: dict[int, bytes], size: int) -> None:
    """Let these blocks of size bytes hide those of the device for every reader; the device is not written.

    A block given again replaces the former. Data read into page caches before this does not change.
    """
    overlay = bdev.bd_overlay
    if overlay is None:
        overlay = bdev.bd_overlay = {}
    for block, content in blocks.items():
        bh = overlay.get(block)
        if bh is None:
            bh = overlay[block] = bdev_getblk(bdev, block, size)
        bh.b_data[:] = content
        bh.b_state = BH_MAPPED | BH_UPTODATE
        bh.b_private = None  # what was understood of the device's content


def bdev_drop_overlay(bdev: BlockDevice) -> None:
    """Forget the overlay, at umount: the next reader sees the device."""
    overlay, bdev.bd_overlay = bdev.bd_overlay, None
    for bh in (overlay or {}).values():
        bh.b_state &= ~BH_UPTODATE
        bh.b_private = None
        bh.b_folio.flags &= ~PG_UPTODATE
        brelse(bh)
