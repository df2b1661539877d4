"""The same random calls on Linux itself and on vfslab: results and error numbers must be the same.

Linux runs in a child process with mounts of its own, chrooted into a fresh ramfs; vfslab runs chrooted into a
ramfs as well, so that absolute links and `..` at the root agree.
"""

import ctypes
import errno
import os
import pickle
import stat
import struct
import tempfile
import traceback

import vfslab
from tests.kernel_checks import check
from vfslab.include.uapi.mount import MNT_DETACH, MS_BIND, MS_MOVE, MS_PRIVATE, MS_RDONLY, MS_REC, MS_REMOUNT

CLONE_NEWNS, SYS_OPENAT2 = 0x20000, 437


class Linux:
    """Python's os, and the calls it lacks."""

    def __init__(self):
        self.libc = ctypes.CDLL(None, use_errno=True)

    def __getattr__(self, name):
        return getattr(os, name)

    def checked(self, result):
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    def renameat2(self, old, new, flags):
        self.checked(self.libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags))

    def openat2(self, path, flags, mode, resolve, dir_fd=None):
        how = struct.pack("QQQ", flags, mode, resolve)
        dfd = ctypes.c_int(-100 if dir_fd is None else dir_fd)
        return self.checked(self.libc.syscall(SYS_OPENAT2, dfd, os.fsencode(path), how, ctypes.c_size_t(24)))

    def mount(self, source, target, fstype, flags):
        self.checked(
            self.libc.mount(os.fsencode(source), os.fsencode(target), os.fsencode(fstype), ctypes.c_ulong(flags), None)
        )

    def umount(self, target, flags=0):
        self.checked(self.libc.umount2(os.fsencode(target), flags))


def on_linux(script, uid=0):
    """Return script's results from the running kernel."""
    top = tempfile.mkdtemp()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            linux = Linux()
            linux.checked(linux.libc.unshare(CLONE_NEWNS))
            linux.mount("none", "/", "", MS_REC | MS_PRIVATE)
            linux.mount("none", top, "ramfs", 0)
            os.chmod(top, 0o777)
            os.chdir(top), os.chroot("."), os.umask(0o022)
            become(uid)
            result = pickle.dumps(run(linux, script))
        except BaseException:
            result = pickle.dumps(traceback.format_exc())
        with os.fdopen(writer, "wb") as out:
            out.write(result)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        result = pickle.loads(answer.read())
    os.waitpid(pid, 0)
    os.rmdir(top)
    assert not isinstance(result, str), result
    return result


def become(uid):
    if uid:
        os.setgroups([]), os.setresgid(uid, uid, uid), os.setresuid(uid, uid, uid)


def on_vfslab(script, uid=0):
    """Return script's results from a kernel of ours, whose reference counts are right afterwards."""
    with vfslab.boot() as machine:
        root = machine.process()
        root.mkdir("/top"), root.mount("none", "/top", "ramfs", 0), root.chmod("/top", 0o777)
        process = machine.process(uid, uid) if uid else root
        own, process.task.cred = process.task.cred, root.task.cred
        process.chdir("/top"), process.chroot(".")
        process.task.cred = own
        results = run(process, script)
        assert check(machine.kernel) == []
    return results


def run(o, script):
    """Return [(call, arguments, result or name of the error)] of a script, with inode and device numbers made small."""
    results, numbers = [], {}
    for call, arguments in script:
        try:
            result = CALLS.get(call, lambda o, *a, call=call: getattr(o, call)(*a))(o, *arguments)
            if isinstance(result, os.stat_result) or hasattr(result, "st_mode"):
                ino = numbers.setdefault((result.st_dev, result.st_ino), len(numbers))
                result = (ino, oct(result.st_mode), result.st_nlink, result.st_uid)
        except OSError as error:
            result = errno.errorcode[error.errno]
        results.append((call, arguments, result))
    return results


def open_and_stat(o, path, flags, mode):
    fd = o.open(path, flags, mode)
    try:
        return o.fstat(fd)
    finally:
        o.close(fd)


def openat2_and_stat(o, path, flags, resolve, below):
    """Open path below the directory `below`, with RESOLVE_* flags."""
    dfd = o.open(below, os.O_PATH) if below else None
    try:
        fd = o.openat2(path, flags, 0o644 if flags & os.O_CREAT else 0, resolve, dir_fd=dfd)
        try:
            return o.fstat(fd)
        finally:
            o.close(fd)
    finally:
        if dfd is not None:
            o.close(dfd)


CALLS = {
    "open": open_and_stat,
    "openat2": openat2_and_stat,
    "listdir": lambda o, path: sorted(o.listdir(path)),
    "touch": lambda o, path: o.close(o.open(path, os.O_CREAT | os.O_WRONLY, 0o644)),
    "link": lambda o, old, new, follow: o.link(old, new, follow_symlinks=follow),
    "socket": lambda o, path: o.mknod(path, stat.S_IFSOCK | 0o644),
    "device": lambda o, path: o.mknod(path, stat.S_IFCHR | 0o644, os.makedev(1, 3)),
    "mount": lambda o, path: o.mount("none", path, "ramfs", 0),
    "bind": lambda o, old, new: o.mount(old, new, "", MS_BIND),
    "rbind": lambda o, old, new: o.mount(old, new, "", MS_BIND | MS_REC),
    "move": lambda o, old, new: o.mount(old, new, "", MS_MOVE),
    "bind_ro": lambda o, path: o.mount("none", path, "", MS_REMOUNT | MS_BIND | MS_RDONLY),
    "bind_rw": lambda o, path: o.mount("none", path, "", MS_REMOUNT | MS_BIND),
    "remount_ro": lambda o, path: o.mount("none", path, "", MS_REMOUNT | MS_RDONLY),
    "umount": lambda o, path: o.umount(path, 0),
    "lazy_umount": lambda o, path: o.umount(path, MNT_DETACH),
}


def first_difference(linux, ours):
    """Return the calls up to the first that differs that did something, and that one on both sides; or None."""
    for i, (theirs, mine) in enumerate(zip(linux, ours, strict=True)):
        if theirs != mine:
            before = [
                step for step in linux[:i] if not (isinstance(step[2], str) and step[2] in errno.errorcode.values())
            ]
            return f"after {before}: Linux {theirs}, vfslab {mine[2]}"
    return None


def same_on_both(script, uid=0, forgive=lambda theirs, mine: False):
    """Fail if a script differs; forgive(theirs, mine) may say that two results are as good as equal."""
    linux, ours = on_linux(script, uid), on_vfslab(script, uid)
    ours = [theirs if forgive(theirs, mine) else mine for theirs, mine in zip(linux, ours, strict=True)]
    difference = first_difference(linux, ours)
    assert difference is None, difference
