"""Tasks begin and end.

    fork ─▶ copy_process ─▶ kernel.copy_task: files, root and working directory, namespaces
    exit ─▶ do_exit      ─▶ kernel.exit_task: all of that is given back

What a task carries belongs to layers above this one; init hangs their functions into the two
lists of the kernel, and they are called without being known here.

Linux: kernel/fork.c, kernel/exit.c.   Chapter 5.
Left out: memory, signals, threads, waiting for a child, sharing (clone flags).

Always true
  T1  kernel.tasks has every task that has not exited, by its pid
  T2  a task that has exited holds no file, directory or namespace
"""

from __future__ import annotations

from types import MappingProxyType

from vfslab.include.kernel import Kernel
from vfslab.include.sched import Cred, TaskStruct
from vfslab.kernel.errno import KernelError
from vfslab.kernel.printk import KERN_ERR, printk
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kzalloc


def make_cred(uid: int, gid: int, groups: tuple[int, ...]) -> Cred:
    """Return credentials of a user; only uid 0 has capabilities."""
    capabilities = -1 if uid == 0 else 0
    return kzalloc(Cred, uid, gid, uid, gid, uid, gid, frozenset(groups), capabilities)


def copy_process(kernel: Kernel, parent: TaskStruct | None, cred: Cred, comm: bytes) -> TaskStruct:
    """Return a new task that has what parent has, as the user cred. No parent: it begins with nothing."""
    task = kzalloc(TaskStruct, pid=kernel.next_pid, comm=comm, cred=cred, kernel=kernel)
    kernel.next_pid += 1
    for copy in kernel.copy_task:
        copy(task, parent)
    kernel.tasks[task.pid] = task
    return task


def do_exit(task: TaskStruct) -> None:
    """End a task: all that it carries is given back. Twice is harmless."""
    if task.exited:
        return
    task.exited = True
    del task.kernel.tasks[task.pid]
    for give_back in task.kernel.exit_task:
        try:
            give_back(task)
        except KernelError as error:
            printk(KERN_ERR, f"exit of task {task.pid}: {error}")


def sys_fork() -> int:
    """Return the pid of a child that shares all open files and begins where its parent is."""
    parent = cpu.current
    return copy_process(cpu.kernel, parent, parent.cred, parent.comm).pid


def sys_exit() -> int:
    """End the calling task."""
    do_exit(cpu.current)
    return 0


SYSCALLS = MappingProxyType({"fork": sys_fork, "exit": sys_exit})
