"""The tree of mounts, as a group of tasks sees it; mount(2) and umount(2) change it.

    mount("/dev/vda", "/mnt", "ext4") ──▶ path_mount ─┬▶ do_new_mount    a superblock and a mount of it
                                                      ├▶ do_loopback     MS_BIND: another mount of a part
                                                      ├▶ do_remount      MS_REMOUNT: other flags
                                                      └▶ do_move_mount   MS_MOVE: elsewhere
    all end in attach_mnt: the mount table now finds it under (parent mount, mountpoint)

A mount covers its mountpoint and replaces nothing: the dentry keeps its inode and is marked
DCACHE_MOUNTED, and what lies below shows again after umount. Mounting twice on one directory
stacks: the second mount's mountpoint is the root of the first.

Linux: fs/namespace.c (the rest of it is in fs/mount.py), fs/pnode.c not at all.   Chapter 6.
Left out: propagation (shared and slave are not passed on), pivot_root, expiry, the calls
fsopen to move_mount, listmount, mounts owned by user namespaces.

Always true
  T1  a mount is attached to one parent, or is the root of its namespace, or belongs to nobody's tree
  T2  a mount in a namespace has one reference for that; each child has one on its parent
  T3  umount refuses (EBUSY) while anything but the tree refers to the mount; MNT_DETACH takes it
      out of the tree at once, and it ends when the last user goes

Locks
  namespace_sem  the tree of mounts; held for writing while it changes
  order          namespace_sem, then i_rwsem of the mountpoint
"""

from __future__ import annotations

from types import MappingProxyType

from vfslab.fs.dcache import d_is_dir, d_is_symlink, d_unlinked, dget, dput, is_subdir
from vfslab.fs.filesystems import get_fs_type
from vfslab.fs.fs_context import (
    fs_context_for_mount,
    fs_context_for_reconfigure,
    generic_parse_monolithic,
    put_fs_context,
    vfs_parse_fs_param,
)
from vfslab.fs.mount import (
    alloc_mount,
    attach_mnt,
    commit_tree,
    detach_mnt,
    lookup_mnt,
    mnt_has_parent,
    mntget,
    mntput,
    path_get,
    path_put,
    real_mount,
    subtree,
    umount_tree,
)
from vfslab.fs.namei import user_path_at
from vfslab.fs.permission import capable
from vfslab.fs.super import reconfigure_super, vfs_get_tree
from vfslab.include.dcache import DCACHE_CANT_MOUNT, DCACHE_MOUNTED, Dentry
from vfslab.include.fs import SB_RDONLY, FileSystemType
from vfslab.include.fs_context import FsContext
from vfslab.include.kernel import Kernel
from vfslab.include.mount import (
    MNT_INTERNAL,
    MNT_NOATIME,
    MNT_NODEV,
    MNT_NODIRATIME,
    MNT_NOEXEC,
    MNT_NOSUID,
    MNT_NOSYMFOLLOW,
    MNT_READONLY,
    MNT_RELATIME,
    MNT_SHARED,
    MNT_UNBINDABLE,
    MntNamespace,
    Mount,
)
from vfslab.include.namei import LOOKUP_FOLLOW, LOOKUP_MOUNTPOINT
from vfslab.include.sched import CAP_SYS_ADMIN, Nsproxy, Path, TaskStruct
from vfslab.include.uapi.fcntl import AT_FDCWD
from vfslab.include.uapi.mount import (
    MNT_DETACH,
    MNT_EXPIRE,
    MNT_FORCE,
    MS_BIND,
    MS_DIRSYNC,
    MS_LAZYTIME,
    MS_MOVE,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_NOSYMFOLLOW,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_RELATIME,
    MS_REMOUNT,
    MS_SHARED,
    MS_SLAVE,
    MS_STRICTATIME,
    MS_SYNCHRONOUS,
    MS_UNBINDABLE,
    UMOUNT_NOFOLLOW,
)
from vfslab.kernel.errno import EBUSY, EINVAL, ELOOP, ENOENT, ENOTDIR, EPERM
from vfslab.kernel.locking import down_write
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kfree, kzalloc

CLONE_FS, CLONE_FILES, CLONE_NEWNS = 0x200, 0x400, 0x20000

MS_SB_FLAGS = MS_RDONLY | MS_SYNCHRONOUS | MS_DIRSYNC | MS_LAZYTIME
MS_RMT_MASK = MS_RDONLY | MS_SYNCHRONOUS | MS_LAZYTIME
MS_PROPAGATION = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE
MNT_FLAGS = (
    (MS_RDONLY, MNT_READONLY),
    (MS_NOSUID, MNT_NOSUID),
    (MS_NODEV, MNT_NODEV),
    (MS_NOEXEC, MNT_NOEXEC),
    (MS_NOATIME, MNT_NOATIME),
    (MS_NODIRATIME, MNT_NODIRATIME),
    (MS_NOSYMFOLLOW, MNT_NOSYMFOLLOW),
    (MS_RELATIME, MNT_RELATIME),
)


# --- from a superblock to a mount -----------------------------------------------------------------


def vfs_create_mount(fc: FsContext, flags: int = 0) -> Mount:
    """Return a new mount of the tree that the bag holds."""
    return alloc_mount(fc.root, fc.source or b"none", flags)


def clone_mnt(old: Mount, root: Dentry) -> Mount:
    """Return another mount of old's superblock, of the part below root."""
    return alloc_mount(root, old.mnt_devname, old.mnt.mnt_flags)


def kern_mount(fs_type: FileSystemType) -> Mount:
    """Return a mount for the kernel's own use, seen in no namespace; mntput() its mnt to end it."""
    fc = fs_context_for_mount(fs_type, 0)
    try:
        vfs_get_tree(fc)
        return vfs_create_mount(fc, MNT_INTERNAL)
    finally:
        put_fs_context(fc)


# --- where to mount -------------------------------------------------------------------------------


def check_mnt(mount: Mount) -> bool:
    """True if the mount is in the running task's namespace."""
    return mount.mnt_ns is cpu.current.nsproxy.mnt_ns


def path_mounted(path: Path) -> bool:
    """True if path is the root of a mount."""
    return path.dentry is path.mnt.mnt_root


def lock_mount(path: Path) -> None:
    """Move path to the top of what is mounted there; ENOENT if the directory has lost its name.

    The new mount goes on top of all others. namespace_sem is held.
    """
    while True:
        if path.dentry.d_flags & DCACHE_CANT_MOUNT or d_unlinked(path.dentry):
            raise ENOENT(path.dentry.d_name)
        mnt = lookup_mnt(path)
        if mnt is None:
            return
        below = Path(path.mnt, path.dentry)
        path.mnt, path.dentry = mnt, dget(mnt.mnt_root)
        path_put(below)


def graft_tree(mount: Mount, path: Path) -> None:
    """Attach a subtree of mounts at path, in the caller's namespace; a directory can only cover a directory."""
    if d_is_dir(path.dentry) != d_is_dir(mount.mnt.mnt_root):
        raise ENOTDIR(path.dentry.d_name)
    parent = real_mount(path.mnt)
    attach_mnt(mount, parent, path.dentry)
    commit_tree(mount, parent.mnt_ns)


# --- the kinds of mount(2) ------------------------------------------------------------------------


def do_new_mount(path: Path, fstype: bytes, sb_flags: int, mnt_flags: int, name: bytes, data: bytes) -> None:
    """Mount a filesystem: get its superblock, make a mount of it, attach that at path."""
    if not fstype:
        raise EINVAL(b"no filesystem type")
    fc = fs_context_for_mount(get_fs_type(fstype), sb_flags)
    try:
        if name:
            vfs_parse_fs_param(fc, b"source", name)
        generic_parse_monolithic(fc, data)
        vfs_get_tree(fc)
        mount = vfs_create_mount(fc, mnt_flags)
    finally:
        put_fs_context(fc)
    try:
        do_add_mount(mount, path)
    except BaseException:
        mntput(mount.mnt)
        raise


def do_add_mount(mount: Mount, path: Path) -> None:
    """Attach a new mount at path; EBUSY if the same filesystem is on top there already."""
    with down_write(cpu.kernel.namespace_sem):
        lock_mount(path)
        if not check_mnt(real_mount(path.mnt)):
            raise EINVAL(b"not in this namespace")
        if path.mnt.mnt_sb is mount.mnt.mnt_sb and path_mounted(path):
            raise EBUSY(path.dentry.d_name)
        if d_is_symlink(mount.mnt.mnt_root):
            raise EINVAL(b"a symlink is no root")
        graft_tree(mount, path)


def do_loopback(path: Path, old_name: bytes, recurse: int) -> None:
    """Bind: make what is at old_name visible at path too; with recurse, what is mounted below it as well."""
    if not old_name:
        raise EINVAL(b"nothing to bind")
    old_path = user_path_at(AT_FDCWD, old_name, LOOKUP_FOLLOW)
    try:
        with down_write(cpu.kernel.namespace_sem):
            lock_mount(path)
            old, parent = real_mount(old_path.mnt), real_mount(path.mnt)
            if not check_mnt(old) or not check_mnt(parent) or old.mnt.mnt_flags & MNT_UNBINDABLE:
                raise EINVAL(old_name)
            mount = copy_tree(old, old_path.dentry) if recurse else clone_mnt(old, old_path.dentry)
            try:
                graft_tree(mount, path)
            except BaseException:
                umount_tree(mount)
                raise
    finally:
        path_put(old_path)


def copy_tree(old: Mount, root: Dentry, keep_unbindable: bool = False) -> Mount:
    """Return a copy of mount old from root on, and of all mounts below that."""
    mount = clone_mnt(old, root)
    copies = {old: mount}
    for one in subtree(old)[1:]:
        parent = copies.get(one.mnt_parent)
        if parent is None or one.mnt.mnt_flags & MNT_UNBINDABLE and not keep_unbindable:
            continue
        if one.mnt_parent is old and not is_subdir(one.mnt_mountpoint, root):
            continue
        copies[one] = clone_mnt(one, one.mnt.mnt_root)
        attach_mnt(copies[one], parent, one.mnt_mountpoint)
    return mount


def do_remount(path: Path, sb_flags: int, mnt_flags: int, data: bytes) -> None:
    """Change flags and options of the filesystem mounted at path, and flags of this mount of it."""
    if not path_mounted(path) or not check_mnt(real_mount(path.mnt)):
        raise EINVAL(path.dentry.d_name)
    fc = fs_context_for_reconfigure(path.dentry, sb_flags, MS_RMT_MASK)
    try:
        generic_parse_monolithic(fc, data)
        reconfigure_super(fc)
    finally:
        put_fs_context(fc)
    path.mnt.mnt_flags = mnt_flags


def do_reconfigure_mnt(path: Path, mnt_flags: int) -> None:
    """Change flags of this mount alone: a bind mount can be read-only where its filesystem is not."""
    mount = real_mount(path.mnt)
    if not path_mounted(path) or not check_mnt(mount):
        raise EINVAL(path.dentry.d_name)
    if mnt_flags & MNT_READONLY and mount.mnt_writers:
        raise EBUSY(path.dentry.d_name)
    path.mnt.mnt_flags = path.mnt.mnt_flags & (MNT_SHARED | MNT_UNBINDABLE) | mnt_flags


def do_change_type(path: Path, flags: int) -> None:
    """Mark a mount (with MS_REC, all below too) as shared, private or unbindable. It is a mark only."""
    if not path_mounted(path) or (flags & MS_PROPAGATION).bit_count() != 1:
        raise EINVAL(flags)
    mark = {MS_SHARED: MNT_SHARED, MS_UNBINDABLE: MNT_UNBINDABLE}.get(flags & MS_PROPAGATION, 0)
    mount = real_mount(path.mnt)
    for one in subtree(mount) if flags & MS_REC else [mount]:
        one.mnt.mnt_flags = one.mnt.mnt_flags & ~(MNT_SHARED | MNT_UNBINDABLE) | mark


def do_move_mount(path: Path, old_name: bytes) -> None:
    """Move the mount at old_name, with all below it, to path; ELOOP if path lies in it."""
    if not old_name:
        raise EINVAL(b"nothing to move")
    old_path = user_path_at(AT_FDCWD, old_name, LOOKUP_FOLLOW)
    try:
        with down_write(cpu.kernel.namespace_sem):
            lock_mount(path)
            mount, parent = real_mount(old_path.mnt), real_mount(path.mnt)
            if not check_mnt(mount) or not check_mnt(parent):
                raise EINVAL(old_name)
            if not path_mounted(old_path) or not mnt_has_parent(mount):
                raise EINVAL(old_name)
            if d_is_dir(path.dentry) != d_is_dir(old_path.dentry):
                raise EINVAL(old_name)
            if parent in subtree(mount):
                raise ELOOP(old_name)
            detach_mnt(mount)
            attach_mnt(mount, parent, path.dentry)
    finally:
        path_put(old_path)


def path_mount(dev_name: bytes, path: Path, fstype: bytes, flags: int, data: bytes) -> None:
    """Do at path what the flags of mount(2) say."""
    if not capable(CAP_SYS_ADMIN):
        raise EPERM(path.dentry.d_name)
    if not flags & (MS_NOATIME | MS_STRICTATIME):
        flags |= MS_RELATIME
    mnt_flags = sum(mnt for ms, mnt in MNT_FLAGS if flags & ms)
    sb_flags = flags & MS_SB_FLAGS
    if flags & (MS_REMOUNT | MS_BIND) == MS_REMOUNT | MS_BIND:
        do_reconfigure_mnt(path, mnt_flags)
    elif flags & MS_REMOUNT:
        do_remount(path, sb_flags, mnt_flags, data)
    elif flags & MS_BIND:
        do_loopback(path, dev_name, flags & MS_REC)
    elif flags & MS_PROPAGATION:
        do_change_type(path, flags)
    elif flags & MS_MOVE:
        do_move_mount(path, dev_name)
    else:
        do_new_mount(path, fstype, sb_flags, mnt_flags, dev_name, data)


def sys_mount(source: bytes, target: bytes, fstype: bytes, flags: int, data: bytes | None) -> int:
    """Mount, bind, move or remount at target, as the flags say."""
    path = user_path_at(AT_FDCWD, target, LOOKUP_FOLLOW)
    try:
        path_mount(source, path, fstype, flags, data or b"")
    finally:
        path_put(path)
    return 0


# --- umount ---------------------------------------------------------------------------------------


def sys_umount2(target: bytes, flags: int) -> int:
    """Take the topmost mount at target out of the tree."""
    if flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW):
        raise EINVAL(flags)
    path = user_path_at(AT_FDCWD, target, LOOKUP_MOUNTPOINT | (0 if flags & UMOUNT_NOFOLLOW else LOOKUP_FOLLOW))
    try:
        mount = real_mount(path.mnt)
        if not capable(CAP_SYS_ADMIN):
            raise EPERM(target)
        if not path_mounted(path) or not check_mnt(mount) or flags & MNT_EXPIRE:
            raise EINVAL(target)
        dput(path.dentry)
        path.dentry = None  # so that this walk's own use does not count
        do_umount(mount, flags)
    finally:
        dput(path.dentry)
        mntput(path.mnt)
    return 0


def do_umount(mount: Mount, flags: int) -> None:
    """Take mount and, with MNT_DETACH, all below it out of the tree; the caller holds one reference on it."""
    if mount.mnt is cpu.current.fs.root.mnt and not flags & MNT_DETACH:
        do_umount_root(mount)
        return
    with down_write(cpu.kernel.namespace_sem):
        if not mnt_has_parent(mount):
            raise EINVAL(b"the root of the namespace stays")
        if not flags & MNT_DETACH and may_umount_busy(mount):
            raise EBUSY(mount.mnt_mountpoint.d_name)
        umount_tree(mount)


def do_umount_root(mount: Mount) -> None:
    """Umount of the task's own root makes it read-only instead, as a last step before power-off wants it."""
    root = mount.mnt.mnt_sb.s_root
    fc = fs_context_for_reconfigure(root, SB_RDONLY, SB_RDONLY)
    try:
        reconfigure_super(fc)
    finally:
        put_fs_context(fc)


def may_umount_busy(mount: Mount) -> bool:
    """True if something other than the tree and the caller uses the mount: a file, a task, a mount below."""
    return mount.mnt_count > 2


def is_local_mountpoint(dentry: Dentry) -> bool:
    """True if something is mounted on dentry in the running task's namespace: its name cannot go."""
    if not dentry.d_flags & DCACHE_MOUNTED:
        return False
    return any(mount.mnt_mountpoint is dentry for mount in cpu.current.nsproxy.mnt_ns.mounts.values())


def detach_mounts(dentry: Dentry | None) -> None:
    """Take away what other namespaces have mounted on a dentry that has lost its name here. No lock is held."""
    if dentry is None:
        return
    with down_write(cpu.kernel.namespace_sem):
        for mount in [m for m in cpu.kernel.mount_hashtable.values() if m.mnt_mountpoint is dentry]:
            umount_tree(mount)


# --- namespaces -----------------------------------------------------------------------------------


def init_mount_tree(kernel: Kernel, fs_type: FileSystemType) -> None:
    """Mount the root filesystem and make it the root and working directory of the running task."""
    fc = fs_context_for_mount(fs_type, 0)
    try:
        vfs_get_tree(fc)
        mount = vfs_create_mount(fc)
    finally:
        put_fs_context(fc)
    mount.mnt_devname = b"rootfs"
    ns = kzalloc(MntNamespace, root=mount)
    commit_tree(mount, ns)
    task = cpu.current
    task.nsproxy = kzalloc(Nsproxy, mnt_ns=ns)
    root = Path(mount.mnt, mount.mnt.mnt_root)
    task.fs.root = path_get(Path(root.mnt, root.dentry))
    task.fs.pwd = path_get(Path(root.mnt, root.dentry))


def copy_namespaces(task: TaskStruct, parent: TaskStruct | None) -> None:
    """Let a new task live in its parent's namespace."""
    if parent is not None:
        task.nsproxy = kzalloc(Nsproxy, mnt_ns=parent.nsproxy.mnt_ns)


def exit_task_namespaces(task: TaskStruct) -> None:
    """A task leaves its namespace; with the last task all its mounts go."""
    if task.nsproxy is None:
        return
    ns = task.nsproxy.mnt_ns
    kfree(task.nsproxy)
    task.nsproxy = None
    leave_mnt_ns(ns)


def leave_mnt_ns(ns: MntNamespace) -> None:
    """A task is no longer in namespace ns; if it was the last one there, all its mounts go."""
    tasks = cpu.kernel.tasks.values()
    if any(task.nsproxy is not None and task.nsproxy.mnt_ns is ns for task in tasks):
        return
    with down_write(cpu.kernel.namespace_sem):
        umount_tree(ns.root)
    kfree(ns)


def copy_mnt_ns(old: MntNamespace, task: TaskStruct) -> MntNamespace:
    """Return a copy of a namespace; the task's root and working directory move to the same places in it."""
    with down_write(cpu.kernel.namespace_sem):
        root = copy_tree(old.root, old.root.mnt.mnt_root, keep_unbindable=True)
        ns = kzalloc(MntNamespace, root=root)
        commit_tree(root, ns)
    twins = dict(zip(subtree(old.root), subtree(root), strict=True))
    for path in (task.fs.root, task.fs.pwd):
        twin = twins.get(real_mount(path.mnt))
        if twin is not None:
            mntput(path.mnt)
            path.mnt = mntget(twin.mnt)
    return ns


def sys_unshare(flags: int) -> int:
    """Leave what is shared with other tasks: with CLONE_NEWNS, go on in a copy of the tree of mounts."""
    if flags & ~(CLONE_NEWNS | CLONE_FS | CLONE_FILES):
        raise EINVAL(flags)
    if flags & CLONE_NEWNS:
        if not capable(CAP_SYS_ADMIN):
            raise EPERM
        task, old = cpu.current, cpu.current.nsproxy.mnt_ns
        task.nsproxy.mnt_ns = copy_mnt_ns(old, task)
        leave_mnt_ns(old)
    return 0


SYSCALLS = MappingProxyType({"mount": sys_mount, "umount2": sys_umount2, "unshare": sys_unshare})
