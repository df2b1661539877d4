"""Extended attributes: named values beside an object's content.

    getxattr("user.colour") ─▶ the handler of sb.s_xattr whose prefix is "user." ─▶ get(..., "colour")

The first part of a name is its namespace, and says who may use it:
    user      as the file's own permissions say; regular files and directories only
    trusted   who has CAP_SYS_ADMIN; others do not even see the names
    security  for security modules; here: reading free, writing as trusted
    system    the filesystem's own, such as POSIX ACLs

Linux: fs/xattr.c (simple_xattr included).   Chapter 4.
Left out: security modules, idmapped ACLs, EVM.

Always true
  X1  a name has 1 to 255 bytes, a value at most 64 KiB, a list at most 64 KiB
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from vfslab.fs.attr import inode_owner_or_capable
from vfslab.fs.file import fdget
from vfslab.fs.mount import mnt_drop_write, mnt_want_write
from vfslab.fs.namei import path_put, user_path_at
from vfslab.fs.permission import capable, inode_permission
from vfslab.include.dcache import Dentry
from vfslab.include.fs import MAY_READ, MAY_WRITE, S_APPEND, S_IMMUTABLE, Inode, XattrHandler
from vfslab.include.namei import LOOKUP_FOLLOW
from vfslab.include.sched import CAP_SYS_ADMIN, Path
from vfslab.include.uapi.fcntl import AT_FDCWD
from vfslab.include.uapi.stat import S_IFDIR, S_IFMT, S_IFREG, S_ISVTX
from vfslab.kernel.errno import E2BIG, EEXIST, EINVAL, ENODATA, EOPNOTSUPP, EPERM, ERANGE
from vfslab.kernel.locking import down_write

XATTR_CREATE, XATTR_REPLACE = 1, 2
XATTR_NAME_MAX, XATTR_SIZE_MAX, XATTR_LIST_MAX = 255, 65536, 65536
USER, TRUSTED, SECURITY, SYSTEM = b"user.", b"trusted.", b"security.", b"system."


def xattr_resolve_name(inode: Inode, name: bytes) -> tuple[XattrHandler, bytes]:
    """Return the handler for name and the rest of the name; EOPNOTSUPP if nobody handles it."""
    for handler in inode.i_sb.s_xattr:
        prefix = handler.prefix
        if name.startswith(prefix):
            if len(name) == len(prefix) and prefix.endswith(b"."):
                raise EINVAL(name)
            return handler, name[len(prefix) :]
    raise EOPNOTSUPP(name)


def xattr_permission(inode: Inode, name: bytes, mask: int) -> None:
    """Return if the caller may use this name so. What may not be read seems absent: ENODATA."""
    writing = mask & MAY_WRITE
    if writing and inode.i_flags & (S_IMMUTABLE | S_APPEND):
        raise EPERM(name)
    if name.startswith((SECURITY, SYSTEM)):
        return
    refused = EPERM if writing else ENODATA
    if name.startswith(TRUSTED):
        if not capable(CAP_SYS_ADMIN):
            raise refused(name)
        return
    if name.startswith(USER):
        kind = inode.i_mode & S_IFMT
        if kind not in (S_IFREG, S_IFDIR):
            raise refused(name)
        if kind == S_IFDIR and inode.i_mode & S_ISVTX and writing and not inode_owner_or_capable(inode):
            raise EPERM(name)
    inode_permission(inode, mask)


def checked_name(name: bytes) -> bytes:
    """Return an attribute's name if its length is one; ERANGE otherwise."""
    if not 0 < len(name) <= XATTR_NAME_MAX:
        raise ERANGE(name)
    return name


def vfs_getxattr(dentry: Dentry, name: bytes) -> bytes:
    """Return the value of an attribute; ENODATA if there is none of this name."""
    inode = dentry.d_inode
    xattr_permission(inode, name, MAY_READ)
    handler, suffix = xattr_resolve_name(inode, name)
    if handler.get is None:
        raise EOPNOTSUPP(name)
    return handler.get(handler, dentry, inode, suffix)


def vfs_setxattr(dentry: Dentry, name: bytes, value: bytes | None, flags: int) -> None:
    """Set an attribute, or remove it if value is None. flags may insist that it be new, or be there."""
    inode = dentry.d_inode
    with down_write(inode.i_rwsem):
        xattr_permission(inode, name, MAY_WRITE)
        handler, suffix = xattr_resolve_name(inode, name)
        if handler.set is None:
            raise EOPNOTSUPP(name)
        handler.set(handler, dentry, inode, suffix, value, flags)


def vfs_listxattr(dentry: Dentry) -> list[bytes]:
    """Return the names that the caller may see; E2BIG if they take more than 64 KiB."""
    inode = dentry.d_inode
    names = inode.i_op.listxattr(dentry) if inode.i_op.listxattr is not None else []
    if not capable(CAP_SYS_ADMIN):
        names = [name for name in names if not name.startswith(TRUSTED)]
    if sum(len(name) + 1 for name in names) > XATTR_LIST_MAX:
        raise E2BIG(dentry.d_name)
    return names


def setxattr(path: Path, name: bytes, value: bytes | None, flags: int) -> int:
    """Change an attribute of the object at path, its mount permitting."""
    mnt_want_write(path.mnt)
    try:
        vfs_setxattr(path.dentry, name, value, flags)
    finally:
        mnt_drop_write(path.mnt)
    return 0


def on_path(lookup_flags: int, action: Any) -> Any:
    """Return the system call that looks a path up and hands it to action(path, ...)."""

    def call(name: bytes, *args: Any) -> Any:
        path = user_path_at(AT_FDCWD, name, lookup_flags)
        try:
            return action(path, *args)
        finally:
            path_put(path)

    return call


def on_fd(action: Any) -> Any:
    """Return the system call that hands the path of an open file to action(path, ...)."""
    return lambda fd, *args: action(fdget(fd).f_path, *args)


def path_getxattr(path: Path, name: bytes) -> bytes:
    """getxattr: the value of name."""
    return vfs_getxattr(path.dentry, checked_name(name))


def path_setxattr(path: Path, name: bytes, value: bytes, flags: int) -> int:
    """setxattr: value becomes that of name."""
    if flags & ~(XATTR_CREATE | XATTR_REPLACE):
        raise EINVAL(flags)
    checked_name(name)
    if len(value) > XATTR_SIZE_MAX:
        raise E2BIG(name)
    return setxattr(path, name, bytes(value), flags)


def path_listxattr(path: Path) -> list[bytes]:
    """listxattr: all names."""
    return vfs_listxattr(path.dentry)


def path_removexattr(path: Path, name: bytes) -> int:
    """removexattr: name goes, with its value."""
    return setxattr(path, checked_name(name), None, XATTR_REPLACE)


# --- attributes that live in memory only ---------------------------------------------------------------


def simple_xattr_get(xattrs: dict[bytes, bytes], name: bytes) -> bytes:
    """Return the value of name in a dict of attributes; ENODATA if it is not there."""
    try:
        return xattrs[name]
    except KeyError:
        raise ENODATA(name) from None


def simple_xattr_set(xattrs: dict[bytes, bytes], name: bytes, value: bytes | None, flags: int) -> None:
    """Set or (value None) remove name in a dict of attributes."""
    present = name in xattrs
    if present and flags & XATTR_CREATE:
        raise EEXIST(name)
    if not present and flags & XATTR_REPLACE:
        raise ENODATA(name)
    if value is not None:
        xattrs[name] = value
    elif present:
        del xattrs[name]


SYSCALLS = MappingProxyType(
    {
        "getxattr": on_path(LOOKUP_FOLLOW, path_getxattr),
        "lgetxattr": on_path(0, path_getxattr),
        "fgetxattr": on_fd(path_getxattr),
        "setxattr": on_path(LOOKUP_FOLLOW, path_setxattr),
        "lsetxattr": on_path(0, path_setxattr),
        "fsetxattr": on_fd(path_setxattr),
        "listxattr": on_path(LOOKUP_FOLLOW, path_listxattr),
        "llistxattr": on_path(0, path_listxattr),
        "flistxattr": on_fd(path_listxattr),
        "removexattr": on_path(LOOKUP_FOLLOW, path_removexattr),
        "lremovexattr": on_path(0, path_removexattr),
        "fremovexattr": on_fd(path_removexattr),
    }
)
