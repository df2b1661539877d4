"""Changing attributes: who may, and how a change reaches the inode.

    fchmodat, fchownat, utimensat, truncate ─▶ notify_change(dentry, Iattr)
                                                  ├─ may_setattr, setattr_prepare: is it allowed?
                                                  └─ i_op.setattr ─▶ setattr_copy: do it

Linux: fs/attr.c.   Chapter 4.
Left out: idmapped mounts, security hooks, quota transfer, ATTR_TOUCH's own checks in the caller.

Always true
  A1  ATTR_CTIME goes with every change
  A2  a new owner takes set-user-id and set-group-id bits away from what can be executed
"""

from __future__ import annotations

from vfslab.fs.inode import current_time, file_update_time, mark_inode_dirty
from vfslab.fs.permission import capable, in_group_p
from vfslab.include.dcache import Dentry
from vfslab.include.fs import (
    ATTR_ATIME,
    ATTR_ATIME_SET,
    ATTR_CTIME,
    ATTR_FILE,
    ATTR_FORCE,
    ATTR_GID,
    ATTR_KILL_SGID,
    ATTR_KILL_SUID,
    ATTR_MODE,
    ATTR_MTIME,
    ATTR_MTIME_SET,
    ATTR_SIZE,
    ATTR_UID,
    I_DIRTY_SYNC,
    S_APPEND,
    S_IMMUTABLE,
    File,
    Iattr,
    Inode,
)
from vfslab.include.sched import CAP_CHOWN, CAP_FOWNER, CAP_FSETID
from vfslab.include.uapi.stat import S_IALLUGO, S_IFDIR, S_IFLNK, S_IFMT, S_ISGID, S_ISUID
from vfslab.kernel.errno import EFBIG, EOPNOTSUPP, EPERM
from vfslab.kernel.locking import down_write
from vfslab.kernel.sched import cpu

S_IXGRP = 0o010


def inode_owner_or_capable(inode: Inode) -> bool:
    """True for the owner of inode, and for who may act as any owner."""
    cred = cpu.current.cred
    return cred.fsuid == inode.i_uid or capable(CAP_FOWNER)


def chown_ok(inode: Inode, attr: Iattr) -> bool:
    """True if the caller may set ia_uid: only without capability if nothing changes."""
    cred = cpu.current.cred
    return capable(CAP_CHOWN) or (cred.fsuid == inode.i_uid and attr.ia_uid == inode.i_uid)


def chgrp_ok(inode: Inode, attr: Iattr) -> bool:
    """True if the caller may set ia_gid: an owner may, to a group of its own."""
    cred = cpu.current.cred
    if capable(CAP_CHOWN):
        return True
    return cred.fsuid == inode.i_uid and (attr.ia_gid == inode.i_gid or in_group_p(cred, attr.ia_gid))


def setattr_prepare(dentry: Dentry, attr: Iattr) -> None:
    """Return if attr may be applied, else raise EPERM or EFBIG; may take S_ISGID out of ia_mode."""
    inode, valid = dentry.d_inode, attr.ia_valid
    if valid & ATTR_SIZE:
        inode_newsize_ok(inode, attr.ia_size)
    if valid & ATTR_FORCE:
        return
    if valid & ATTR_UID and not chown_ok(inode, attr):
        raise EPERM(dentry.d_name)
    if valid & ATTR_GID and not chgrp_ok(inode, attr):
        raise EPERM(dentry.d_name)
    if valid & ATTR_MODE:
        if not inode_owner_or_capable(inode):
            raise EPERM(dentry.d_name)
        gid = attr.ia_gid if valid & ATTR_GID else inode.i_gid
        attr.ia_mode = mode_strip_sgid(gid, attr.ia_mode)
    if valid & (ATTR_MTIME_SET | ATTR_ATIME_SET) and not inode_owner_or_capable(inode):
        raise EPERM(dentry.d_name)


def mode_strip_sgid(gid: int, mode: int) -> int:
    """Return mode without S_ISGID, unless the caller belongs to the group or may set any."""
    cred = cpu.current.cred
    if not in_group_p(cred, gid) and not capable(CAP_FSETID):
        return mode & ~S_ISGID
    return mode


def inode_newsize_ok(inode: Inode, size: int) -> None:
    """Return if inode may become size bytes long; EFBIG beyond the filesystem's limit."""
    if size > inode.i_size and size > inode.i_sb.s_maxbytes:
        raise EFBIG(size)


def setattr_copy(inode: Inode, attr: Iattr) -> None:
    """Put the attributes that count (but the size) into the inode; the caller marks it dirty."""
    valid = attr.ia_valid
    if valid & ATTR_UID:
        inode.i_uid = attr.ia_uid
    if valid & ATTR_GID:
        inode.i_gid = attr.ia_gid
    if valid & ATTR_ATIME:
        inode.i_atime_sec, inode.i_atime_nsec = attr.ia_atime
    if valid & ATTR_MTIME:
        inode.i_mtime_sec, inode.i_mtime_nsec = attr.ia_mtime
    if valid & ATTR_CTIME:
        inode.i_ctime_sec, inode.i_ctime_nsec = attr.ia_ctime
    if valid & ATTR_MODE:
        inode.i_mode = inode.i_mode & S_IFMT | mode_strip_sgid(inode.i_gid, attr.ia_mode) & S_IALLUGO


def may_setattr(inode: Inode, valid: int) -> None:
    """Return unless the inode is immutable, or append-only and more than its times would change."""
    if inode.i_flags & (S_IMMUTABLE | S_APPEND) and valid & (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_ATIME_SET):
        raise EPERM
    if inode.i_flags & S_IMMUTABLE:
        raise EPERM


def notify_change(dentry: Dentry, attr: Iattr) -> None:
    """Apply attr to the dentry's inode, or raise why not. i_rwsem is held for writing.

    ATTR_KILL_SUID and ATTR_KILL_SGID are turned into a new mode here; times that are to be
    "now" are filled in.
    """
    inode = dentry.d_inode
    may_setattr(inode, attr.ia_valid)
    if attr.ia_valid & ATTR_MODE and inode.i_mode & S_IFMT == S_IFLNK:
        raise EOPNOTSUPP(dentry.d_name)
    now = current_time(inode)
    attr.ia_valid |= ATTR_CTIME
    attr.ia_ctime = now
    if not attr.ia_valid & ATTR_ATIME_SET:
        attr.ia_atime = now
    if not attr.ia_valid & ATTR_MTIME_SET:
        attr.ia_mtime = now
    kill_privileges(inode, attr)
    if inode.i_op.setattr is not None:
        inode.i_op.setattr(dentry, attr)
    else:
        setattr_prepare(dentry, attr)
        setattr_copy(inode, attr)
        mark_inode_dirty(inode, I_DIRTY_SYNC)


def kill_privileges(inode: Inode, attr: Iattr) -> None:
    """Turn ATTR_KILL_SUID and ATTR_KILL_SGID into a mode without these bits."""
    mode = inode.i_mode
    lost = 0
    if attr.ia_valid & ATTR_KILL_SUID:
        lost |= mode & S_ISUID
    if attr.ia_valid & ATTR_KILL_SGID:
        lost |= mode & S_ISGID
    attr.ia_valid &= ~(ATTR_KILL_SUID | ATTR_KILL_SGID)
    if lost and not attr.ia_valid & ATTR_MODE:
        attr.ia_valid |= ATTR_MODE
        attr.ia_mode = mode & ~lost & S_IALLUGO


def setattr_should_drop_suidgid(inode: Inode) -> int:
    """Return which of ATTR_KILL_SUID and ATTR_KILL_SGID a change of content or owner calls for."""
    mode, kill = inode.i_mode, 0
    if mode & S_IFMT == S_IFDIR:
        return 0
    if mode & S_ISUID:
        kill |= ATTR_KILL_SUID
    if mode & S_ISGID:
        cred = cpu.current.cred
        if mode & S_IXGRP or not (in_group_p(cred, inode.i_gid) or capable(CAP_FSETID)):
            kill |= ATTR_KILL_SGID
    return kill


def do_truncate(dentry: Dentry, length: int, file: File | None) -> None:
    """Make a regular file length bytes long; who may is the caller's question. In Linux this is in fs/open.c."""
    inode = dentry.d_inode
    attr = Iattr(ATTR_SIZE, ia_size=length)
    if file is not None or length != inode.i_size:
        attr.ia_valid |= ATTR_MTIME
    if file is not None:
        attr.ia_valid |= ATTR_FILE
        attr.ia_file = file
    with down_write(inode.i_rwsem):
        kill = setattr_should_drop_suidgid(inode) if not capable(CAP_FSETID) else 0
        if kill:
            attr.ia_valid |= kill | ATTR_FORCE
        notify_change(dentry, attr)


def file_remove_privs(file: File) -> None:
    """Content is about to change: set-user-id and set-group-id bits go. i_rwsem is held for writing."""
    inode = file.f_inode
    if not capable(CAP_FSETID):
        kill = setattr_should_drop_suidgid(inode)
        if kill:
            notify_change(file.f_path.dentry, Iattr(kill | ATTR_FORCE))


def file_modified(file: File) -> None:
    """Do what each write does beside writing: take privileges away, set the times."""
    if file.f_inode.i_mode & (S_ISUID | S_ISGID):
        file_remove_privs(file)
    file_update_time(file)
