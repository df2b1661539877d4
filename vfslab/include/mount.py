"""Mounts: where a superblock's tree, or a part of it, hangs in a namespace.

Linux: include/linux/mount.h (vfsmount), fs/mount.h (mount, mountpoint, mnt_namespace).
Left out: propagation groups beyond a flag, expiry, idmapped mounts.
"""

from __future__ import annotations

from vfslab.lib.kstruct import Embedded, KObject, Ptr, Ref, embedded, fresh, kstruct

MNT_NOSUID, MNT_NODEV, MNT_NOEXEC, MNT_NOATIME, MNT_NODIRATIME, MNT_RELATIME, MNT_READONLY = 1, 2, 4, 8, 16, 32, 64
MNT_NOSYMFOLLOW = 0x80
MNT_SHARED, MNT_UNBINDABLE = 0x1000, 0x2000
MNT_INTERNAL, MNT_LOCKED, MNT_DETACHED, MNT_UMOUNT = 0x4000, 0x800000, 0x2000000, 0x8000000


@kstruct
class Vfsmount(KObject):
    """The part of a mount that the rest of the kernel may see; embedded in Mount."""

    mnt_root: Ref[Dentry] = None
    mnt_sb: Ref[SuperBlock] = None
    mnt_flags: int = 0


@kstruct(count="mnt_count")
class Mount(KObject):
    """One mount. Found in kernel.mount_hashtable by (parent vfsmount, mountpoint dentry).

    mnt_count   references to mnt; a mount in the tree holds one of its own
    mnt_parent  itself for the root of a namespace or a detached mount; that one is not counted
    mnt_writers files open for writing through this mount, and calls under way that change something
    """

    mnt: Embedded[Vfsmount] = embedded(Vfsmount, now=True)
    mnt_parent: Ref[Mount] = None
    mnt_mountpoint: Ref[Dentry] = None
    mnt_mounts: list[Ptr[Mount]] = fresh(list)
    mnt_count: int = 1
    mnt_writers: int = 0
    mnt_devname: bytes = b"none"
    mnt_ns: Ptr[MntNamespace] = None
    mnt_mp: Ptr[Mountpoint] = None
    mnt_id: int = 0
    mnt_id_unique: int = 0


@kstruct
class Mountpoint(KObject):
    """A dentry that something is mounted on, and how many mounts are; found by dentry."""

    m_dentry: Ref[Dentry] = None
    m_count: int = 0


@kstruct
class MntNamespace(KObject):
    """The mounts that a group of tasks sees; mounts are kept by their unique id."""

    root: Ptr[Mount] = None
    mounts: dict[int, Ptr[Mount]] = fresh(dict)
    seq: int = 0
    event: int = 0
    nr_mounts: int = 0
