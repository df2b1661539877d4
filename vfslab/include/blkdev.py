"""The disk and its request queue.

    BlockDevice ──bd_disk──▶ Gendisk ──queue──▶ RequestQueue ──mq_ops──▶ driver
        ▲── part0, part_tbl ──┘

Linux: include/linux/blkdev.h (gendisk, request_queue; genhd.h is gone since 5.18), blk-mq.h (request).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vfslab.lib.kstruct import KObject, Ptr, fresh, kstruct, operations

GENHD_FL_REMOVABLE, GENHD_FL_NO_PART, GD_READ_ONLY, GD_DEAD, GD_ADDED = 1, 4, 1, 2, 4
QUEUE_FLAG_DYING = 1  # queue_flags: the disk is going or gone, nothing is accepted any more
BLK_FEAT_WRITE_CACHE, BLK_FEAT_FUA = 1, 2  # limits.features: has a volatile cache; can write through it


@operations
class BlockDeviceOperations:
    """What a driver offers for its disk beside moving data."""

    submit_bio: Callable | None = None  # (bio) -> None: drivers without a request queue (brd)
    open: Callable | None = None  # (disk, mode) -> None
    release: Callable | None = None  # (disk) -> None
    ioctl: Callable | None = None  # (bdev, mode, cmd, arg) -> result
    free_disk: Callable | None = None  # (disk) -> None: the last reference is gone


@operations
class BlkMqOps:
    """What a driver with a request queue does."""

    queue_rq: Callable | None = None  # (hctx, request) -> BLK_STS_*: start it; blk_mq_end_request when done
    commit_rqs: Callable | None = None  # (hctx) -> None: that was the last of a batch
    complete: Callable | None = None  # (request) -> None
    poll: Callable | None = None  # (hctx) -> how many requests it completed; None: queue_rq never leaves one open


@kstruct
class QueueLimits(KObject):
    """What the device can take: sizes in bytes, max_sectors in sectors of 512 bytes."""

    logical_block_size: int = 512
    physical_block_size: int = 512
    io_min: int = 512
    io_opt: int = 0
    max_sectors: int = 2560
    max_segments: int = 128
    features: int = 0


@kstruct
class BlkMqHwCtx(KObject):
    """One hardware queue.

    dispatch   requests that the driver could not take yet
    tags       free requests: each is allocated once and used over and over, as a tag is
    """

    queue: Ptr[RequestQueue] = None
    dispatch: list[Ptr[Request]] = fresh(list)
    tags: list[Ptr[Request]] = fresh(list)
    queue_num: int = 0
    next_tag: int = 0
    driver_data: Any = None


@kstruct
class RequestQueue(KObject):
    """Where bios for a disk are merged into requests and handed to the driver."""

    disk: Ptr[Gendisk] = None
    limits: Ptr[QueueLimits] = None
    mq_ops: Ptr[BlkMqOps] = None
    queuedata: Any = None
    hctx: Ptr[BlkMqHwCtx] = None
    elevator: bytes = b"none"
    queue_flags: int = 0
    nr_requests: int = 64
    id: int = 0
    tracers: list = None  # those of the kernel, at hand for every bio


@kstruct
class Request(KObject):
    """Bios on neighbouring sectors, sent to the driver as one.

    __sector and __data_len are Linux's names; Python would mangle them, so: sector, data_len (bytes)
    """

    q: Ptr[RequestQueue] = None
    mq_hctx: Ptr[BlkMqHwCtx] = None
    cmd_flags: int = 0
    sector: int = 0
    data_len: int = 0
    bio: Ptr[Bio] = None
    biotail: Ptr[Bio] = None
    part: Ptr[BlockDevice] = None
    tag: int = 0
    nr_phys_segments: int = 0
    end_io: Callable = None  # (request, status) -> None: takes the end of the request instead of its bios
    end_io_data: Any = None


@kstruct
class BlkPlug(KObject):
    """Requests held back for a moment so that neighbours can join them."""

    mq_list: list[Ptr[Request]] = fresh(list)
    depth: int = 0


@kstruct
class Gendisk(KObject):
    """A disk: part0 is the whole of it, part_tbl its partitions by number.

    open_partitions   how many open files there are on partitions
    """

    major: int = 0
    first_minor: int = 0
    minors: int = 16
    disk_name: bytes = b""
    part_tbl: dict[int, Ptr[BlockDevice]] = fresh(dict)
    part0: Ptr[BlockDevice] = None
    fops: Ptr[BlockDeviceOperations] = None
    queue: Ptr[RequestQueue] = None
    private_data: Any = None
    flags: int = 0
    state: int = 0
    open_partitions: int = 0
