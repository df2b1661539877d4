"""open, and the small calls around it: access, chdir, chmod, chown, truncate, fallocate.

    openat(dfd, name, flags) ─▶ build_open_flags ─▶ do_filp_open ─▶ the walk, may_open, vfs_open
                         fd  ◀─ fd_install ◀──────── File

Linux: fs/open.c.   Chapter 5.
Left out: creat (openat with three flags), vhangup, O_TMPFILE's link by /proc.

Always true
  O1  a failed open leaves neither a descriptor nor a reference behind
  O2  access() asks for the real user, all other calls for the effective one
"""

from __future__ import annotations

from types import MappingProxyType

from vfslab.fs.attr import do_truncate, notify_change, setattr_should_drop_suidgid
from vfslab.fs.file import fd_install, fdget, fget_raw, get_unused_fd
from vfslab.fs.file_table import vfs_open
from vfslab.fs.fs_struct import set_fs_pwd, set_fs_root
from vfslab.fs.mount import __mnt_is_readonly, mnt_drop_write, mnt_want_write
from vfslab.fs.namei import getname, path_put, user_path_at
from vfslab.fs.namei_open import do_filp_open
from vfslab.fs.permission import capable, inode_permission
from vfslab.include.fs import (
    ATTR_GID,
    ATTR_MODE,
    ATTR_UID,
    FMODE_WRITE,
    MAY_ACCESS,
    MAY_APPEND,
    MAY_CHDIR,
    MAY_EXEC,
    MAY_READ,
    MAY_WRITE,
    S_APPEND,
    S_IMMUTABLE,
    File,
    Iattr,
)
from vfslab.include.mount import MNT_NOEXEC
from vfslab.include.namei import (
    LOOKUP_BENEATH,
    LOOKUP_CACHED,
    LOOKUP_CREATE,
    LOOKUP_DIRECTORY,
    LOOKUP_EMPTY,
    LOOKUP_EXCL,
    LOOKUP_FOLLOW,
    LOOKUP_IN_ROOT,
    LOOKUP_NO_MAGICLINKS,
    LOOKUP_NO_SYMLINKS,
    LOOKUP_NO_XDEV,
    LOOKUP_OPEN,
    OpenFlags,
)
from vfslab.include.sched import CAP_SYS_CHROOT, Cred, Path
from vfslab.include.uapi.falloc import FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE
from vfslab.include.uapi.fcntl import (
    AT_EACCESS,
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    O_ACCMODE,
    O_APPEND,
    O_CLOEXEC,
    O_CREAT,
    O_DIRECT,
    O_DIRECTORY,
    O_DSYNC,
    O_EXCL,
    O_LARGEFILE,
    O_NOATIME,
    O_NOCTTY,
    O_NOFOLLOW,
    O_NONBLOCK,
    O_PATH,
    O_SYNC,
    O_TMPFILE,
    O_TRUNC,
    RESOLVE_BENEATH,
    RESOLVE_CACHED,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
)
from vfslab.include.uapi.stat import S_IALLUGO, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT, S_IFREG
from vfslab.kernel.errno import (
    EACCES,
    EAGAIN,
    EBADF,
    EFBIG,
    EINVAL,
    EISDIR,
    ENODEV,
    ENOTDIR,
    EOPNOTSUPP,
    EPERM,
    EROFS,
    ESPIPE,
)
from vfslab.kernel.locking import down_write
from vfslab.kernel.sched import cpu

VALID_OPEN_FLAGS = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC
VALID_OPEN_FLAGS |= O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE
MOST_OPEN_FLAGS = 64  # combinations that are remembered; the rest is taken apart each time
O_PATH_FLAGS = O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC
O_TMPFILE_BIT = O_TMPFILE & ~O_DIRECTORY
O_SYNC_BIT = O_SYNC & ~O_DSYNC
ACC_MODE = (MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE)
RESOLVE_TO_LOOKUP = MappingProxyType(
    {
        RESOLVE_NO_XDEV: LOOKUP_NO_XDEV,
        RESOLVE_NO_MAGICLINKS: LOOKUP_NO_MAGICLINKS,
        RESOLVE_NO_SYMLINKS: LOOKUP_NO_SYMLINKS,
        RESOLVE_BENEATH: LOOKUP_BENEATH,
        RESOLVE_IN_ROOT: LOOKUP_IN_ROOT,
        RESOLVE_CACHED: LOOKUP_CACHED,
    }
)

__all__ = ["vfs_open"]  # of fs/file_table.py; in Linux it is of this file


# --- open -----------------------------------------------------------------------------------------


def known_open_flags(flags: int, mode: int) -> OpenFlags:
    """Return build_open_flags(), made once for the few combinations that programs use; nobody changes the result."""
    known = cpu.kernel.open_flags
    op = known.get((flags, mode))
    if op is None:
        op = build_open_flags(flags, mode)
        if len(known) < MOST_OPEN_FLAGS:
            known[flags, mode] = op
    return op


def build_open_flags(flags: int, mode: int) -> OpenFlags:
    """Return what open(2) asks for, taken apart; EINVAL for flags that contradict each other."""
    if flags & O_SYNC_BIT:
        flags |= O_DSYNC
    if flags & O_TMPFILE_BIT:
        if flags & O_TMPFILE != O_TMPFILE or flags & O_CREAT or not flags & O_ACCMODE:
            raise EINVAL(flags)
    elif flags & (O_DIRECTORY | O_CREAT) == O_DIRECTORY | O_CREAT:
        raise EINVAL(flags)
    if flags & O_PATH:
        flags &= O_PATH_FLAGS
        acc_mode = intent = 0
    else:
        acc_mode = ACC_MODE[flags & O_ACCMODE]
        if flags & O_TRUNC:
            acc_mode |= MAY_WRITE
        if flags & O_APPEND:
            acc_mode |= MAY_APPEND
        intent = LOOKUP_OPEN
    if flags & O_CREAT:
        intent |= LOOKUP_CREATE
        if flags & O_EXCL:
            intent |= LOOKUP_EXCL
            flags |= O_NOFOLLOW
    lookup_flags = 0 if flags & O_NOFOLLOW else LOOKUP_FOLLOW
    if flags & O_DIRECTORY:
        lookup_flags |= LOOKUP_DIRECTORY
    mode = mode & S_IALLUGO | S_IFREG if flags & (O_CREAT | O_TMPFILE_BIT) else 0
    return OpenFlags(flags, mode, acc_mode, intent, lookup_flags)


def do_sys_openat(dfd: int, name: bytes, op: OpenFlags) -> int:
    """Return a new descriptor for what op asks for."""
    files = cpu.current.files
    fd = get_unused_fd(files)
    file = do_filp_open(dfd, getname(name), op)
    return fd_install(files, fd, file, op.open_flag)


def sys_openat(dfd: int, name: bytes, flags: int, mode: int = 0) -> int:
    """Open name from dfd; flags that nobody knows are ignored, as ever."""
    flags &= O_PATH_FLAGS if flags & O_PATH else VALID_OPEN_FLAGS
    return do_sys_openat(dfd, name, known_open_flags(flags, mode))


def sys_openat2(dfd: int, name: bytes, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """Open name from dfd; what is unknown or senseless is EINVAL, and RESOLVE_* limit the walk."""
    if flags & ~VALID_OPEN_FLAGS or mode & ~S_IALLUGO:
        raise EINVAL(flags)
    if mode and not flags & (O_CREAT | O_TMPFILE_BIT) or flags & O_PATH and flags & ~O_PATH_FLAGS:
        raise EINVAL(mode)
    if resolve & RESOLVE_BENEATH and resolve & RESOLVE_IN_ROOT:
        raise EINVAL(resolve)
    op, limits = build_open_flags(flags, mode), 0
    for bit, lookup_flag in RESOLVE_TO_LOOKUP.items():
        if resolve & bit:
            resolve &= ~bit
            limits |= lookup_flag
    if resolve:
        raise EINVAL(resolve)
    op = OpenFlags(op.open_flag, op.mode, op.acc_mode, op.intent, op.lookup_flags | limits)
    if op.lookup_flags & LOOKUP_CACHED and op.open_flag & (O_TRUNC | O_CREAT | O_TMPFILE_BIT):
        raise EAGAIN
    return do_sys_openat(dfd, name, op)


# --- access ---------------------------------------------------------------------------------------


def access_override_creds(cred: Cred) -> Cred:
    """Return credentials by which the real user of cred would be judged; cred itself if they are the same."""
    if cred.fsuid == cred.uid and cred.fsgid == cred.gid:
        return cred
    capabilities = -1 if cred.uid == 0 else 0
    return Cred(cred.uid, cred.gid, cred.euid, cred.egid, cred.uid, cred.gid, cred.groups, capabilities)


def sys_faccessat2(dfd: int, name: bytes, mode: int, flags: int = 0) -> int:
    """Return 0 if the real user (with AT_EACCESS the effective one) may do all of mode with name."""
    if mode & ~7 or flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise EINVAL(mode)
    task, own = cpu.current, cpu.current.cred
    lookup_flags = 0 if flags & AT_SYMLINK_NOFOLLOW else LOOKUP_FOLLOW
    if flags & AT_EMPTY_PATH:
        lookup_flags |= LOOKUP_EMPTY
    if not flags & AT_EACCESS:
        task.cred = access_override_creds(own)
    try:
        path = user_path_at(dfd, name, lookup_flags)
        try:
            may_access(path, mode)
        finally:
            path_put(path)
    finally:
        task.cred = own
    return 0


def may_access(path: Path, mode: int) -> None:
    """Return if the current user may do all of mode with the object at path."""
    inode = path.dentry.d_inode
    kind = inode.i_mode & S_IFMT
    if mode & MAY_EXEC and kind == S_IFREG and path.mnt.mnt_flags & MNT_NOEXEC:
        raise EACCES(path.dentry.d_name)
    inode_permission(inode, mode | MAY_ACCESS)
    if mode & MAY_WRITE and kind not in (S_IFCHR, S_IFBLK, S_IFIFO) and __mnt_is_readonly(path.mnt):
        raise EROFS(path.dentry.d_name)


# --- where a task is ------------------------------------------------------------------------------


def sys_chdir(name: bytes) -> int:
    """Make a directory that the task may search its working directory."""
    path = user_path_at(AT_FDCWD, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY)
    try:
        inode_permission(path.dentry.d_inode, MAY_EXEC | MAY_CHDIR)
        set_fs_pwd(cpu.current.fs, path)
    finally:
        path_put(path)
    return 0


def sys_fchdir(fd: int) -> int:
    """As chdir, to an open directory; O_PATH will do."""
    path = fget_raw(fd).f_path
    if path.dentry.d_inode.i_mode & S_IFMT != S_IFDIR:
        raise ENOTDIR(fd)
    inode_permission(path.dentry.d_inode, MAY_EXEC | MAY_CHDIR)
    set_fs_pwd(cpu.current.fs, path)
    return 0


def sys_chroot(name: bytes) -> int:
    """Make a directory the task's root; its working directory stays where it is."""
    path = user_path_at(AT_FDCWD, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY)
    try:
        inode_permission(path.dentry.d_inode, MAY_EXEC | MAY_CHDIR)
        if not capable(CAP_SYS_CHROOT):
            raise EPERM(name)
        set_fs_root(cpu.current.fs, path)
    finally:
        path_put(path)
    return 0


# --- permissions and owners -----------------------------------------------------------------------


def change_attributes(path: Path, attr: Iattr) -> None:
    """Apply attr to the object at path, its mount permitting."""
    mnt_want_write(path.mnt)
    try:
        with down_write(path.dentry.d_inode.i_rwsem):
            notify_change(path.dentry, attr)
    finally:
        mnt_drop_write(path.mnt)


def chmod_common(path: Path, mode: int) -> int:
    """Give the object at path new permissions."""
    change_attributes(path, Iattr(ATTR_MODE, mode & S_IALLUGO))
    return 0


def chown_common(path: Path, uid: int, gid: int) -> int:
    """Give the object at path a new owner and group; -1 leaves one as it is."""
    attr = Iattr()
    if uid != -1:
        attr.ia_valid |= ATTR_UID
        attr.ia_uid = uid
    if gid != -1:
        attr.ia_valid |= ATTR_GID
        attr.ia_gid = gid
    attr.ia_valid |= setattr_should_drop_suidgid(path.dentry.d_inode)
    change_attributes(path, attr)
    return 0


def at_path(dfd: int, name: bytes, flags: int) -> Path:
    """Return the place an *at call means, with references; AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH as for all."""
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise EINVAL(flags)
    lookup_flags = 0 if flags & AT_SYMLINK_NOFOLLOW else LOOKUP_FOLLOW
    return user_path_at(dfd, name, lookup_flags | (LOOKUP_EMPTY if flags & AT_EMPTY_PATH else 0))


def sys_fchmodat2(dfd: int, name: bytes, mode: int, flags: int = 0) -> int:
    """Change the permissions of name; a symbolic link has none: EOPNOTSUPP."""
    path = at_path(dfd, name, flags)
    try:
        return chmod_common(path, mode)
    finally:
        path_put(path)


def sys_fchmod(fd: int, mode: int) -> int:
    """Change the permissions of an open file."""
    return chmod_common(fdget(fd).f_path, mode)


def sys_fchownat(dfd: int, name: bytes, uid: int, gid: int, flags: int = 0) -> int:
    """Change the owner of name."""
    path = at_path(dfd, name, flags)
    try:
        return chown_common(path, uid, gid)
    finally:
        path_put(path)


def sys_fchown(fd: int, uid: int, gid: int) -> int:
    """Change the owner of an open file."""
    return chown_common(fdget(fd).f_path, uid, gid)


# --- length ---------------------------------------------------------------------------------------


def sys_truncate(name: bytes, length: int) -> int:
    """Make a regular file length bytes long."""
    if length < 0:
        raise EINVAL(length)
    path = user_path_at(AT_FDCWD, name, LOOKUP_FOLLOW)
    try:
        vfs_truncate(path, length)
    finally:
        path_put(path)
    return 0


def vfs_truncate(path: Path, length: int) -> None:
    """Make the file at path length bytes long; EISDIR and EINVAL for what has no length."""
    inode = path.dentry.d_inode
    kind = inode.i_mode & S_IFMT
    if kind != S_IFREG:
        raise EISDIR if kind == S_IFDIR else EINVAL
    mnt_want_write(path.mnt)
    try:
        inode_permission(inode, MAY_WRITE)
        if inode.i_flags & S_APPEND:
            raise EPERM(path.dentry.d_name)
        do_truncate(path.dentry, length, None)
    finally:
        mnt_drop_write(path.mnt)


def sys_ftruncate(fd: int, length: int) -> int:
    """Make an open file length bytes long; it must be open for writing."""
    if length < 0:
        raise EINVAL(length)
    file = fdget(fd)
    inode = file.f_inode
    if inode.i_mode & S_IFMT != S_IFREG or not file.f_mode & FMODE_WRITE:
        raise EINVAL(fd)
    if inode.i_flags & S_APPEND:
        raise EPERM(fd)
    do_truncate(file.f_path.dentry, length, file)
    return 0


def vfs_fallocate(file: File, mode: int, offset: int, length: int) -> None:
    """Reserve or give back space in a range of a file, as far as its filesystem can."""
    if offset < 0 or length <= 0:
        raise EINVAL(length)
    if mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE):
        raise EOPNOTSUPP(mode)
    if mode & FALLOC_FL_PUNCH_HOLE and mode != FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
        raise EOPNOTSUPP(mode)
    if not file.f_mode & FMODE_WRITE:
        raise EBADF
    inode = file.f_inode
    if inode.i_flags & S_IMMUTABLE or mode & ~FALLOC_FL_KEEP_SIZE and inode.i_flags & S_APPEND:
        raise EPERM
    kind = inode.i_mode & S_IFMT
    if kind not in (S_IFREG, S_IFBLK):
        raise {S_IFIFO: ESPIPE, S_IFDIR: EISDIR}.get(kind, ENODEV)
    if offset + length > inode.i_sb.s_maxbytes:
        raise EFBIG(offset + length)
    if file.f_op.fallocate is None:
        raise EOPNOTSUPP(mode)
    file.f_op.fallocate(file, mode, offset, length)


def sys_fallocate(fd: int, mode: int, offset: int, length: int) -> int:
    """Reserve space for a range of an open file, or punch a hole into it."""
    vfs_fallocate(fdget(fd), mode, offset, length)
    return 0


SYSCALLS = MappingProxyType(
    {
        "openat": sys_openat,
        "openat2": sys_openat2,
        "faccessat2": sys_faccessat2,
        "chdir": sys_chdir,
        "fchdir": sys_fchdir,
        "chroot": sys_chroot,
        "fchmodat2": sys_fchmodat2,
        "fchmod": sys_fchmod,
        "fchownat": sys_fchownat,
        "fchown": sys_fchown,
        "truncate": sys_truncate,
        "ftruncate": sys_ftruncate,
        "fallocate": sys_fallocate,
    }
)
