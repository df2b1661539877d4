"""A booted kernel for tests of the VFS: enter it, change memory, recount at the end."""

import contextlib

import pytest

import vfslab
from tests.kernel_checks import check
from vfslab.fs.namei import path_put, user_path_at
from vfslab.include.dcache import Dentry
from vfslab.include.fs import File
from vfslab.include.mount import Mount, Mountpoint
from vfslab.include.namei import LOOKUP_FOLLOW
from vfslab.include.uapi.fcntl import AT_FDCWD
from vfslab.init.main import running
from vfslab.kernel.sched import cpu


class World:
    """A kernel with one process `p` on ramfs; `inside()` runs the kernel's own functions as that process."""

    def __init__(self, machine):
        self.machine, self.kernel = machine, machine.kernel
        self.p = machine.process()

    @contextlib.contextmanager
    def inside(self, process=None):
        """Be the process inside the kernel for the body."""
        with running(self.kernel):
            cpu.current = (process or self.p).task
            yield self.kernel

    def dentry(self, path):
        """Return the dentry that path leads to, without a reference."""
        with self.inside():
            place = user_path_at(AT_FDCWD, path, LOOKUP_FOLLOW)
            path_put(place)
            return place.dentry

    def alive(self, cls):
        """Return how many objects of a type are allocated."""
        return self.kernel._slab.alive(cls)


@pytest.fixture
def world():
    """Give the test a kernel; afterwards every counter must agree with the pointers, and nothing be left at the end."""
    with vfslab.boot() as machine:
        world = World(machine)
        yield world
        assert check(world.kernel) == []
    left = {cls.__name__: world.alive(cls) for cls in (Dentry, File, Mount, Mountpoint)}
    assert left == dict.fromkeys(left, 0)
    kernel = world.kernel
    assert not (kernel.mount_hashtable or kernel.super_blocks)
