"""A filter over system calls, put in force without a library: what student code never needs is refused.

    memory that no limit counts (memfd, System V shared memory, message queues, io_uring)
    other processes' memory (ptrace, process_vm_readv, pidfd_getfd), new namespaces, mounts, keys, BPF
    sockets of other families than unix and IP: a vsock, for one, leads out of every network namespace

The filter is a program of classic BPF: it reads the architecture and the call's number, and compares.
Linux: Documentation/userspace-api/seccomp_filter.rst. Left out: other machines than x86_64 and aarch64.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

# Where struct seccomp_data keeps what the program reads: nr, arch, and the lower half of the first argument.
NR, ARCH, ARG0 = 0, 4, 16
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
PR_SET_SECCOMP, SECCOMP_MODE_FILTER, PR_SET_NO_NEW_PRIVS = 22, 2, 38
PR_SET_PDEATHSIG, SIGKILL = 1, 9
NEW_NAMESPACE = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
X32 = 0x40000000

# name: (x86_64, aarch64). Numbers of both from 424 on are the same.
CALLS = {
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmctl": (31, 195),
    "shmat": (30, 196),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "io_setup": (206, 0),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "personality": (135, 92),
    "syslog": (103, 116),
    "vmsplice": (278, 75),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
}
MACHINES = {"x86_64": (0, 0xC000003E, 56, 41), "aarch64": (1, 0xC00000B7, 220, 198)}  # column, arch, clone, socket
CLONE3 = 435


def program(machine: str) -> bytes | None:
    """Return the filter for a machine, None if its numbers are not known."""
    if machine not in MACHINES:
        return None
    column, arch, clone, socket = MACHINES[machine]
    refused = ERROR | errno.EPERM
    code = [(LOAD, 0, 0, ARCH), (EQUAL, 1, 0, arch), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NR)]
    code += [(AT_LEAST, 0, 1, X32), (RETURN, 0, 0, refused)]
    code += [(EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, ERROR | errno.ENOSYS)]  # the C library then takes clone
    code += [(EQUAL, 0, 4, clone), (LOAD, 0, 0, ARG0), (ANY_BIT, 0, 1, NEW_NAMESPACE)]
    code += [(RETURN, 0, 0, refused), (RETURN, 0, 0, ALLOW)]
    code += [(EQUAL, 0, len(FAMILIES) + 3, socket), (LOAD, 0, 0, ARG0)]
    code += [(EQUAL, len(FAMILIES) - at, 0, family) for at, family in enumerate(FAMILIES)]
    code += [(RETURN, 0, 0, ERROR | errno.EOPNOTSUPP), (RETURN, 0, 0, ALLOW)]  # libzmq ends the process over others
    for numbers in CALLS.values():
        if numbers[column]:
            code += [(EQUAL, 0, 1, numbers[column]), (RETURN, 0, 0, refused)]
    code.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in code)


def end_with_parent() -> None:
    """Be killed when the process ends that started this one. To become another user has undone it."""
    control(PR_SET_PDEATHSIG, SIGKILL, 0)


def no_new_privileges() -> None:
    """From now on no program that is started can gain rights."""
    control(PR_SET_NO_NEW_PRIVS, 1, 0)


def install() -> bool:
    """Put the filter in force for this process and all that it starts; return whether there is one for this machine."""
    code = program(platform.machine())
    if code is None:
        return False
    held = ctypes.create_string_buffer(code, len(code))
    whole = ctypes.create_string_buffer(struct.pack("@HP", len(code) // 8, ctypes.addressof(held)))
    control(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(whole))
    return True


def control(option: int, first: int, second: int) -> None:
    """Call prctl; OSError if it is refused."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(first), ctypes.c_ulong(second), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), "prctl")
