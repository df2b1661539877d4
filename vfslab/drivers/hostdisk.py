"""A disk whose sectors are those of something on the host: a file, a block device, bytes, a file object.

    queue_rq ──▶ os.preadv(fd, segments, offset)        a path; one call for a whole request
             ──▶ seek, readinto                         a file object, or a host without preadv
             ──▶ slices of a memoryview                 bytes (read-only), bytearray

This is where the way of a request ends: `attach(kernel, b"vda", "disk.img")` makes /dev/vda.
Nothing is read ahead and nothing kept here; that is the page cache's part. The file is never
mapped into memory: if somebody made it shorter, touching the map would kill the process,
where a short read is an answer.

Linux has no such driver; the nearest are drivers/block/loop.c and virtio_blk.c.   Chapter 9.

Always true
  H1  a disk attached read-only never writes: its file is opened O_RDONLY
  H2  what the host refuses becomes BLK_STS_IOERR and a line in the log; no host error passes
  H3  the size is that at the time of attaching, rounded up to whole sectors; the bytes missing in the last
      sector read as zeros, and a write there makes the file longer
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from vfslab.block.blk_mq import blk_mq_end_request, rq_segments
from vfslab.block.genhd import (
    blk_mq_alloc_disk,
    del_gendisk,
    device_add_disk,
    put_disk,
    register_blkdev,
    set_capacity,
    set_disk_ro,
)
from vfslab.include.blk_types import (
    BLK_STS_IOERR,
    BLK_STS_NOSPC,
    BLK_STS_NOTSUPP,
    BLK_STS_OK,
    REQ_OP_FLUSH,
    REQ_OP_MASK,
    REQ_OP_READ,
    REQ_OP_WRITE,
    SECTOR_SHIFT,
)
from vfslab.include.blkdev import (
    BLK_FEAT_WRITE_CACHE,
    BlkMqHwCtx,
    BlkMqOps,
    BlockDeviceOperations,
    Gendisk,
    QueueLimits,
    Request,
)
from vfslab.include.kernel import Kernel
from vfslab.kernel.printk import KERN_ERR, KERN_NOTICE, printk
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kfree, kzalloc
from vfslab.lib.kstruct import KObject, Ptr, kstruct, operations

PART_MINORS = 16  # numbers for the disk and fifteen partitions, as virtio_blk has them


@operations
class Source:
    """How to reach the bytes of one kind of source: `where` they are; the functions raise what the host raises."""

    readv: Callable  # (where, segments, offset) -> how many bytes came, from the first segment on; 0: the end
    writev: Callable  # (where, segments, offset) -> how many bytes went
    flush: Callable  # (where) -> None: make durable


@kstruct
class HostDisk(KObject):
    """What the driver knows of one disk.

    source     how to reach the bytes; size: how many there were when it was attached
    where      they are: a descriptor of the host, a file object, or a memoryview; None when that is closed
    file       the file object that we opened: it is closed with the disk, or goes with a kernel that nobody holds
    """

    disk: Ptr[Gendisk] = None
    source: Ptr[Source] = None
    size: int = 0
    where: Any = None
    file: Any = None


def attach(kernel: Kernel, name: bytes | str, source: Any, read_only: bool = False) -> Gendisk:
    """Return a new disk over source, with its nodes in /dev; errors of the host are raised as OSError.

    source is a path (file or block device), bytes, a bytearray, or a seekable binary file object.
    A source that cannot be written gives a read-only disk. A name that another disk has is EBUSY.
    """
    if os.fsencode(name) in (b"", b".", b"..") or {0, ord("/")} & {*os.fsencode(name)}:
        raise ValueError(f"{name!r} cannot be the name of a disk")
    with running(kernel):
        host = kzalloc(HostDisk)
        read_only = open_source(host, source, read_only)
        limits = kzalloc(QueueLimits, features=0 if read_only else BLK_FEAT_WRITE_CACHE)
        disk = host.disk = blk_mq_alloc_disk(hostdisk_mq_ops, limits, host)
        disk.disk_name = os.fsencode(name)
        disk.private_data, disk.fops = host, hostdisk_fops
        disk.major, disk.minors = hostdisk_major(kernel), PART_MINORS
        disk.first_minor = free_minor(kernel, disk.major)
        set_capacity(disk, -(-host.size >> SECTOR_SHIFT))
        set_disk_ro(disk, read_only)
        try:
            device_add_disk(disk)
        except BaseException:
            close_source(host)
            put_disk(disk)
            raise
        return disk


def detach(kernel: Kernel, disk: Gendisk) -> None:
    """Pull the disk out, even while it is in use: what still uses it gets EIO from now on."""
    with running(kernel):
        host = disk.private_data
        del_gendisk(disk)
        if type(host) is HostDisk:  # any disk can be pulled out; only ours has a source
            close_source(host)
        put_disk(disk)


@contextlib.contextmanager
def running(kernel: Kernel) -> Iterator[None]:
    """Enter the kernel from outside, as a system call does: plugging a cable is nobody's system call."""
    with kernel.baton or contextlib.nullcontext():
        outer = cpu.current, cpu.kernel
        cpu.current, cpu.kernel = kernel.init_task, kernel
        try:
            yield
        finally:
            cpu.current, cpu.kernel = outer


def hostdisk_major(kernel: Kernel) -> int:
    """Return the driver's major number in this kernel; the first disk has it registered."""
    registered = (major for major, name in kernel.blkdev_majors.items() if name == b"hostdisk")
    return next(registered, 0) or register_blkdev(0, b"hostdisk")


def free_minor(kernel: Kernel, major: int) -> int:
    """Return the first number of a free range of minors."""
    taken = {disk.first_minor for disk in kernel.disks.values() if disk.major == major}
    return next(minor for minor in range(0, (len(taken) + 1) * PART_MINORS, PART_MINORS) if minor not in taken)


# --- the source -----------------------------------------------------------------------------------


def open_source(host: HostDisk, source: Any, read_only: bool) -> bool:
    """Fill in where the bytes are and how many; return whether the disk is read-only."""
    if isinstance(source, bytes | bytearray | memoryview):
        host.source, host.where = memory_source, memoryview(source).cast("B")
        host.size = len(host.where)
        return read_only or host.where.readonly
    if hasattr(source, "readinto") and hasattr(source, "seek"):
        host.source, host.where, host.size = stream_source, source, source.seek(0, os.SEEK_END)
        return read_only or not source.writable()
    fd, read_only = open_path(source, read_only)
    host.file = os.fdopen(fd, "rb" if read_only else "r+b", buffering=0)
    host.size = host.file.seek(0, os.SEEK_END)
    host.source, host.where = (fd_source, fd) if hasattr(os, "preadv") else (stream_source, host.file)
    return read_only


def open_path(path: Any, read_only: bool) -> tuple[int, bool]:
    """Open a file or block device; return its descriptor, and whether it is open for reading only.

    O_NONBLOCK: a FIFO under that name must not make us wait. It is refused below.
    """
    flags = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    if not read_only:
        try:
            fd = os.open(path, os.O_RDWR | flags)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            printk(KERN_NOTICE, f"hostdisk: {os.fsdecode(path)}: {error.strerror}: read-only")
            read_only = True
    if read_only:
        fd = os.open(path, os.O_RDONLY | flags)
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        os.close(fd)
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(number, os.strerror(number), path)
    return fd, read_only


def close_source(host: HostDisk) -> None:
    """Close what open_source() opened; the caller's own object stays open."""
    if host.file is not None:
        host.file.close()
    host.file = host.where = None


# --- requests -------------------------------------------------------------------------------------


def hostdisk_queue_rq(hctx: BlkMqHwCtx, rq: Request) -> int:
    """Serve a request at once, whatever the source is."""
    host, bio = hctx.driver_data, rq.bio
    operation = rq.cmd_flags & REQ_OP_MASK
    try:
        if operation == REQ_OP_READ:
            segments, offset = bio.bi_io_vec if bio is rq.biotail else rq_segments(rq), rq.sector << SECTOR_SHIFT
            done = host.source.readv(host.where, segments, offset)
            if done != rq.data_len:
                read_rest(host, segments, offset, done)
        elif operation == REQ_OP_WRITE:
            write_all(host, rq_segments(rq), rq.sector << SECTOR_SHIFT)
        elif operation == REQ_OP_FLUSH:
            host.source.flush(host.where)
        else:
            return BLK_STS_NOTSUPP
    except Exception as error:  # a file object may raise anything
        printk(KERN_ERR, f"hostdisk: {host.disk.disk_name.decode(errors='replace')}: sector {rq.sector}: {error}")
        return BLK_STS_NOSPC if getattr(error, "errno", 0) == errno.ENOSPC else BLK_STS_IOERR
    blk_mq_end_request(rq, BLK_STS_OK)
    return BLK_STS_OK


def hostdisk_free_disk(disk: Gendisk) -> None:
    """The last opener has left a disk that was pulled out."""
    kfree(disk.private_data)


hostdisk_mq_ops = BlkMqOps(queue_rq=hostdisk_queue_rq)
hostdisk_fops = BlockDeviceOperations(free_disk=hostdisk_free_disk)


def read_rest(host: HostDisk, segments: list[memoryview], offset: int, done: int) -> None:
    """Go on with a read that came back short; what lies behind the last byte of the last sector is zero."""
    segments = skip(segments, done)
    while segments:
        more = host.source.readv(host.where, segments, offset + done)
        if not more:
            break
        done += more
        segments = skip(segments, more)
    missing = sum(map(len, segments))
    if missing >= 512 or (missing and offset + done < host.size):
        raise EOFError(f"nothing at byte {offset + done}: shorter than the {host.size} bytes it had when attached")
    for segment in segments:
        segment[:] = bytes(len(segment))


def write_all(host: HostDisk, segments: list[memoryview], offset: int) -> None:
    """Write all segments, however many calls it takes."""
    while segments:
        done = host.source.writev(host.where, segments, offset)
        offset += done
        segments = skip(segments, done)


def skip(segments: list[memoryview], count: int) -> list[memoryview]:
    """Return segments without their first count bytes."""
    rest = []
    for segment in segments:
        if count < len(segment):
            rest.append(segment[count:])
        count = max(0, count - len(segment))
    return rest


# --- three kinds of source ------------------------------------------------------------------------


def stream_readv(stream: Any, segments: list[memoryview], offset: int) -> int:
    """Return how many bytes a file object gave; 0 at its end."""
    stream.seek(offset)
    return stream.readinto(segments[0])


def stream_writev(stream: Any, segments: list[memoryview], offset: int) -> int:
    """Return how many bytes a file object took."""
    stream.seek(offset)
    return stream.write(segments[0])


def stream_flush(stream: Any) -> None:
    """Empty the buffers of a file object."""
    stream.flush()


def memory_readv(memory: memoryview, segments: list[memoryview], offset: int) -> int:
    """Copy from memory; return how much there was for the first segment."""
    piece = memory[offset : offset + len(segments[0])]
    segments[0][: len(piece)] = piece
    return len(piece)


def memory_writev(memory: memoryview, segments: list[memoryview], offset: int) -> int:
    """Copy to memory, which does not grow: what lies behind its last byte is dropped."""
    room = max(0, len(memory) - offset)
    memory[offset : offset + len(segments[0])] = segments[0][:room]
    return len(segments[0])


def memory_flush(memory: memoryview) -> None:
    """Memory has no cache."""


# A descriptor needs nothing between: these are system calls of the host.
fd_source = Source(readv=getattr(os, "preadv", None), writev=getattr(os, "pwritev", None), flush=os.fsync)
stream_source = Source(readv=stream_readv, writev=stream_writev, flush=stream_flush)
memory_source = Source(readv=memory_readv, writev=memory_writev, flush=memory_flush)
