"""May the running task do this to this inode?

    inode_permission ──▶ read-only filesystem? immutable? ──▶ i_op.permission or generic_permission
                                                                      │
                         owner, group or others: three bits of i_mode ┘  else CAP_DAC_OVERRIDE

Exactly one of the three groups of bits decides: an owner who is refused is not helped by what
others may do.

Linux: fs/namei.c (acl_permission_check, generic_permission, inode_permission).   Chapter 7.
Left out: POSIX ACLs beyond the mode bits, idmapped mounts, security modules.
"""

from __future__ import annotations

from vfslab.fs.inode import IOP_FASTPERM
from vfslab.include.fs import MAY_EXEC, MAY_READ, MAY_WRITE, S_IMMUTABLE, SB_RDONLY, Inode
from vfslab.include.sched import CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, Cred
from vfslab.include.uapi.stat import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, S_IXUGO
from vfslab.kernel.errno import EACCES, EPERM, EROFS
from vfslab.kernel.sched import cpu


def capable(capability: int) -> bool:
    """True if the running task has the capability."""
    return bool(cpu.current.cred.cap_effective >> capability & 1)


def in_group_p(cred: Cred, gid: int) -> bool:
    """True if gid is the task's group for files, or one of its further groups."""
    return gid == cred.fsgid or gid in cred.groups


def mode_permits(inode: Inode, mask: int) -> bool:
    """Return whether the nine mode bits grant all of mask (MAY_READ, MAY_WRITE, MAY_EXEC)."""
    cred, mode = cpu.current.cred, inode.i_mode
    if inode.i_uid == cred.fsuid:
        mode >>= 6
    elif in_group_p(cred, inode.i_gid):
        mode >>= 3
    return not mask & ~mode & 7


def generic_permission(inode: Inode, mask: int) -> None:
    """Return if mode bits or capabilities grant all of mask, else raise EACCES."""
    if mode_permits(inode, mask):
        return
    if inode.i_mode & S_IFMT == S_IFDIR:
        if not mask & MAY_WRITE and capable(CAP_DAC_READ_SEARCH) or capable(CAP_DAC_OVERRIDE):
            return
    elif mask & 7 == MAY_READ and capable(CAP_DAC_READ_SEARCH):
        return
    elif not mask & MAY_EXEC or inode.i_mode & S_IXUGO:
        if capable(CAP_DAC_OVERRIDE):
            return
    raise EACCES(inode.i_ino)


def inode_permission(inode: Inode, mask: int) -> None:
    """Return if the running task may do what mask says, else raise EACCES, EPERM or EROFS."""
    if mask & MAY_WRITE:
        if inode.i_sb.s_flags & SB_RDONLY and inode.i_mode & S_IFMT in (S_IFREG, S_IFDIR, S_IFLNK):
            raise EROFS(inode.i_ino)
        if inode.i_flags & S_IMMUTABLE:
            raise EPERM(inode.i_ino)
    if inode.i_opflags & IOP_FASTPERM:
        generic_permission(inode, mask)
    elif inode.i_op.permission is not None:
        inode.i_op.permission(inode, mask)
    else:
        inode.i_opflags |= IOP_FASTPERM
        generic_permission(inode, mask)
