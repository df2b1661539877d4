"""The bio, the block device, and block layer status codes.

Linux: include/linux/blk_types.h.   Since 5.11 a partition is a block_device too; there is no hd_struct.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vfslab.lib.kstruct import Embedded, KObject, Ptr, embedded, fresh, kstruct

SECTOR_SHIFT = 9
SECTOR_SIZE = 512

REQ_OP_READ, REQ_OP_WRITE, REQ_OP_FLUSH, REQ_OP_DISCARD, REQ_OP_WRITE_ZEROES = 0, 1, 2, 3, 9
REQ_OP_MASK = 0xFF
REQ_SYNC, REQ_META, REQ_PREFLUSH, REQ_FUA, REQ_RAHEAD = 1 << 11, 1 << 12, 1 << 18, 1 << 17, 1 << 19

BLK_STS_OK, BLK_STS_NOTSUPP, BLK_STS_TIMEOUT, BLK_STS_NOSPC = 0, 1, 2, 3
BLK_STS_MEDIUM, BLK_STS_RESOURCE, BLK_STS_IOERR, BLK_STS_OFFLINE = 7, 9, 10, 16

BIO_REMAPPED, BIO_CHAIN = 1, 2  # bi_flags: bi_sector counts from the start of the disk; bi_remaining is in use


@kstruct
class Bio(KObject):
    """One transfer between contiguous sectors of a device and pieces of memory.

    bi_sector    first sector (512 bytes), relative to bi_bdev until the partition is remapped
    bi_size      bytes to be moved, a multiple of 512
    bi_io_vec    memoryviews, in order
    bi_end_io    (bio) -> None: called once, when all is done; bi_status tells how
    bi_remaining how many pieces of a split bio are still under way
    bi_pool      the list of bios at rest that it came from, and goes back to
    """

    bi_next: Ptr[Bio] = None
    bi_bdev: Ptr[BlockDevice] = None
    bi_opf: int = 0
    bi_sector: int = 0
    bi_size: int = 0
    bi_io_vec: list = None
    bi_end_io: Callable = None
    bi_private: Any = None
    bi_status: int = 0
    bi_flags: int = 0
    bi_remaining: int = 1
    bi_pool: list = None


@kstruct
class BlockDevice(KObject):
    """A disk or a partition of one, as something that bios are sent to.

    bd_start_sect, bd_nr_sectors   where it lies on the disk, in sectors of 512 bytes
    bd_mapping                     page cache of its raw content (Linux since 6.10)
    bd_device                      its name, such as b"vda1"; bd_meta_uuid: what PARTUUID= names it by
    bd_openers                     open files; part0 counts those of the partitions too
    bd_holder, bd_holders          who has claimed it alone (a mounted superblock), and how often
    bd_dead                        removed: no new opens; it is freed when the last opener leaves
    bd_buffers                     {(block, block size): BufferHead}
    bd_overlay                     {block: BufferHead} replayed in memory only, which hide the blocks of the device
    bd_size_lock and friends are left out
    """

    bd_start_sect: int = 0
    bd_nr_sectors: int = 0
    bd_disk: Ptr[Gendisk] = None
    bd_queue: Ptr[RequestQueue] = None
    bd_partno: int = 0
    bd_dev: int = 0
    bd_read_only: bool = False
    bd_mapping: Ptr[AddressSpace] = None
    bd_holder: Any = None
    bd_holders: int = 0
    bd_openers: int = 0
    bd_dead: bool = False
    bd_block_size: int = 512
    bd_meta_uuid: bytes = b""
    bd_device: bytes = b""
    bd_buffers: dict = fresh(dict)
    bd_overlay: dict[int, Ref[BufferHead]] = None


@kstruct
class BdevInode(KObject):
    """A block device and its inode on the internal bdev filesystem, in one piece.

    The inode comes into being when the device is first opened (fs/block_dev.py).
    """

    bdev: Embedded[BlockDevice] = embedded(BlockDevice)
    vfs_inode: Embedded[Inode] = None
