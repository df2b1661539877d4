"""Tasks and what they carry: credentials, root and working directory, open files, mount namespace.

Linux: include/linux/sched.h, cred.h, fs_struct.h, fdtable.h, nsproxy.h.
Left out: memory maps, signals, scheduling state, user namespaces (ids are those of the initial one).
"""

from __future__ import annotations

from typing import Any

from vfslab.lib.kstruct import Embedded, KObject, Ptr, Ref, embedded, fresh, kstruct


@kstruct
class Path(KObject):
    """A place in the tree of mounts: which mount, and which dentry in it. Linux: struct path."""

    mnt: Ref[Vfsmount] = None
    dentry: Ref[Dentry] = None


@kstruct
class Cred(KObject):
    """Who asks. Immutable once set; capabilities are a bit mask."""

    uid: int = 0
    gid: int = 0
    euid: int = 0
    egid: int = 0
    fsuid: int = 0
    fsgid: int = 0
    groups: frozenset = frozenset()
    cap_effective: int = -1


CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID = 0, 1, 2, 3, 4
CAP_SYS_ADMIN, CAP_SYS_CHROOT, CAP_MKNOD = 21, 18, 27


@kstruct
class FsStruct(KObject):
    """Root and working directory of a task, and its umask."""

    root: Embedded[Path] = embedded(Path, now=True)
    pwd: Embedded[Path] = embedded(Path, now=True)
    umask: int = 0o022


@kstruct
class FilesStruct(KObject):
    """The file descriptor table: fd -> File, and which of them close on exec; all below next_fd are taken."""

    fdt: dict[int, Ref[File]] = fresh(dict)
    close_on_exec: set = fresh(set)
    max_fds: int = 1024
    next_fd: int = 0


@kstruct
class Nsproxy(KObject):
    """The namespaces a task lives in; here only the one of mounts."""

    mnt_ns: Ptr[MntNamespace] = None


@kstruct
class TaskStruct(KObject):
    """A running program, as far as file systems care.

    nameidata   the walk in progress, if any (drawn by the figures of path walk)
    plug        bios collected before they are sent down (block/blk_core.py)
    held        locks held, innermost last (kernel/locking.py)
    """

    pid: int = 0
    comm: bytes = b""
    cred: Ptr[Cred] = None
    fs: Ptr[FsStruct] = None
    files: Ptr[FilesStruct] = None
    nsproxy: Ptr[Nsproxy] = None
    nameidata: Ptr[Nameidata] = None
    plug: Ptr[BlkPlug] = None
    journal_info: Any = None
    total_link_count: int = 0
    exited: bool = False
    held: list = fresh(list)
    kernel: Ptr[Kernel] = None
