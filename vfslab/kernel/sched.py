"""Who runs: `cpu`, and the life of tasks.

`cpu` is the one global of the package: `cpu.current` is the running task, `cpu.kernel` its
kernel. It is per host thread; entering a system call sets it, and a kernel lets one host
thread in at a time.

Linux: `current`, kernel/fork.c, kernel/exit.c, as far as files are concerned.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vfslab.include.kernel import Kernel
    from vfslab.include.sched import TaskStruct


class Cpu(threading.local):
    """The processor as seen from one host thread."""

    current: TaskStruct = None  # type: ignore[assignment]
    kernel: Kernel = None  # type: ignore[assignment]


cpu = Cpu()
