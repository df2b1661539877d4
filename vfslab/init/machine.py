"""The machine as seen from outside: boot it, attach disks, start processes, read its log, have a mount checked.

`import vfslab` shows this to programs; the tools of the command line take it from here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vfslab.drivers import hostdisk
from vfslab.fs.ext4.super import ext4_sops
from vfslab.include.kernel import Kernel
from vfslab.init.main import running, shutdown, spawn, start_kernel
from vfslab.kernel.sched import cpu
from vfslab.user.libc import Process


def boot(memory: int = 64 << 20) -> Machine:
    """Return a freshly booted machine whose caches take at most about memory bytes.

    RuntimeError while another one runs patched code: this one would run the same code.
    """
    for patch in cpu.klp_patches:
        patch.check_boot()
    return Machine(start_kernel(memory))


def fsck(machine: Machine, progress: Callable[[int], Any] | None = None) -> tuple[list[str], list[str]]:
    """Return (problems, notices) of all ext4 filesystems that are mounted; see fs/ext4/fsck/."""
    from vfslab.fs.ext4.fsck import ext4_fsck  # most kernels never check anything

    problems: list[str] = []
    notices: list[str] = []
    with running(machine.kernel):
        mounts = machine.kernel.init_task.nsproxy.mnt_ns.mounts.values()
        for sb in {mount.mnt.mnt_sb._nr: mount.mnt.mnt_sb for mount in mounts}.values():
            if sb.s_op is ext4_sops:
                found, told = ext4_fsck(sb, progress)
                problems += found
                notices += told
    return problems, notices


class Machine:
    """A running kernel as seen from outside: disks are attached to it, processes started, its log read."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        kernel.state["machine"] = self  # as long as a process holds the kernel, it runs
        cpu.machines.add(self)

    @property
    def patch(self) -> Any:
        """The live patch in force on this kernel (teach/livepatch.py), or None."""
        return next((patch for patch in cpu.klp_patches if patch.machine is self), None)

    def attach(self, name: str, source: Any, read_only: bool = False) -> None:
        """Make a disk of a host file (path, bytes, bytearray or file object): /dev/NAME, its partitions /dev/NAME1 ..."""
        self.check_running()
        hostdisk.attach(self.kernel, name, source, read_only)

    def detach(self, name: str) -> None:
        """Pull a disk out; what still uses it gets EIO."""
        self.check_running()
        disk = self.kernel.disks.get(name.encode())
        if disk is None:
            raise ValueError(f"there is no disk {name!r}")
        hostdisk.detach(self.kernel, disk)

    def process(self, uid: int = 0, gid: int = 0, groups: tuple[int, ...] = ()) -> Process:
        """Return a new process of a user, at /, with nothing open."""
        self.check_running()
        return Process(spawn(self.kernel, uid, gid, tuple(groups), b"python"))

    def dmesg(self) -> list[str]:
        """Return the lines of the kernel's log."""
        return [text for _level, text in self.kernel.log]

    def shutdown(self) -> None:
        """End processes and mounts, and close the host's files. A second time nothing happens.

        Patched code is reverted first: what ends here must end as the package says.
        """
        if self.patch:
            self.patch.revert()
        shutdown(self.kernel)
        cpu.machines.discard(self)

    def check_running(self) -> None:
        """Raise RuntimeError after shutdown."""
        if not self.kernel.running:
            raise RuntimeError("this kernel was shut down")

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.shutdown()

    def __repr__(self) -> str:
        state = "running" if self.kernel.running else "shut down"
        if self.patch:
            state += f" patched code ({', '.join(self.patch.files())})"
        return f"<vfslab {self.kernel.release.decode()}, {state}>"
