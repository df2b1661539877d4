"""The RAM disk: sectors in memory, page by page as they are written.

    brd_submit_bio ──▶ for each piece of the bio: the page it falls into, in brd_pages

It has no request queue: there is nothing to wait for and nothing to gain by merging, so bios
come as they are. A page that was never written does not exist and reads as zeros.

Linux: drivers/block/brd.c.   Chapter 9.
"""

from __future__ import annotations

from collections.abc import Iterator

from vfslab.block.bio import bio_endio, bio_op
from vfslab.block.genhd import blk_alloc_disk, del_gendisk, device_add_disk, put_disk, register_blkdev, set_capacity
from vfslab.include.blk_types import BLK_STS_NOTSUPP, REQ_OP_READ, REQ_OP_WRITE, SECTOR_SHIFT, Bio
from vfslab.include.blkdev import BlockDeviceOperations, Gendisk
from vfslab.include.device import RAMDISK_MAJOR
from vfslab.include.kernel import Kernel
from vfslab.include.mm_types import PAGE_SHIFT, PAGE_SIZE
from vfslab.kernel.slab import kfree, kzalloc
from vfslab.lib.kstruct import KObject, Ptr, fresh, kstruct


@kstruct
class BrdDevice(KObject):
    """One RAM disk: its number, and the pages that were ever written, by page number."""

    brd_number: int = 0
    brd_disk: Ptr[Gendisk] = None
    brd_pages: dict[int, bytearray] = fresh(dict)


def brd_init(kernel: Kernel, rd_nr: int = 1) -> None:
    """Bring /dev/ram0 ... into the running kernel."""
    for number in range(rd_nr):
        brd_alloc(number)


def brd_alloc(number: int, size: int = 16 << 20) -> Gendisk:
    """Return /dev/ramN of size bytes (whole sectors), all zeros."""
    brd = kzalloc(BrdDevice, brd_number=number)
    disk = brd.brd_disk = blk_alloc_disk()
    disk.major, disk.first_minor, disk.minors = register_blkdev(RAMDISK_MAJOR, b"ramdisk"), number, 1
    disk.disk_name = b"ram%d" % number
    disk.private_data, disk.fops = brd, brd_fops
    set_capacity(disk, size >> SECTOR_SHIFT)
    device_add_disk(disk)
    return disk


def brd_del(disk: Gendisk) -> None:
    """Take a RAM disk away; what it held is lost."""
    del_gendisk(disk)
    put_disk(disk)


def brd_free_disk(disk: Gendisk) -> None:
    """The last opener has left."""
    kfree(disk.private_data)


def brd_submit_bio(bio: Bio) -> None:
    """Copy between the bio's memory and the disk's pages, and end the bio."""
    pages = bio.bi_bdev.bd_disk.private_data.brd_pages
    operation = bio_op(bio)
    if operation == REQ_OP_READ:
        for index, offset, piece in brd_pieces(bio):
            page = pages.get(index)
            piece[:] = page[offset : offset + len(piece)] if page is not None else bytes(len(piece))
    elif operation == REQ_OP_WRITE:
        for index, offset, piece in brd_pieces(bio):
            page = pages.get(index)
            if page is None:
                page = pages[index] = bytearray(PAGE_SIZE)
            page[offset : offset + len(piece)] = piece
    else:
        bio.bi_status = BLK_STS_NOTSUPP
    bio_endio(bio)


def brd_pieces(bio: Bio) -> Iterator[tuple[int, int, memoryview]]:
    """Yield (page number, offset in it, piece of memory) for a bio, cut where pages of the disk end."""
    position = bio.bi_sector << SECTOR_SHIFT
    for segment in bio.bi_io_vec:
        done = 0
        while done < len(segment):
            offset = position & (PAGE_SIZE - 1)
            length = min(PAGE_SIZE - offset, len(segment) - done)
            yield position >> PAGE_SHIFT, offset, segment[done : done + length]
            done += length
            position += length


brd_fops = BlockDeviceOperations(submit_bio=brd_submit_bio, free_disk=brd_free_disk)
