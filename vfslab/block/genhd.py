"""Disks: how a driver brings one into the system, and how it goes away.

    disk = blk_mq_alloc_disk(mq_ops)      disk, queue, part0: exist, known to nobody
    disk.disk_name, major, first_minor    the driver fills in
    set_capacity(disk, sectors)
    device_add_disk(disk)                 numbers, nodes in /dev, partitions
      ...
    del_gendisk(disk)                     no new opens; all I/O from now on fails
    put_disk(disk)                        freed, as soon as the last file on it is closed

    alive ──del_gendisk──▶ dead, held by openers ──last close──▶ freed

A disk that is pulled out while a filesystem is mounted stays as an object as long as the
filesystem holds it: only I/O fails.

Linux: block/genhd.c.   Chapter 9.
Left out: sysfs, uevents, bad blocks, events of removable media.

Always true
  G1  a block device in kernel.bdev_map belongs to a disk in kernel.disks
  G2  a dead disk is in neither, and its queue takes no bio
"""

from __future__ import annotations

from vfslab.block.bdev import bdev_add, bdev_alloc, bdev_free, bdev_remove
from vfslab.block.partitions.core import bdev_disk_changed, delete_partition
from vfslab.include.blkdev import (
    GD_ADDED,
    GD_DEAD,
    GENHD_FL_NO_PART,
    QUEUE_FLAG_DYING,
    BlkMqHwCtx,
    BlkMqOps,
    Gendisk,
    QueueLimits,
    RequestQueue,
)
from vfslab.include.uapi.stat import MKDEV
from vfslab.kernel.errno import EBUSY
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kfree, kzalloc

BLKDEV_MAJOR_DYN_END = 254  # numbers that nobody owns are given out from here down


def register_blkdev(major: int, name: bytes) -> int:
    """Reserve a major number for a driver; 0 asks for any free one. Return it."""
    majors = cpu.kernel.blkdev_majors
    if not major:
        major = next(number for number in range(BLKDEV_MAJOR_DYN_END, 0, -1) if number not in majors)
    if majors.setdefault(major, name) != name:
        raise EBUSY(name, f"major {major} belongs to {majors[major].decode()}")
    return major


def blk_mq_alloc_disk(mq_ops: BlkMqOps | None, limits: QueueLimits | None = None, queuedata: object = None) -> Gendisk:
    """Return a disk with a request queue that is served by mq_ops."""
    queue = kzalloc(RequestQueue, mq_ops=mq_ops, queuedata=queuedata)
    queue.limits, queue.tracers = limits or kzalloc(QueueLimits), cpu.kernel.tracers
    queue.hctx = kzalloc(BlkMqHwCtx, queue=queue, driver_data=queuedata)
    disk = kzalloc(Gendisk, queue=queue)
    queue.disk = disk
    disk.part0 = disk.part_tbl[0] = bdev_alloc(disk, 0)
    return disk


def blk_alloc_disk(limits: QueueLimits | None = None) -> Gendisk:
    """Return a disk for a driver that takes bios as they come (disk.fops.submit_bio)."""
    return blk_mq_alloc_disk(None, limits)


def set_capacity(disk: Gendisk, sectors: int) -> None:
    """Set the size of a disk, in sectors of 512 bytes."""
    part0 = disk.part0
    part0.bd_nr_sectors = sectors
    if part0.bd_mapping is not None:
        part0.bd_mapping.host.i_size = sectors << 9


def get_capacity(disk: Gendisk) -> int:
    """Return the size of a disk, in sectors of 512 bytes."""
    return disk.part0.bd_nr_sectors


def set_disk_ro(disk: Gendisk, read_only: bool) -> None:
    """Say whether a disk and its partitions may be written to."""
    for bdev in disk.part_tbl.values():
        bdev.bd_read_only = read_only


def device_add_disk(disk: Gendisk) -> None:
    """Make a disk usable: it gets its name and number, a node in /dev, and its partitions are looked for."""
    kernel = cpu.kernel
    if disk.disk_name in kernel.disks:
        raise EBUSY(disk.disk_name)
    disk.part0.bd_device = disk.disk_name
    bdev_add(disk.part0, MKDEV(disk.major, disk.first_minor))
    kernel.disks[disk.disk_name] = disk
    disk.state |= GD_ADDED
    if not disk.flags & GENHD_FL_NO_PART:
        bdev_disk_changed(disk)


def del_gendisk(disk: Gendisk) -> None:
    """Take a disk out of the system: nodes go, opens fail with ENXIO, I/O fails with EIO."""
    disk.queue.queue_flags |= QUEUE_FLAG_DYING
    disk.state |= GD_DEAD
    for partno in sorted(disk.part_tbl, reverse=True):
        if partno:
            delete_partition(disk.part_tbl[partno])
    bdev_remove(disk.part0)
    del cpu.kernel.disks[disk.disk_name]


def put_disk(disk: Gendisk) -> None:
    """Free a disk that is not (or no longer) in the system, unless it is open: then the last close calls again."""
    if disk.part0.bd_openers or disk.disk_name and cpu.kernel.disks.get(disk.disk_name) is disk:
        return
    if disk.fops is not None and disk.fops.free_disk is not None:
        disk.fops.free_disk(disk)
    queue = disk.queue
    for rq in queue.hctx.tags:
        kfree(rq)
    bdev_free(disk.part0)
    for part_of_queue in (queue.limits, queue.hctx, queue, disk):
        kfree(part_of_queue)
