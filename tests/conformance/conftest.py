"""Worlds in which the behaviours are tried: Linux itself (the oracle), and vfslab's filesystems.

A test takes `o`, an object with the face of os, and `top`, an empty directory. `world` adds what
os lacks: user(uid, gid, groups) gives an os-like object that acts as somebody else.
"""

import contextlib
import os
import shutil
import tempfile

import pytest

import vfslab


class LinuxWorld:
    """The running kernel, in a temporary directory."""

    name = "linux"

    def __enter__(self):
        self.os = os
        self.top = tempfile.mkdtemp(prefix="conformance-")
        os.chmod(self.top, 0o755)
        self.cwd, self.umask = os.getcwd(), os.umask(0o022)
        self.before = open_descriptors()
        return self

    def __exit__(self, *exc):
        os.chdir(self.cwd)
        os.umask(self.umask)
        for fd in open_descriptors() - self.before:
            with contextlib.suppress(OSError):
                os.close(fd)
        shutil.rmtree(self.top)

    @contextlib.contextmanager
    def user(self, uid, gid, groups=()):
        """Act as another user; root only."""
        old = os.getgroups()
        os.setgroups(groups)
        os.setresgid(gid, gid, 0)
        os.setresuid(uid, uid, 0)
        try:
            yield os
        finally:
            os.setresuid(0, 0, 0)
            os.setresgid(0, 0, 0)
            os.setgroups(old)


def open_descriptors():
    """Return the descriptors of this process that stand for something."""
    return {int(name) for name in os.listdir("/proc/self/fd")}


class RamfsWorld:
    """A ramfs mounted in a freshly booted kernel."""

    name = "ramfs"

    def __enter__(self):
        self.kernel = vfslab.boot()
        self.os = self.kernel.process()
        self.top = "/top"
        self.os.mkdir(self.top)
        self.os.mount("none", self.top, "ramfs")
        return self

    def __exit__(self, *exc):
        self.kernel.shutdown()

    @contextlib.contextmanager
    def user(self, uid, gid, groups=()):
        """Act as another user."""
        process = self.kernel.process(uid, gid, groups)
        try:
            yield process
        finally:
            process.exit()


WORLDS = {
    "linux": pytest.param(LinuxWorld, marks=pytest.mark.real, id="linux"),
    "ramfs": pytest.param(RamfsWorld, id="ramfs"),
}


@pytest.fixture(params=WORLDS.values())
def world(request):
    if request.param is LinuxWorld and not os.path.isdir("/proc/self/fd"):
        pytest.skip("the oracle is Linux, and this is another system")
    with request.param() as world:
        yield world


@pytest.fixture
def o(world):
    return world.os


@pytest.fixture
def top(world):
    return world.top


@pytest.fixture
def other(world, request):
    """The context manager for acting as another user, where the oracle may."""
    if world.name == "linux" and os.geteuid() != 0:
        pytest.skip("needs the rights of root to become another user")
    return world.user


def put(o, path, data=b"", mode=0o644):
    """Make a file with this content."""
    fd = o.open(path, o.O_WRONLY | o.O_CREAT | o.O_TRUNC, mode)
    try:
        while data:
            data = data[o.write(fd, data) :]
    finally:
        o.close(fd)


def get(o, path):
    """Return the content of a file."""
    fd = o.open(path, o.O_RDONLY)
    try:
        pieces = iter(lambda: o.read(fd, 65536), b"")
        return b"".join(pieces)
    finally:
        o.close(fd)


@contextlib.contextmanager
def opened(o, path, flags=os.O_RDONLY, mode=0o644):
    """Hold a descriptor for the body."""
    fd = o.open(path, flags, mode)
    try:
        yield fd
    finally:
        o.close(fd)


@contextlib.contextmanager
def fails(number, filename=..., filename2=...):
    """Expect an OSError with this number, of the class Python has for it, and these names if given."""
    with pytest.raises(OSError) as caught:
        yield
    error = caught.value
    assert error.errno == number, f"{error!r}, not {os.strerror(number)}"
    assert error.strerror == os.strerror(number)
    assert type(error) is type(OSError(number, ""))
    if filename is not ...:
        assert error.filename == filename
    if filename2 is not ...:
        assert error.filename2 == filename2
