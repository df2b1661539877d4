"""From a dentry back to a path: the way up, with the mounts on it.

    d_path: name, parent's name, ... ─▶ at mnt_root, on with the mountpoint below ─▶ until the task's root

Linux: fs/d_path.c.   Chapter 7.
Left out: the retry when a rename or umount comes in between; names made up by d_dname.

Always true
  T1  walking the path that d_path() gives leads back to the same place, unless it says it cannot
"""

from __future__ import annotations

from types import MappingProxyType

from vfslab.fs.dcache import d_unlinked
from vfslab.fs.mount import mnt_has_parent, real_mount
from vfslab.include.dcache import Dentry
from vfslab.include.sched import Path
from vfslab.include.uapi.stat import PATH_MAX
from vfslab.kernel.errno import ENAMETOOLONG, ENOENT
from vfslab.kernel.sched import cpu


def prepend_path(path: Path, root: Path | None) -> tuple[bytes, bool]:
    """Return path as seen from root, and whether root was met on the way up."""
    mount, dentry, names = real_mount(path.mnt), path.dentry, []
    while root is None or dentry is not root.dentry or mount.mnt is not root.mnt:
        if dentry is mount.mnt.mnt_root:
            if not mnt_has_parent(mount):
                return b"/" + b"/".join(reversed(names)), root is None
            mount, dentry = mount.mnt_parent, mount.mnt_mountpoint
        elif dentry.d_parent is dentry:
            return b"/" + b"/".join(reversed(names)), False  # moved out of the part that is mounted
        else:
            names.append(dentry.d_name)
            dentry = dentry.d_parent
    return b"/" + b"/".join(reversed(names)), True


def d_path(path: Path) -> bytes:
    """Return the path by which the running task would reach a place, as /proc shows it."""
    name, _ = prepend_path(path, cpu.current.fs.root)
    return name + b" (deleted)" if d_unlinked(path.dentry) else name


def dentry_path(dentry: Dentry) -> bytes:
    """Return the path of a dentry within its filesystem."""
    names = []
    while dentry.d_parent is not dentry:
        names.append(dentry.d_name)
        dentry = dentry.d_parent
    return b"/" + b"/".join(reversed(names))


def sys_getcwd() -> bytes:
    """Return the working directory's path; ENOENT if it has been removed.

    A directory that the task's root does not lead to begins with "(unreachable)".
    """
    fs = cpu.current.fs
    if d_unlinked(fs.pwd.dentry):
        raise ENOENT
    name, reached = prepend_path(fs.pwd, fs.root)
    if not reached:
        name = b"(unreachable)" + name
    if len(name) >= PATH_MAX:
        raise ENAMETOOLONG
    return name


SYSCALLS = MappingProxyType({"getcwd": sys_getcwd})
