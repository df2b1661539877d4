"""Trees and mounts for a scene, made from inside the kernel without a path walk.

    w = World(k)
    w.dir("/a"); w.file("/a/b"); w.link("/a/l", "b")
    w.mount("/a")                     an empty filesystem on /a; what is made below /a from now on lies there
    w.place(p.stat("/a/b"))           "file /a/b": what was found, by the name under which it was made

A scene tests the learner's walk, so its world must not depend on that walk: each name is made in its
directory, at a place (mount and dentry) that is known from when the directory was made.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vfslab.fs.dcache import dput
from vfslab.fs.inode import inode_lock, inode_unlock
from vfslab.fs.mount import __lookup_mnt as mount_on
from vfslab.fs.mount import path_get, path_put
from vfslab.fs.namei import __lookup_slow as lookup_child
from vfslab.fs.namespace import do_new_mount
from vfslab.include.dcache import DCACHE_UNHASHED, Dentry
from vfslab.include.sched import Path
from vfslab.init.machine import Machine
from vfslab.init.main import running

KINDS = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link"}


class World:
    """The places of one kernel by their names: {"/a": Path(mount, dentry)}; labels: {(device, inode): name}."""

    def __init__(self, machine: Machine):
        self.kernel = machine.kernel
        root = self.kernel.init_task.fs.root
        self.places = {"/": Path(root.mnt, root.dentry)}
        self.labels: dict[tuple[int, int], str] = {}
        self.known("/", root.dentry)

    # -- making ------------------------------------------------------------------------------------

    def dir(self, path: str, mode: int = 0o755) -> str:
        """Make a directory, open to all unless mode says otherwise; return its path."""
        with self.new(path) as (dir, dentry):
            dir.i_op.mkdir(dir, dentry, mode)
        return path

    def file(self, path: str, mode: int = 0o644) -> str:
        """Make an empty file; return its path."""
        with self.new(path) as (dir, dentry):
            dir.i_op.create(dir, dentry, mode, True)
        return path

    def link(self, path: str, text: str) -> str:
        """Make a symbolic link; return its path."""
        with self.new(path) as (dir, dentry):
            dir.i_op.symlink(dir, dentry, os.fsencode(text))
        return path

    def mount(self, path: str, fstype: str = "ramfs") -> str:
        """Mount an empty filesystem on a directory, over whatever is mounted there already; return its path."""
        with running(self.kernel):
            where = self.places[path]
            top = path_get(Path(where.mnt, where.dentry))
            try:
                do_new_mount(top, os.fsencode(fstype), 0, 0, os.fsencode(fstype), b"")
            finally:
                path_put(top)
            mount = mount_on(where.mnt, where.dentry)
        self.places[path] = Path(mount.mnt, mount.mnt.mnt_root)
        self.known(path, mount.mnt.mnt_root, "mounted on ")
        return path

    @contextmanager
    def new(self, path: str) -> Iterator[tuple[Any, Dentry]]:
        """Give the body (directory's inode, negative dentry) for a name still to be made."""
        above, _slash, name = path.rpartition("/")
        where = self.places[above or "/"]
        dir = where.dentry.d_inode
        with running(self.kernel):
            inode_lock(dir)
            try:
                dentry = lookup_child(where.dentry, os.fsencode(name), 0)
                try:
                    yield dir, dentry
                    self.known(path, dentry)
                    self.places[path] = Path(where.mnt, dentry)
                finally:
                    dput(dentry)
            finally:
                inode_unlock(dir)

    # -- telling -----------------------------------------------------------------------------------

    def known(self, path: str, dentry: Dentry, how: str = "") -> None:
        """Keep the name of what was made."""
        self.labels[dentry.d_sb.s_dev, dentry.d_inode.i_ino] = how + path

    def place(self, found: Any) -> str:
        """Return what a stat result tells of, such as "file /a/b"."""
        label = self.labels.get((found.st_dev, found.st_ino), "that nobody made")
        return f"{KINDS.get(stat.S_IFMT(found.st_mode), 'thing')} {label}"


def make_dev(machine: Machine) -> None:
    """Give a kernel that was started without devices its /dev."""
    world = World(machine)
    world.dir("/dev")
    world.mount("/dev", "devtmpfs")


def pinned(obj: Any) -> int:
    """Return 1 for a name on a filesystem that lives in its dentries alone: it holds one reference of its own."""
    if not isinstance(obj, Dentry) or obj.d_inode is None or obj.d_parent is obj or obj.d_flags & DCACHE_UNHASHED:
        return 0
    lookup = obj.d_parent.d_inode.i_op.lookup
    return int(lookup is not None and lookup.__name__ == "simple_lookup")
