"""Mounts as the walk sees them: from a dentry that is covered to the mount on top, and back.

    (mount, dentry) ──__lookup_mnt──▶ the mount whose mountpoint this is: go on at its mnt_root
    mnt_root of a mount ──mnt_parent, mnt_mountpoint──▶ the place it covers

The table is keyed by the parent mount *and* the dentry: the same directory seen through another
mount (a bind mount of its parent) may be covered by something else, or by nothing.

Linux: fs/mount.h, and of fs/namespace.c what fs/namei.c needs (which needs fs/namespace.c's calls in turn).   Chapter 6.
Left out: mount_lock and its sequence count, per-CPU counters of references and writers.

Always true
  M1  (mnt_parent.mnt, mnt_mountpoint) finds the mount in the table while it is attached
  M2  a dentry with DCACHE_MOUNTED is a mountpoint in some namespace; without it, in none
  M3  mnt_count > 0 keeps a mount, its superblock and its mnt_root
"""

from __future__ import annotations

from vfslab.fs.dcache import dget, dput, is_subdir
from vfslab.fs.super import deactivate_super, sb_rdonly
from vfslab.include.dcache import Dentry
from vfslab.include.mount import MNT_READONLY, Mount, Vfsmount
from vfslab.include.sched import Path
from vfslab.kernel.errno import EROFS
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kfree
from vfslab.lib.kstruct import KernelBug, container_of


def real_mount(mnt: Vfsmount) -> Mount:
    """Return the mount that mnt is the public part of."""
    return container_of(mnt, Mount, "mnt")


def mnt_has_parent(mount: Mount) -> bool:
    """True if the mount covers a place in another one: not for a root, nor for a detached mount."""
    return mount.mnt_parent is not mount


def mntget(mnt: Vfsmount) -> Vfsmount:
    """Return mnt with one more reference."""
    real_mount(mnt).mnt_count += 1
    return mnt


def mntput(mnt: Vfsmount | None) -> None:
    """Drop one reference; the last one ends the mount."""
    if mnt is None:
        return
    mount = real_mount(mnt)
    if mount.mnt_count < 1:
        raise KernelBug(f"mntput of {mount}, which nobody holds")
    mount.mnt_count -= 1
    if mount.mnt_count == 0:
        cleanup_mnt(mount)


def path_get(path: Path) -> Path:
    """Return path, with a reference on its mount and its dentry."""
    mntget(path.mnt)
    dget(path.dentry)
    return path


def path_put(path: Path) -> None:
    """Give back both references of a path."""
    dput(path.dentry)
    mount = path.mnt._container
    if mount.mnt_count > 1:
        mount.mnt_count -= 1
    else:
        mntput(path.mnt)


def cleanup_mnt(mount: Mount) -> None:
    """Free a mount that nobody uses; its superblock may go with it."""
    if mnt_has_parent(mount) or mount.mnt_writers:
        raise KernelBug(f"{mount} is freed while it is attached or written through")
    mnt = mount.mnt
    sb = mnt.mnt_sb
    sb.s_mounts.remove(mount)
    dput(mount.mnt_mountpoint)
    dput(mnt.mnt_root)
    kfree(mount)
    deactivate_super(sb)


def __lookup_mnt(mnt: Vfsmount, dentry: Dentry) -> Mount | None:
    """Return the mount on top of dentry as seen through mnt, without a reference, or None."""
    return cpu.kernel.mount_hashtable.get((mnt, dentry))


def lookup_mnt(path: Path) -> Vfsmount | None:
    """Return the mount on top of path with a reference, or None. It may itself be covered by another."""
    mount = __lookup_mnt(path.mnt, path.dentry)
    return None if mount is None else mntget(mount.mnt)


def path_is_under(path: Path, root: Path) -> bool:
    """True if path is root or below it, mounts included."""
    mount, dentry = real_mount(path.mnt), path.dentry
    while mount.mnt is not root.mnt and mnt_has_parent(mount):
        mount, dentry = mount.mnt_parent, mount.mnt_mountpoint
    return mount.mnt is root.mnt and is_subdir(dentry, root.dentry)


def __mnt_is_readonly(mnt: Vfsmount) -> bool:
    """True if nothing may be written through mnt: because of the mount, or of the filesystem."""
    return bool(mnt.mnt_flags & MNT_READONLY) or sb_rdonly(mnt.mnt_sb)


def mnt_want_write(mnt: Vfsmount) -> None:
    """Announce a change through mnt, or raise EROFS; until mnt_drop_write() it cannot become read-only."""
    if __mnt_is_readonly(mnt):
        raise EROFS
    real_mount(mnt).mnt_writers += 1


def mnt_drop_write(mnt: Vfsmount) -> None:
    """The change announced with mnt_want_write() is made."""
    real_mount(mnt).mnt_writers -= 1
