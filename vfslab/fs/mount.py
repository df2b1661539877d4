"""Mounts: how one hangs on another, and how the walk goes from a covered dentry to the mount on top.

    (mount, dentry) ──__lookup_mnt──▶ the mount whose mountpoint this is: go on at its mnt_root
    mnt_root of a mount ──mnt_parent, mnt_mountpoint──▶ the place it covers

The table is keyed by the parent mount *and* the dentry: the same directory seen through another
mount (a bind mount of its parent) may be covered by something else, or by nothing.

Linux: fs/mount.h, and the part of fs/namespace.c that lies below the system calls.   Chapter 6.
Left out: mount_lock and its sequence count, per-CPU counters of references and writers.

Always true
  M1  (mnt_parent.mnt, mnt_mountpoint) finds the mount in the table while it is attached
  M2  a dentry with DCACHE_MOUNTED is a mountpoint in some namespace; without it, in none
  M3  mnt_count > 0 keeps a mount, its superblock and its mnt_root
"""

from __future__ import annotations

from vfslab.fs.dcache import dget, dput, is_subdir
from vfslab.fs.super import deactivate_super, sb_rdonly
from vfslab.include.dcache import DCACHE_MOUNTED, Dentry
from vfslab.include.fs import SB_RDONLY
from vfslab.include.mount import MNT_READONLY, MntNamespace, Mount, Mountpoint, Vfsmount
from vfslab.include.sched import Path
from vfslab.kernel.errno import EROFS
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kfree, kzalloc
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
    dentry, mount = path.dentry, path.mnt._container
    if dentry.d_count > 1:
        dentry.d_count -= 1
    else:
        dput(dentry)
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
    if mnt.mnt_flags & MNT_READONLY or mnt.mnt_sb.s_flags & SB_RDONLY:
        raise EROFS
    mnt._container.mnt_writers += 1


def mnt_drop_write(mnt: Vfsmount) -> None:
    """The change announced with mnt_want_write() is made."""
    mnt._container.mnt_writers -= 1


# --- attaching and detaching ----------------------------------------------------------------------


def alloc_mount(root: Dentry, devname: bytes, flags: int) -> Mount:
    """Return a mount of the tree below root, attached nowhere, with one reference."""
    kernel = cpu.kernel
    mount = kzalloc(Mount, mnt_devname=devname)
    mount.mnt_id = mount.mnt_id_unique = kernel.next_mount_id
    kernel.next_mount_id += 1
    mount.mnt_parent = mount
    mount.mnt_mountpoint = dget(root)
    mount.mnt.mnt_root = dget(root)
    mount.mnt.mnt_sb = root.d_sb
    mount.mnt.mnt_flags = flags
    root.d_sb.s_active += 1
    root.d_sb.s_mounts.append(mount)
    return mount


def get_mountpoint(dentry: Dentry) -> Mountpoint:
    """Return the mountpoint of dentry, marking it if it was none. One more mount is going to be on it."""
    table = cpu.kernel.mountpoint_hashtable
    mp = table.get(dentry)
    if mp is None:
        mp = table[dentry] = kzalloc(Mountpoint, m_dentry=dget(dentry))
        dentry.d_flags |= DCACHE_MOUNTED
    mp.m_count += 1
    return mp


def put_mountpoint(mp: Mountpoint) -> None:
    """One mount less is on this mountpoint; with the last one it is a plain dentry again."""
    mp.m_count -= 1
    if mp.m_count == 0:
        dentry = mp.m_dentry
        dentry.d_flags &= ~DCACHE_MOUNTED
        del cpu.kernel.mountpoint_hashtable[dentry]
        kfree(mp)
        dput(dentry)


def attach_mnt(mount: Mount, parent: Mount, dentry: Dentry) -> None:
    """Let mount cover dentry of parent: the mount table finds it there (M1)."""
    dput(mount.mnt_mountpoint)
    mount.mnt_mp = get_mountpoint(dentry)
    mount.mnt_mountpoint = dget(dentry)
    mount.mnt_parent = parent
    parent.mnt_count += 1
    parent.mnt_mounts.append(mount)
    cpu.kernel.mount_hashtable[parent.mnt, dentry] = mount


def detach_mnt(mount: Mount) -> None:
    """Uncover the place where mount is."""
    parent, dentry, mp = mount.mnt_parent, mount.mnt_mountpoint, mount.mnt_mp
    del cpu.kernel.mount_hashtable[parent.mnt, dentry]
    parent.mnt_mounts.remove(mount)
    mount.mnt_parent, mount.mnt_mp = mount, None
    mount.mnt_mountpoint = dget(mount.mnt.mnt_root)
    put_mountpoint(mp)
    dput(dentry)
    mntput(parent.mnt)


def subtree(mount: Mount) -> list[Mount]:
    """Return mount and all mounts below it, parents first."""
    found = [mount]
    for one in found:  # the list grows while we go
        found.extend(one.mnt_mounts)
    return found


def commit_tree(mount: Mount, ns: MntNamespace) -> None:
    """Make a subtree of mounts part of a namespace."""
    for one in subtree(mount):
        one.mnt_ns = ns
        ns.mounts[one.mnt_id_unique] = one
        ns.nr_mounts += 1
    ns.event += 1


def umount_tree(mount: Mount) -> None:
    """Take a subtree of mounts out of its namespace; each ends now, or when its last user goes."""
    for one in reversed(subtree(mount)):
        ns = one.mnt_ns
        if ns is not None:
            del ns.mounts[one.mnt_id_unique]
            ns.nr_mounts -= 1
            ns.event += 1
            one.mnt_ns = None
        if mnt_has_parent(one):
            detach_mnt(one)
        mntput(one.mnt)
