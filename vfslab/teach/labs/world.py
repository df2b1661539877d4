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
from types import MappingProxyType
from typing import Any

from vfslab.fs.dcache import d_add, d_alloc, dput
from vfslab.fs.file_table import alloc_empty_file, fput, vfs_open
from vfslab.fs.inode import inode_lock, inode_unlock
from vfslab.fs.mount import __lookup_mnt as mount_on
from vfslab.fs.mount import path_get, path_put, real_mount
from vfslab.fs.namei import __lookup_slow as lookup_child
from vfslab.fs.namespace import clone_mnt, do_add_mount, do_new_mount
from vfslab.fs.read_write import vfs_write
from vfslab.include.dcache import DCACHE_OP_REVALIDATE, DCACHE_UNHASHED, Dentry, DentryOperations
from vfslab.include.mount import MNT_NOSYMFOLLOW
from vfslab.include.sched import Path
from vfslab.include.uapi.fcntl import O_WRONLY
from vfslab.include.uio import IovIter
from vfslab.init.machine import Machine
from vfslab.init.main import running
from vfslab.kernel.sched import cpu

ORDER = ("", "second ", "third ", "fourth ")
stale_dentry_operations = DentryOperations(d_revalidate=lambda dentry, flags: False)
KINDS = MappingProxyType({stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link"})


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

    def file(self, path: str, content: bytes = b"", mode: int = 0o644) -> str:
        """Make a file; return its path."""
        with self.new(path) as (dir, dentry):
            dir.i_op.create(dir, dentry, mode, True)
        if content:
            where = self.places[path]
            with running(self.kernel):
                file = alloc_empty_file(O_WRONLY, cpu.current.cred)
                vfs_open(path_get(Path(where.mnt, where.dentry)), file)
                vfs_write(file, IovIter(len(content), None, [memoryview(content)], 0, True), 0)
                fput(file)
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
        depth = sum(label.endswith(f"mounted on {path}") for label in self.labels.values())
        self.known(path, mount.mnt.mnt_root, f"{ORDER[depth]}mounted on ")
        return path

    def bind(self, old: str, path: str) -> str:
        """Show a directory a second time, on another one, as mount --bind does; return the second path."""
        below, where = self.places[old], self.places[path]
        with running(self.kernel):
            mount = clone_mnt(real_mount(below.mnt), below.dentry)
            top = path_get(Path(where.mnt, where.dentry))
            try:
                do_add_mount(mount, top)
            finally:
                path_put(top)
        self.places[path] = Path(mount.mnt, mount.mnt.mnt_root)
        return path

    def absent(self, path: str) -> str:
        """Let the kernel know that a name does not exist: a negative dentry; return the path."""
        above, _slash, name = path.rpartition("/")
        parent = self.places[above or "/"].dentry
        with running(self.kernel):
            dentry = d_alloc(parent, os.fsencode(name))
            d_add(dentry, None)
            dput(dentry)
        return path

    def stale(self, path: str) -> str:
        """Let the filesystem say, when it is asked, that a cached name is no longer true; return the path."""
        dentry = self.places[path].dentry
        dentry.d_op = stale_dentry_operations
        dentry.d_flags |= DCACHE_OP_REVALIDATE
        return path

    def never_read(self, path: str) -> str:
        """Set a thing's access time to the beginning of time; return the path."""
        inode = self.places[path].dentry.d_inode
        inode.i_atime_sec = inode.i_atime_nsec = 0
        return path

    def no_links(self, path: str) -> str:
        """Let the mount that path lies on follow no symbolic links, as mount -o nosymfollow does; return the path."""
        self.places[path].mnt.mnt_flags |= MNT_NOSYMFOLLOW
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
