"""What /proc says of filesystems and mounts, until there is a /proc: the text of two of its files.

    /proc/filesystems   "nodev\\tramfs\\n\\text4\\n": which types there are, and which want a device
    /proc/mounts        "/dev/vda /mnt ext4 ro,relatime 0 0\\n": what is mounted where, as this task sees it

Linux: filesystems_proc_show() of fs/filesystems.c, fs/proc_namespace.c.   Chapter 6.
"""

from __future__ import annotations

from types import MappingProxyType

from vfslab.fs.proc_namespace import show_mounts
from vfslab.include.fs import FS_REQUIRES_DEV
from vfslab.kernel.sched import cpu


def proc_filesystems() -> bytes:
    """Return the text of /proc/filesystems."""
    lines = []
    for name, fs_type in cpu.kernel.file_systems.items():
        lines.append((b"" if fs_type.fs_flags & FS_REQUIRES_DEV else b"nodev") + b"\t" + name + b"\n")
    return b"".join(lines)


def proc_mounts() -> bytes:
    """Return the text of /proc/self/mounts."""
    return show_mounts(cpu.current.nsproxy.mnt_ns)


SYSCALLS = MappingProxyType({"proc_filesystems": proc_filesystems, "proc_mounts": proc_mounts})
