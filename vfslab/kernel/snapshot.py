"""Snapshots: what declared objects held at one moment.

    frame = take(roots)              every object reachable through declared members
    frame["Dentry#3"].members        {"d_name": b"etc", "d_parent": Key("Dentry#1"), ...}
    changes(before, after)           what appeared, went, or changed in between

A snapshot copies values, never objects, so it stays true while the kernel runs on. A
pointer becomes the Key of its target; a buffer becomes its length.

Linux: nothing; the nearest thing is a crash dump read with drgn.
Left out: members that are not declared, and the content of buffers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from vfslab.lib.kstruct import KObject, OperationTable, is_freed, members

LONGEST = 64  # members of a list or table that are kept; the rest is counted


class Key(str):
    """The name of an object, such as "Dentry#3": its type and its number in its kernel."""

    __slots__ = ()


class Bytes(NamedTuple):
    """A buffer, of which only the length in bytes is kept."""

    length: int


class More(NamedTuple):
    """Stands for the rest of a long list or table."""

    count: int


class Record(NamedTuple):
    """One object at one moment: its type and the values of its members, pointers as Keys."""

    cls: type
    members: dict[str, Any]


class Frame(dict):
    """{Key: Record}: all objects of one moment, in the order they were reached."""


def key_of(obj: KObject) -> Key:
    """Return the name of a live object that its kernel has numbered."""
    return Key(f"{type(obj).__name__}#{obj._nr}")


class _Names:
    """The names of one snapshot: of objects by number, of those without one by the order in which they are met."""

    def __init__(self) -> None:
        self.tables = table_names()
        self.met: dict[int, Key] = {}
        self.count: dict[type, int] = {}

    def key(self, obj: KObject) -> Key:
        if obj._nr is not None:
            return key_of(obj)
        known = self.met.get(id(obj))
        if known is None:
            cls = type(obj)
            self.count[cls] = self.count.get(cls, 0) + 1
            known = self.met[id(obj)] = Key(f"{cls.__name__}@{self.count[cls]}")
        return known


def take(roots: Iterable[KObject], follow: Callable[[KObject, str, Any], bool] | None = None) -> Frame:
    """Return a Frame of everything reachable from roots; follow(obj, member, target) may prune."""
    frame, seen, names = Frame(), set(), _Names()
    waiting = [root for root in roots if root is not None][::-1]
    while waiting:
        obj = waiting.pop()
        if id(obj) in seen:
            continue
        seen.add(id(obj))
        cls, key = type(obj), names.key(obj)
        if is_freed(obj):
            frame[key] = Record(cls, {"freed": True})
            continue
        values: dict[str, Any] = {}
        for name, _kind, _target in members(cls):
            value = _peek(obj, name)
            if value is _UNTOUCHED:
                continue
            values[name], targets = _copy(value, names)
            for target in targets:
                if id(target) not in seen and (follow is None or follow(obj, name, target)):
                    waiting.append(target)
        frame[key] = Record(cls, values)
    return frame


_UNTOUCHED = object()


def _peek(obj: KObject, name: str) -> Any:
    """Return a member without bringing an untouched embedded one into being."""
    slot = getattr(type(obj), name)
    try:
        return slot.__get__(obj)
    except AttributeError:
        return _UNTOUCHED


def _copy(value: Any, names: _Names) -> tuple[Any, list[KObject]]:
    """Return value as a snapshot keeps it, and the objects it points to."""
    if value is None or isinstance(value, int | bytes | str | float):
        return value, []
    if isinstance(value, KObject):
        return names.key(value), [value]
    if isinstance(value, bytearray | memoryview):
        return Bytes(len(value)), []
    if isinstance(value, dict):
        kept, targets = {}, []
        for name, item in list(value.items())[:LONGEST]:
            left, more = _copy(name, names)
            right, others = _copy(item, names)
            kept[left if _hashable(left) else str(left)] = right
            targets += more + others
        if len(value) > LONGEST:
            kept[More(len(value) - LONGEST)] = None
        return kept, targets
    if isinstance(value, list | tuple | set | frozenset):
        pairs = [_copy(item, names) for item in list(value)[:LONGEST]]
        items = [item for item, _ in pairs]
        if len(value) > LONGEST:
            items.append(More(len(value) - LONGEST))
        return tuple(items), [target for _, targets in pairs for target in targets]
    return getattr(value, "__name__", None) or names.tables.get(id(value)) or type(value).__name__, []


def table_names() -> dict[int, str]:
    """Return {id: name} of the operation tables of all kernel modules, such as "ext4_dir_inode_operations"."""
    names = {}
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("vfslab."):
            for name, value in vars(module).items():
                if isinstance(value, OperationTable):
                    names[id(value)] = name
    return names


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


class Change(NamedTuple):
    """One difference between two frames: the object, the member, its value before and after."""

    key: Key
    member: str
    before: Any
    after: Any


def changes(before: Frame, after: Frame) -> Iterator[Change]:
    """Yield what differs: new objects with member "" and before None, gone ones with after None, and members."""
    for key, record in after.items():
        old = before.get(key)
        if old is None:
            yield Change(key, "", None, record.cls.__name__)
            continue
        for name, value in record.members.items():
            if old.members.get(name, _UNTOUCHED) != value:
                yield Change(key, name, old.members.get(name), value)
    for key, record in before.items():
        if key not in after:
            yield Change(key, "", record.cls.__name__, None)
