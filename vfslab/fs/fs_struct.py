"""Where a task is: its root and working directory, as it gets them at fork and gives them back at exit.

Linux: fs/fs_struct.c.   Chapter 7.
Left out: sharing by threads (CLONE_FS).
"""

from __future__ import annotations

from vfslab.fs.dcache import dget, dput
from vfslab.fs.mount import mntget, mntput
from vfslab.include.sched import FsStruct, Path, TaskStruct
from vfslab.kernel.slab import kfree, kzalloc


def replace_path(old: Path, new: Path) -> None:
    """Let old, a member of an FsStruct, lead where new does; the references go along."""
    if new.mnt is not None:
        mntget(new.mnt)
        dget(new.dentry)
    mnt, dentry = old.mnt, old.dentry
    old.mnt, old.dentry = new.mnt, new.dentry
    if mnt is not None:
        dput(dentry)
        mntput(mnt)


def set_fs_root(fs: FsStruct, path: Path) -> None:
    """Make path the root of a task."""
    replace_path(fs.root, path)


def set_fs_pwd(fs: FsStruct, path: Path) -> None:
    """Make path the working directory of a task."""
    replace_path(fs.pwd, path)


def copy_fs(child: TaskStruct, parent: TaskStruct | None) -> None:
    """Give child the root, working directory and umask of parent; called by fork."""
    fs = child.fs = kzalloc(FsStruct)
    if parent is None:
        return
    fs.umask = parent.fs.umask
    set_fs_root(fs, parent.fs.root)
    set_fs_pwd(fs, parent.fs.pwd)


def exit_fs(task: TaskStruct) -> None:
    """Let go of where task was; called by exit."""
    fs, task.fs = task.fs, None
    if fs is not None:
        replace_path(fs.root, Path())
        replace_path(fs.pwd, Path())
        kfree(fs)
