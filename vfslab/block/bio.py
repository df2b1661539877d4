"""The bio: one transfer between a run of sectors and pieces of memory.

    bio = bio_alloc(bdev, REQ_OP_READ)     whom to ask, and what for
    bio.bi_sector = 8                      where, in units of 512 bytes
    bio_add_mem(bio, view)                 into which memory; as often as needed
    bio.bi_end_io = done                   whom to tell
    submit_bio(bio)                        block/blk_core.py; done(bio) runs once
    bio_put(bio)                           in done, or after submit_bio_wait()

A bio belongs to who allocated it until submit_bio(), then to the block layer until
bi_end_io is called, then to its owner again, who reads bi_status and gives it back.
A driver ends a bio with bio_endio(), never by calling bi_end_io itself.

Linux: block/bio.c, include/linux/bio.h.   Chapter 9.
Left out: bi_cnt, cgroups, integrity data. A segment is a memoryview instead of (page, offset, length).

Always true
  B1  bi_size is the sum of the lengths of bi_io_vec, and a multiple of 512, when the bio is submitted
  B2  bi_end_io is called exactly once, after all pieces of a split bio are done
  B3  bi_status is the first error that any piece met
"""

from __future__ import annotations

from vfslab.include.blk_types import (
    BIO_CHAIN,
    BLK_STS_IOERR,
    BLK_STS_MEDIUM,
    BLK_STS_NOSPC,
    BLK_STS_NOTSUPP,
    BLK_STS_OFFLINE,
    BLK_STS_RESOURCE,
    BLK_STS_TIMEOUT,
    REQ_OP_MASK,
    SECTOR_SHIFT,
    Bio,
    BlockDevice,
)
from vfslab.kernel.errno import EIO, ENODATA, ENODEV, ENOMEM, ENOSPC, EOPNOTSUPP, ETIMEDOUT, KernelError
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kzalloc
from vfslab.lib.kstruct import KernelBug


def bio_alloc(bdev: BlockDevice, opf: int) -> Bio:
    """Return an empty bio for bdev; opf is a REQ_OP_* with REQ_* flags.

    Bios at rest are used again before new ones are made, as Linux does with its mempool.
    """
    at_rest = cpu.kernel.fs_bio_set
    bio = at_rest.pop() if at_rest else kzalloc(Bio, bi_io_vec=[], bi_pool=at_rest)
    bio.bi_bdev = bdev
    bio.bi_opf = opf
    return bio


def bio_put(bio: Bio) -> None:
    """Give a finished bio back; its owner must not look at it any more."""
    if bio.bi_bdev is None:
        raise KernelBug(f"{bio!r} is given back twice")
    bio.bi_bdev = bio.bi_end_io = bio.bi_private = None
    bio.bi_size = bio.bi_status = bio.bi_flags = 0
    bio.bi_io_vec.clear()
    bio.bi_pool.append(bio)


def bio_add_mem(bio: Bio, mem: memoryview) -> None:
    """Add a piece of memory (a memoryview of bytes) to the end of the transfer."""
    bio.bi_io_vec.append(mem)
    bio.bi_size += len(mem)


def bio_op(bio: Bio) -> int:
    """Return the REQ_OP_* of a bio."""
    return bio.bi_opf & REQ_OP_MASK


def op_is_write(opf: int) -> bool:
    """True if data goes to the device: write operations have odd numbers."""
    return bool(opf & 1)


def bio_endio(bio: Bio) -> None:
    """Tell the owner that the bio is done; the pieces of a split bio are waited for.

    A piece tells its parent, which may itself be a piece: a loop, not recursion.
    """
    while bio.bi_remaining > 1 or bio.bi_flags & BIO_CHAIN:
        if bio.bi_remaining > 1:
            bio.bi_remaining -= 1
            return
        parent = bio.bi_private
        if bio.bi_status and not parent.bi_status:
            parent.bi_status = bio.bi_status
        bio_put(bio)
        bio = parent
    if bio.bi_end_io is not None:
        bio.bi_end_io(bio)


def bio_io_error(bio: Bio, status: int = BLK_STS_IOERR) -> None:
    """End a bio that never got to the device."""
    bio.bi_status = bio.bi_status or status
    bio_endio(bio)


def bio_chain(bio: Bio, parent: Bio) -> None:
    """Make parent wait for bio: parent ends when both are done."""
    bio.bi_private = parent
    bio.bi_flags |= BIO_CHAIN
    parent.bi_remaining += 1


def bio_split(bio: Bio, sectors: int) -> Bio:
    """Return a new bio with the first sectors of bio; bio keeps the rest and waits for the front."""
    size = wanted = sectors << SECTOR_SHIFT
    front = bio_alloc(bio.bi_bdev, bio.bi_opf)
    front.bi_sector, front.bi_flags, front.bi_size = bio.bi_sector, bio.bi_flags & ~BIO_CHAIN, size
    segments = bio.bi_io_vec
    while wanted and segments:
        if len(segments[0]) <= wanted:
            piece = segments.pop(0)
        else:
            piece, segments[0] = segments[0][:wanted], segments[0][wanted:]
        front.bi_io_vec.append(piece)
        wanted -= len(piece)
    bio.bi_sector += sectors
    bio.bi_size -= size
    bio_chain(front, bio)
    return front


def bio_truncate(bio: Bio, size: int) -> None:
    """Shorten a bio to size bytes; what a read will not fill is zeroed."""
    keep, left = [], size
    for segment in bio.bi_io_vec:
        if left:
            keep.append(segment[:left])
        if len(segment) > left and not bio.bi_opf & 1:
            segment[left:] = bytes(len(segment) - left)
        left = max(0, left - len(segment))
    bio.bi_io_vec[:] = keep
    bio.bi_size = size


def guard_bio_eod(bio: Bio) -> None:
    """Shorten a bio that starts on the device but runs past its end, as the last folio's read does."""
    room = bio.bi_bdev.bd_nr_sectors - bio.bi_sector
    if 0 < room < bio.bi_size >> SECTOR_SHIFT:
        bio_truncate(bio, room << SECTOR_SHIFT)


def blk_status_to_error(status: int) -> type[KernelError]:
    """Return the error class for a BLK_STS_* other than BLK_STS_OK.   Linux: blk_status_to_errno()."""
    if status == BLK_STS_NOTSUPP:
        return EOPNOTSUPP
    if status == BLK_STS_TIMEOUT:
        return ETIMEDOUT
    if status == BLK_STS_NOSPC:
        return ENOSPC
    if status == BLK_STS_MEDIUM:
        return ENODATA
    if status == BLK_STS_RESOURCE:
        return ENOMEM
    return ENODEV if status == BLK_STS_OFFLINE else EIO
