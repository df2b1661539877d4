"""A box of our own, for machines without bubblewrap: `python namespaces.py JSON`, as a program by itself.

    unshare: mounts, processes, network, IPC, names, cgroups (and users, unless this is root)
      └─ fork ─▶ process 1 of the box: a root of its own in a tmpfs, read-only binds, a small /tmp, /proc
                   └─ exec ─▶ what the JSON's command says (inside/start.py, which gives up the rest)

Uses the standard library and ctypes only. Linux: unshare(2), pivot_root(2), namespaces(7).
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import socket
import struct
import sys

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x02000000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_NOATIME, MS_NODIRATIME, MS_RELATIME, MS_REC, MS_PRIVATE = 1024, 2048, 1 << 21, 16384, 1 << 18
MNT_DETACH, PR_SET_PDEATHSIG, PR_CAPBSET_DROP = 2, 1, 24
CAP_SETGID, CAP_SETUID = 6, 7
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
# What statvfs calls a mount's flags, and mount: in a user namespace the ones that are set must stay.
KEPT = {2: MS_NOSUID, 4: MS_NODEV, 8: MS_NOEXEC, 1024: MS_NOATIME, 2048: MS_NODIRATIME, 4096: MS_RELATIME}

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> int:
    """Call a function of the C library; OSError, with its name, if it fails."""
    result = getattr(libc, name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, options: str = "") -> None:
    """Call mount(2)."""
    texts = [os.fsencode(text) if text is not None else None for text in (source, target, kind)]
    call("mount", *texts, ctypes.c_ulong(flags), os.fsencode(options))


def main(given: dict) -> None:
    """Make the box, run the command in it, end as it ends."""
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    uid, gid = os.geteuid(), os.getegid()
    spaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
    call("unshare", spaces if uid == 0 else spaces | CLONE_NEWUSER)
    if uid:
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"{uid} {uid} 1")
        write("/proc/self/gid_map", f"{gid} {gid} 1")
    parent = os.getpid()
    child = os.fork()
    if child:
        os.closerange(3, 256)
        _pid, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0x7F)
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() not in (0, parent):
        os._exit(1)
    build(given)
    keep_only(CAP_SETUID, CAP_SETGID)
    os.execve(given["command"][0], given["command"], given["env"])


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def build(given: dict) -> None:
    """Make the box's root, and go there: nothing of the host's tree stays in reach."""
    root = given["root"]
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,nr_inodes=4096,mode=755")
    for target, text in given["links"]:
        os.symlink(text, root + target)
    for source, target in given["binds"]:
        bind(source, root + target)
    os.makedirs(root + "/tmp")
    mount("tmpfs", root + "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, f"size={given['disk']},nr_inodes=4096,mode=1777")
    os.makedirs(root + "/proc")
    mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    loopback_up()
    socket.sethostname("box")
    os.chdir(root)
    call("syscall", ctypes.c_long(PIVOT_ROOT[platform.machine()]), b".", b".")
    call("umount2", b".", MNT_DETACH)
    os.chdir("/")
    mount("none", "/", None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    os.chdir("/tmp")


def bind(source: str, target: str) -> None:
    """Show a file or a tree of the host in the box, read-only."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    mount(source, target, None, MS_BIND | MS_REC)
    flags = sum(flag for bit, flag in KEPT.items() if os.statvfs(target).f_flag & bit)
    device = target.split("/")[-2] == "dev"
    mount("none", target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | flags | (0 if device else MS_NODEV))


def loopback_up() -> None:
    """Give the empty network its 127.0.0.1."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as each:
        fcntl.ioctl(each, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def keep_only(*kept: int) -> None:
    """Take every other capability out of what a program that is started may have."""
    for capability in range(64):
        if capability not in kept and libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) and ctypes.get_errno() != 22:
            break  # not allowed: then nothing can be gained either


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except OSError as error:
        sys.exit(f"no box: {error.strerror or error}")
