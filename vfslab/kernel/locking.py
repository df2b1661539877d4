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

from collections.abc import Iterator
from contextlib import contextmanager

from vfslab.include.spinlock import Mutex, RwSemaphore, Spinlock
from vfslab.kernel.sched import cpu
from vfslab.lib.kstruct import KernelBug


def lock_acquire(lock: Spinlock | Mutex | RwSemaphore, nested: bool) -> None:
    """Note that the current task takes lock; KernelBug if another task has seen the opposite order."""
    held, order = cpu.current.held, cpu.kernel.lock_order
    for outer in held:
        if outer is lock:
            raise KernelBug(f"{lock.name}: {cpu.current} takes a lock it holds")
        if outer.name == lock.name:
            if not nested:
                raise KernelBug(f"{lock.name}: taken while another lock of its class is held")
            continue
        if (lock.name, outer.name) in order:
            raise KernelBug(f"{outer.name} before {lock.name}, but {order[lock.name, outer.name]} did it the other way")
        order.setdefault((outer.name, lock.name), repr(cpu.current))
    held.append(lock)


@contextmanager
def spin_lock(lock: Spinlock, nested: bool = False) -> Iterator[None]:
    """Hold a spinlock for the body; nested says that a second one of its class is meant."""
    lock_acquire(lock, nested)
    if lock.owner is not None:
        raise KernelBug(f"{lock.name} is held by {lock.owner}")
    lock.owner = cpu.current
    try:
        yield
    finally:
        lock.owner = None
        cpu.current.held.remove(lock)


mutex_lock = spin_lock


@contextmanager
def down_write(lock: RwSemaphore, nested: bool = False) -> Iterator[None]:
    """Hold a semaphore alone for the body."""
    lock_acquire(lock, nested)
    if lock.count:
        raise KernelBug(f"{lock.name} is held by {lock.owner or f'{lock.count} readers'}")
    lock.owner, lock.count = cpu.current, -1
    try:
        yield
    finally:
        lock.owner, lock.count = None, 0
        cpu.current.held.remove(lock)


@contextmanager
def down_read(lock: RwSemaphore, nested: bool = False) -> Iterator[None]:
    """Hold a semaphore together with other readers for the body."""
    lock_acquire(lock, nested)
    if lock.count < 0:
        raise KernelBug(f"{lock.name} is held by {lock.owner}")
    lock.count += 1
    try:
        yield
    finally:
        lock.count -= 1
        cpu.current.held.remove(lock)
