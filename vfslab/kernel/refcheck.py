"""Reference counts, counted again: every count member against the pointers that account for it.

    errors = recount(kernel)      ["Dentry#7 b'etc': d_count is 2, but 1 reference leads to it: ..."]

The declarations in include/ say which pointers hold a reference (Ref) and which member counts
them. So the counts can be computed from outside, from everything reachable from the kernel, and
a forgotten dput() or a doubled one shows as a difference. Tests do this after each test.

A count that no pointer accounts for (a name that ramfs pins) is told by rules that the caller gives.

Linux: nothing like it; the nearest is kmemleak.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from vfslab.include.kernel import Kernel
from vfslab.include.mm_types import Folio
from vfslab.include.mount import MNT_INTERNAL, Mount, Vfsmount
from vfslab.lib.kstruct import KernelBug, KObject, is_freed, members

CONTAINERS = (list, tuple, set, frozenset, dict)


def own_rules(obj: KObject) -> int:
    """Return the references on obj that its own state stands for instead of a pointer.

    A mount has one for being in a namespace, or for being the kernel's own; a folio one for the page cache.
    """
    if isinstance(obj, Mount):
        return int(obj.mnt_ns is not None or bool(obj.mnt.mnt_flags & MNT_INTERNAL))
    if isinstance(obj, Folio):
        return int(obj.mapping is not None)
    return 0


def recount(kernel: Kernel, rules: Callable[[KObject], int] = lambda obj: 0) -> list[str]:
    """Return one line for each object whose count differs from the references found; [] is what should be.

    rules(obj) gives further references on obj that no pointer accounts for.
    """
    found, holders = Counter[KObject](), defaultdict(list)
    objects = list(reachable(kernel))
    for obj in objects:
        for name, target in references(obj):
            if target is not obj:  # a root is its own parent, and a mount without one too: no reference
                found[target] += 1
                holders[target].append(f"{obj!r}.{name}")
    errors = []
    for obj in objects:
        if obj._count is not None:
            want = found[obj] + own_rules(obj) + rules(obj)
            have = getattr(obj, obj._count)
            if have != want:
                errors.append(f"{describe(obj)}: {obj._count} is {have}, not {want}; held by {holders[obj]}")
    return errors


def describe(obj: KObject) -> str:
    """Return an object's number, and its name if it has one."""
    for member in ("d_name", "s_id", "mnt_devname", "i_ino"):
        if hasattr(type(obj), member):
            return f"{obj!r} {getattr(obj, member)!r}"
    return repr(obj)


def references(obj: KObject) -> Iterator[tuple[str, KObject]]:
    """Yield (member, object it holds a reference on) for each reference that obj holds itself."""
    for member in members(type(obj)):
        if member.kind == "Ref":
            for target in inside(read_member(obj, member.name)):
                yield member.name, counted(target)


def counted(target: KObject) -> KObject:
    """Return the object whose count a reference to target goes to: a vfsmount's is in its mount."""
    return target._container if isinstance(target, Vfsmount) else target


def reachable(root: KObject) -> Iterator[KObject]:
    """Yield every live structure that can be reached from root by declared members, each once."""
    seen, todo = {id(root)}, [root]
    while todo:
        obj = todo.pop()
        yield obj
        for member in members(type(obj)):
            for target in inside(read_member(obj, member.name)):
                if is_freed(target):
                    raise KernelBug(f"{obj!r}.{member.name} leads to {target!r}, which is freed")
                for one in (target, target._container):
                    if one is not None and id(one) not in seen:
                        seen.add(id(one))
                        todo.append(one)


def read_member(obj: KObject, name: str) -> Any:
    """Return a member's value, None for an embedded one that nobody has touched: looking must not make it."""
    try:
        return getattr(type(obj), name).__get__(obj)
    except AttributeError:
        return None


def inside(value: Any) -> Iterator[KObject]:
    """Yield the live structures in a value: itself, or what a list, dict or set of any depth contains."""
    if isinstance(value, KObject):
        yield value
    elif isinstance(value, CONTAINERS):
        if isinstance(value, dict):
            for key in value:
                yield from inside(key)
            value = value.values()
        for one in value:
            yield from inside(one)
