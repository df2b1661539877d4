"""A compact Linux storage stack in Python that is also a textbook.

    import vfslab
    with vfslab.boot() as k:                    a running kernel: ramfs on /, no disk
        k.attach("vda", "disk.img")             a file of the host becomes /dev/vda
        p = k.process()                         a task and its libc: p has the face of Python's os
        p.mkdir("/mnt")
        p.mount("/dev/vda", "/mnt", "ext4", "ro")
        print(p.listdir("/mnt"))

Importing this loads next to nothing; boot() loads the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vfslab.include.kernel import Kernel
    from vfslab.kernel.errno import KernelError
    from vfslab.lib.kstruct import KernelBug
    from vfslab.user.libc import Process

__version__ = "0.1.0"
__all__ = ["KernelBug", "KernelError", "Machine", "boot", "deck_image"]


class Machine:
    """A running kernel as seen from outside: disks are attached to it, processes started, its log read."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def attach(self, name: str, source: Any, read_only: bool = False) -> None:
        """Make a disk of a host file (path, bytes, bytearray or file object): /dev/NAME, its partitions /dev/NAME1 ..."""
        from vfslab.drivers import hostdisk

        self.check_running()
        hostdisk.attach(self.kernel, name, source, read_only)

    def detach(self, name: str) -> None:
        """Pull a disk out; what still uses it gets EIO."""
        from vfslab.drivers import hostdisk

        self.check_running()
        disk = self.kernel.disks.get(name.encode())
        if disk is None:
            raise ValueError(f"there is no disk {name!r}")
        hostdisk.detach(self.kernel, disk)

    def process(self, uid: int = 0, gid: int = 0, groups: tuple[int, ...] = ()) -> Process:
        """Return a new process of a user, at /, with nothing open."""
        from vfslab.init.main import spawn
        from vfslab.user.libc import Process

        self.check_running()
        return Process(spawn(self.kernel, uid, gid, tuple(groups), b"python"))

    def dmesg(self) -> list[str]:
        """Return the lines of the kernel's log."""
        return [text for _level, text in self.kernel.log]

    def shutdown(self) -> None:
        """End processes and mounts, and close the host's files. A second time nothing happens."""
        from vfslab.init.main import shutdown

        shutdown(self.kernel)

    def check_running(self) -> None:
        """Raise RuntimeError after shutdown."""
        if not self.kernel.running:
            raise RuntimeError("this kernel was shut down")

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.shutdown()

    def __repr__(self) -> str:
        return f"<vfslab {self.kernel.release.decode()}, {'running' if self.kernel.running else 'shut down'}>"


def boot(memory: int = 64 << 20) -> Machine:
    """Return a freshly booted kernel whose caches take at most about memory bytes."""
    from vfslab.init.main import start_kernel

    return Machine(start_kernel(memory))


def deck_image() -> bytes:
    """Return the ext4 image of the book's first chapters."""
    from vfslab.data import deck_image

    return deck_image()


def __getattr__(name: str) -> Any:
    if name == "KernelError":
        from vfslab.kernel.errno import KernelError

        return KernelError
    if name == "KernelBug":
        from vfslab.lib.kstruct import KernelBug

        return KernelBug
    raise AttributeError(f"module 'vfslab' has no attribute {name!r}")
