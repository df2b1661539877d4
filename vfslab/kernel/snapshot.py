"""Snapshots: what declared objects held at one moment.

    frame = take(roots)              every object reachable through declared members
    frame["Dentry#3"].members        {"d_name": b"etc", "d_parent": Key("Dentry#1"), ...}
    changes(before, after)           what appeared, went, or changed in between

A snapshot copies values, never objects, so it stays true while the kernel runs on. A
pointer becomes the Key of its target; a buffer becomes its length. Who takes many, a tracer
for one, keeps a Camera: it remembers the classes and the names of the objects it has met.

Linux: nothing; the nearest thing is a crash dump read with drgn.
Left out: members that are not declared, and the content of buffers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any, NamedTuple

from vfslab.lib.kstruct import KObject, OperationTable, is_freed, members

LONGEST = 64  # members of a list or table that are kept; the rest is counted
PLAIN = frozenset({int, bytes, str, bool, float, type(None)})  # values that are kept as they are
_UNTOUCHED = object()  # an embedded member that nobody has brought into being yet


class Key(str):
    """The name of an object, such as "Dentry#3": its type and its number in its kernel."""

    __slots__ = ()


class Bytes(NamedTuple):
    """A buffer, of which only the length in bytes is kept."""

    length: int


class More(NamedTuple):
    """Stands for the rest of a long list or table."""

    count: int


class Record:
    """One object at one moment: its type, and the values of its members, pointers as Keys."""

    __slots__ = ("cls", "names", "values")

    def __init__(self, cls: type, names: tuple[str, ...], values: tuple) -> None:
        self.cls, self.names, self.values = cls, names, values

    @property
    def members(self) -> dict[str, Any]:
        """{member: value} in order of declaration, without embedded members that were never touched."""
        pairs = zip(self.names, self.values, strict=True)
        return {name: value for name, value in pairs if value is not _UNTOUCHED}


class Frame(dict):
    """{Key: Record}: all objects of one moment, in the order they were reached."""


def key_of(obj: KObject) -> Key:
    """Return the name of a live object that its kernel has numbered."""
    return Key(f"{type(obj).__name__}#{obj._nr}")


class Plan(NamedTuple):
    """How objects of one class are copied.

    read    a function that reads all members at once
    late    (place, slot) of embedded members, which may be untouched
    places  of members that can be something else than a number or bytes
    """

    names: tuple[str, ...]
    read: Callable
    late: list
    places: list[int]


class Camera:
    """Takes snapshots; remembers names and classes, so the second one is quicker than the first.

    An object that its kernel has numbered goes by that number; any other by the order in which it was met.
    """

    def __init__(self) -> None:
        self.tables = table_names()
        self.met: dict[int, tuple[KObject, Key]] = {}  # the object too: its id must not be given away again
        self.count: dict[type, int] = {}
        self.plans: dict[type, Plan] = {}

    def key(self, obj: KObject) -> Key:
        """Return the name of an object, the same each time."""
        known = self.met.get(id(obj))
        if known is None:
            number = obj._nr
            if number is None:
                cls = type(obj)
                number = self.count[cls] = self.count.get(cls, 0) + 1
                key = Key(f"{cls.__name__}@{number}")
            else:
                key = key_of(obj)
            known = self.met[id(obj)] = obj, key
        return known[1]

    def take(self, roots: Iterable[KObject], follow: Callable[[KObject, str, Any], bool] | None = None) -> Frame:
        """Return a Frame of everything reachable from roots; follow(obj, member, target) may prune."""
        frame, plans = Frame(), self.plans
        waiting = [root for root in roots if root is not None][::-1]
        while waiting:
            obj = waiting.pop()
            key = self.key(obj)
            if key in frame:
                continue
            cls = type(obj)
            if is_freed(obj):
                frame[key] = Record(cls, ("freed",), (True,))
                continue
            names, read, late, open_places = plans.get(cls) or self.plan(cls)
            values = list(read(obj))
            for place, slot in late:
                try:
                    values[place] = slot(obj)
                except AttributeError:
                    values[place] = _UNTOUCHED
            for place in open_places:
                value = values[place]
                kind = type(value)
                if kind in PLAIN or value is _UNTOUCHED:
                    continue
                if kind in plans:  # a pointer to a structure of a type that was met before
                    values[place], targets = self.key(value), (value,)
                else:
                    values[place], targets = self.copy(value)
                for target in targets:
                    if follow is None or follow(obj, names[place], target):
                        waiting.append(target)
            frame[key] = Record(cls, names, tuple(values))
        return frame

    def plan(self, cls: type) -> Plan:
        """Make and remember the plan of a class."""
        names = tuple(member.name for member in members(cls))
        late = [(place, getattr(cls, name).__get__) for place, name in enumerate(names) if _is_late(cls, name)]
        held = {place for place, _ in late}
        # a late member is read as _nr, which is always there, and then once more through its slot
        wanted = ["_nr" if place in held else name for place, name in enumerate(names)]
        get = attrgetter(*wanted, "_nr") if wanted else (lambda obj: (None,))
        places = [place for place, member in enumerate(members(cls)) if member.target not in ("int", "bytes", "bool")]
        made = self.plans[cls] = Plan(names, lambda obj: get(obj)[:-1], late, places)
        return made

    def copy(self, value: Any) -> tuple[Any, list[KObject]]:
        """Return value as a snapshot keeps it, and the objects it points to."""
        if type(value) in PLAIN:
            return value, []
        if isinstance(value, KObject):
            return self.key(value), [value]
        if isinstance(value, dict):
            kept, targets = {}, []
            for name, item in list(value.items())[:LONGEST]:
                left, more = self.copy(name)
                right, others = self.copy(item)
                kept[left if _hashable(left) else str(left)] = right
                targets += more + others
            if len(value) > LONGEST:
                kept[More(len(value) - LONGEST)] = None
            return kept, targets
        if isinstance(value, list | tuple | set | frozenset):
            pairs = [self.copy(item) for item in list(value)[:LONGEST]]
            items = [item for item, _ in pairs]
            if len(value) > LONGEST:
                items.append(More(len(value) - LONGEST))
            return tuple(items), [target for _, targets in pairs for target in targets]
        if isinstance(value, bytearray | memoryview):
            return Bytes(len(value)), []
        return getattr(value, "__name__", None) or self.tables.get(id(value)) or type(value).__name__, []


def take(roots: Iterable[KObject], follow: Callable[[KObject, str, Any], bool] | None = None) -> Frame:
    """Return a Frame of everything reachable from roots; follow(obj, member, target) may prune."""
    return Camera().take(roots, follow)


def table_names() -> dict[int, str]:
    """Return {id: name} of the operation tables of all kernel modules, such as "ext4_dir_inode_operations"."""
    names = {}
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("vfslab."):
            for name, value in vars(module).items():
                if isinstance(value, OperationTable):
                    names[id(value)] = name
    return names


def _is_late(cls: type, name: str) -> bool:
    """True for a member whose class attribute is not its plain slot: it may be untouched."""
    for base in cls.__mro__:
        if name in base.__dict__:
            return type(base.__dict__[name]).__name__ != "member_descriptor"
    return False


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
        elif old.values != record.values:
            known = old.members
            for name, value in record.members.items():
                if known.get(name, _UNTOUCHED) != value:
                    yield Change(key, name, known.get(name), value)
    for key, record in before.items():
        if key not in after:
            yield Change(key, "", record.cls.__name__, None)
