"""The loop driver: a disk whose sectors are the bytes of a file of this kernel.

    loop_queue_rq ──▶ file.f_op.read_iter(kiocb, iter) ──▶ the filesystem that the file lies on ──▶ its disk

    free ──LOOP_CONFIGURE, LOOP_SET_FD──▶ bound ──LOOP_CLR_FD──▶ free        (at once, or when the last opener leaves)

    /dev/loop-control   LOOP_CTL_GET_FREE: the number of a free device, made if need be
    /dev/loop0 ...      the devices

The driver holds the open file. It never imports the VFS: a file carries its operations with it.
With LO_FLAGS_AUTOCLEAR a device lets its file go when nobody has it open any more: so `mount -o loop`
needs no clean-up after umount.

Linux: drivers/block/loop.c.   Chapters 6 and 9.
Left out: the worker threads, direct I/O to the file, LOOP_CHANGE_FD, holes by discard.

Always true
  L1  lo_backing_file holds one reference on the file from configuring to clearing
  L2  a loop device never lies, over whatever others, on itself; chains are at most LOOP_DEPTH deep
"""

from __future__ import annotations

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
from vfslab.block.partitions.core import bdev_disk_changed
from vfslab.drivers.base import device_create
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
    BdevInode,
    BlockDevice,
)
from vfslab.include.blkdev import (
    BLK_FEAT_WRITE_CACHE,
    GENHD_FL_NO_PART,
    BlkMqHwCtx,
    BlkMqOps,
    BlockDeviceOperations,
    Gendisk,
    QueueLimits,
    Request,
)
from vfslab.include.device import LOOP_CTRL_MINOR, LOOP_MAJOR, MISC_MAJOR
from vfslab.include.fs import FMODE_WRITE, MAX_LFS_FILESIZE, File, FileOperations
from vfslab.include.kernel import Kernel
from vfslab.include.sched import CAP_SYS_ADMIN
from vfslab.include.uapi import loop as uapi
from vfslab.include.uapi.loop import (
    LO_FLAGS_AUTOCLEAR,
    LO_FLAGS_PARTSCAN,
    LO_FLAGS_READ_ONLY,
    loop_config,
    loop_info64,
)
from vfslab.include.uapi.stat import MKDEV, S_ISBLK, S_ISREG
from vfslab.include.uio import Kiocb
from vfslab.kernel.errno import EBADF, EBUSY, EINVAL, EIO, ENODEV, ENOSPC, ENOSYS, ENXIO, EPERM, KernelError
from vfslab.kernel.iov_iter import iov_iter_dest, iov_iter_source
from vfslab.kernel.printk import KERN_ERR, printk
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kfree, kzalloc
from vfslab.lib.kstruct import KObject, Ptr, Ref, container_of, kstruct

LO_UNBOUND, LO_BOUND = "unbound", "bound"
LOOP_SET_STATUS_SETTABLE_FLAGS = LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN
LOOP_CONFIGURE_SETTABLE_FLAGS = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN | uapi.LO_FLAGS_DIRECT_IO
LOOP_DEPTH = 8  # each loop in a chain nests the whole way of a request once more


@kstruct
class LoopDevice(KObject):
    """One loop device.

    lo_offset, lo_sizelimit   which bytes of the file it shows (0: to the end)
    lo_state                  LO_UNBOUND or LO_BOUND
    """

    lo_number: int = 0
    lo_disk: Ptr[Gendisk] = None
    lo_backing_file: Ref[File] = None
    lo_offset: int = 0
    lo_sizelimit: int = 0
    lo_flags: int = 0
    lo_file_name: bytes = b""
    lo_state: str = LO_UNBOUND


def loop_init(kernel: Kernel, max_loop: int = 8) -> None:
    """Bring /dev/loop-control and the first devices into the running kernel."""
    kernel.state["loop"] = {}
    device_create(b"loop-control", MKDEV(MISC_MAJOR, LOOP_CTRL_MINOR), 0o600, loop_ctl_fops)
    for number in range(max_loop):
        loop_add(number)


def loop_add(number: int) -> LoopDevice:
    """Return a new, unbound /dev/loopN; EEXIST is told as EBUSY by device_add_disk()."""
    lo = kzalloc(LoopDevice, lo_number=number)
    disk = lo.lo_disk = blk_mq_alloc_disk(loop_mq_ops, kzalloc(QueueLimits, features=BLK_FEAT_WRITE_CACHE), lo)
    disk.major, disk.first_minor, disk.minors = register_blkdev(LOOP_MAJOR, b"loop"), number, 1
    disk.disk_name = b"loop%d" % number
    disk.private_data, disk.fops, disk.flags = lo, lo_fops, GENHD_FL_NO_PART
    device_add_disk(disk)
    cpu.kernel.state["loop"][number] = lo
    return lo


def loop_remove(number: int) -> None:
    """Take an unbound device that nobody has open away."""
    lo = cpu.kernel.state["loop"].get(number)
    if lo is None:
        raise ENODEV(number)
    if lo.lo_state != LO_UNBOUND or lo.lo_disk.part0.bd_openers:
        raise EBUSY(number)
    del_gendisk(lo.lo_disk)
    put_disk(lo.lo_disk)


def loop_control_ioctl(file: File, cmd: int, arg: Any) -> int:
    """Answer /dev/loop-control."""
    devices = cpu.kernel.state["loop"]
    if cmd == uapi.LOOP_CTL_GET_FREE:
        for number in sorted(devices):
            if devices[number].lo_state == LO_UNBOUND:
                return number
        return loop_add(max(devices, default=-1) + 1).lo_number
    if cmd == uapi.LOOP_CTL_ADD:
        return loop_add(arg).lo_number
    if cmd == uapi.LOOP_CTL_REMOVE:
        loop_remove(arg)
        return arg
    raise ENOSYS(cmd)


# --- binding and clearing -------------------------------------------------------------------------


def lo_ioctl(bdev: BlockDevice, mode: int, cmd: int, arg: Any) -> Any:
    """Answer what /dev/loopN is asked beyond what all block devices know."""
    lo = bdev.bd_disk.private_data
    if cmd == uapi.LOOP_SET_FD:
        return loop_configure(lo, bdev, loop_config(loop_config.pack(fd=arg)), mode)
    if cmd == uapi.LOOP_CONFIGURE:
        return loop_configure(lo, bdev, loop_config(checked_size(arg, loop_config.size)), mode)
    if cmd == uapi.LOOP_CLR_FD:
        return loop_clr_fd(lo)
    if cmd == uapi.LOOP_GET_STATUS64:
        return loop_get_status(lo)
    if cmd == uapi.LOOP_SET_STATUS64:
        return loop_set_status(lo, loop_info64(checked_size(arg, loop_info64.size)))
    if cmd == uapi.LOOP_SET_CAPACITY:
        loop_bound(lo)
        return loop_set_size(lo)
    raise EINVAL(cmd)


def checked_size(arg: Any, size: int) -> bytes:
    """Return a structure that the caller handed in; EINVAL if it is too short."""
    if len(arg) < size:
        raise EINVAL(f"{len(arg)} bytes, {size} expected")
    return bytes(arg)


def loop_configure(lo: LoopDevice, bdev: BlockDevice, config: loop_config, mode: int) -> int:
    """Bind the caller's open file to a device, with the options of config."""
    file = cpu.current.files.fdt.get(config.fd)
    if file is None:
        raise EBADF(config.fd)
    if lo.lo_state != LO_UNBOUND:
        raise EBUSY(lo.lo_disk.disk_name)
    loop_validate_file(lo, file)
    info = config.info
    if info.lo_flags & ~LOOP_CONFIGURE_SETTABLE_FLAGS or config.block_size not in (0, 512, 1024, 2048, 4096):
        raise EINVAL(lo.lo_disk.disk_name)
    loop_set_status_from_info(lo, info)
    file.f_count += 1
    lo.lo_backing_file, lo.lo_state = file, LO_BOUND
    lo.lo_flags = info.lo_flags & ~uapi.LO_FLAGS_DIRECT_IO
    if not (file.f_mode & FMODE_WRITE and mode & FMODE_WRITE and file.f_op.write_iter is not None):
        lo.lo_flags |= LO_FLAGS_READ_ONLY
    disk = lo.lo_disk
    disk.queue.limits.logical_block_size = config.block_size or 512
    set_disk_ro(disk, bool(lo.lo_flags & LO_FLAGS_READ_ONLY))
    loop_set_size(lo)
    if lo.lo_flags & LO_FLAGS_PARTSCAN:
        disk.flags &= ~GENHD_FL_NO_PART
        bdev_disk_changed(disk)
    return 0


def loop_validate_file(lo: LoopDevice, file: File) -> None:
    """Refuse what cannot lie under a loop device: other than files and block devices, and itself (L2)."""
    if not (S_ISREG(file.f_inode.i_mode) or S_ISBLK(file.f_inode.i_mode)) or file.f_op.read_iter is None:
        raise EINVAL(lo.lo_disk.disk_name)
    for _ in range(LOOP_DEPTH):
        bdev = device_below(file)
        if bdev is None or bdev.bd_disk.fops is not lo_fops:
            return
        below = bdev.bd_disk.private_data
        if below is lo:
            raise EBADF(lo.lo_disk.disk_name)
        if below.lo_state != LO_BOUND:
            raise EINVAL(lo.lo_disk.disk_name)
        file = below.lo_backing_file
    raise EINVAL(lo.lo_disk.disk_name, "too many loop devices on top of each other")


def device_below(file: File) -> BlockDevice | None:
    """Return the block device that file is, or that its filesystem lies on, if any."""
    host = file.f_mapping.host
    if host._container is not None and type(host._container) is BdevInode:
        return container_of(host, BdevInode, "vfs_inode").bdev
    return host.i_sb.s_bdev


def loop_set_status_from_info(lo: LoopDevice, info: loop_info64) -> None:
    """Take offset, size limit and name."""
    if info.lo_offset > MAX_LFS_FILESIZE or info.lo_sizelimit > MAX_LFS_FILESIZE or info.lo_encrypt_type:
        raise EINVAL(lo.lo_disk.disk_name)
    lo.lo_offset, lo.lo_sizelimit = info.lo_offset, info.lo_sizelimit
    lo.lo_file_name = bytes(info.lo_file_name).partition(b"\0")[0]


def loop_set_size(lo: LoopDevice) -> int:
    """Set the size of the disk from that of the file, in whole sectors."""
    size = max(0, lo.lo_backing_file.f_mapping.host.i_size - lo.lo_offset)
    if lo.lo_sizelimit:
        size = min(size, lo.lo_sizelimit)
    set_capacity(lo.lo_disk, size >> SECTOR_SHIFT)
    return 0


def loop_clr_fd(lo: LoopDevice) -> int:
    """Let the file go when the last opener has left; the caller is one, so not before it closes."""
    loop_bound(lo)
    lo.lo_flags |= LO_FLAGS_AUTOCLEAR
    return 0


def lo_release(disk: Gendisk) -> None:
    """Somebody has closed the device; if it was the last one and AUTOCLEAR is set, the file goes."""
    lo = disk.private_data
    if lo.lo_state == LO_BOUND and lo.lo_flags & LO_FLAGS_AUTOCLEAR and not disk.part0.bd_openers:
        __loop_clr_fd(lo)


def __loop_clr_fd(lo: LoopDevice) -> None:
    """Unbind: no partitions, no size, and the reference on the file is given back (L1)."""
    disk, file = lo.lo_disk, lo.lo_backing_file
    set_capacity(disk, 0)
    if not disk.flags & GENHD_FL_NO_PART:
        bdev_disk_changed(disk)
        disk.flags |= GENHD_FL_NO_PART
    set_disk_ro(disk, False)
    lo.lo_backing_file, lo.lo_state, lo.lo_flags, lo.lo_file_name = None, LO_UNBOUND, 0, b""
    lo.lo_offset = lo.lo_sizelimit = 0
    disk.queue.limits.logical_block_size = 512
    cpu.kernel.fput(file)


def loop_bound(lo: LoopDevice) -> None:
    """Raise ENXIO if no file is bound."""
    if lo.lo_state != LO_BOUND:
        raise ENXIO(lo.lo_disk.disk_name)


def loop_get_status(lo: LoopDevice) -> bytes:
    """Return a loop_info64 that describes the device."""
    loop_bound(lo)
    inode = lo.lo_backing_file.f_mapping.host
    return bytes(
        loop_info64.pack(
            lo_device=inode.i_sb.s_dev,
            lo_inode=inode.i_ino,
            lo_rdevice=inode.i_rdev,
            lo_offset=lo.lo_offset,
            lo_sizelimit=lo.lo_sizelimit,
            lo_number=lo.lo_number,
            lo_flags=lo.lo_flags,
            lo_file_name=lo.lo_file_name,
        )
    )


def loop_set_status(lo: LoopDevice, info: loop_info64) -> int:
    """Change offset, size limit, name and flags of a bound device."""
    loop_bound(lo)
    if not cpu.current.cred.cap_effective >> CAP_SYS_ADMIN & 1:
        raise EPERM(lo.lo_disk.disk_name)
    loop_set_status_from_info(lo, info)
    scanned = lo.lo_flags & LO_FLAGS_PARTSCAN
    kept = lo.lo_flags & ~LO_FLAGS_AUTOCLEAR  # PARTSCAN and READ_ONLY stay once they are set
    lo.lo_flags = kept | info.lo_flags & LOOP_SET_STATUS_SETTABLE_FLAGS
    loop_set_size(lo)
    if lo.lo_flags & LO_FLAGS_PARTSCAN and not scanned:
        lo.lo_disk.flags &= ~GENHD_FL_NO_PART
        bdev_disk_changed(lo.lo_disk)
    return 0


# --- requests -------------------------------------------------------------------------------------


def loop_queue_rq(hctx: BlkMqHwCtx, rq: Request) -> int:
    """Serve a request by reading or writing the file.

    What the file's own filesystem sends down must not wait in the plug of whoever waits for this request.
    """
    lo, task = hctx.driver_data, cpu.current
    if lo.lo_state != LO_BOUND:
        return BLK_STS_IOERR
    plug, task.plug = task.plug, None
    try:
        status = do_req_filebacked(lo, rq)
    except ENOSPC:
        status = BLK_STS_NOSPC
    except KernelError as error:
        printk(KERN_ERR, f"loop{lo.lo_number}: sector {rq.sector}: {error}")
        status = BLK_STS_IOERR
    finally:
        task.plug = plug
    if status == BLK_STS_OK:
        blk_mq_end_request(rq, BLK_STS_OK)
    return status


def do_req_filebacked(lo: LoopDevice, rq: Request) -> int:
    """Return the status of one request; errors of the file are raised."""
    file = lo.lo_backing_file
    position = (rq.sector << SECTOR_SHIFT) + lo.lo_offset
    operation = rq.cmd_flags & REQ_OP_MASK
    if operation == REQ_OP_READ:
        lo_read(file, rq_segments(rq), position)
    elif operation == REQ_OP_WRITE:
        lo_write(file, rq_segments(rq), position)
    elif operation == REQ_OP_FLUSH:
        if file.f_op.fsync is not None:
            file.f_op.fsync(file, 0, MAX_LFS_FILESIZE, True)
    else:
        return BLK_STS_NOTSUPP
    return BLK_STS_OK


def lo_read(file: File, segments: list[memoryview], position: int) -> None:
    """Fill segments from the file; behind its end, if it was cut meanwhile, there are zeros."""
    iocb, it = Kiocb(file, position), iov_iter_dest(segments)
    while it.count:
        if not file.f_op.read_iter(iocb, it):
            break
    for segment in it.segments if it.count else ():
        start = it.iov_offset if segment is it.segments[0] else 0
        segment[start:] = bytes(len(segment) - start)


def lo_write(file: File, segments: list[memoryview], position: int) -> None:
    """Write segments to the file."""
    iocb, it = Kiocb(file, position), iov_iter_source(segments)
    while it.count:
        if not file.f_op.write_iter(iocb, it):
            raise EIO("the file took nothing")


def lo_free_disk(disk: Gendisk) -> None:
    """The last opener of a removed device has left."""
    lo, devices = disk.private_data, cpu.kernel.state["loop"]
    if devices.get(lo.lo_number) is lo:
        del devices[lo.lo_number]
    kfree(lo)


loop_mq_ops = BlkMqOps(queue_rq=loop_queue_rq)
lo_fops = BlockDeviceOperations(release=lo_release, ioctl=lo_ioctl, free_disk=lo_free_disk)
loop_ctl_fops = FileOperations(unlocked_ioctl=loop_control_ioctl)
