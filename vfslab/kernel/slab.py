"""Memory for objects: each kernel numbers what it allocates.

    dentry = kzalloc(Dentry, d_name=b"etc")      Dentry#12 of this kernel
    kfree(dentry)                                any later use raises UseAfterFree

Linux: mm/slub.c, as far as a user of kmem_cache_alloc() and kfree() sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from vfslab.kernel.sched import cpu
from vfslab.lib.kstruct import KObject, embedded_in, is_freed, members, poison

T = TypeVar("T", bound=KObject)


class Slab:
    """How many objects of each type a kernel has ever allocated, and how many are alive.

    poisoned   type -> what a freed object's type is: one that refuses every use
    inside     type -> how to read its members that in some object have come into being: kfree looks only there
    seen       (type, type of what came into being inside): what is noted in inside
    """

    __slots__ = ("allocated", "freed", "inside", "poisoned", "seen")

    def __init__(self) -> None:
        self.allocated: dict[type, int] = {}
        self.freed: dict[type, int] = {}
        self.poisoned: dict[type, type] = {}
        self.inside: dict[type, list[Callable]] = {}
        self.seen: set[tuple[type, type]] = set()

    def number(self, obj: KObject) -> None:
        """Give obj the next number of its type."""
        cls = type(obj)
        obj._slab = self
        obj._nr = self.allocated[cls] = self.allocated.get(cls, 0) + 1
        outer = obj._container
        if outer is not None and (type(outer), cls) not in self.seen:
            self.note_inside(type(outer), cls)

    def note_inside(self, outer: type, cls: type) -> None:
        """From now on kfree of an outer frees what its members of type cls hold."""
        self.seen.add((outer, cls))
        readers = [getattr(outer, name).__get__ for name, _, target in members(outer) if target == cls.__name__]
        self.inside.setdefault(outer, []).extend(read for read in readers if read in outer._embedded)

    def alive(self, cls: type) -> int:
        """Return how many objects of this type are allocated and not freed."""
        return self.allocated.get(cls, 0) - self.freed.get(cls, 0)


def kzalloc(cls: type[T], *args: Any, **fields: Any) -> T:
    """Return a new object of the running kernel, members as given, the rest at their defaults."""
    obj = cls(*args, **fields)
    slab = cpu.kernel._slab
    obj._slab = slab
    allocated = slab.allocated
    obj._nr = allocated[cls] = allocated.get(cls, 0) + 1
    for name in cls._embedded_now:
        slab.number(getattr(obj, name))
    return obj


def kmem_cache_alloc(cls: type[T]) -> T:
    """Return what kzalloc(cls) returns, a little quicker: for dentries and inodes, which come by the thousand."""
    obj = cls()
    slab = obj._slab = cpu.kernel._slab
    allocated = slab.allocated
    obj._nr = allocated[cls] = allocated.get(cls, 0) + 1
    return obj


def kzalloc_around(cls: type[T], inner: KObject) -> T:
    """Return a new object that inner is going to be the heart of, with inner's number: Ext4InodeInfo#7 around Inode#7."""
    obj = cls()
    slab = obj._slab = inner._slab
    slab.allocated[cls] = slab.allocated.get(cls, 0) + 1
    obj._nr = inner._nr
    return obj


def kfree(obj: KObject) -> None:
    """Give an object back, with all that is embedded in it; whoever still uses it is told so.

    What was embedded forgets what it was embedded in, so that Python frees both at once: objects
    that refer to each other would wait for its garbage collector.
    """
    slab, cls = obj._slab, type(obj)
    if slab is None:
        for inner in embedded_in(obj):
            inner._container = None
            kfree(inner)
        poison(obj)
        return
    for read in slab.inside.get(cls, ()):
        try:
            inner = read(obj)
        except AttributeError:
            continue  # here it never came into being
        if not is_freed(inner) and inner._container is obj:
            inner._container = None
            kfree(inner)
    freed = slab.freed
    freed[cls] = freed.get(cls, 0) + 1
    if cls in slab.poisoned:
        obj.__class__ = slab.poisoned[cls]
    else:
        poison(obj)
        slab.poisoned[cls] = type(obj)
