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
    from collections.abc import Iterable

    from vfslab.init.machine import Machine
    from vfslab.kernel.errno import KernelError
    from vfslab.lib.kstruct import KernelBug

__version__ = "0.1.0"
__all__ = [
    "KernelBug",
    "KernelError",
    "Machine",
    "boot",
    "deck_image",
    "draw",
    "explore",
    "revert",
    "show",
    "source",
    "trace",
]

# What the first cell of a chapter takes from here, and where it lies. Loaded when it is asked for.
FACE = {
    "Machine": "vfslab.init.machine",
    "KernelError": "vfslab.kernel.errno",
    "KernelBug": "vfslab.lib.kstruct",
    "draw": "vfslab.teach.notebook",
    "show": "vfslab.teach.notebook",
    "trace": "vfslab.teach.notebook",
    "explore": "vfslab.teach.explorer",
    "revert": "vfslab.teach.livepatch",
    "source": "vfslab.teach.source",
}


def boot(memory: int = 64 << 20, stub: str | Iterable[str] | None = None) -> Machine:
    """Return a freshly booted kernel whose caches take at most about memory bytes.

    stub: functions that raise ENOSYS until a %%kernel cell brings them: a kernel file ("fs/namei.py"), some
    of its functions ("fs/namei.py:step_into,lookup_fast"), or a list of such. There is one kernel with stubs
    at a time: booting the next one shuts the one before down.
    """
    if stub is not None:
        from vfslab.teach.livepatch import boot_stubbed

        return boot_stubbed(memory, stub)
    from vfslab.init.machine import boot

    return boot(memory)


def deck_image() -> bytes:
    """Return the ext4 image of the book's first chapters."""
    from vfslab.data import deck_image

    return deck_image()


def load_ipython_extension(shell: Any) -> None:
    """Bring %%kernel into a notebook: `%load_ext vfslab` calls this."""
    from vfslab.teach.magics import register

    register(shell)


def __getattr__(name: str) -> Any:
    if name in FACE:
        from importlib import import_module

        return getattr(import_module(FACE[name]), name)
    raise AttributeError(f"module 'vfslab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *FACE})
