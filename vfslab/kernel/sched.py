"""Who runs: `cpu`, and the life of tasks.

`cpu` is the one global of the package: `cpu.current` is the running task, `cpu.kernel` its
kernel. It is per host thread; entering a system call sets it, and a kernel lets one host
thread in at a time.

Code belongs to the process, not to a kernel: who changes it while it runs (teach/livepatch.py) must
know of all kernels. So `cpu` also holds, for all threads alike, the machines that run and the patches in force.

Linux: `current`, kernel/fork.c, kernel/exit.c, as far as files are concerned; klp_patches of kernel/livepatch/core.c.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from vfslab.include.kernel import Kernel
    from vfslab.include.sched import TaskStruct


class Cpu(threading.local):
    """The processor as seen from one host thread: current and kernel; and what all threads share."""

    current: TaskStruct
    kernel: Kernel

    def __init__(self) -> None:
        """A thread that comes by for the first time is in no kernel."""
        self.current = None  # type: ignore[assignment]
        self.kernel = None  # type: ignore[assignment]

    machines: ClassVar[weakref.WeakSet] = weakref.WeakSet()  # booted and not shut down; one that nobody holds is gone
    klp_patches: ClassVar[list[Any]] = []


cpu = Cpu()
