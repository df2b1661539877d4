"""Partitions: found in a table, they become block devices of their own.

    device_add_disk, BLKRRPART ──▶ bdev_disk_changed ──▶ check_partition ──▶ efi.py, msdos.py
                                          └─▶ blk_add_partition ──▶ add_partition: vda1, vda2, ...

A table is a stranger's word: what it says is checked against the disk. What starts beyond the end
is skipped, what reaches beyond it is cut off, each with a line in the log.

Linux: block/partitions/core.c.   Chapter 9.
Left out: the tables of other machines (Mac, Sun, SGI, ...), BLKPG, partition types.

Always true
  T1  a partition lies on its disk
  T2  there are at most DISK_MAX_PARTS - 1 of them
"""

from __future__ import annotations

from vfslab.block.bdev import bdev_add, bdev_alloc, bdev_free, bdev_remove
from vfslab.block.partitions.check import ParsedPartition, ParsedPartitions
from vfslab.block.partitions.efi import efi_partition
from vfslab.block.partitions.msdos import msdos_parser
from vfslab.include.blk_types import BlockDevice
from vfslab.include.blkdev import Gendisk
from vfslab.include.device import BLOCK_EXT_MAJOR
from vfslab.include.uapi.stat import MKDEV
from vfslab.kernel.errno import EBUSY
from vfslab.kernel.printk import KERN_INFO, KERN_WARNING, printk
from vfslab.kernel.sched import cpu

CHECK_PART = (efi_partition, msdos_parser)  # GPT first: such a disk has an MBR too


def check_partition(disk: Gendisk) -> ParsedPartitions:
    """Return what the first parser that knows the table of this disk has found."""
    for parser in CHECK_PART:
        state = ParsedPartitions(disk)
        if parser(state):
            return state
    return ParsedPartitions(disk)


def bdev_disk_changed(disk: Gendisk) -> None:
    """Forget the partitions of a disk and look for them anew; EBUSY while one of them is open."""
    if disk.open_partitions:
        raise EBUSY(disk.disk_name)
    for partno in sorted(disk.part_tbl):
        if partno:
            delete_partition(disk.part_tbl[partno])
    if not disk.part0.bd_nr_sectors:
        return
    state = check_partition(disk)
    for partno in sorted(state.parts):
        blk_add_partition(disk, partno, state.parts[partno])
    names = [part.bd_device for part in disk.part_tbl.values() if part.bd_partno]
    if names:
        printk(KERN_INFO, f" {disk.disk_name.decode(errors='replace')}: {b' '.join(names).decode(errors='replace')}")


def blk_add_partition(disk: Gendisk, partno: int, found: ParsedPartition) -> None:
    """Turn an entry of a table into a block device, cut to the size of the disk."""
    name, capacity = disk.disk_name.decode(errors="replace"), disk.part0.bd_nr_sectors
    start, size = found.start, found.size
    if start >= capacity:
        printk(KERN_WARNING, f"{name}: p{partno} start {start} is beyond the end of the disk, skipped")
        return
    if start + size > capacity:
        printk(KERN_WARNING, f"{name}: p{partno} size {size} reaches beyond the end of the disk, cut off")
        size = capacity - start
    for other in disk.part_tbl.values():
        end = other.bd_start_sect + other.bd_nr_sectors
        if other.bd_partno and start < end and other.bd_start_sect < start + size:
            printk(KERN_WARNING, f"{name}: p{partno} overlaps p{other.bd_partno}")
            break
    add_partition(disk, partno, start, size, found.uuid)


def add_partition(disk: Gendisk, partno: int, start: int, size: int, uuid: bytes = b"") -> BlockDevice:
    """Return a new block device for sectors start to start + size - 1 of disk, with its number and node."""
    bdev = bdev_alloc(disk, partno)
    bdev.bd_start_sect, bdev.bd_nr_sectors, bdev.bd_meta_uuid = start, size, uuid
    bdev.bd_device = partition_name(disk, partno)
    bdev_add(bdev, partition_devt(disk, partno))
    disk.part_tbl[partno] = bdev
    return bdev


def delete_partition(bdev: BlockDevice) -> None:
    """Take a partition out of the system; it is freed now, or when its last opener leaves."""
    del bdev.bd_disk.part_tbl[bdev.bd_partno]
    bdev_remove(bdev)
    if not bdev.bd_openers:
        bdev_free(bdev)


def partition_name(disk: Gendisk, partno: int) -> bytes:
    """Return vda1 for the first partition of vda, and loop0p1 for that of loop0."""
    between = b"p" if disk.disk_name[-1:].isdigit() else b""
    return b"%s%s%d" % (disk.disk_name, between, partno)


def partition_devt(disk: Gendisk, partno: int) -> int:
    """Return a device number: next to the disk's while its minors last, else any of BLOCK_EXT_MAJOR."""
    if partno < disk.minors:
        return MKDEV(disk.major, disk.first_minor + partno)
    bdev_map = cpu.kernel.bdev_map
    minor = 0
    while MKDEV(BLOCK_EXT_MAJOR, minor) in bdev_map:
        minor += 1
    return MKDEV(BLOCK_EXT_MAJOR, minor)
