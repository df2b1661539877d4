"""The C library of the guest: a process with the names, arguments, results and errors of Python's os.

    p.stat("/a") ──▶ user/names.py ──syscall("newfstatat")──▶ kernel/syscall.py ──▶ fs/stat.py
                                                    ◀── Kstat, or -2
    os.stat_result, or FileNotFoundError(2, ..., "/a")  ◀──

So one script runs on os and on p, and any function over an os-like object is a program for both.

Linux: what libc and Python's posixmodule do together.   Chapter 1.
Left out: everything that is not about files; pipes, locks and memory maps come with their chapters.

Always true
  U1  nothing but system calls crosses into the kernel
  U2  only OSError comes out (TypeError and ValueError for arguments that os would refuse as well)
"""

from __future__ import annotations

import os
from typing import Any

from vfslab.include.uapi.stat import MAJOR, MINOR, MKDEV
from vfslab.kernel.syscall import syscall
from vfslab.user.abi import CONSTANTS, fsdecode, fsencode, raise_error
from vfslab.user.descriptors import DescriptorCalls
from vfslab.user.dirs import DirectoryCalls
from vfslab.user.mounting import MountCalls
from vfslab.user.names import NameCalls
from vfslab.user.path import PathModule


class Process(DescriptorCalls, NameCalls, DirectoryCalls, MountCalls):
    """One task and its C library: k.process() makes it, p.fork() copies it, p.exit() ends it."""

    error = OSError
    PathLike = os.PathLike
    stat_result = os.stat_result
    statvfs_result = getattr(os, "statvfs_result", None)
    fspath = staticmethod(os.fspath)
    fsencode = staticmethod(fsencode)
    fsdecode = staticmethod(fsdecode)
    makedev = staticmethod(MKDEV)
    major = staticmethod(MAJOR)
    minor = staticmethod(MINOR)

    def __init__(self, task: Any) -> None:
        self.task = task
        self.path = PathModule(self)

    def __getattr__(self, name: str) -> Any:
        """Return a constant such as O_RDONLY; they are looked up last, so they cost the calls nothing."""
        try:
            return CONSTANTS[name]
        except KeyError:
            raise AttributeError(f"a process has no {name!r}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *CONSTANTS]

    def __repr__(self) -> str:
        return f"<process {self.task.pid}>"

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.exit()

    # --- the process itself

    def fork(self) -> Process:
        """Return a child: its descriptors share our open files, and it begins where we are."""
        pid = syscall(self.task, "fork")
        if pid < 0:
            raise_error(pid)
        return Process(self.task.kernel.tasks[pid])

    def exit(self) -> None:
        """End the process: its files are closed. A second time nothing happens."""
        if not self.task.exited:
            syscall(self.task, "exit")

    def umask(self, mask: int) -> int:
        """Set which permissions new files are not to have; return the old mask."""
        return syscall(self.task, "umask", mask)

    def getpid(self) -> int:
        """Return the number of the process."""
        return syscall(self.task, "getpid")

    def getuid(self) -> int:
        """Return the real user."""
        return syscall(self.task, "getuid")

    def geteuid(self) -> int:
        """Return the effective user."""
        return syscall(self.task, "geteuid")

    def getgid(self) -> int:
        """Return the real group."""
        return syscall(self.task, "getgid")

    def getegid(self) -> int:
        """Return the effective group."""
        return syscall(self.task, "getegid")

    def getgroups(self) -> list[int]:
        """Return the further groups."""
        return syscall(self.task, "getgroups")
