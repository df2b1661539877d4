"""Block devices as files: /dev/vda is opened, read, claimed and asked.

    open("/dev/vda") ──▶ blkdev_open ──▶ bdev_open ◀── bdev_file_open_by_dev ◀── mount
                                            │
    read ──▶ blkdev_read_iter ──▶ page cache of the device, bd_mapping ──▶ blkdev_get_block ──▶ bio

    /dev/vda (an inode of devtmpfs, i_rdev)          many nodes may name one device
        └── number ──▶ kernel.bdev_map ──▶ BlockDevice ── in one piece with ── its own inode: size, page cache

A filesystem reads its metadata through the same page cache (fs/buffer.py), so that reading
/dev/vda shows what the filesystem has cached. A partition has a page cache of its own: what was
read through vda1 is not seen in that of vda.

Linux: block/bdev.c, block/fops.c, block/ioctl.c. It lies in fs/ because it reaches into the VFS.   Chapter 9.
Left out: freezing, direct I/O (served from the cache), write-back: a write goes to the disk before it returns.

Always true
  V1  bd_openers counts opens; those of partitions count for the whole disk too
  V2  one holder at a time: a claimed partition shuts claims on the whole disk out, and the other way round
  V3  the page cache of a device that nobody has open is empty
  V4  a write through a file to a read-only device is EPERM; opening it for a filesystem to write is EACCES
"""

from __future__ import annotations

from typing import Any

from vfslab.block.bdev import bdev_free, bdev_is_partition, bdev_nr_bytes, bdev_whole
from vfslab.block.bio import bio_add_mem, bio_alloc, bio_put
from vfslab.block.blk_core import blkdev_issue_flush, submit_bio_wait
from vfslab.block.genhd import put_disk, set_disk_ro
from vfslab.block.partitions.core import bdev_disk_changed
from vfslab.fs.buffer import (
    bdev_drop_overlay,
    block_invalidate_folio,
    block_read_full_folio,
    sync_dirty_buffers,
    try_to_free_buffers,
)
from vfslab.fs.file_table import fput, free_file
from vfslab.fs.mpage import mpage_readahead
from vfslab.fs.permission import capable
from vfslab.include.blk_types import REQ_OP_WRITE, SECTOR_SHIFT, BdevInode, BlockDevice
from vfslab.include.blkdev import GD_DEAD, GENHD_FL_NO_PART
from vfslab.include.buffer_head import BH_MAPPED, BufferHead
from vfslab.include.fs import (
    FMODE_CAN_ODIRECT,
    FMODE_LSEEK,
    FMODE_OPENED,
    FMODE_PREAD,
    FMODE_PWRITE,
    FMODE_WRITE,
    AddressSpace,
    AddressSpaceOperations,
    File,
    FileOperations,
    Inode,
    SuperBlock,
)
from vfslab.include.kernel import Kernel
from vfslab.include.mm_types import PAGE_SHIFT, PAGE_SIZE, Folio, ReadaheadControl
from vfslab.include.mount import MNT_NODEV
from vfslab.include.namei import LOOKUP_FOLLOW
from vfslab.include.sched import CAP_SYS_ADMIN
from vfslab.include.uapi import fs as uapi
from vfslab.include.uapi.fcntl import AT_FDCWD, O_EXCL, SEEK_CUR, SEEK_END, SEEK_SET
from vfslab.include.uapi.stat import S_IFBLK, S_ISBLK
from vfslab.include.uio import IovIter, Kiocb
from vfslab.kernel.errno import EACCES, EBUSY, EINVAL, EIO, ENOSPC, ENOTBLK, ENOTTY, ENXIO, EPERM, KernelError
from vfslab.kernel.printk import KERN_ERR, printk
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kzalloc
from vfslab.lib.kstruct import container_of
from vfslab.mm.filemap import (
    filemap_read,
    folio_lock,
    folio_put,
    folio_unlock,
    generic_perform_write,
    read_mapping_folio,
)
from vfslab.mm.truncate import truncate_inode_pages

MAX_BLOCK_SIZE = 64 << 10

# --- the device's own inode -----------------------------------------------------------------------


def I_BDEV(inode: Inode) -> BlockDevice:
    """Return the block device that an inode of the bdev filesystem (f_mapping.host) belongs to."""
    return container_of(inode, BdevInode, "vfs_inode").bdev


def BD_INODE(bdev: BlockDevice) -> Inode:
    """Return the device's own inode; the first time it is made."""
    whole = container_of(bdev, BdevInode, "bdev")
    if whole.vfs_inode is None:
        inode = kzalloc(Inode, i_mode=S_IFBLK, i_rdev=bdev.bd_dev, i_sb=blockdev_superblock(), i_fop=def_blk_fops)
        inode._container, whole.vfs_inode = whole, inode
        inode.i_count = 0  # it lives and dies with the device, not by references
        inode.i_data.a_ops = def_blk_aops
        bdev.bd_mapping = inode.i_data
    return whole.vfs_inode


def blockdev_superblock() -> SuperBlock:
    """Return the superblock of the bdev filesystem, which is mounted nowhere."""
    state = cpu.kernel.state
    if "blockdev_superblock" not in state:
        state["blockdev_superblock"] = kzalloc(SuperBlock, s_id=b"bdev", s_active=0)
    return state["blockdev_superblock"]


def set_init_blocksize(bdev: BlockDevice) -> None:
    """Choose the block size of a device nobody uses yet: a page, or what divides the size of the device."""
    size, inode = bdev_nr_bytes(bdev), BD_INODE(bdev)
    block = bdev.bd_queue.limits.logical_block_size
    while block < PAGE_SIZE and not size & block:
        block <<= 1
    inode.i_size = size
    bdev.bd_block_size = block
    inode.i_blkbits = block.bit_length() - 1


# --- opening and closing --------------------------------------------------------------------------


def lookup_bdev(path: bytes) -> int:
    """Return the device number that a path leads to; ENOTBLK if it is no block device."""
    from vfslab.fs.namei import path_put, user_path_at  # finding names lies above opening devices

    found = user_path_at(AT_FDCWD, path, LOOKUP_FOLLOW)
    try:
        inode = found.dentry.d_inode
        if not S_ISBLK(inode.i_mode):
            raise ENOTBLK(path)
        if found.mnt.mnt_flags & MNT_NODEV:
            raise EACCES(path)
        return inode.i_rdev
    finally:
        path_put(found)


def bdev_file_open_by_dev(dev: int, mode: int, holder: Any = None) -> File:
    """Return an open file for the device of that number; a holder has it for itself alone.

    ENXIO if there is no such device (any more), EBUSY if another holder has it, EACCES if the mode
    includes writing and the device is read-only. Close it with bdev_fput().
    """
    bdev = cpu.kernel.bdev_map.get(dev)
    if bdev is None:
        raise ENXIO(f"device {dev:#x}")
    if holder is not None and mode & FMODE_WRITE and bdev.bd_read_only:
        raise EACCES(bdev.bd_device)
    bdev_open(bdev, mode, holder)
    file = kzalloc(File, f_mode=mode | FMODE_OPENED | FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE, f_op=def_blk_fops)
    file.f_inode, file.f_mapping, file.private_data = BD_INODE(bdev), bdev.bd_mapping, holder
    return file


def file_bdev(file: File) -> BlockDevice:
    """Return the block device behind an open file."""
    return I_BDEV(file.f_mapping.host)


def bdev_fput(file: File) -> None:
    """Close what bdev_file_open_by_dev() opened."""
    blkdev_release(file.f_inode, file)
    free_file(file)


def bdev_open(bdev: BlockDevice, mode: int, holder: Any = None) -> None:
    """Count one more opener of bdev (V1), and claim it if there is a holder."""
    disk = bdev.bd_disk
    if bdev.bd_dead or disk.state & GD_DEAD:
        raise ENXIO(bdev.bd_device)
    if holder is not None and not bd_may_claim(bdev, holder):
        raise EBUSY(bdev.bd_device)
    if disk.fops is not None and disk.fops.open is not None:
        disk.fops.open(disk, mode)
    whole = disk.part0
    if not whole.bd_openers:
        set_init_blocksize(whole)
    whole.bd_openers += 1
    if bdev_is_partition(bdev):
        if not bdev.bd_openers:
            set_init_blocksize(bdev)
            disk.open_partitions += 1
        bdev.bd_openers += 1
    if holder is not None:
        bd_finish_claiming(bdev, holder)


def bdev_release(bdev: BlockDevice, holder: Any) -> None:
    """Take back what bdev_open() did; the last one empties the page cache, and frees a device that is gone."""
    disk, whole = bdev.bd_disk, bdev_whole(bdev)
    if holder is not None:
        bd_end_claim(bdev)
    if bdev_is_partition(bdev):
        bdev.bd_openers -= 1
        if not bdev.bd_openers:
            bdev_flush_mapping(bdev)
            disk.open_partitions -= 1
            if bdev.bd_dead:
                bdev_free(bdev)
    whole.bd_openers -= 1
    if not whole.bd_openers:
        bdev_flush_mapping(whole)
    if disk.fops is not None and disk.fops.release is not None:
        disk.fops.release(disk)
    if disk.state & GD_DEAD and not whole.bd_openers:
        put_disk(disk)


def bdev_flush_mapping(bdev: BlockDevice) -> None:
    """Nobody has bdev open any more: write what is dirty, and forget everything (V3)."""
    try:
        sync_dirty_buffers(bdev)
    except KernelError as error:
        printk(KERN_ERR, f"{bdev.bd_device.decode()}: lost data at the last close: {error}")
    bdev_drop_overlay(bdev)
    truncate_inode_pages(bdev.bd_mapping, 0)


def bd_may_claim(bdev: BlockDevice, holder: Any) -> bool:
    """True if holder may have bdev for itself (V2). This function is what holds a disk with a claimed partition."""
    if bdev.bd_holder is not None:
        return bdev.bd_holder is holder
    return bdev_whole(bdev).bd_holder in (None, bd_may_claim)


def bd_finish_claiming(bdev: BlockDevice, holder: Any) -> None:
    """Note that holder has bdev; the whole disk is marked as being in use."""
    whole = bdev_whole(bdev)
    whole.bd_holders += 1
    whole.bd_holder = bd_may_claim
    bdev.bd_holders += 1
    bdev.bd_holder = holder


def bd_end_claim(bdev: BlockDevice) -> None:
    """Take one claim back."""
    for claimed in (bdev, bdev_whole(bdev)):
        claimed.bd_holders -= 1
        if not claimed.bd_holders:
            claimed.bd_holder = None


def blkdev_open(inode: Inode, file: File) -> None:
    """Open a node of /dev: from now on the file works on the device's page cache, not on the node's."""
    bdev = cpu.kernel.bdev_map.get(inode.i_rdev)
    if bdev is None:
        raise ENXIO(f"device {inode.i_rdev:#x}")
    holder = file if file.f_flags & O_EXCL else None
    bdev_open(bdev, file.f_mode, holder)
    file.f_mode |= FMODE_CAN_ODIRECT
    file.f_mapping, file.private_data = BD_INODE(bdev).i_data, holder


def blkdev_release(inode: Inode, file: File) -> None:
    """The last descriptor of an open device is closed."""
    bdev_release(file_bdev(file), file.private_data)


# --- block size -----------------------------------------------------------------------------------


def set_blocksize(bdev: BlockDevice, size: int) -> None:
    """Set in what units the page cache of bdev works; EINVAL for what is no power of two, or too small for it."""
    if not 512 <= size <= MAX_BLOCK_SIZE or size & (size - 1) or size < bdev.bd_queue.limits.logical_block_size:
        raise EINVAL(bdev.bd_device, f"block size {size}")
    if bdev.bd_block_size != size:
        inode = BD_INODE(bdev)
        sync_dirty_buffers(bdev)
        truncate_inode_pages(inode.i_data, 0)
        bdev.bd_block_size = size
        inode.i_blkbits = size.bit_length() - 1


def sb_set_blocksize(sb: SuperBlock, size: int) -> int:
    """Make size the block size of a filesystem and its device; return it, or 0 if the device cannot."""
    try:
        set_blocksize(sb.s_bdev, size)
    except EINVAL:
        return 0
    sb.s_blocksize, sb.s_blocksize_bits = size, size.bit_length() - 1
    return size


def sb_min_blocksize(sb: SuperBlock, size: int) -> int:
    """As sb_set_blocksize(), with the device's logical block size if that is larger."""
    return sb_set_blocksize(sb, max(size, sb.s_bdev.bd_queue.limits.logical_block_size))


# --- content --------------------------------------------------------------------------------------


def blkdev_get_block(inode: Inode, iblock: int, bh: BufferHead, create: int) -> None:
    """Map a block of the device to itself, as far as the caller wants."""
    bh.b_bdev, bh.b_blocknr = I_BDEV(inode), iblock
    bh.b_state |= BH_MAPPED


def blkdev_read_folio(file: File | None, folio: Folio) -> None:
    """Fill one folio, around the buffers that a filesystem has in it."""
    block_read_full_folio(folio, blkdev_get_block)


def blkdev_readahead(rac: ReadaheadControl) -> None:
    """Fill a run of folios."""
    mpage_readahead(rac, blkdev_get_block)


def blkdev_write_begin(file: File | None, mapping: AddressSpace, pos: int, length: int) -> tuple[Folio, None]:
    """Return the folio at pos, locked, holding what is on the device now."""
    folio = read_mapping_folio(mapping, pos >> PAGE_SHIFT, file)
    folio_lock(folio)
    return folio, None


def blkdev_write_end(
    file: File | None, mapping: AddressSpace, pos: int, length: int, copied: int, folio: Folio, fsdata: None
) -> int:
    """Write the sectors that were touched to the device at once; return how many bytes were taken."""
    bdev, base = I_BDEV(mapping.host), folio.index << PAGE_SHIFT
    unit = bdev.bd_queue.limits.logical_block_size
    start, end = pos - pos % unit, min(pos + copied + -(pos + copied) % unit, mapping.host.i_size)
    bio = bio_alloc(bdev, REQ_OP_WRITE)
    bio.bi_sector = start >> SECTOR_SHIFT
    bio_add_mem(bio, folio.mem[start - base : end - base])
    try:
        submit_bio_wait(bio)
    finally:
        bio_put(bio)
        folio_unlock(folio)
        folio_put(folio)
    return copied


def blkdev_read_iter(iocb: Kiocb, it: IovIter) -> int:
    """Read the device's bytes out of its page cache."""
    if file_bdev(iocb.ki_filp).bd_dead:
        raise EIO(file_bdev(iocb.ki_filp).bd_device)
    return filemap_read(iocb, it)


def blkdev_write_iter(iocb: Kiocb, it: IovIter) -> int:
    """Write to the device; a device does not grow: ENOSPC at its end."""
    bdev = file_bdev(iocb.ki_filp)
    size = iocb.ki_filp.f_mapping.host.i_size
    if bdev.bd_read_only:
        raise EPERM(bdev.bd_device)
    if not it.count:
        return 0
    if iocb.ki_pos >= size:
        raise ENOSPC(bdev.bd_device)
    beyond = max(0, it.count - (size - iocb.ki_pos))
    it.count -= beyond
    try:
        return generic_perform_write(iocb, it)
    finally:
        it.count += beyond


def blkdev_llseek(file: File, offset: int, whence: int) -> int:
    """Move the position, within the device."""
    size = file.f_mapping.host.i_size
    origin = {SEEK_SET: 0, SEEK_CUR: file.f_pos, SEEK_END: size}.get(whence)
    if origin is None or not 0 <= origin + offset <= size:
        raise EINVAL(offset)
    file.f_pos = origin + offset
    return file.f_pos


def blkdev_fsync(file: File, start: int, end: int, datasync: bool) -> None:
    """Write the dirty buffers of a filesystem on the device, and have the device empty its cache."""
    sync_dirty_buffers(file_bdev(file))
    blkdev_issue_flush(file_bdev(file))


# --- questions ------------------------------------------------------------------------------------


def blkdev_ioctl(file: File, cmd: int, arg: Any) -> Any:
    """Answer what all block devices can answer, and pass the rest to the driver."""
    bdev = file_bdev(file)
    limits = bdev.bd_queue.limits
    if cmd == uapi.BLKGETSIZE64:
        return bdev_nr_bytes(bdev)
    if cmd == uapi.BLKGETSIZE:
        return bdev.bd_nr_sectors
    if cmd == uapi.BLKSSZGET:
        return limits.logical_block_size
    if cmd == uapi.BLKPBSZGET:
        return limits.physical_block_size
    if cmd == uapi.BLKBSZGET:
        return bdev.bd_block_size
    if cmd == uapi.BLKROGET:
        return int(bdev.bd_read_only)
    return blkdev_change(file, bdev, cmd, arg)


def blkdev_change(file: File, bdev: BlockDevice, cmd: int, arg: Any) -> Any:
    """Do what changes a device; EACCES for who may not."""
    disk = bdev.bd_disk
    if cmd in (uapi.BLKROSET, uapi.BLKRRPART, uapi.BLKFLSBUF, uapi.BLKBSZSET) and not capable(CAP_SYS_ADMIN):
        raise EACCES(bdev.bd_device)
    if cmd == uapi.BLKRRPART:
        if bdev_is_partition(bdev) or disk.flags & GENHD_FL_NO_PART:
            raise EINVAL(bdev.bd_device)
        bdev_disk_changed(disk)
    elif cmd == uapi.BLKROSET:
        set_ro(bdev, bool(arg))
    elif cmd == uapi.BLKFLSBUF:
        sync_dirty_buffers(bdev)
        truncate_inode_pages(bdev.bd_mapping, 0)
    elif cmd == uapi.BLKBSZSET:
        set_blocksize(bdev, arg)
    elif disk.fops is not None and disk.fops.ioctl is not None:
        return disk.fops.ioctl(bdev, file.f_mode, cmd, arg)
    else:
        raise ENOTTY(cmd)
    return 0


def set_ro(bdev: BlockDevice, read_only: bool) -> None:
    """Set or clear write protection; of a disk with all its partitions, or of one partition."""
    if bdev_is_partition(bdev):
        bdev.bd_read_only = read_only
    else:
        set_disk_ro(bdev.bd_disk, read_only)


def_blk_fops = FileOperations(
    open=blkdev_open,
    release=blkdev_release,
    llseek=blkdev_llseek,
    read_iter=blkdev_read_iter,
    write_iter=blkdev_write_iter,
    fsync=blkdev_fsync,
    unlocked_ioctl=blkdev_ioctl,
)

def_blk_aops = AddressSpaceOperations(
    read_folio=blkdev_read_folio,
    readahead=blkdev_readahead,
    write_begin=blkdev_write_begin,
    write_end=blkdev_write_end,
    release_folio=try_to_free_buffers,
    invalidate_folio=block_invalidate_folio,
)


def blkdev_init(kernel: Kernel) -> None:
    """Let nodes of block devices be opened in this kernel, and drivers close files."""
    kernel.state["def_blk_fops"] = def_blk_fops
    kernel.fput = fput
