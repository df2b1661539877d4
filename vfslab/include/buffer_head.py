"""A buffer head: one block of a device, as a window into a folio of the device's page cache.

Linux: include/linux/buffer_head.h.   There is no buffer cache beside the page cache since 2.4.
"""

from __future__ import annotations

from typing import Any

from vfslab.lib.kstruct import KObject, Ptr, kstruct

BH_UPTODATE, BH_DIRTY, BH_LOCK, BH_MAPPED, BH_NEW, BH_UNWRITTEN, BH_BOUNDARY = 1, 2, 4, 8, 16, 32, 64
BH_VERIFIED = 1 << 16  # ext4's own bit: the checksum of this block was right when it was read


@kstruct(count="b_count")
class BufferHead(KObject):
    """b_size bytes at block b_blocknr (in units of b_size) of b_bdev; b_data is a memoryview into b_folio.

    As the argument of a get_block function it has no data: it carries the mapping of a file block,
    and b_size says how many bytes from there on are contiguous.
    """

    b_state: int = 0
    b_folio: Ptr[Folio] = None
    b_blocknr: int = 0
    b_size: int = 0
    b_data: memoryview = None
    b_bdev: Ptr[BlockDevice] = None
    b_count: int = 0
    b_private: Any = None
    b_cost: int = 0  # bytes of memory behind b_private, reckoned against the limit: charge_buffer()
