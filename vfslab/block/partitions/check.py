"""What a partition parser works with.   Linux: block/partitions/check.h.

parser(state) -> True        it is my table: state.parts is filled, as far as it made sense
                 False       not mine, ask the next
"""

from __future__ import annotations

from typing import NamedTuple

from vfslab.block.bio import bio_add_mem, bio_alloc, bio_put
from vfslab.block.blk_core import submit_bio_wait
from vfslab.include.blk_types import REQ_OP_READ, SECTOR_SHIFT
from vfslab.include.blkdev import Gendisk
from vfslab.kernel.errno import KernelError
from vfslab.kernel.printk import KERN_WARNING, printk
from vfslab.lib.kstruct import KObject, fresh, kstruct

DISK_MAX_PARTS = 256


class ParsedPartition(NamedTuple):
    """One entry of a table: first sector and length (units of 512 bytes), and what PARTUUID= calls it."""

    start: int
    size: int
    uuid: bytes = b""


@kstruct
class ParsedPartitions(KObject):
    """A table under examination.

    parts        {number: ParsedPartition}
    next         number of the next logical partition
    sector_size  what the table counts in: logical blocks of the disk, in bytes
    """

    disk: Gendisk
    parts: dict[int, ParsedPartition] = fresh(dict)
    next: int = 1
    limit: int = DISK_MAX_PARTS

    @property
    def sector_size(self) -> int:
        return self.disk.queue.limits.logical_block_size

    @property
    def last_lba(self) -> int:
        """Number of the last logical block of the disk; -1 if it has none."""
        return (self.disk.part0.bd_nr_sectors << SECTOR_SHIFT) // self.sector_size - 1

    def log(self, text: str) -> None:
        """Write one line about this disk to the kernel log."""
        printk(KERN_WARNING, f"{self.disk.disk_name.decode(errors='replace')}: {text}")


def read_part_sector(state: ParsedPartitions, sector: int, size: int = 512) -> bytes | None:
    """Return size bytes (whole sectors) from a 512-byte sector on, or None: beyond the end, or unreadable."""
    part0 = state.disk.part0
    if sector < 0 or sector + (size >> SECTOR_SHIFT) > part0.bd_nr_sectors:
        return None
    buffer = memoryview(bytearray(size))
    bio = bio_alloc(part0, REQ_OP_READ)
    bio.bi_sector = sector
    bio_add_mem(bio, buffer)
    try:
        submit_bio_wait(bio)
        return bytes(buffer)
    except KernelError as error:
        state.log(f"partition table: {error}")
        return None
    finally:
        bio_put(bio)


def put_partition(state: ParsedPartitions, number: int, start: int, size: int, uuid: bytes = b"") -> None:
    """Note a partition; numbers from state.limit on are dropped."""
    if number < state.limit:
        state.parts[number] = ParsedPartition(start, size, uuid)
