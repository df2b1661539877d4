"""The system-call boundary: enter, dispatch, turn errors into numbers.

    user/libc.py ──syscall(task, "openat", ...)──▶ kernel.sys_call_table["openat"] ──▶ fs/open.py

Each file of the kernel exports the calls it defines; init composes the table. A call
returns an object (bytes, a tuple, a number >= 0) or -errno; no exception crosses.

Linux: arch/x86/entry/common.c (do_syscall_64), include/linux/syscalls.h.
Left out: registers and user pointers. Buffers are passed as Python objects.
"""

from __future__ import annotations

from typing import Any

from vfslab.include.sched import TaskStruct
from vfslab.kernel.errno import ENOSYS, KernelError, message_of, name_of  # noqa: F401  (for the C library)
from vfslab.kernel.sched import cpu


def syscall(task: TaskStruct, name: str, *args: Any) -> Any:
    """Run one system call as task; return its result, or a negative errno.

    here is the dictionary behind `cpu` in this thread: one look for it instead of one for each member.
    """
    kernel, here = task.kernel, cpu.__dict__
    kernel.baton.acquire()
    outer_task, outer_kernel = here["current"], here["kernel"]
    here["current"], here["kernel"] = task, kernel
    try:
        call = kernel.sys_call_table.get(name)
        if call is None:
            return -ENOSYS.errno
        return call(*args)
    except KernelError as error:
        return -error.errno
    finally:
        here["current"], here["kernel"] = outer_task, outer_kernel
        kernel.baton.release()
