"""Superblocks: one for each filesystem in use, however often it is mounted.

    mount(2) ──▶ vfs_get_tree ──▶ fc.ops.get_tree ──▶ get_tree_bdev ──sget_fc──▶ found: s_active + 1
                                                          │                └──▶ new: fill_super reads the disk
    last umount ──▶ deactivate_super ──▶ s_type.kill_sb ──▶ generic_shutdown_super

A superblock lives by s_active: one for each mount, and one for a bag (fs/fs_context.py) that
holds its root. When the last goes, the dentries are freed, then the inodes they pinned, then
what the filesystem itself keeps (put_super), then the device is closed.

Linux: fs/super.c.   Chapter 6.
Left out: freezing, s_count (a superblock here goes with its last active reference), waiting
for one that is being born or dying, quota.

Always true
  S1  one device holds at most one superblock, and all mounts of it share that one
  S2  s_active > 0 keeps the superblock; fill_super has run, and s_root is set
  S3  after fill_super failed, or after the last umount, nothing of the superblock is left in any cache
  S4  a superblock is read-only for all its mounts or for none (a mount can be so for itself, MNT_READONLY)

Locks
  s_umount   whether it is mounted; held for writing while it is filled and while it goes
"""

from __future__ import annotations

from collections.abc import Callable

from vfslab.fs.dcache import d_genocide, dget, prune_dcache_sb, shrink_dcache_for_umount, shrink_dcache_sb
from vfslab.fs.inode import evict_inodes, prune_icache_sb
from vfslab.include.fs import FMODE_READ, FMODE_WRITE, SB_ACTIVE, SB_BORN, SB_RDONLY, SuperBlock
from vfslab.include.fs_context import FsContext
from vfslab.include.mm_types import Shrinker
from vfslab.include.uapi.stat import MKDEV
from vfslab.kernel.errno import EBUSY, EINVAL
from vfslab.kernel.locking import down_write
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kfree, kzalloc
from vfslab.lib.kstruct import KernelBug
from vfslab.mm.vmscan import register_shrinker, unregister_shrinker

# --- birth ----------------------------------------------------------------------------------------


def vfs_get_tree(fc: FsContext) -> None:
    """Let the filesystem make or find the superblock that the bag describes; its root is then in fc.root."""
    if fc.root is not None:
        raise EBUSY(fc.source)
    fc.ops.get_tree(fc)
    if fc.root is None:
        raise KernelBug(f"{fc.fs_type.name!r} made no root")
    fc.root.d_sb.s_flags |= SB_BORN


def sget_fc(fc: FsContext, test: Callable | None) -> SuperBlock:
    """Return an active superblock of fc's filesystem that passes test, one more active reference taken, or a new one.

    A new one has no s_root yet.
    """
    if test is not None:
        for sb in fc.fs_type.fs_supers:
            if test(sb):
                sb.s_active += 1
                return sb
    return alloc_super(fc)


def alloc_super(fc: FsContext) -> SuperBlock:
    """Return a blank superblock, in the kernel's list, with a shrinker for its caches."""
    kernel = cpu.kernel
    sb = kzalloc(SuperBlock, s_type=fc.fs_type, s_flags=fc.sb_flags, s_fs_info=fc.s_fs_info)
    sb.s_shrink = kzalloc(Shrinker, count_objects=super_cache_count, scan_objects=super_cache_scan, private_data=sb)
    register_shrinker(sb.s_shrink)
    kernel.super_blocks.append(sb)
    fc.fs_type.fs_supers.append(sb)
    return sb


def fill_new_super(sb: SuperBlock, fc: FsContext, fill_super: Callable) -> None:
    """Run the filesystem's fill_super on a new superblock; if it fails, tear down what it began (S3)."""
    try:
        with down_write(sb.s_umount):
            fill_super(sb, fc)
    except BaseException:
        deactivate_super(sb)
        raise
    sb.s_flags |= SB_ACTIVE


def get_tree_nodev(fc: FsContext, fill_super: Callable) -> None:
    """Set fc.root to the root of a new superblock that lies on no device."""
    sb = sget_fc(fc, None)
    set_anon_super(sb)
    fill_new_super(sb, fc, fill_super)
    fc.root = dget(sb.s_root)


def get_tree_single(fc: FsContext, fill_super: Callable) -> None:
    """Set fc.root to the root of the one superblock this filesystem has, made at the first mount."""
    sb = sget_fc(fc, lambda sb: True)
    if sb.s_root is None:
        set_anon_super(sb)
        fill_new_super(sb, fc, fill_super)
    fc.root = dget(sb.s_root)


def get_tree_bdev(fc: FsContext, fill_super: Callable) -> None:
    """Set fc.root to the root of the superblock on block device fc.source: a cached one, or one read from it.

    EBUSY if the device is mounted already, and not with the same choice of read-only or not (S4).
    """
    from vfslab.fs.block_dev import lookup_bdev  # its inodes live in a superblock of their own

    if not fc.source:
        raise EINVAL(b"no source")
    dev = lookup_bdev(fc.source)
    sb = sget_fc(fc, lambda sb: sb.s_bdev is not None and sb.s_dev == dev)
    if sb.s_root is None:
        sb.s_dev = dev
        fill_new_super(sb, fc, lambda sb, fc: setup_bdev_super(sb, fc, fill_super))
    elif (fc.sb_flags ^ sb.s_flags) & SB_RDONLY:
        deactivate_super(sb)
        raise EBUSY(fc.source)
    fc.root = dget(sb.s_root)


def setup_bdev_super(sb: SuperBlock, fc: FsContext, fill_super: Callable) -> None:
    """Open the device for sb alone, and fill the superblock from it."""
    from vfslab.fs.block_dev import bdev_file_open_by_dev, file_bdev, sb_min_blocksize

    mode = FMODE_READ if sb.s_flags & SB_RDONLY else FMODE_READ | FMODE_WRITE
    sb.s_bdev_file = bdev_file_open_by_dev(sb.s_dev, mode, sb)
    sb.s_bdev = file_bdev(sb.s_bdev_file)
    sb.s_id = fc.source.rpartition(b"/")[2]
    sb_min_blocksize(sb, 512)
    fill_super(sb, fc)


def set_anon_super(sb: SuperBlock) -> None:
    """Give a superblock without a device a device number of its own: st_dev must tell filesystems apart."""
    kernel = cpu.kernel
    sb.s_dev, kernel.next_dev = MKDEV(0, kernel.next_dev), kernel.next_dev + 1
    sb.s_id = sb.s_type.name


def reconfigure_super(fc: FsContext) -> None:
    """Change the flags and options of a mounted superblock, as mount -o remount asks.

    EBUSY if it is to become read-only while something is written through any of its mounts, or while a
    file without a name is in use: its last user will want to free it on disk.
    """
    sb = fc.root.d_sb
    if fc.sb_flags & fc.sb_flags_mask & SB_RDONLY and not sb_rdonly(sb):
        if any(mount.mnt_writers for mount in sb.s_mounts) or any(inode.i_nlink == 0 for inode in sb.s_inodes):
            raise EBUSY(sb.s_id)
    with down_write(sb.s_umount):
        if fc.ops.reconfigure is not None:
            fc.ops.reconfigure(fc)
        sb.s_flags = sb.s_flags & ~fc.sb_flags_mask | fc.sb_flags & fc.sb_flags_mask


# --- death ----------------------------------------------------------------------------------------


def deactivate_super(sb: SuperBlock) -> None:
    """Drop an active reference; with the last one the filesystem is taken down and the superblock freed."""
    sb.s_active -= 1
    if sb.s_active:
        return
    with down_write(sb.s_umount):
        sb.s_type.kill_sb(sb)
    unregister_shrinker(sb.s_shrink)
    kfree(sb.s_shrink)
    cpu.kernel.super_blocks.remove(sb)
    sb.s_type.fs_supers.remove(sb)
    kfree(sb)


def generic_shutdown_super(sb: SuperBlock) -> None:
    """Empty the superblock: its names, its inodes, and what the filesystem keeps in memory."""
    if sb.s_root is None:
        return
    shrink_dcache_for_umount(sb)
    sync_filesystem(sb)
    sb.s_flags &= ~SB_ACTIVE
    evict_inodes(sb)
    if sb.s_op.put_super is not None:
        sb.s_op.put_super(sb)
    if sb.s_inodes:
        raise KernelBug(f"busy inodes after umount of {sb.s_id!r}: {list(sb.s_inodes)[:5]}")


def kill_anon_super(sb: SuperBlock) -> None:
    """End a superblock that lies on no device."""
    generic_shutdown_super(sb)


def kill_litter_super(sb: SuperBlock) -> None:
    """End a superblock whose names live in the dentry cache only, each pinned there by a reference."""
    if sb.s_root is not None:
        d_genocide(sb.s_root)
    kill_anon_super(sb)


def kill_block_super(sb: SuperBlock) -> None:
    """End a superblock that lies on a block device, and close that."""
    from vfslab.fs.block_dev import bdev_fput

    generic_shutdown_super(sb)
    file, sb.s_bdev_file, sb.s_bdev = sb.s_bdev_file, None, None
    if file is not None:
        bdev_fput(file)


# --- in between -----------------------------------------------------------------------------------


def sb_rdonly(sb: SuperBlock) -> bool:
    """True if nothing may be written to this filesystem, through whichever mount."""
    return bool(sb.s_flags & SB_RDONLY)


def sync_filesystem(sb: SuperBlock) -> None:
    """Write everything that is only in memory to the device, and wait."""
    if not sb_rdonly(sb) and sb.s_op.sync_fs is not None:
        sb.s_op.sync_fs(sb, True)


def super_cache_count(shrinker: Shrinker) -> int:
    """Return how many unused dentries and inodes the superblock keeps."""
    sb = shrinker.private_data
    return len(sb.s_dentry_lru) + len(sb.s_inode_lru)


def super_cache_scan(shrinker: Shrinker, nr: int) -> int:
    """Look at nr unused objects of the superblock and return how many were freed.

    Dentries and inodes have their share by number. Dentries go first: each pins an inode.
    """
    sb = shrinker.private_data
    dentries, inodes = len(sb.s_dentry_lru), len(sb.s_inode_lru)
    share = -(-nr * dentries // (dentries + inodes)) if dentries else 0
    freed = prune_dcache_sb(sb, share)
    return freed + prune_icache_sb(sb, nr - share)


def drop_super_caches(sb: SuperBlock) -> None:
    """Free every unused dentry and inode of sb, as writing 2 to /proc/sys/vm/drop_caches does."""
    shrink_dcache_sb(sb)
    prune_icache_sb(sb, len(sb.s_inode_lru))  # takes the marks of use ...
    prune_icache_sb(sb, len(sb.s_inode_lru))  # ... and then what bore them
