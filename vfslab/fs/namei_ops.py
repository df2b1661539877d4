"""The calls that change a directory: mkdir, mknod, symlink, link, unlink, rmdir, rename.

    sys_mkdirat ──▶ filename_create: walk to the parent, lock it, look the name up (it must be absent)
                        ──▶ vfs_mkdir: may_create ──▶ dir.i_op.mkdir
    sys_unlinkat ─▶ filename_remove: the same, but the name must be there
                        ──▶ vfs_unlink: may_delete ──▶ dir.i_op.unlink ──▶ d_delete

The sys_ function finds places, the vfs_ function asks whether it is allowed and keeps the dentry
cache true, and the filesystem's method changes the directory.

Linux: fs/namei.c, second half.   Chapter 7.
Left out: RENAME_WHITEOUT, sysctl protected_hardlinks, delegations, fsnotify, s_max_links (a filesystem's own business).

Always true
  E1  a name comes, goes or moves only while i_rwsem of its directory is held for writing
  E2  a directory that was removed takes no new names: S_DEAD
  E3  no rename makes a directory its own ancestor
  E4  in a sticky directory only the owner of a file, or of the directory, removes or renames it

Locks
  i_rwsem    of the parent, then of the object that loses or gains a name
  rename     s_vfs_rename_mutex of the filesystem if two directories take part, then i_rwsem of the
             ancestor before the descendant, then the objects
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import MappingProxyType

from vfslab.fs.dcache import (
    d_ancestor,
    d_delete,
    d_exchange,
    d_is_dir,
    d_is_negative,
    d_move,
    dput,
    shrink_dcache_parent,
)
from vfslab.fs.inode import ihold, inode_lock, inode_unlock, iput
from vfslab.fs.mount import mnt_drop_write, mnt_want_write, path_put
from vfslab.fs.namei import __lookup_slow, filename_lookup, filename_parentat, getname
from vfslab.fs.namespace import detach_mounts, is_local_mountpoint
from vfslab.fs.permission import capable, inode_permission
from vfslab.include.dcache import DCACHE_CANT_MOUNT, DCACHE_MOUNTED, Dentry
from vfslab.include.fs import (
    FS_RENAME_DOES_D_MOVE,
    I_LINKABLE,
    MAY_EXEC,
    MAY_WRITE,
    S_APPEND,
    S_DEAD,
    S_IMMUTABLE,
    Inode,
)
from vfslab.include.namei import (
    LAST_DOT,
    LAST_DOTDOT,
    LAST_NORM,
    LOOKUP_CREATE,
    LOOKUP_DIRECTORY,
    LOOKUP_EMPTY,
    LOOKUP_EXCL,
    LOOKUP_FOLLOW,
    LOOKUP_RENAME_TARGET,
    Nameidata,
)
from vfslab.include.sched import CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_MKNOD
from vfslab.include.uapi.fcntl import (
    AT_EMPTY_PATH,
    AT_REMOVEDIR,
    AT_SYMLINK_FOLLOW,
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    RENAME_WHITEOUT,
)
from vfslab.include.uapi.stat import (
    S_IALLUGO,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFMT,
    S_IFREG,
    S_IFSOCK,
    S_IRWXUGO,
    S_ISVTX,
)
from vfslab.kernel.errno import (
    EACCES,
    EBUSY,
    EEXIST,
    EINVAL,
    EISDIR,
    ENOENT,
    ENOTDIR,
    ENOTEMPTY,
    EPERM,
    EROFS,
    EXDEV,
)
from vfslab.kernel.locking import down_write, mutex_lock
from vfslab.kernel.sched import cpu

# --- may they? ------------------------------------------------------------------------------------


def may_create(dir: Inode, child: Dentry) -> None:
    """Return if the task may put the absent name child into dir, else raise."""
    if child.d_inode is not None:
        raise EEXIST(child.d_name)
    if dir.i_flags & S_DEAD:
        raise ENOENT(child.d_name)
    inode_permission(dir, MAY_WRITE | MAY_EXEC)


def may_delete(dir: Inode, victim: Dentry, is_dir: bool) -> None:
    """Return if the task may take the name victim out of dir, else raise."""
    inode = victim.d_inode
    if inode is None:
        raise ENOENT(victim.d_name)
    inode_permission(dir, MAY_WRITE | MAY_EXEC)
    if dir.i_flags & S_APPEND or inode.i_flags & (S_APPEND | S_IMMUTABLE):
        raise EPERM(victim.d_name)
    if dir.i_mode & S_ISVTX and check_sticky(dir, inode):
        raise EPERM(victim.d_name)
    if is_dir:
        if not d_is_dir(victim):
            raise ENOTDIR(victim.d_name)
        if victim.d_parent is victim:
            raise EBUSY(victim.d_name)
    elif d_is_dir(victim):
        raise EISDIR(victim.d_name)
    if dir.i_flags & S_DEAD:
        raise ENOENT(victim.d_name)


def check_sticky(dir: Inode, inode: Inode) -> bool:
    """True if the task owns neither inode nor the sticky dir, so may not take it out (E4)."""
    fsuid = cpu.current.cred.fsuid
    return fsuid not in (inode.i_uid, dir.i_uid) and not capable(CAP_FOWNER)


# --- the parent, locked, and the name in it -------------------------------------------------------


@contextmanager
def filename_create(dfd: int, name: bytes, lookup_flags: int = 0) -> Iterator[tuple[Nameidata, Dentry]]:
    """Give the body a negative dentry for name, its directory locked; EEXIST if the name is there.

    LOOKUP_DIRECTORY says that a directory is wanted: only then may the name end in a slash.
    """
    nd = filename_parentat(dfd, getname(name), 0)
    with ExitStack() as cleanup:
        cleanup.callback(path_put, nd.path)
        if nd.last_type != LAST_NORM:
            raise EEXIST(nd.last)
        refused = None
        try:
            mnt_want_write(nd.path.mnt)
            cleanup.callback(mnt_drop_write, nd.path.mnt)
        except EROFS as error:
            refused = error  # a name that is there is EEXIST on a read-only filesystem too
        cleanup.enter_context(down_write(nd.path.dentry.d_inode.i_rwsem))
        dentry = __lookup_slow(nd.path.dentry, nd.last, LOOKUP_CREATE | LOOKUP_EXCL)
        cleanup.callback(dput, dentry)
        if dentry.d_inode is not None:
            raise EEXIST(nd.last)
        if nd.trailing_slash and not lookup_flags & LOOKUP_DIRECTORY:
            raise ENOENT(nd.last)
        if refused is not None:
            raise refused
        yield nd, dentry


def filename_remove(nd: Nameidata, remove: Callable[[Nameidata, Inode, Dentry], None]) -> None:
    """Call remove with the dentry of a walk's last component, its directory locked. What it led to goes after that."""
    mnt, dir, inode = nd.path.mnt, nd.path.dentry.d_inode, None
    mnt_want_write(mnt)
    elsewhere = None
    try:
        inode_lock(dir)
        try:
            dentry = __lookup_slow(nd.path.dentry, nd.last, 0)
            try:
                if dentry.d_inode is not None:
                    inode = ihold(dentry.d_inode)
                remove(nd, dir, dentry)
                if dentry.d_flags & DCACHE_MOUNTED:  # in other namespaces: those mounts go when no lock is held
                    elsewhere = dentry
            finally:
                dput(dentry)
        finally:
            inode_unlock(dir)
    finally:
        if elsewhere is not None:
            detach_mounts(elsewhere)
        iput(inode)
        mnt_drop_write(mnt)


# --- making ---------------------------------------------------------------------------------------


def vfs_create(dir: Inode, dentry: Dentry, mode: int, excl: bool) -> None:
    """Make a regular file. dir's i_rwsem is held, here and below."""
    may_create(dir, dentry)
    if dir.i_op.create is None:
        raise EACCES(dentry.d_name)
    dir.i_op.create(dir, dentry, mode & S_IALLUGO | S_IFREG, excl)


def vfs_mkdir(dir: Inode, dentry: Dentry, mode: int) -> None:
    """Make a directory."""
    may_create(dir, dentry)
    if dir.i_op.mkdir is None:
        raise EPERM(dentry.d_name)
    dir.i_op.mkdir(dir, dentry, mode & (S_IRWXUGO | S_ISVTX))


def vfs_mknod(dir: Inode, dentry: Dentry, mode: int, dev: int) -> None:
    """Make a device node, FIFO or socket."""
    may_create(dir, dentry)
    if mode & S_IFMT in (S_IFCHR, S_IFBLK) and not capable(CAP_MKNOD):
        raise EPERM(dentry.d_name)
    if dir.i_op.mknod is None:
        raise EPERM(dentry.d_name)
    dir.i_op.mknod(dir, dentry, mode, dev)


def vfs_symlink(dir: Inode, dentry: Dentry, target: bytes) -> None:
    """Make a symbolic link."""
    may_create(dir, dentry)
    if dir.i_op.symlink is None:
        raise EPERM(dentry.d_name)
    dir.i_op.symlink(dir, dentry, target)


def vfs_link(old_dentry: Dentry, dir: Inode, dentry: Dentry) -> None:
    """Give a file another name, on the same filesystem. Directories have one name only."""
    inode = old_dentry.d_inode
    may_create(dir, dentry)
    if dir.i_sb is not inode.i_sb:
        raise EXDEV(dentry.d_name)
    if inode.i_flags & (S_APPEND | S_IMMUTABLE) or dir.i_op.link is None or d_is_dir(old_dentry):
        raise EPERM(dentry.d_name)
    with down_write(inode.i_rwsem, nested=True):
        if inode.i_nlink == 0 and not inode.i_state & I_LINKABLE:
            raise ENOENT(old_dentry.d_name)
        dir.i_op.link(old_dentry, dir, dentry)
        inode.i_state &= ~I_LINKABLE


def sys_mkdirat(dfd: int, name: bytes, mode: int) -> int:
    """Make a directory."""
    with filename_create(dfd, name, LOOKUP_DIRECTORY) as (nd, dentry):
        vfs_mkdir(nd.path.dentry.d_inode, dentry, mode & ~cpu.current.fs.umask)
    return 0


def sys_mknodat(dfd: int, name: bytes, mode: int, dev: int) -> int:
    """Make a node of the kind that mode says; no kind means a regular file."""
    kind = mode & S_IFMT
    if kind == S_IFDIR:
        raise EPERM(name)
    if kind not in (0, S_IFREG, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK):
        raise EINVAL(mode)
    with filename_create(dfd, name) as (nd, dentry):
        dir, mode = nd.path.dentry.d_inode, mode & ~cpu.current.fs.umask
        if kind in (0, S_IFREG):
            vfs_create(dir, dentry, mode, True)
        else:
            vfs_mknod(dir, dentry, mode, dev)
    return 0


def sys_symlinkat(target: bytes, dfd: int, name: bytes) -> int:
    """Make a symbolic link with this text, which need not lead anywhere."""
    text = getname(target).name
    with filename_create(dfd, name) as (nd, dentry):
        vfs_symlink(nd.path.dentry.d_inode, dentry, text)
    return 0


def sys_linkat(old_dfd: int, old_name: bytes, dfd: int, name: bytes, flags: int) -> int:
    """Give the file at old_name the further name `name`; a symlink itself, unless AT_SYMLINK_FOLLOW."""
    if flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH):
        raise EINVAL(flags)
    how = LOOKUP_FOLLOW if flags & AT_SYMLINK_FOLLOW else 0
    if flags & AT_EMPTY_PATH:
        how |= LOOKUP_EMPTY
        if not old_name and not capable(CAP_DAC_READ_SEARCH):
            raise ENOENT(old_name)
    old_path = filename_lookup(old_dfd, getname(old_name, how), how)
    try:
        with filename_create(dfd, name) as (nd, dentry):
            if old_path.mnt is not nd.path.mnt:
                raise EXDEV(name)
            vfs_link(old_path.dentry, nd.path.dentry.d_inode, dentry)
    finally:
        path_put(old_path)
    return 0


# --- removing -------------------------------------------------------------------------------------


def vfs_unlink(dir: Inode, dentry: Dentry) -> None:
    """Take away a name that is not a directory's; the file goes with the last name and the last user."""
    may_delete(dir, dentry, False)
    if dir.i_op.unlink is None:
        raise EPERM(dentry.d_name)
    inode = dentry.d_inode
    inode_lock(inode, True)
    try:
        if dentry.d_flags & DCACHE_MOUNTED and is_local_mountpoint(dentry):
            raise EBUSY(dentry.d_name)
        dir.i_op.unlink(dir, dentry)
        dentry.d_flags |= DCACHE_CANT_MOUNT  # dont_mount()
    finally:
        inode_unlock(inode)
    d_delete(dentry)


def vfs_rmdir(dir: Inode, dentry: Dentry) -> None:
    """Take away an empty directory; who stands in it can still leave it, but make nothing in it (E2)."""
    may_delete(dir, dentry, True)
    if dir.i_op.rmdir is None:
        raise EPERM(dentry.d_name)
    inode = dentry.d_inode
    with down_write(inode.i_rwsem, nested=True):
        if is_local_mountpoint(dentry):
            raise EBUSY(dentry.d_name)
        dir.i_op.rmdir(dir, dentry)
        shrink_dcache_parent(dentry)
        inode.i_flags |= S_DEAD
        dont_mount(dentry)
    d_delete(dentry)


def dont_mount(dentry: Dentry) -> None:
    """Nothing can be mounted any more on a dentry that loses its name."""
    dentry.d_flags |= DCACHE_CANT_MOUNT


def sys_unlinkat(dfd: int, name: bytes, flags: int) -> int:
    """Take a name away; with AT_REMOVEDIR that of an empty directory."""
    if flags & ~AT_REMOVEDIR:
        raise EINVAL(flags)
    nd = filename_parentat(dfd, getname(name), 0)
    try:
        if flags:
            do_rmdir(nd)
        else:
            do_unlink(nd)
    finally:
        path_put(nd.path)
    return 0


def do_rmdir(nd: Nameidata) -> None:
    """Remove the directory that a walk's last component names."""
    if nd.last_type == LAST_DOTDOT:
        raise ENOTEMPTY(nd.last)
    if nd.last_type == LAST_DOT:
        raise EINVAL(nd.last)
    if nd.last_type != LAST_NORM:
        raise EBUSY(nd.last)
    filename_remove(nd, rmdir_last)


def rmdir_last(nd: Nameidata, dir: Inode, dentry: Dentry) -> None:
    """Remove a directory; ENOENT comes from may_delete."""
    vfs_rmdir(dir, dentry)


def do_unlink(nd: Nameidata) -> None:
    """Remove the name that is a walk's last component."""
    if nd.last_type != LAST_NORM:
        raise EISDIR(nd.last)
    filename_remove(nd, unlink_last)


def unlink_last(nd: Nameidata, dir: Inode, dentry: Dentry) -> None:
    """Remove a name, unless a slash after it says that a directory was meant."""
    if nd.trailing_slash:
        if d_is_negative(dentry):
            raise ENOENT(nd.last)
        raise EISDIR(nd.last) if d_is_dir(dentry) else ENOTDIR(nd.last)
    vfs_unlink(dir, dentry)


# --- renaming -------------------------------------------------------------------------------------


@contextmanager
def lock_rename(one: Dentry, other: Dentry) -> Iterator[Dentry | None]:
    """Hold two directories for the body, the ancestor first.

    Give the body the child of the one on the way down to the other, if one lies below the other:
    moving that child to the other place would make a loop, or throw away what is in use.
    """
    with ExitStack() as locks:
        if one is other:
            locks.enter_context(down_write(one.d_inode.i_rwsem))
            yield None
            return
        locks.enter_context(mutex_lock(one.d_sb.s_vfs_rename_mutex))
        trap = d_ancestor(other, one)
        first, second = (other, one) if trap is not None else (one, other)
        if trap is None:
            trap = d_ancestor(one, other)
        locks.enter_context(down_write(first.d_inode.i_rwsem))
        locks.enter_context(down_write(second.d_inode.i_rwsem, nested=True))
        yield trap


def sys_renameat2(old_dfd: int, old_name: bytes, new_dfd: int, new_name: bytes, flags: int = 0) -> int:
    """Move a name: over another one, not over another one (NOREPLACE), or exchange the two."""
    if flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT) or flags & RENAME_WHITEOUT:
        raise EINVAL(flags)
    if flags & RENAME_NOREPLACE and flags & RENAME_EXCHANGE:
        raise EINVAL(flags)
    old = filename_parentat(old_dfd, getname(old_name), 0)
    try:
        new = filename_parentat(new_dfd, getname(new_name), 0)
        try:
            do_renameat2(old, new, flags)
        finally:
            path_put(new.path)
    finally:
        path_put(old.path)
    return 0


def do_renameat2(old: Nameidata, new: Nameidata, flags: int) -> None:
    """Rename the last component of one walk to that of another."""
    if old.path.mnt is not new.path.mnt:
        raise EXDEV(new.last)
    if old.last_type != LAST_NORM:
        raise EBUSY(old.last)
    if new.last_type != LAST_NORM:
        raise EEXIST(new.last) if flags & RENAME_NOREPLACE else EBUSY(new.last)
    with ExitStack() as cleanup:
        mnt_want_write(old.path.mnt)
        cleanup.callback(mnt_drop_write, old.path.mnt)
        goes = cleanup.enter_context(ExitStack())  # what is replaced is evicted after the locks are gone
        trap = cleanup.enter_context(lock_rename(new.path.dentry, old.path.dentry))
        old_dentry = __lookup_slow(old.path.dentry, old.last, 0)
        cleanup.callback(dput, old_dentry)
        if d_is_negative(old_dentry):
            raise ENOENT(old.last)
        new_dentry = __lookup_slow(new.path.dentry, new.last, LOOKUP_CREATE | LOOKUP_RENAME_TARGET)
        cleanup.callback(dput, new_dentry)
        check_rename(old, new, old_dentry, new_dentry, trap, flags)
        if new_dentry.d_inode is not None:
            goes.callback(iput, ihold(new_dentry.d_inode))
        vfs_rename(old.path.dentry.d_inode, old_dentry, new.path.dentry.d_inode, new_dentry, flags)
        if new_dentry.d_flags & DCACHE_CANT_MOUNT and new_dentry.d_flags & DCACHE_MOUNTED:
            goes.callback(detach_mounts, new_dentry)


def check_rename(
    old: Nameidata, new: Nameidata, old_dentry: Dentry, new_dentry: Dentry, trap: Dentry | None, flags: int
) -> None:
    """Raise what a rename gives for names that are absent, present, no directories, or one above the other (E3)."""
    exchange = flags & RENAME_EXCHANGE
    if exchange and d_is_negative(new_dentry):
        raise ENOENT(new.last)
    if flags & RENAME_NOREPLACE and new_dentry.d_inode is not None:
        raise EEXIST(new.last)
    if exchange and new.trailing_slash and not d_is_dir(new_dentry):
        raise ENOTDIR(new.last)
    if not d_is_dir(old_dentry) and (old.trailing_slash or new.trailing_slash and not exchange):
        raise ENOTDIR(old.last)
    if old_dentry is trap:
        raise EINVAL(old.last)
    if new_dentry is trap:
        raise EINVAL(new.last) if exchange else ENOTEMPTY(new.last)


def vfs_rename(old_dir: Inode, old_dentry: Dentry, new_dir: Inode, new_dentry: Dentry, flags: int) -> None:
    """Move old_dentry to new_dentry's place, or exchange them. Both directories are locked."""
    source, target, exchange = old_dentry.d_inode, new_dentry.d_inode, flags & RENAME_EXCHANGE
    if source is target:
        return  # two names of one file: nothing to do, says POSIX
    is_dir = d_is_dir(old_dentry)
    may_delete(old_dir, old_dentry, is_dir)
    if target is None:
        may_create(new_dir, new_dentry)
    else:
        may_delete(new_dir, new_dentry, d_is_dir(new_dentry) if exchange else is_dir)
    if old_dir.i_op.rename is None:
        raise EPERM(old_dentry.d_name)
    if old_dir is not new_dir:  # a moved directory gets another `..`: that is a write to it
        if is_dir:
            inode_permission(source, MAY_WRITE)
        if exchange and d_is_dir(new_dentry):
            inode_permission(target, MAY_WRITE)
    with ExitStack() as locks:
        for inode in (source, target):
            if inode is not None:
                locks.enter_context(down_write(inode.i_rwsem, nested=True))
        if is_local_mountpoint(old_dentry) or is_local_mountpoint(new_dentry):
            raise EBUSY(old_dentry.d_name)
        old_dir.i_op.rename(old_dir, old_dentry, new_dir, new_dentry, flags)
        if target is not None and not exchange:
            if is_dir:
                shrink_dcache_parent(new_dentry)
                target.i_flags |= S_DEAD
            dont_mount(new_dentry)
        if not old_dir.i_sb.s_type.fs_flags & FS_RENAME_DOES_D_MOVE:
            (d_exchange if exchange else d_move)(old_dentry, new_dentry)


SYSCALLS = MappingProxyType(
    {
        "mkdirat": sys_mkdirat,
        "mknodat": sys_mknodat,
        "symlinkat": sys_symlinkat,
        "linkat": sys_linkat,
        "unlinkat": sys_unlinkat,
        "renameat2": sys_renameat2,
    }
)
