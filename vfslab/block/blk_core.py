"""The door of the block layer: checks, partitions, plugs.

    filesystem, page cache ──bio──▶ submit_bio ──▶ blk_mq_submit_bio    a queue of requests
                                        ├────────▶ blk_insert_flush     caches to be flushed
                                        └────────▶ fops.submit_bio      a driver without a queue

A bio comes in with sectors of the block device it names. Here it is checked against the
end of that device and shifted by where the partition starts, so that below only disks exist.

A plug holds requests back while a task sends several bios, so that neighbours can join:

    plug = BlkPlug()
    blk_start_plug(plug)
    ...                          submit_bio() as often as wanted
    blk_finish_plug(plug)        now they go to the driver

Linux: block/blk-core.c (submit_bio_noacct() is a part of submit_bio() here), submit_bio_wait() of block/bio.c.   Chapter 9.
Left out: cgroup throttling, accounting, zoned devices, bio_list against deep stacks of devices.

Always true
  C1  a bio that reaches a driver lies on its disk, whatever the partition table says
  C2  a queue that is dying gets no bio: it ends with BLK_STS_IOERR
  C3  a device without a volatile cache sees no PREFLUSH and no FUA
"""

from __future__ import annotations

from vfslab.block.bio import bio_alloc, bio_endio, bio_io_error, bio_put, blk_status_to_error, guard_bio_eod
from vfslab.block.blk_flush import blk_insert_flush
from vfslab.block.blk_mq import blk_mq_flush_plug_list, blk_mq_poll, blk_mq_submit_bio
from vfslab.include.blk_types import (
    BIO_REMAPPED,
    BLK_STS_NOTSUPP,
    REQ_FUA,
    REQ_OP_FLUSH,
    REQ_OP_MASK,
    REQ_OP_READ,
    REQ_OP_WRITE,
    REQ_PREFLUSH,
    REQ_SYNC,
    SECTOR_SHIFT,
    Bio,
    BlockDevice,
)
from vfslab.include.blkdev import BLK_FEAT_WRITE_CACHE, QUEUE_FLAG_DYING, BlkPlug
from vfslab.kernel.printk import KERN_WARNING, printk
from vfslab.kernel.sched import cpu
from vfslab.kernel.tracepoint import tracepoint
from vfslab.lib.kstruct import KernelBug

REQ_FLUSH_FLAGS = REQ_PREFLUSH | REQ_FUA


def submit_bio(bio: Bio) -> None:
    """Send a bio on its way; bio.bi_end_io(bio) is called once, perhaps before this returns."""
    size, bdev, opf = bio.bi_size, bio.bi_bdev, bio.bi_opf
    if size & 511:
        raise KernelBug(f"{bio!r} moves {size} bytes, not whole sectors")
    queue = bdev.bd_queue
    if queue.queue_flags & QUEUE_FLAG_DYING:
        return bio_io_error(bio)
    if not bio.bi_flags & BIO_REMAPPED:
        if not 0 <= bio.bi_sector <= bdev.bd_nr_sectors - (size >> SECTOR_SHIFT) and not bio_check_eod(bio):
            return None
        if bdev.bd_partno:
            blk_partition_remap(bio)
    if opf & 1 and bdev.bd_read_only and size:
        return bio_check_ro(bio)
    if queue.tracers:
        tracepoint("block_bio_queue", bio=bio, sector=bio.bi_sector, bytes=bio.bi_size)
    if opf & REQ_FLUSH_FLAGS:
        if not blk_flush_wanted(bio):
            return None
        if queue.mq_ops is not None and bio.bi_opf & REQ_FLUSH_FLAGS:
            return blk_insert_flush(bio)
    if queue.mq_ops is not None:
        blk_mq_submit_bio(bio)
    else:
        queue.disk.fops.submit_bio(bio)
    return None


def bio_check_eod(bio: Bio) -> bool:
    """End a bio that lies beyond its device, and return False; True if it may go on.

    A read that begins on the device is cut to what there is, and the rest of its memory zeroed: the last
    folio of a device is seldom full. (In Linux the page cache does so, with guard_bio_eod, before it submits.)
    """
    bdev = bio.bi_bdev
    if bio.bi_opf & REQ_OP_MASK == REQ_OP_READ and 0 <= bio.bi_sector < bdev.bd_nr_sectors:
        guard_bio_eod(bio)
        return True
    what = f"sector={bio.bi_sector}, nr_sectors={bio.bi_size >> SECTOR_SHIFT} limit={bdev.bd_nr_sectors}"
    printk(KERN_WARNING, f"{bdev.bd_device.decode()}: attempt to access beyond end of device: {what}")
    bio_io_error(bio)
    return False


def bio_check_ro(bio: Bio) -> None:
    """End a write to a device that was found, or set, to be read-only."""
    printk(KERN_WARNING, f"Trying to write to read-only block-device {bio.bi_bdev.bd_device.decode()}")
    bio_io_error(bio)


def blk_partition_remap(bio: Bio) -> None:
    """Turn a sector of a partition into a sector of the disk; bi_bdev still names the partition."""
    bio.bi_sector += bio.bi_bdev.bd_start_sect
    bio.bi_flags |= BIO_REMAPPED


def blk_flush_wanted(bio: Bio) -> bool:
    """Take the flush flags off a bio for a device without a cache; False if the bio is then done."""
    if bio.bi_opf & REQ_OP_MASK == REQ_OP_FLUSH:
        bio_io_error(bio, BLK_STS_NOTSUPP)  # an empty write with REQ_PREFLUSH is how flushes are asked for
        return False
    if bio.bi_bdev.bd_queue.limits.features & BLK_FEAT_WRITE_CACHE:
        return True
    bio.bi_opf &= ~REQ_FLUSH_FLAGS
    if bio.bi_size:
        return True
    bio_endio(bio)
    return False


def submit_bio_wait(bio: Bio) -> None:
    """Send a bio, wait until it is done; the error it met is raised, with device and sector.

    The bio stays the caller's: bio_put() it.
    """
    done: list = []
    sector = bio.bi_sector
    bio.bi_end_io = done.append
    bio.bi_opf |= REQ_SYNC
    submit_bio(bio)
    if not done:
        blk_wait_io(bio, done)
    if bio.bi_status:
        raise blk_status_to_error(bio.bi_status)(bio.bi_bdev.bd_device, f"sector {sector}")


def blk_wait_io(bio: Bio, done: list) -> None:
    """Return when done is no longer empty: release what the task plugged, then ask the driver."""
    plug = cpu.current.plug
    if plug is not None:
        blk_mq_flush_plug_list(plug)
    while not done:
        if not blk_mq_poll(bio.bi_bdev.bd_queue):
            raise KernelBug(f"{bio!r} was lost by {bio.bi_bdev.bd_device.decode()}")


def blk_start_plug(plug: BlkPlug) -> None:
    """Begin to hold back the current task's requests in plug; inside another plug nothing changes."""
    if cpu.current.plug is None:
        cpu.current.plug = plug


def blk_finish_plug(plug: BlkPlug) -> None:
    """Send what was held back; call it on every way out, errors included."""
    if cpu.current.plug is plug:
        cpu.current.plug = None
        blk_mq_flush_plug_list(plug)


def blkdev_issue_flush(bdev: BlockDevice) -> None:
    """Wait until everything that was written to bdev so far is durable.   Linux: block/blk-flush.c."""
    bio = bio_alloc(bdev, REQ_OP_WRITE | REQ_PREFLUSH)
    try:
        submit_bio_wait(bio)
    finally:
        bio_put(bio)
