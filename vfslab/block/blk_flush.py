"""Flushes: writes that must be durable, in order, on devices with a volatile cache.

    write with                the device gets
    PREFLUSH                  FLUSH, then the data
    FUA                       the data with FUA if the device knows it; else the data, then FLUSH
    PREFLUSH, no data         FLUSH

A journal commits with PREFLUSH | FUA: what was written before must be durable before the commit
block is, and the commit block before anything that follows.

Linux: block/blk-flush.c.   Chapter 10.
Left out: one flush for several waiting bios (flush_running_idx, flush_pending_idx).

Always true
  F1  the data of a PREFLUSH bio is issued after its FLUSH has ended
  F2  a failed step ends the bio with that error; later steps are not taken
"""

from __future__ import annotations

from vfslab.block.bio import bio_endio
from vfslab.block.blk_mq import blk_mq_free_request, blk_mq_get_request, blk_mq_run_hw_queue
from vfslab.include.blk_types import REQ_FUA, REQ_OP_FLUSH, REQ_PREFLUSH, Bio
from vfslab.include.blkdev import BLK_FEAT_FUA, Request

REQ_FSEQ_PREFLUSH, REQ_FSEQ_DATA, REQ_FSEQ_POSTFLUSH = 1, 2, 4


def blk_insert_flush(bio: Bio) -> None:
    """Take a bio with PREFLUSH or FUA through the steps its device needs."""
    blk_flush_next(bio, blk_flush_policy(bio))


def blk_flush_policy(bio: Bio) -> int:
    """Return the steps a bio needs, as a set of REQ_FSEQ_* bits."""
    steps = REQ_FSEQ_PREFLUSH if bio.bi_opf & REQ_PREFLUSH else 0
    if bio.bi_size:
        steps |= REQ_FSEQ_DATA
        if bio.bi_opf & REQ_FUA and not bio.bi_bdev.bd_queue.limits.features & BLK_FEAT_FUA:
            steps |= REQ_FSEQ_POSTFLUSH
    return steps


def blk_flush_next(bio: Bio, steps: int) -> None:
    """Issue the lowest step of those left; its end leads back here, until none is left."""
    if not steps:
        return bio_endio(bio)
    step = steps & -steps
    hctx = bio.bi_bdev.bd_queue.hctx
    rq = blk_mq_get_request(hctx, bio if step == REQ_FSEQ_DATA else None)
    if step == REQ_FSEQ_DATA:
        rq.cmd_flags &= ~REQ_PREFLUSH
        if steps & REQ_FSEQ_POSTFLUSH:
            rq.cmd_flags &= ~REQ_FUA
    else:
        rq.cmd_flags, rq.sector, rq.data_len, rq.nr_phys_segments, rq.part = REQ_OP_FLUSH, 0, 0, 0, bio.bi_bdev
    rq.end_io, rq.end_io_data = flush_end_io, (bio, steps & ~step)
    hctx.dispatch.append(rq)
    blk_mq_run_hw_queue(hctx)
    return None


def flush_end_io(rq: Request, status: int) -> None:
    """One step has ended: go on with the next, or end the bio with the error."""
    bio, steps = rq.end_io_data
    rq.end_io_data = None
    blk_mq_free_request(rq)
    if status:
        bio.bi_status = bio.bi_status or status
        steps = 0
    blk_flush_next(bio, steps)
