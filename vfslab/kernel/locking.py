"""Locks as objects, with the checks of lockdep.

    with spin_lock(dentry.d_lock): ...
    with down_read(inode.i_rwsem): ...

Tasks run one at a time, so a lock that is taken is a rule that is shown and checked: taking
one's own lock again, or two classes of locks in both orders, raises KernelBug at once.

Linux: kernel/locking/spinlock.c, rwsem.c, mutex.c, lockdep.c.
Left out: waiting. It comes with preempted tasks; until then a busy lock is a bug.

Always true
  K1  owner is the task that holds the lock for itself, None if nobody does
  K2  task.held lists what a task holds, innermost last
"""

from __future__ import annotations

from vfslab.include.spinlock import Mutex, RwSemaphore, Spinlock
from vfslab.kernel.sched import cpu
from vfslab.lib.kstruct import KernelBug


def lock_acquire(lock: Spinlock | Mutex | RwSemaphore, nested: bool) -> None:
    """Note that the current task takes lock; KernelBug if it or another task has seen the opposite order."""
    task = cpu.current
    if task.held:
        check_order(lock, task.held, nested)
    task.held.append(lock)


def check_order(lock: Spinlock | Mutex | RwSemaphore, held: list, nested: bool) -> None:
    """Raise KernelBug if lock must not be taken while the locks in held are."""
    order = cpu.kernel.lock_order
    for outer in held:
        if outer is lock:
            raise KernelBug(f"{lock.name}: {cpu.current} takes a lock it holds")
        if outer.name == lock.name:
            if not nested:
                raise KernelBug(f"{lock.name}: taken while another lock of its class is held")
            continue
        if (lock.name, outer.name) in order:
            raise KernelBug(f"{outer.name} before {lock.name}, but {order[lock.name, outer.name]} did it the other way")
        if (outer.name, lock.name) not in order:
            order[outer.name, lock.name] = repr(cpu.current)


def lock_release(lock: Spinlock | Mutex | RwSemaphore) -> None:
    """Note that the current task no longer holds lock."""
    held = cpu.current.held
    if held[-1] is lock:
        held.pop()
    else:
        held.remove(lock)


# What a `with` statement keeps while a lock is held. (Generators would read better here; locks are
# taken several times in each call that changes a directory, and these cost half as much.)


class spin_lock:
    """Hold a spinlock for the body; nested says that a second one of its class is meant."""

    __slots__ = ("lock", "nested")

    def __init__(self, lock: Spinlock | Mutex, nested: bool = False) -> None:
        self.lock, self.nested = lock, nested

    def __enter__(self) -> None:
        lock = self.lock
        lock_acquire(lock, self.nested)
        if lock.owner is not None:
            cpu.current.held.remove(lock)
            raise KernelBug(f"{lock.name} is held by {lock.owner}")
        lock.owner = cpu.current

    def __exit__(self, *exc: object) -> None:
        self.lock.owner = None
        lock_release(self.lock)


mutex_lock = spin_lock


class down_write:
    """Hold a semaphore alone for the body."""

    __slots__ = ("lock", "nested")

    def __init__(self, lock: RwSemaphore, nested: bool = False) -> None:
        self.lock, self.nested = lock, nested

    def __enter__(self) -> None:
        lock = self.lock
        lock_acquire(lock, self.nested)
        if lock.count:
            cpu.current.held.remove(lock)
            raise KernelBug(f"{lock.name} is held by {lock.owner or f'{lock.count} readers'}")
        lock.owner, lock.count = cpu.current, -1

    def __exit__(self, *exc: object) -> None:
        lock = self.lock
        lock.owner, lock.count = None, 0
        lock_release(lock)


class down_read:
    """Hold a semaphore together with other readers for the body."""

    __slots__ = ("lock", "nested")

    def __init__(self, lock: RwSemaphore, nested: bool = False) -> None:
        self.lock, self.nested = lock, nested

    def __enter__(self) -> None:
        lock = self.lock
        lock_acquire(lock, self.nested)
        if lock.count < 0:
            cpu.current.held.remove(lock)
            raise KernelBug(f"{lock.name} is held by {lock.owner}")
        lock.count += 1

    def __exit__(self, *exc: object) -> None:
        self.lock.count -= 1
        lock_release(self.lock)
