"""Requests: bios on their way to a driver.

    blk_mq_submit_bio(bio)
        no plug, nothing waiting     a request is made and issued at once
        plug                         joined to a neighbour (blk_merge.py), or kept until the plug is pulled
        driver busy                  kept in hctx.dispatch until a request ends

    queue_rq(hctx, rq) ──▶ device ──▶ blk_mq_end_request(rq, status) ──▶ bio_endio() for each bio of it

A request is what the device works on: one run of sectors, gathered from one bio or several.
Its tag names it while it is under way, and there are only so many; a request object is kept
with its tag and used over and over.

Linux: block/blk-mq.c, blk-mq-sched.c.   Chapter 9.
Left out: several hardware queues, software queues per processor, schedulers other than "none", timeouts.

Always true
  Q1  a request is in exactly one place: hctx.tags (free), a plug, hctx.dispatch, or the driver
  Q2  the driver calls blk_mq_end_request() once for each request that queue_rq accepted (BLK_STS_OK)
  Q3  a request is issued after all that were put into hctx.dispatch before it
"""

from __future__ import annotations

from vfslab.block.bio import bio_endio
from vfslab.block.blk_merge import bio_split_to_limits, blk_attempt_plug_merge
from vfslab.include.blk_types import (
    BLK_STS_IOERR,
    BLK_STS_OK,
    BLK_STS_RESOURCE,
    REQ_OP_DISCARD,
    REQ_OP_FLUSH,
    REQ_OP_MASK,
    REQ_OP_READ,
    REQ_OP_WRITE,
    REQ_OP_WRITE_ZEROES,
    SECTOR_SHIFT,
    Bio,
)
from vfslab.include.blkdev import QUEUE_FLAG_DYING, BlkMqHwCtx, BlkPlug, Request, RequestQueue
from vfslab.kernel.printk import KERN_ERR, printk
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kzalloc
from vfslab.kernel.tracepoint import tracepoint
from vfslab.lib.kstruct import KernelBug

BLK_MAX_REQUEST_COUNT = 32  # a plug this full is pulled


def blk_mq_submit_bio(bio: Bio) -> None:
    """Make a request of a bio, or join it to one; issue it unless the task has a plug."""
    queue = bio.bi_bdev.bd_queue
    limits = queue.limits
    if bio.bi_size > limits.max_sectors << SECTOR_SHIFT or len(bio.bi_io_vec) > limits.max_segments:
        for front in bio_split_to_limits(bio):
            blk_mq_submit_bio(front)
    plug = cpu.current.plug
    if plug is not None:
        return blk_add_bio_to_plug(plug, queue, bio)
    hctx = queue.hctx
    rq = blk_mq_get_request(hctx, bio)
    if hctx.dispatch:
        hctx.dispatch.append(rq)
        blk_mq_run_hw_queue(hctx)
    else:
        blk_mq_issue_request(hctx, rq)
    return None


def blk_add_bio_to_plug(plug: BlkPlug, queue: RequestQueue, bio: Bio) -> None:
    """Join bio to the plug's latest request for this queue, or add a request for it."""
    if blk_attempt_plug_merge(plug, queue, bio):
        return
    if len(plug.mq_list) >= BLK_MAX_REQUEST_COUNT:
        blk_mq_flush_plug_list(plug)
    rq = blk_mq_get_request(queue.hctx, bio)
    plug.mq_list.append(rq)


def blk_mq_get_request(hctx: BlkMqHwCtx, bio: Bio | None) -> Request:
    """Return a request with a tag of its own for bio; if all tags are out, the driver is waited for."""
    rq = hctx.tags.pop() if hctx.tags else blk_mq_alloc_request(hctx)
    rq.bio = rq.biotail = bio
    if bio is not None:
        rq.cmd_flags = bio.bi_opf
        rq.sector = bio.bi_sector
        rq.data_len = bio.bi_size
        rq.nr_phys_segments = len(bio.bi_io_vec)
        rq.part = bio.bi_bdev
    return rq


def blk_mq_alloc_request(hctx: BlkMqHwCtx) -> Request:
    """Return a new request, or wait until one of the queue's nr_requests is free."""
    queue = hctx.queue
    if hctx.next_tag < queue.nr_requests:
        hctx.next_tag += 1
        return kzalloc(Request, q=queue, mq_hctx=hctx, tag=hctx.next_tag - 1)
    while not hctx.tags:
        if not blk_mq_poll(queue):
            raise KernelBug(f"{queue.disk.disk_name.decode()}: all {queue.nr_requests} requests are under way for ever")
    return hctx.tags.pop()


def blk_mq_issue_request(hctx: BlkMqHwCtx, rq: Request) -> bool:
    """Hand one request to the driver; False if it is busy and the request waits in hctx.dispatch."""
    queue = hctx.queue
    if queue.tracers:
        tracepoint("block_rq_issue", rq=rq, sector=rq.sector, bytes=rq.data_len)
    status = queue.mq_ops.queue_rq(hctx, rq)
    if status == BLK_STS_OK:
        return True
    if status == BLK_STS_RESOURCE:
        hctx.dispatch.insert(0, rq)
        return False
    blk_mq_end_request(rq, status)
    return True


def blk_mq_run_hw_queue(hctx: BlkMqHwCtx) -> None:
    """Issue what waits in hctx.dispatch, until it is empty or the driver is busy."""
    while hctx.dispatch:
        if hctx.queue.queue_flags & QUEUE_FLAG_DYING:
            blk_mq_end_request(hctx.dispatch.pop(0), BLK_STS_IOERR)
        elif not blk_mq_issue_request(hctx, hctx.dispatch.pop(0)):
            break
    commit_rqs = hctx.queue.mq_ops.commit_rqs
    if commit_rqs is not None:
        commit_rqs(hctx)


def blk_mq_flush_plug_list(plug: BlkPlug) -> None:
    """Send all requests of a plug to their queues, in the order they were made."""
    requests, plug.mq_list = plug.mq_list, []
    queues = []
    for rq in requests:
        rq.mq_hctx.dispatch.append(rq)
        if rq.mq_hctx not in queues:
            queues.append(rq.mq_hctx)
    for hctx in queues:
        blk_mq_run_hw_queue(hctx)


def blk_mq_end_request(rq: Request, status: int) -> None:
    """A request is done: tell every bio of it, give the tag back. Called by the driver."""
    if status:
        blk_print_req_error(rq, status)
    if rq.q.tracers:
        tracepoint("block_rq_complete", rq=rq, sector=rq.sector, status=status)
    if rq.end_io is not None:
        return rq.end_io(rq, status)
    bio, tail = rq.bio, rq.biotail
    rq.bio = rq.biotail = None
    rq.mq_hctx.tags.append(rq)
    while bio is not tail:
        following, bio.bi_next = bio.bi_next, None
        bio.bi_status = bio.bi_status or status
        bio_endio(bio)
        bio = following
    if status:
        bio.bi_status = bio.bi_status or status
    bio_endio(bio)
    return None


def blk_mq_free_request(rq: Request) -> None:
    """Give a request and its tag back."""
    rq.bio = rq.biotail = rq.end_io = None
    rq.mq_hctx.tags.append(rq)


def blk_mq_poll(queue: RequestQueue) -> int:
    """Ask the driver for requests that have ended; return how many it found."""
    hctx = queue.hctx
    ended = queue.mq_ops.poll(hctx) if queue.mq_ops.poll is not None else 0
    if ended and hctx.dispatch:
        blk_mq_run_hw_queue(hctx)
    return ended


def rq_segments(rq: Request) -> list[memoryview]:
    """Return the memory of all bios of a request, in the order of its sectors."""
    bio = rq.bio
    if bio is rq.biotail:
        return bio.bi_io_vec
    segments = list(bio.bi_io_vec)
    while bio is not rq.biotail:
        bio = bio.bi_next
        segments += bio.bi_io_vec
    return segments


def op_name(opf: int) -> str:
    """Return the name of an operation as error lines print it."""
    names = {REQ_OP_READ: "READ", REQ_OP_WRITE: "WRITE", REQ_OP_FLUSH: "FLUSH"}
    names |= {REQ_OP_DISCARD: "DISCARD", REQ_OP_WRITE_ZEROES: "WRITE_ZEROES"}
    return names.get(opf & REQ_OP_MASK, "UNKNOWN")


def blk_print_req_error(rq: Request, status: int) -> None:
    """Log a request that failed."""
    name, op = rq.q.disk.disk_name.decode(errors="replace"), rq.cmd_flags & REQ_OP_MASK
    where = f"sector {rq.sector} op {op:#x}:({op_name(op)}) flags {rq.cmd_flags & ~REQ_OP_MASK:#x}"
    printk(KERN_ERR, f"I/O error, dev {name}, {where} phys_seg {rq.nr_phys_segments} status {status}")
