"""Calls about the task itself.   Linux: kernel/sys.c.   Chapter 5."""

from __future__ import annotations

from types import MappingProxyType

from vfslab.kernel.sched import cpu


def sys_umask(mask: int) -> int:
    """Set the permission bits that new files are not to have; return the old ones."""
    fs = cpu.current.fs
    old, fs.umask = fs.umask, mask & 0o777
    return old


def sys_getpid() -> int:
    """Return the task's number."""
    return cpu.current.pid


def sys_getuid() -> int:
    """Return the real user."""
    return cpu.current.cred.uid


def sys_geteuid() -> int:
    """Return the effective user."""
    return cpu.current.cred.euid


def sys_getgid() -> int:
    """Return the real group."""
    return cpu.current.cred.gid


def sys_getegid() -> int:
    """Return the effective group."""
    return cpu.current.cred.egid


def sys_getgroups() -> list[int]:
    """Return the further groups."""
    return sorted(cpu.current.cred.groups)


SYSCALLS = MappingProxyType(
    {
        "umask": sys_umask,
        "getpid": sys_getpid,
        "getuid": sys_getuid,
        "geteuid": sys_geteuid,
        "getgid": sys_getgid,
        "getegid": sys_getegid,
        "getgroups": sys_getgroups,
    }
)
