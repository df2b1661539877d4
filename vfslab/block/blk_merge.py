"""Joining bios on neighbouring sectors, and splitting bios that are too big.

    request      [ bio 8..15 ][ bio 16..23 ]
    back merge                             + bio 24..31     starts where the request ends
    front merge  bio 0..7 +                                 ends where the request starts

One request of 64 KiB costs the device much less than sixteen of 4 KiB. Only bios of the same
kind join, and only while the limits of the device allow.

Linux: block/blk-merge.c.   Chapter 9.
Left out: joining two requests, discard merges, segment boundaries and gaps.

Always true
  M1  a request never exceeds max_sectors and max_segments of its queue
  M2  the bios of a request cover its sectors in order, without gap or overlap
  M3  nothing is joined to a bio with PREFLUSH or FUA, which has its place in time
"""

from __future__ import annotations

from collections.abc import Iterator

from vfslab.block.bio import bio_split
from vfslab.include.blk_types import (
    REQ_FUA,
    REQ_OP_MASK,
    REQ_OP_READ,
    REQ_OP_WRITE,
    REQ_PREFLUSH,
    REQ_RAHEAD,
    SECTOR_SHIFT,
    Bio,
)
from vfslab.include.blkdev import BlkPlug, QueueLimits, Request, RequestQueue
from vfslab.lib.kstruct import KernelBug


def blk_attempt_plug_merge(plug: BlkPlug, queue: RequestQueue, bio: Bio) -> bool:
    """Join bio to the plug's latest request for this queue; False if they do not fit."""
    for rq in reversed(plug.mq_list):
        if rq.q is queue:
            after, before = rq.sector + (rq.data_len >> SECTOR_SHIFT), bio.bi_sector + (bio.bi_size >> SECTOR_SHIFT)
            return (bio.bi_sector == after or before == rq.sector) and blk_attempt_bio_merge(rq, bio)
    return False


def blk_attempt_bio_merge(rq: Request, bio: Bio) -> bool:
    """Join bio to the end or the beginning of a request, if sectors, kind and limits allow."""
    if not blk_rq_merge_ok(rq, bio):
        return False
    if rq.sector + (rq.data_len >> SECTOR_SHIFT) == bio.bi_sector:
        rq.biotail.bi_next = bio
        rq.biotail = bio
    elif bio.bi_sector + (bio.bi_size >> SECTOR_SHIFT) == rq.sector:
        bio.bi_next = rq.bio
        rq.bio = bio
        rq.sector = bio.bi_sector
    else:
        return False
    rq.data_len += bio.bi_size
    rq.nr_phys_segments += len(bio.bi_io_vec)
    return True


def blk_rq_merge_ok(rq: Request, bio: Bio) -> bool:
    """True if bio is of the request's kind and the two together keep to the limits of the device."""
    if (rq.cmd_flags ^ bio.bi_opf) & (REQ_OP_MASK | REQ_RAHEAD):
        return False  # what failed read-ahead may do (be forgotten) a wanted read may not
    if (rq.cmd_flags | bio.bi_opf) & (REQ_PREFLUSH | REQ_FUA):
        return False
    if bio.bi_opf & REQ_OP_MASK not in (REQ_OP_READ, REQ_OP_WRITE):
        return False
    limits = rq.q.limits
    return (
        rq.data_len + bio.bi_size <= limits.max_sectors << SECTOR_SHIFT
        and rq.nr_phys_segments + len(bio.bi_io_vec) <= limits.max_segments
    )


def bio_split_to_limits(bio: Bio) -> Iterator[Bio]:
    """Yield pieces from the front of bio, each as large as the device takes, until the rest fits too."""
    limits = bio.bi_bdev.bd_queue.limits
    while bio.bi_size > limits.max_sectors << SECTOR_SHIFT or len(bio.bi_io_vec) > limits.max_segments:
        yield bio_split(bio, sectors_that_fit(bio, limits))


def sectors_that_fit(bio: Bio, limits: QueueLimits) -> int:
    """Return how many sectors of bio one request may take."""
    size = limits.max_sectors << SECTOR_SHIFT
    if bio.bi_io_vec:
        size = min(size, sum(map(len, bio.bi_io_vec[: limits.max_segments])))
    block = max(limits.logical_block_size, 1 << SECTOR_SHIFT)
    if size < block:
        raise KernelBug(f"{bio!r}: {limits.max_segments} segments do not hold one sector")
    return (size - size % block) >> SECTOR_SHIFT
