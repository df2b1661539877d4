"""Locks as objects: who holds them, and what class they belong to.

Linux: include/linux/spinlock_types.h, rwsem.h, mutex.h; classes as in lockdep.
"""

from __future__ import annotations

from vfslab.lib.kstruct import KObject, Ptr, kstruct


@kstruct
class Spinlock(KObject):
    """A lock for a few lines; the holder does not sleep."""

    name: str = ""
    owner: Ptr[TaskStruct] = None


@kstruct
class Mutex(KObject):
    """A lock whose waiters sleep."""

    name: str = ""
    owner: Ptr[TaskStruct] = None


@kstruct
class RwSemaphore(KObject):
    """One writer or many readers; waiters sleep. count is -1 for a writer, else the number of readers."""

    name: str = ""
    owner: Ptr[TaskStruct] = None
    count: int = 0
