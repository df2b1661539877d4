"""Filling folios from a disk: runs of file blocks to runs of disk blocks, one bio each.

    a_ops.readahead ──▶ mpage_readahead ──┐
                                          ├─▶ get_block: where, and how far it goes on ──▶ bio ──▶ submit_bio
    a_ops.read_folio ─▶ mpage_read_folio ─┘         └ a hole, or unwritten: zeros

Folios in a row are one stretch of the file. It is mapped by whole extents, not block by block,
and each extent is read with one bio whose segments are pieces of the folios; so a file in one
piece costs one question to the filesystem and one bio, however long the window is.

Linux: fs/mpage.c (and, for long folios, what fs/iomap does).   Chapter 8.
Left out: writing (mpage_writepages), buffer heads on data folios, cleancache.

Always true
  M1  each folio handed in is unlocked exactly once, after all bios that touch it are done
  M2  a folio becomes up to date only if all of it was read, or is known to be zeros
  M3  bytes beyond i_size in an up-to-date folio are zeros
  M4  where the device has an overlay (fs/buffer.py), its blocks win over what was read
"""

from __future__ import annotations

from collections.abc import Callable

from vfslab.block.bio import bio_add_mem, bio_alloc, bio_put
from vfslab.block.blk_core import blk_finish_plug, blk_start_plug, submit_bio
from vfslab.block.blk_mq import blk_mq_flush_plug_list, blk_mq_poll
from vfslab.include.blk_types import REQ_OP_READ, REQ_RAHEAD, Bio, BlockDevice
from vfslab.include.blkdev import BlkPlug
from vfslab.include.buffer_head import BH_MAPPED, BH_UNWRITTEN, BufferHead
from vfslab.include.fs import Inode
from vfslab.include.mm_types import PAGE_SHIFT, PG_LOCKED, PG_UPTODATE, Folio, ReadaheadControl
from vfslab.kernel.errno import KernelError
from vfslab.kernel.sched import cpu
from vfslab.lib.kstruct import KernelBug, KObject, fresh, kstruct
from vfslab.mm.filemap import folio_end_read
from vfslab.mm.readahead import readahead_folios

MAPPING = BH_MAPPED | BH_UNWRITTEN
READ_AHEAD = REQ_OP_READ | REQ_RAHEAD


@kstruct
class MpageReadCtl(KObject):
    """Several bios under way for one stretch of folios.

    view     memory of the folio that the next bio begins in
    pending  bios not done, and one for the function that is still issuing them
    bad      parts (first byte, byte after) of the file that could not be read
    patches  parts (first byte, byte after, device, byte on it) that an overlay may hide
    """

    inode: Inode = None
    folios: list = None
    pending: int = 1
    bad: list = fresh(list)
    patches: list = fresh(list)
    view: memoryview = None


def mpage_readahead(rac: ReadaheadControl, get_block: Callable) -> None:
    """Fill all folios of rac; one that cannot be read is unlocked as it is, and read_folio will say why."""
    folios = readahead_folios(rac)
    if folios:
        try:
            do_mpage_read(rac.mapping.host, folios, get_block, READ_AHEAD)
        except KernelError:
            pass  # nobody asked for these yet


def mpage_read_folio(folio: Folio, get_block: Callable) -> None:
    """Fill one locked folio; what get_block raises is the caller's to tell.

    A random read comes this way: a folio within the file and within one extent is one bio, written out here.
    """
    inode = folio.mapping.host
    pos, length, blkbits = folio.index << PAGE_SHIFT, folio.nr_pages << PAGE_SHIFT, inode.i_blkbits
    if pos + length <= inode.i_size and not pos & (1 << blkbits) - 1:
        map_bh = BufferHead(0, None, 0, length, None, inode.i_sb.s_bdev)
        get_block(inode, pos >> blkbits, map_bh, 0)
        bdev = map_bh.b_bdev
        if map_bh.b_state & MAPPING == BH_MAPPED and map_bh.b_size >= length and not bdev.bd_overlay:
            bio = bio_alloc(bdev, REQ_OP_READ)
            bio.bi_sector = map_bh.b_blocknr << blkbits >> 9
            bio.bi_io_vec.append(folio.mem)
            bio.bi_size = length
            bio.bi_end_io = mpage_folio_end_io
            bio.bi_private = folio
            submit_bio(bio)
            if folio.flags & PG_LOCKED:
                wait_for_folios([folio], bdev)
            return
    do_mpage_read(inode, [folio], get_block, REQ_OP_READ)


def mpage_folio_end_io(bio: Bio) -> None:
    """The bio of a single folio is done."""
    folio = bio.bi_private
    if bio.bi_status:
        folio_end_read(folio, False)
    else:
        folio.flags = folio.flags & ~PG_LOCKED | PG_UPTODATE
    bio_put(bio)


def do_mpage_read(inode: Inode, folios: list[Folio], get_block: Callable, opf: int) -> None:
    """Fill folios, which are locked and follow each other in the file.

    The usual case, all that lies within the file in one extent, is one bio and needs no accounts.
    """
    last = folios[-1]
    pos, end = folios[0].index << PAGE_SHIFT, (last.index + last.nr_pages) << PAGE_SHIFT
    blocksize = 1 << inode.i_blkbits
    stop = (inode.i_size + blocksize - 1) & -blocksize  # submit_bio() cuts what is beyond the end of the device
    if stop > end:
        stop = end
    map_bh = BufferHead(0, None, 0, 0, None, inode.i_sb.s_bdev)
    try:
        length = mpage_map(inode, map_bh, pos, stop, get_block)
    except KernelError:
        for folio in folios:
            folio_end_read(folio, False)
        raise
    bdev = map_bh.b_bdev
    if pos + length < stop or not map_bh.b_state & BH_MAPPED or bdev.bd_overlay or stop <= pos:
        mpage_read_runs(inode, folios, get_block, opf, map_bh, pos, stop, length)
        return
    bio = bio_alloc(bdev, opf)
    bio.bi_sector = ((map_bh.b_blocknr << inode.i_blkbits) + (pos & blocksize - 1)) >> 9
    if last is folios[0] and stop == end:
        bio.bi_io_vec.append(last.mem)
        bio.bi_size = stop - pos
    else:
        add_folios(bio, folios, pos, stop)
    bio.bi_end_io = mpage_read_end_io
    bio.bi_private = folios
    submit_bio(bio)
    if last.flags & PG_LOCKED:
        wait_for_folios(folios, bdev)


def mpage_map(inode: Inode, map_bh: BufferHead, pos: int, stop: int, get_block: Callable) -> int:
    """Ask where byte pos of the file is; return for how many bytes that answer holds, up to stop at most.

    map_bh says the rest: BH_MAPPED and b_blocknr of the block that pos is in, or neither for zeros.
    """
    blkbits, wanted = inode.i_blkbits, stop - pos
    offset = pos & (1 << blkbits) - 1
    map_bh.b_state = 0
    map_bh.b_size = wanted + offset
    if wanted > 0:
        get_block(inode, pos >> blkbits, map_bh, 0)
        if map_bh.b_state & BH_UNWRITTEN:
            map_bh.b_state &= ~BH_MAPPED
        if map_bh.b_size <= offset:
            raise KernelBug(f"get_block maps nothing at byte {pos} of inode {inode.i_ino}")
    found = map_bh.b_size - offset
    return found if found < wanted else wanted


def add_folios(bio: Bio, folios: list[Folio], pos: int, stop: int) -> None:
    """Add the memory of bytes pos..stop of the file to bio."""
    for folio in folios:
        first = folio.index << PAGE_SHIFT
        length = folio.nr_pages << PAGE_SHIFT
        if first + length <= pos:
            continue
        if first >= stop:
            break
        if pos <= first and first + length <= stop:
            bio_add_mem(bio, folio.mem)
        else:
            bio_add_mem(bio, folio.mem[max(pos - first, 0) : stop - first])


def mpage_read_end_io(bio: Bio) -> None:
    """The only bio of its folios is done."""
    folios, success = bio.bi_private, not bio.bi_status
    bio_put(bio)
    folio = folios[-1]
    if success:
        data = folio.mapping.host.i_size - (folio.index << PAGE_SHIFT)
        if data < folio.nr_pages << PAGE_SHIFT:
            zero_from(folio, data)
        for folio in folios:
            folio.flags = folio.flags & ~PG_LOCKED | PG_UPTODATE
        return
    for folio in folios:
        folio_end_read(folio, False)


def wait_for_folios(folios: list[Folio], bdev: BlockDevice) -> None:
    """Return when the device has answered: send what the task has plugged, then ask the driver."""
    if cpu.current.plug is not None:
        blk_mq_flush_plug_list(cpu.current.plug)
    while any(folio.flags & PG_LOCKED for folio in folios):
        if not blk_mq_poll(bdev.bd_queue):
            raise KernelBug(f"{bdev.bd_device.decode()} lost a read of {folios[0]}")


def zero_from(folio: Folio, offset: int) -> None:
    """Zero a folio from byte offset on (all of it, if that is negative)."""
    offset = max(offset, 0)
    folio.mem[offset:] = bytes((folio.nr_pages << PAGE_SHIFT) - offset)


# --- more than one run -------------------------------------------------------------------------------


def mpage_read_runs(
    inode: Inode, folios: list[Folio], get_block: Callable, opf: int, map_bh: BufferHead, pos: int, stop: int, run: int
) -> None:
    """Fill folios from several extents and holes; map_bh and run describe the first, which starts at pos.

    The bios are plugged, so that the block layer sees them together. When get_block fails, what was
    started is finished, the folios from there on stay unread, and the error is raised.
    """
    ctl = MpageReadCtl(inode, folios)
    plug = BlkPlug()
    blk_start_plug(plug)
    at, error, ctl.view = 0, None, folios[0].mem
    folio_end = (folios[0].index + folios[0].nr_pages) << PAGE_SHIFT
    while pos < stop:
        while pos >= folio_end:
            at += 1
            folio_end += folios[at].nr_pages << PAGE_SHIFT
            ctl.view = folios[at].mem
        if map_bh.b_state & BH_MAPPED:
            read_run(ctl, opf, map_bh, at, pos, pos + run, folio_end)
        else:
            zero_run(folios, at, pos, pos + run)
        pos += run
        if pos < stop:
            try:
                run = mpage_map(inode, map_bh, pos, stop, get_block)
            except KernelError as caught:
                error = caught
                ctl.bad.append((pos, 1 << 64))
                break
    blk_finish_plug(plug)
    ctl.pending -= 1
    if not ctl.pending:
        mpage_runs_done(ctl)
    if folios[-1].flags & PG_LOCKED:
        wait_for_folios(folios, map_bh.b_bdev)
    if error is not None:
        raise error


def read_run(ctl: MpageReadCtl, opf: int, map_bh: BufferHead, at: int, pos: int, stop: int, folio_end: int) -> None:
    """Start reading bytes pos..stop of the file, which lie together on the device, from folio number `at` on.

    That folio holds the file up to byte folio_end.
    """
    bdev, blkbits = map_bh.b_bdev, ctl.inode.i_blkbits
    bio = bio_alloc(bdev, opf)
    bio.bi_sector = ((map_bh.b_blocknr << blkbits) + (pos & (1 << blkbits) - 1)) >> 9
    if stop <= folio_end:
        first = ctl.folios[at].index << PAGE_SHIFT
        bio.bi_io_vec.append(ctl.view[pos - first : stop - first])
        bio.bi_size = stop - pos
    else:
        add_folios(bio, ctl.folios[at:], pos, stop)
    if bdev.bd_overlay:
        ctl.patches.append((pos, stop, bdev, bio.bi_sector << 9))
    ctl.pending += 1
    bio.bi_private = ctl, pos, stop
    bio.bi_end_io = mpage_run_end_io
    submit_bio(bio)


def zero_run(folios: list[Folio], at: int, pos: int, stop: int) -> None:
    """Fill bytes pos..stop of the file with zeros: nothing is stored there."""
    for folio in folios[at:]:
        first = folio.index << PAGE_SHIFT
        start, after = max(pos - first, 0), min(stop - first, folio.nr_pages << PAGE_SHIFT)
        if after <= start:
            return
        folio.mem[start:after] = bytes(after - start)


def mpage_run_end_io(bio: Bio) -> None:
    """One bio of several is done."""
    ctl, pos, stop = bio.bi_private
    if bio.bi_status:
        ctl.bad.append((pos, stop))
    bio_put(bio)
    ctl.pending -= 1
    if not ctl.pending:
        mpage_runs_done(ctl)


def mpage_runs_done(ctl: MpageReadCtl) -> None:
    """All bios are done: put the overlay over what they read, zero what is beyond the end, end reading on all folios."""
    for pos, stop, bdev, byte in ctl.patches:
        patch_from_overlay(ctl.folios, pos, stop, bdev, byte)
    size = ctl.inode.i_size
    for folio in ctl.folios:
        first = folio.index << PAGE_SHIFT
        after = first + (folio.nr_pages << PAGE_SHIFT)
        if after > size:
            zero_from(folio, size - first)
        folio_end_read(folio, not any(pos < after and first < stop for pos, stop in ctl.bad))


def patch_from_overlay(folios: list[Folio], pos: int, stop: int, bdev: BlockDevice, byte: int) -> None:
    """Bytes pos..stop of the file were read from `byte` of bdev on: put its overlaid blocks over them."""
    overlay = bdev.bd_overlay
    size = next(iter(overlay.values())).b_size
    for block in range(byte // size, (byte + stop - pos + size - 1) // size):
        bh = overlay.get(block)
        if bh is None:
            continue
        place = pos + block * size - byte  # where in the file the block begins
        for folio in folios:
            first = folio.index << PAGE_SHIFT
            start = max(place, pos, first)
            after = min(place + size, stop, first + (folio.nr_pages << PAGE_SHIFT))
            if start < after:
                folio.mem[start - first : after - first] = bh.b_data[start - place : after - place]
