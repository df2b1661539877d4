"""open(2): the walk whose last component may have to be made.

    do_filp_open ──▶ path_openat ──┬▶ link_path_walk ──▶ open_last_lookups ──▶ do_open ──▶ vfs_open
                                   ├▶ do_o_path     O_PATH: a place, not an open file
                                   └▶ do_tmpfile    O_TMPFILE: a file without a name

With O_CREAT the last lookup and the making of the file happen under one hold of the directory's
i_rwsem: between "it is not there" and "here it is" nobody else can put anything there.

Linux: fs/namei.c, second half.   Chapter 7.
Left out: atomic_open, leases, sysctl protected_regular and protected_fifos, O_TRUNC of swap files.

Always true
  O1  O_CREAT | O_EXCL makes a new file or fails with EEXIST; it follows no symlink, not even a dangling one
  O2  a file is made only if the directory may be written; an existing one is opened all the same
  O3  permissions are asked of the file that existed, never of the one just made

Locks
  i_rwsem of the directory, for writing if a file may be made, while the last component is looked up
"""

from __future__ import annotations

from vfslab.fs.attr import do_truncate, inode_owner_or_capable
from vfslab.fs.dcache import d_alloc, d_is_dir, dput
from vfslab.fs.file_table import alloc_empty_file, fput, vfs_open
from vfslab.fs.inode import inode_lock, inode_lock_shared, inode_unlock, inode_unlock_shared
from vfslab.fs.mount import mnt_drop_write, mnt_want_write, path_get
from vfslab.fs.namei import (
    WALK_TRAILING,
    __lookup_slow,
    complete_walk,
    handle_dots,
    link_path_walk,
    lookup_fast,
    path_init,
    path_lookupat,
    restore_nameidata,
    set_nameidata,
    step_into,
    terminate_walk,
)
from vfslab.fs.permission import inode_permission
from vfslab.include.dcache import Dentry
from vfslab.include.fs import (
    FMODE_CREATED,
    I_LINKABLE,
    MAY_EXEC,
    MAY_OPEN,
    MAY_WRITE,
    S_APPEND,
    S_DEAD,
    File,
)
from vfslab.include.mount import MNT_NODEV, MNT_NOEXEC
from vfslab.include.namei import (
    LAST_NORM,
    LOOKUP_CACHED,
    LOOKUP_CREATE,
    LOOKUP_DIRECTORY,
    LOOKUP_EXCL,
    LOOKUP_FOLLOW,
    LOOKUP_IS_SCOPED,
    LOOKUP_OPEN,
    Filename,
    Nameidata,
    OpenFlags,
)
from vfslab.include.sched import Path
from vfslab.include.uapi.fcntl import (
    O_ACCMODE,
    O_APPEND,
    O_CREAT,
    O_DIRECTORY,
    O_EXCL,
    O_NOATIME,
    O_PATH,
    O_RDWR,
    O_TMPFILE,
    O_TRUNC,
    O_WRONLY,
)
from vfslab.include.uapi.stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG
from vfslab.kernel.errno import (
    EACCES,
    EAGAIN,
    EEXIST,
    EISDIR,
    ELOOP,
    ENOENT,
    ENOTDIR,
    EOPNOTSUPP,
    EPERM,
    EROFS,
)

O_TMPFILE_BIT = O_TMPFILE & ~O_DIRECTORY


def do_filp_open(dfd: int, name: Filename, op: OpenFlags) -> File:
    """Return an open file for name, as op asks for it."""
    nd = set_nameidata(dfd, name)
    try:
        return path_openat(nd, op)
    finally:
        terminate_walk(nd)
        restore_nameidata(nd)


def path_openat(nd: Nameidata, op: OpenFlags) -> File:
    """Walk to the name's end and open what is there, or make it."""
    file = alloc_empty_file(op.open_flag, nd.task.cred)
    try:
        if op.open_flag & O_TMPFILE_BIT:
            do_tmpfile(nd, file, op)
        elif op.open_flag & O_PATH:
            path_lookupat(nd, op.lookup_flags)
            path, nd.path = nd.path, None
            vfs_open(path, file)
        else:
            path_init(nd, op.lookup_flags)
            text = nd.name.name
            while text is not None:
                link_path_walk(text, nd)
                text = open_last_lookups(nd, file, op)
            do_open(nd, file, op)
    except BaseException:
        fput(file)
        raise
    return file


# --- the last component ---------------------------------------------------------------------------


def open_last_lookups(nd: Nameidata, file: File, op: OpenFlags) -> bytes | None:
    """Step into the last component, making it with O_CREAT; return a symlink's text if that is to be walked instead."""
    flags = op.open_flag
    nd.flags |= op.intent
    if nd.last_type != LAST_NORM:
        return handle_dots(nd)
    dentry = None
    if flags & O_CREAT:
        if nd.trailing_slash:
            raise EISDIR(nd.last)
        if not flags & O_EXCL:
            dentry = lookup_fast(nd)
            if dentry is not None and dentry.d_inode is None:
                dput(dentry)  # what is there need not be made; this is not
                dentry = None
    else:
        if nd.trailing_slash:
            nd.flags |= LOOKUP_FOLLOW | LOOKUP_DIRECTORY
        dentry = lookup_fast(nd)
    if dentry is None:
        dentry = lookup_open_locked(nd, file, op)
    link = step_into(nd, dentry, WALK_TRAILING)
    if link is not None:
        nd.flags &= ~(LOOKUP_OPEN | LOOKUP_CREATE | LOOKUP_EXCL)
    return link


def lookup_open_locked(nd: Nameidata, file: File, op: OpenFlags) -> Dentry:
    """Return the dentry for nd.last from under the directory's lock; with O_CREAT a file is made if there is none."""
    if nd.flags & LOOKUP_CACHED:
        raise EAGAIN(nd.last)
    dir, mnt = nd.path.dentry.d_inode, nd.path.mnt
    if not op.open_flag & O_CREAT:
        inode_lock_shared(dir)
        try:
            return __lookup_slow(nd.path.dentry, nd.last, nd.flags)
        finally:
            inode_unlock_shared(dir)
    try:
        mnt_want_write(mnt)
        got_write = True
    except EROFS:
        got_write = False  # what is there can still be opened
    inode_lock(dir)
    try:
        return lookup_open(nd, file, op, got_write)
    finally:
        inode_unlock(dir)
        if got_write:
            mnt_drop_write(mnt)


def lookup_open(nd: Nameidata, file: File, op: OpenFlags, got_write: bool) -> Dentry:
    """Look nd.last up, and make a regular file of that name if there is nothing (O2)."""
    parent = nd.path.dentry
    dir = parent.d_inode
    if dir.i_flags & S_DEAD:
        raise ENOENT(nd.last)
    dentry = __lookup_slow(parent, nd.last, nd.flags)
    if dentry.d_inode is not None:
        return dentry
    try:
        if not got_write:
            raise EROFS(nd.last)
        inode_permission(dir, MAY_WRITE | MAY_EXEC)
        if dir.i_op.create is None:
            raise EACCES(nd.last)
        dir.i_op.create(dir, dentry, op.mode & ~nd.task.fs.umask, bool(op.open_flag & O_EXCL))
    except BaseException:
        dput(dentry)
        raise
    file.f_mode |= FMODE_CREATED
    return dentry


# --- opening what was found -----------------------------------------------------------------------


def do_open(nd: Nameidata, file: File, op: OpenFlags) -> None:
    """Open the object at nd.path, if its kind, its permissions and the flags allow it."""
    flags, acc_mode, created = op.open_flag, op.acc_mode, file.f_mode & FMODE_CREATED
    if nd.flags & LOOKUP_IS_SCOPED:
        complete_walk(nd)
    if flags & O_CREAT and not created:
        if flags & O_EXCL:
            raise EEXIST(nd.last)
        if d_is_dir(nd.path.dentry):
            raise EISDIR(nd.last)
    if nd.flags & LOOKUP_DIRECTORY and not d_is_dir(nd.path.dentry):
        raise ENOTDIR(nd.last)
    if created:
        flags &= ~O_TRUNC
        acc_mode = 0
    path = nd.path
    if not flags & O_TRUNC or nd.inode.i_mode & S_IFMT != S_IFREG:
        may_open(path, acc_mode, flags)
        nd.path = None  # the walk ends where the file begins
        vfs_open(path, file)
        return
    mnt_want_write(path.mnt)
    try:
        may_open(path, acc_mode, flags)
        nd.path = None
        vfs_open(path, file)
        do_truncate(path.dentry, 0, file)
    finally:
        mnt_drop_write(path.mnt)


def may_open(path: Path, acc_mode: int, flags: int) -> None:
    """Return if the object at path may be opened so, else raise what its kind or its permissions say."""
    inode = path.dentry.d_inode
    kind = inode.i_mode & S_IFMT
    if kind != S_IFREG:
        if kind == S_IFLNK:
            raise ELOOP(path.dentry.d_name)
        if kind == S_IFDIR and acc_mode & MAY_WRITE:
            raise EISDIR(path.dentry.d_name)
        if kind in (S_IFBLK, S_IFCHR) and path.mnt.mnt_flags & MNT_NODEV:
            raise EACCES(path.dentry.d_name)
    if acc_mode & MAY_EXEC and path.mnt.mnt_flags & MNT_NOEXEC:
        raise EACCES(path.dentry.d_name)
    if acc_mode or inode.i_op.permission is not None:  # the mode bits deny nothing to who asks for nothing
        inode_permission(inode, MAY_OPEN | acc_mode)
    if inode.i_flags & S_APPEND:
        if flags & O_ACCMODE in (O_WRONLY, O_RDWR) and not flags & O_APPEND or flags & O_TRUNC:
            raise EPERM(path.dentry.d_name)
    if flags & O_NOATIME and not inode_owner_or_capable(inode):
        raise EPERM(path.dentry.d_name)


def do_tmpfile(nd: Nameidata, file: File, op: OpenFlags) -> None:
    """Make and open a file that no directory names, on the filesystem of the directory at the walk's end."""
    path_lookupat(nd, op.lookup_flags | LOOKUP_DIRECTORY)
    dir, mnt = nd.inode, nd.path.mnt
    mnt_want_write(mnt)
    try:
        inode_permission(dir, MAY_WRITE | MAY_EXEC)
        if dir.i_op.tmpfile is None:
            raise EOPNOTSUPP(nd.name.name)
        dentry = d_alloc(nd.path.dentry, b"/")
        try:
            file.f_path = Path(mnt, dentry)
            dir.i_op.tmpfile(dir, file, op.mode & ~nd.task.fs.umask)
            vfs_open(path_get(file.f_path), file)
        except BaseException:
            file.f_path = None
            raise
        finally:
            dput(dentry)
        if not op.open_flag & O_EXCL:
            file.f_inode.i_state |= I_LINKABLE
    finally:
        mnt_drop_write(mnt)
