"""The same random operations on Linux and on vfslab: every result and every error must be the same.

A trace is what each operation returned, or the errno and names of its error. Inode numbers,
devices and times differ between any two filesystems and are left out; so are sizes of directories.
"""

import os
import random
import stat

import pytest

from tests.conformance.conftest import LinuxWorld, RamfsWorld, put

NAMES = ("a", "b", "c", "a/a", "a/b", "b/c", "a/b/c", "l", "l/x", "b/l", ".", "a/..", "b/.", "c/")
STEPS = 400


class Player:
    """Plays operations on one os-like object and writes down what came of them."""

    def __init__(self, o, top, seed):
        self.o, self.top, self.rng = o, top, random.Random(seed)
        self.fds, self.trace = [], []

    def play(self, steps):
        """Return the trace of that many operations."""
        verbs = sorted(name for name in dir(self) if name.startswith("do_"))
        for _ in range(steps):
            verb = self.rng.choice(verbs)
            arguments = self.choose()
            try:
                result = getattr(self, verb)(*arguments)
            except OSError as error:
                names = [name and os.fspath(name) for name in (error.filename, error.filename2)]
                result = error.errno, error.strerror, [self.relative(name) for name in names]
            self.trace.append((verb, arguments, result))
        for fd in self.fds:
            self.o.close(fd)
        self.trace.append(("tree", self.tree(self.top)))
        return self.trace

    def choose(self):
        """Draw two paths, a number and a file: each operation uses what it needs."""
        rng = self.rng
        path = f"{self.top}/{rng.choice(NAMES)}", f"{self.top}/{rng.choice(NAMES)}"
        return Paths(path, self.top), rng.randrange(1 << 20), rng.randrange(8)

    def relative(self, name):
        return name.replace(self.top, "TOP") if isinstance(name, str) else name

    def fd(self, number):
        return self.fds[number % len(self.fds)] if self.fds else 999

    def facts(self, result):
        """Return the fields of a stat_result that any two filesystems agree on."""
        size = None if stat.S_ISDIR(result.st_mode) else result.st_size
        return result.st_mode, result.st_nlink, result.st_uid, result.st_gid, size, result.st_rdev

    def tree(self, top):
        found = []
        for name in sorted(self.o.listdir(top)):
            path = f"{top}/{name}"
            facts = self.facts(self.o.lstat(path))
            found.append((self.relative(path), facts, self.content(path, facts[0])))
            if stat.S_ISDIR(facts[0]):
                found += self.tree(path)
        return found

    def content(self, path, mode):
        if stat.S_ISLNK(mode):
            return self.relative(self.o.readlink(path))
        if not stat.S_ISREG(mode):
            return None
        fd = self.o.open(path, self.o.O_RDONLY)
        data = self.o.read(fd, 1 << 20)
        self.o.close(fd)
        return data

    def do_mkdir(self, path, number, pick):
        self.o.mkdir(path[0], number & 0o777 | 0o700)

    def do_rmdir(self, path, number, pick):
        self.o.rmdir(path[0])

    def do_unlink(self, path, number, pick):
        self.o.unlink(path[0])

    def do_rename(self, path, number, pick):
        self.o.rename(path[0], path[1])

    def do_link(self, path, number, pick):
        self.o.link(path[0], path[1])

    def do_symlink(self, path, number, pick):
        self.o.symlink(("a", "../a", "l", "c", self.top)[number % 5], path[0])

    def do_readlink(self, path, number, pick):
        return self.relative(self.o.readlink(path[0]))

    def do_open(self, path, number, pick):
        o = self.o
        flags = (o.O_RDONLY, o.O_WRONLY, o.O_RDWR)[number % 3]
        for bit, flag in enumerate(
            (o.O_CREAT, o.O_CREAT, o.O_EXCL, o.O_TRUNC, o.O_APPEND, o.O_DIRECTORY, o.O_NOFOLLOW)
        ):
            if number >> bit + 4 & 1 and (bit < 2 or number >> bit + 8 & 1):
                flags |= flag
        if flags & o.O_CREAT and flags & o.O_DIRECTORY:
            flags &= ~o.O_DIRECTORY  # what this means has changed between versions of Linux
        self.fds.append(o.open(path[0], flags, 0o644))

    def do_close(self, path, number, pick):
        if self.fds:
            self.o.close(self.fds.pop(pick % len(self.fds)))

    def do_read(self, path, number, pick):
        return self.o.read(self.fd(pick), number % 9000)

    def do_pread(self, path, number, pick):
        return self.o.pread(self.fd(pick), number % 9000, number % 20000)

    def do_write(self, path, number, pick):
        return self.o.write(self.fd(pick), bytes([number & 255]) * (number % 9000))

    def do_pwrite(self, path, number, pick):
        return self.o.pwrite(self.fd(pick), bytes([number & 255]) * (number % 500), number % 30000)

    def do_lseek(self, path, number, pick):
        fd = self.fd(pick)
        if stat.S_ISDIR(self.o.fstat(fd).st_mode):
            return None
        return self.o.lseek(fd, number % 20000 - 5000, number % 3)

    def do_ftruncate(self, path, number, pick):
        self.o.ftruncate(self.fd(pick), number % 20000)

    def do_truncate(self, path, number, pick):
        self.o.truncate(path[0], number % 20000)

    def do_stat(self, path, number, pick):
        return self.facts(self.o.stat(path[0]))

    def do_lstat(self, path, number, pick):
        return self.facts(self.o.lstat(path[0]))

    def do_fstat(self, path, number, pick):
        return self.facts(self.o.fstat(self.fd(pick)))

    def do_listdir(self, path, number, pick):
        return sorted(self.o.listdir(path[0]))

    def do_chmod(self, path, number, pick):
        self.o.chmod(path[0], number & 0o777 | 0o700)

    def do_chdir(self, path, number, pick):
        self.o.chdir(path[0])
        return self.relative(self.o.getcwd())

    def do_socket(self, path, number, pick):
        if number % 4 == 0:
            self.o.mknod(path[0], stat.S_IFSOCK | 0o600)

    def do_access(self, path, number, pick):
        return self.o.access(path[0], number % 8)

    def do_dup(self, path, number, pick):
        if len(self.fds) < 20:
            self.fds.append(self.o.dup(self.fd(pick)))

    def do_xattr(self, path, number, pick):
        name = f"user.{number % 3}"
        if number & 8:
            self.o.setxattr(path[0], name, str(number).encode(), number >> 4 & 3 % 3)
        elif number & 16:
            self.o.removexattr(path[0], name)
        return sorted(name for name in self.o.listxattr(path[0]) if name.startswith("user."))

    def do_copy_file_range(self, path, number, pick):
        return self.o.copy_file_range(self.fd(pick), self.fd(number), number % 5000, number % 3000, number % 7000)


class Paths(tuple):
    """Two paths that print without the directory they lie in."""

    def __new__(cls, paths, top):
        made = super().__new__(cls, paths)
        made.top = top
        return made

    def __eq__(self, other):
        return repr(self) == repr(other)

    __hash__ = None

    def __repr__(self):
        return repr(tuple(path.replace(self.top, "TOP") for path in self))


@pytest.mark.real
@pytest.mark.parametrize("number", range(25))
def test_random_operations_have_the_same_results_as_on_linux(number, seed):
    traces = []
    with LinuxWorld() as linux, RamfsWorld() as ours:
        ours.os.makedirs(linux.top)
        for o in (linux.os, ours.os):
            # one level further down, so that links and ".." find the same around it
            top = f"{linux.top}/top"
            o.mkdir(top)
            put(o, f"{top}/c", b"to begin with")
            traces.append(Player(o, top, f"{seed} {number}").play(STEPS))
    for step, (want, got) in enumerate(zip(*traces, strict=True)):
        assert got == want, f"step {step} of VFSLAB_SEED={seed}, sequence {number}"
