"""Booting: from nothing to a kernel with a root filesystem, and back.

    start_kernel ─▶ memory, log, first task ─▶ system calls ─▶ filesystems ─▶ drivers
                 ─▶ ramfs on / ─▶ devtmpfs on /dev
    shutdown     ─▶ tasks exit ─▶ mounts end ─▶ disks go, host files are closed

Linux: init/main.c, init/do_mounts.c.   Chapter 1.
Left out: the command line, an initial RAM disk, running a first program: tasks come from outside,
by spawn().

Always true
  B1  two kernels share nothing; what one does the other never sees
  B2  after shutdown() no file of the host is open
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vfslab.drivers import brd, hostdisk, loop, mem
from vfslab.fs import (
    d_path,
    fcntl,
    file,
    fs_struct,
    ioctl,
    namei_ops,
    namespace,
    open,  # noqa: A004  (the file is called so in Linux)
    proc,
    read_write,
    readdir,
    stat,
    statfs,
    sync,
    utimes,
    xattr,
)
from vfslab.fs.block_dev import blkdev_init
from vfslab.fs.char_dev import chrdev_init
from vfslab.fs.devtmpfs import devtmpfs_fs_type, devtmpfs_init
from vfslab.fs.ext4.super import ext4_fs_type
from vfslab.fs.filesystems import register_filesystem
from vfslab.fs.ramfs.inode import ramfs_fs_type
from vfslab.include.kernel import Kernel
from vfslab.include.mm_types import PAGE_SHIFT, Lruvec
from vfslab.include.sched import TaskStruct
from vfslab.include.uapi.fcntl import AT_FDCWD
from vfslab.kernel import fork, sys
from vfslab.kernel.errno import KernelError
from vfslab.kernel.printk import KERN_ERR, KERN_INFO, printk
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import Slab, kzalloc
from vfslab.lib.kstruct import KernelBug
from vfslab.mm.buddy import free_area_exit, free_area_init

SYSTEM_CALL_FILES = (
    *(d_path, fcntl, file, ioctl, namei_ops, namespace, open, proc, read_write, readdir, stat, statfs, sync, utimes),
    *(xattr, fork, sys),
)
FILESYSTEMS = (ramfs_fs_type, devtmpfs_fs_type, ext4_fs_type)
DRIVERS = (mem.chr_dev_init, brd.brd_init, loop.loop_init)
LEAST_MEMORY = 1 << 20


def start_kernel(memory: int = 64 << 20, devices: bool = True) -> Kernel:
    """Return a running kernel whose caches take at most about memory bytes: ramfs on /, devices in /dev.

    Without devices there is no /dev, and no path is walked: a kernel whose path walk is still to be written boots too.
    """
    if memory < LEAST_MEMORY:
        raise ValueError(f"a kernel needs at least {LEAST_MEMORY} bytes of memory")
    kernel = Kernel()
    kernel._slab = Slab()
    kernel._slab.number(kernel)
    kernel.baton = threading.RLock()
    kernel.clock = time.time_ns
    with running(kernel):
        kernel.node = kzalloc(Lruvec, limit_pages=memory >> PAGE_SHIFT)
        free_area_init(kernel.node)
        kernel.sys_call_table = system_calls()
        kernel.copy_task += (file.copy_files, fs_struct.copy_fs, namespace.copy_namespaces)
        kernel.exit_task += (file.exit_files, fs_struct.exit_fs, namespace.exit_task_namespaces)
        printk(KERN_INFO, f"Linux version {kernel.release.decode()}, memory for caches: {memory >> 10}K")
        cpu.current = kernel.init_task = fork.copy_process(kernel, None, fork.make_cred(0, 0, ()), b"init")
        for make in FILESYSTEMS:
            register_filesystem(make())
        namespace.init_mount_tree(kernel, kernel.file_systems[b"ramfs"])
        for init in (blkdev_init, chrdev_init, devtmpfs_init, *DRIVERS):
            init(kernel)
        if devices:
            namei_ops.sys_mkdirat(AT_FDCWD, b"/dev", 0o755)
            namespace.sys_mount(b"devtmpfs", b"/dev", b"devtmpfs", 0, None)
    return kernel


def system_calls() -> dict[str, Callable]:
    """Return the system-call table, composed of what each file defines; a name may be defined once."""
    table: dict[str, Callable] = {}
    for module in SYSTEM_CALL_FILES:
        twice = table.keys() & module.SYSCALLS.keys()
        if twice:
            raise KernelBug(f"{module.__name__} defines {twice} again")
        table.update(module.SYSCALLS)
    return table


@contextmanager
def running(kernel: Kernel) -> Iterator[None]:
    """Enter the kernel from outside, as its first task: for booting, for shutdown, for making tasks."""
    with kernel.baton:
        outer = cpu.current, cpu.kernel
        cpu.current, cpu.kernel = kernel.init_task, kernel
        try:
            yield
        finally:
            cpu.current, cpu.kernel = outer


def spawn(kernel: Kernel, uid: int, gid: int, groups: tuple[int, ...], comm: bytes) -> TaskStruct:
    """Return a new task of a user, with nothing open, at the root of the first namespace."""
    with running(kernel):
        return fork.copy_process(kernel, kernel.init_task, fork.make_cred(uid, gid, groups), comm)


def shutdown(kernel: Kernel) -> None:
    """End all tasks, then all mounts, then all disks. A second time nothing happens."""
    if not kernel.running:
        return
    with running(kernel):
        for task in [task for task in kernel.tasks.values() if task is not kernel.init_task]:
            fork.do_exit(task)
        umount_everything(kernel)
        remove_disks(kernel)
        fork.do_exit(kernel.init_task)
        free_area_exit(kernel.node)
        kernel.running = False


def umount_everything(kernel: Kernel) -> None:
    """Unmount all but the root, the last mount first."""
    ns = kernel.init_task.nsproxy.mnt_ns
    while len(ns.mounts) > 1:
        attempt(namespace.umount_tree, ns.mounts[max(ns.mounts)])


def remove_disks(kernel: Kernel) -> None:
    """Take all disks away: loop devices let their files go first, then what lies on files of the host."""
    for number, lo in list(kernel.state["loop"].items()):
        if lo.lo_state == loop.LO_BOUND:
            attempt(loop.__loop_clr_fd, lo)
        attempt(loop.loop_remove, number)
    for disk in list(kernel.disks.values()):
        if disk.fops is hostdisk.hostdisk_fops:
            attempt(hostdisk.detach, kernel, disk)
        else:
            attempt(brd.brd_del, disk)


def attempt(function: Callable, *args: Any) -> None:
    """Call function; an error is logged, for nobody is left to hear of it."""
    try:
        function(*args)
    except KernelError as error:
        printk(KERN_ERR, f"shutdown: {error}")
