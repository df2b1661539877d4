"""The text of /proc/mounts: what is mounted where, as the running task sees it.

    /dev/vda /mnt ext4 ro,relatime 0 0

Linux: fs/proc_namespace.c.   Chapter 6.
Left out: mountinfo and mountstats, waiting for a change (poll).
"""

from __future__ import annotations

from vfslab.fs.d_path import prepend_path
from vfslab.fs.mount import __mnt_is_readonly
from vfslab.include.fs import SB_DIRSYNC, SB_LAZYTIME, SB_SYNCHRONOUS
from vfslab.include.mount import (
    MNT_NOATIME,
    MNT_NODEV,
    MNT_NODIRATIME,
    MNT_NOEXEC,
    MNT_NOSUID,
    MNT_NOSYMFOLLOW,
    MNT_RELATIME,
    MntNamespace,
    Mount,
)
from vfslab.include.sched import Path
from vfslab.kernel.sched import cpu

SB_OPTIONS = ((SB_SYNCHRONOUS, b"sync"), (SB_DIRSYNC, b"dirsync"), (SB_LAZYTIME, b"lazytime"))
MNT_OPTIONS = (
    (MNT_NOSUID, b"nosuid"),
    (MNT_NODEV, b"nodev"),
    (MNT_NOEXEC, b"noexec"),
    (MNT_NOATIME, b"noatime"),
    (MNT_NODIRATIME, b"nodiratime"),
    (MNT_RELATIME, b"relatime"),
    (MNT_NOSYMFOLLOW, b"nosymfollow"),
)


def show_mounts(ns: MntNamespace) -> bytes:
    """Return one line for each mount of a namespace that the task's root leads to."""
    lines = []
    for mount in ns.mounts.values():
        place, reached = prepend_path(Path(mount.mnt, mount.mnt.mnt_root), cpu.current.fs.root)
        if reached:
            lines.append(show_vfsmnt(mount, place))
    return b"".join(lines)


def show_vfsmnt(mount: Mount, place: bytes) -> bytes:
    """Return the line of one mount: source, place, type, options."""
    mnt, sb = mount.mnt, mount.mnt.mnt_sb
    options = [b"ro" if __mnt_is_readonly(mnt) else b"rw"]
    options += [name for flag, name in SB_OPTIONS if sb.s_flags & flag]
    options += [name for flag, name in MNT_OPTIONS if mnt.mnt_flags & flag]
    if sb.s_op.show_options is not None:
        options += sb.s_op.show_options(mnt.mnt_root)
    return b" ".join([mangle(mount.mnt_devname), mangle(place), sb.s_type.name, b",".join(options), b"0 0\n"])


def mangle(text: bytes) -> bytes:
    """Return text with what would break a line of words written as an octal number."""
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\#" else b"%c" % byte for byte in text)
