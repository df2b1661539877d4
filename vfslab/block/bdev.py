"""Block devices below the VFS: a disk or a partition as something that bios are sent to.

A block device is allocated with room for its inode (BdevInode), but the inode, the page cache
and opening by number belong to fs/block_dev.py.

    bdev_alloc ──▶ bdev_add: found by number in kernel.bdev_map, announced to kernel.device_add (devtmpfs)
    bdev_remove: no longer found, announced again ──▶ bdev_free, when the last opener has left

Linux: the lower part of block/bdev.c.   Chapter 9.
"""

from __future__ import annotations

from vfslab.include.blk_types import SECTOR_SHIFT, BdevInode, BlockDevice
from vfslab.include.blkdev import Gendisk
from vfslab.include.device import Device
from vfslab.kernel.errno import EBUSY
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kfree, kzalloc
from vfslab.lib.kstruct import container_of


def bdev_alloc(disk: Gendisk, partno: int) -> BlockDevice:
    """Return a block device for part `partno` of disk (0: all of it), known to nobody yet."""
    bdev = kzalloc(BdevInode).bdev
    bdev.bd_disk, bdev.bd_queue, bdev.bd_partno = disk, disk.queue, partno
    if partno:
        bdev.bd_read_only = disk.part0.bd_read_only
    bdev.bd_block_size = disk.queue.limits.logical_block_size
    return bdev


def bdev_add(bdev: BlockDevice, dev: int) -> None:
    """Let a block device be found by its number, and tell whoever makes nodes."""
    bdev_map = cpu.kernel.bdev_map
    if dev in bdev_map:
        raise EBUSY(bdev.bd_device, f"device number {dev:#x} is taken by {bdev_map[dev].bd_device.decode()}")
    bdev.bd_dev = dev
    bdev_map[dev] = bdev
    announce(bdev, True)


def bdev_remove(bdev: BlockDevice) -> None:
    """Take a block device out of sight; it stays in memory while it is open."""
    del cpu.kernel.bdev_map[bdev.bd_dev]
    bdev.bd_dead = True
    announce(bdev, False)


def bdev_free(bdev: BlockDevice) -> None:
    """Give back a removed block device that nobody has open."""
    whole = container_of(bdev, BdevInode, "bdev")
    for part in (whole.vfs_inode, bdev, whole):
        if part is not None:
            kfree(part)


def announce(device: BlockDevice | Device, added: bool) -> None:
    """Tell all that want to know (kernel.device_add) that a device has come, or goes."""
    for tell in cpu.kernel.device_add:
        tell(device, added)


def bdev_nr_bytes(bdev: BlockDevice) -> int:
    """Return the size of a block device."""
    return bdev.bd_nr_sectors << SECTOR_SHIFT


def bdev_is_partition(bdev: BlockDevice) -> bool:
    """True for a partition, False for a whole disk."""
    return bdev.bd_partno != 0


def bdev_whole(bdev: BlockDevice) -> BlockDevice:
    """Return the whole disk that bdev is, or is a part of."""
    return bdev.bd_disk.part0
