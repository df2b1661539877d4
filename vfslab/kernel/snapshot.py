"""Snapshots: what declared objects held at one moment.

    frame = take(roots)              every object reachable through declared members
    frame["Dentry#3"].members        {"d_name": b"etc", "d_parent": Key("Dentry#1"), ...}
    changes(before, after)           what appeared, went, or changed in between

A snapshot copies values, never objects, so it stays true while the kernel runs on. A
pointer becomes the Key of its target; a buffer becomes its length. Who takes many, a tracer
for one, keeps a Camera: it remembers the classes and the names of the objects it has met.

A camera with a view (data: {class name: members}) copies those members of those classes and
follows no other pointer. A member may reach into an embedded structure: "path.dentry". An
object that has not changed since the last frame is not copied again: both share its Record.

Linux: nothing; the nearest thing is a crash dump read with drgn.
Left out: members that are not declared, and the content of long buffers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from vfslab.lib.kstruct import KernelBug, KObject, OperationTable, is_freed, members

View = Mapping[str, tuple[str, ...]]

HEAD = 256  # bytes of a buffer that a camera with a view keeps
LONGEST = 64  # members of a list or table that are kept; the rest is counted
PLAIN = frozenset({int, bytes, str, bool, float, type(None)})  # values that are kept as they are
_UNTOUCHED = object()  # an embedded member that nobody has brought into being yet


class Key(str):
    """The name of an object, such as "Dentry#3": its type and its number in its kernel."""

    __slots__ = ()


class Inner(Key):
    """The name of a structure inside another one that the view shows: Vfsmount#3 lies in outer, Mount#3."""

    __slots__ = ("outer",)
    outer: Key


class Bytes(NamedTuple):
    """A buffer, of which the length in bytes is kept; by a camera with a view, also its first bytes."""

    length: int
    head: bytes = b""


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
    """{Key: Record}: all objects of one moment, in the order they were reached.

    freed: names of those that were there one frame before and have been freed since (with a view only).
    """

    __slots__ = ("freed",)

    def __init__(self) -> None:
        self.freed: frozenset[Key] = frozenset()


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


class Shot:
    """What a camera with a view remembers of one object: how to read it, and how it looked last.

    raw        the members as they were read; unchanged ones need no second copy
    loose      True if one of them is a list or a table, which may change without being replaced
    targets    the objects to look at next
    frame      number of the last frame it is in
    """

    __slots__ = ("frame", "key", "loose", "names", "obj", "raw", "read", "record", "targets")

    def __init__(self, obj: KObject, key: Key, names: tuple[str, ...], read: Callable) -> None:
        self.obj, self.key, self.names, self.read = obj, key, names, read
        self.raw: tuple | None = None
        self.record = Record(type(obj), ("freed",), (True,))
        self.targets: list[KObject] = []
        self.loose = False
        self.frame = 0


class Camera:
    """Takes snapshots; remembers names and classes, so the second one is quicker than the first.

    An object that its kernel has numbered goes by that number; any other by the order in which it was met.
    """

    def __init__(self, view: View | None = None) -> None:
        self.view = view
        self.shots: dict[int, Shot] = {}
        self.shown: dict[type, tuple[tuple[str, ...], Callable] | None] = {}
        self.last: list[Shot] = []
        self.number = 0
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
        """Return a Frame of everything reachable from roots; a view prunes, and so may follow(obj, member, target)."""
        if self.view is not None and follow is None:
            return self.take_view(roots)
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

    # -- with a view ------------------------------------------------------------------------

    def take_view(self, roots: Iterable[KObject]) -> Frame:
        """Return a Frame of what the view shows, nearest objects first."""
        frame, shots = Frame(), self.shots
        self.number += 1
        number, before, now = self.number, self.last, []
        waiting = list(roots)
        for obj in waiting:  # which grows while it is walked
            shot = shots.get(id(obj)) or self.shot(obj)
            if shot is None or shot.frame == number:
                continue
            shot.frame = number
            try:
                raw = shot.read(obj)
            except KernelBug:  # it was freed, and somebody still points to it
                self.forget(shot)
            else:
                if raw != shot.raw or shot.loose:
                    self.develop(shot, raw)
            frame[shot.key] = shot.record
            now.append(shot)
            waiting += shot.targets
        frame.freed = frozenset(shot.key for shot in before if shot.frame != number and is_freed(shot.obj))
        self.last = now
        return frame

    def shot(self, obj: KObject) -> Shot | None:
        """Begin to remember an object; None if the view does not show its class."""
        cls = type(obj)
        if not self.shows(cls):
            return None
        names, read = self.shown[cls]  # type: ignore[misc]
        made = self.shots[id(obj)] = Shot(obj, self.key(obj), names, read)
        return made

    def forget(self, shot: Shot) -> None:
        """Replace what is known of an object by the one thing that is left: it was freed."""
        if shot.names != ("freed",):
            shot.names, shot.raw, shot.targets = ("freed",), None, []
            shot.record = Record(shot.record.cls, ("freed",), (True,))

    def shows(self, cls: type) -> bool:
        """True if the view shows objects of this class; finds out how to read them when it is first asked."""
        try:
            return self.shown[cls] is not None
        except KeyError:
            wanted = (self.view or {}).get(cls.__name__)
            self.shown[cls] = None if wanted is None else (names := names_of(cls, wanted), reader(cls, names))
            return wanted is not None

    def develop(self, shot: Shot, raw: tuple) -> None:
        """Turn the members of an object, as read, into its Record; an equal one is kept."""
        values, targets, loose = [], [], False
        for value in raw:
            if type(value) in PLAIN or value is _UNTOUCHED:
                values.append(value)
                continue
            loose = loose or not isinstance(value, KObject)
            kept, found = self.copy(value)
            values.append(kept)
            targets += found
        told = tuple(values)
        if shot.raw is None or shot.record.values != told:
            shot.record = Record(type(shot.obj), shot.names, told)
        shot.raw, shot.targets, shot.loose = raw, targets, loose

    def pointer(self, value: KObject) -> tuple[Key, list[KObject]]:
        """Return the name of what a pointer leads to, and what is drawn of it: the object, or the one around it."""
        key = self.key(value)
        if self.view is None or is_freed(value) or self.shows(type(value)):
            return key, [value]
        outer = value._container
        if outer is None or is_freed(outer) or not self.shows(type(outer)):
            return key, []
        inner = Inner(key)
        inner.outer = self.key(outer)
        return inner, [outer]

    # -- without one ------------------------------------------------------------------------

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
            return self.pointer(value)
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
            return buffer(value, 0 if self.view is None else HEAD), []
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


def names_of(cls: type, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the members of a class that a view shows; ValueError if it has no such member."""
    declared = tuple(member.name for member in members(cls))
    if wanted == ("*",):
        return declared
    for name in wanted:
        if name.partition(".")[0] not in declared:
            raise ValueError(
                f"the view shows {cls.__name__}.{name}, but {cls.__name__} has only: {', '.join(declared)}"
            )
    return wanted


def reader(cls: type, names: tuple[str, ...]) -> Callable[[Any], tuple]:
    """Return a function that reads these members of an object at once, without bringing late ones into being."""
    parts = [name.partition(".") for name in names]
    late = {place for place, (head, _, _) in enumerate(parts) if _is_late(cls, head)}
    # a late member is read as _nr, which is always there, and then once more through its slot
    get = attrgetter("_nr", "_nr", *("_nr" if place in late else name for place, name in enumerate(names)))
    slots = [(getattr(cls, head).__get__, attrgetter(rest) if dot else None) for head, dot, rest in parts]
    late_slots = [(place, *slots[place]) for place in sorted(late)]

    def read(obj: Any) -> tuple:
        obj._slab  # noqa: B018 - a freed object says so here; its slots would not
        try:
            values = get(obj)[2:]
        except AttributeError:  # an embedded structure that is not there yet: one by one
            return tuple(through(obj, slot, rest) for slot, rest in slots)
        if late_slots:
            values = list(values)
            for place, slot, rest in late_slots:
                values[place] = through(obj, slot, rest)
            return tuple(values)
        return values

    return read


def through(obj: Any, slot: Callable, rest: Callable | None) -> Any:
    """Return a member, or a member of the structure embedded there; _UNTOUCHED if it never came into being."""
    try:
        value = slot(obj)
        return value if rest is None or value is None else rest(value)
    except AttributeError:
        return _UNTOUCHED


def buffer(value: bytearray | memoryview, head: int) -> Bytes:
    """Return what is kept of a buffer; one that was given back has no bytes any more."""
    try:
        return Bytes(len(value), bytes(value[:head]))
    except ValueError:
        return Bytes(0)


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
        if old is record:
            continue
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
