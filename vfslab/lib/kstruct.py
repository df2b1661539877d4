"""Live structures: declared members, numbers instead of addresses, real embedding, poison.

    @kstruct
    class Dentry(KObject):
        d_name: qstr = b""
        d_parent: Ref[Dentry] = None         a pointer that holds a reference
        d_sb: Ptr[SuperBlock] = None         a pointer that does not
        d_lock: Embedded[Spinlock] = embedded(Spinlock)

The declarations serve the renderer (which members point where), snapshots, and the
recount of reference counts after each test. Kernel code just uses attributes.

An object is numbered by the kernel it lives in (kernel/slab.py): `Dentry#3`, never an
address, so that two runs give the same picture.

Linux: struct declarations, container_of() of include/linux/container_of.h, slab poisoning.
Left out: sizes and alignment. An embedded member takes memory when it is first touched, or (now=True) at once.

Always true
  K1  a member that is not declared cannot be set
  K2  container_of(ptr, cls, member) is the object that ptr is embedded in, or it raises KernelBug
  K3  any use of an object after kfree raises UseAfterFree
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar, dataclass_transform

T = TypeVar("T")
Ref = Annotated[T, "a pointer that holds a reference"]
Ptr = Annotated[T, "a pointer without a reference"]
Embedded = Annotated[T, "a structure inside the structure"]


class KernelBug(Exception):
    """The kernel broke a rule of its own; what Linux answers with BUG() or a lockdep splat."""


class UseAfterFree(KernelBug):
    """A structure was used after kfree()."""


class Member(NamedTuple):
    """One declared member: its name, kind ("Ref", "Ptr", "Embedded" or "value") and type text."""

    name: str
    kind: str
    target: str


class KObject:
    """Base of all live structures: what it is embedded in, its number, and the slab that gave that."""

    __slots__ = ("_container", "_nr", "_slab")
    _container: Any
    _nr: int | None
    _slab: Any
    _annotations: ClassVar[dict[str, str]] = {}
    _count: ClassVar[str | None] = None
    _embedded: ClassVar[tuple[Callable, ...]] = ()
    _embedded_now: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}#{self._nr if self._nr is not None else '?'}"


class _Late:
    """Marks a member that comes into being when it is first touched."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make


class _Now:
    """Marks a structure inside the structure that is there from the beginning."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make


class _Fresh:
    """Marks a member that each new object gets a value of its own for: a list, a dictionary."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


class _LateMember:
    """Stands in a class for a member's slot, and fills it when it is read empty.

    The slot itself is what the class attribute gives: Inode.i_data.__get__(inode) raises AttributeError
    while the member is untouched. (A __getattr__ would do all this too, but costs every read of every member.)
    """

    __slots__ = ("slot", "read", "make")

    def __init__(self, slot: Any, make: Callable[[Any], Any]) -> None:
        self.slot, self.read, self.make = slot, slot.__get__, make

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self.slot
        try:
            return self.read(obj)
        except AttributeError:
            value = self.make(obj)
            self.slot.__set__(obj, value)
            return value

    def __set__(self, obj: Any, value: Any) -> None:
        self.slot.__set__(obj, value)


def embedded(cls: Any, now: bool = False, **fields: Any) -> Any:
    """Declare a structure inside a structure; cls may be a class or a function returning one.

    One that every object is going to need is made with the object (now): it is reached as quickly as any member.
    """

    def make(outer: KObject) -> KObject:
        inner = cls(**fields)
        inner._container = outer
        if outer._slab is not None:
            outer._slab.number(inner)
        return inner

    return _Now(make) if now else _Late(make)


def late(make: Callable[[Any], Any]) -> Any:
    """Declare a member whose first value is make(object), such as i_mapping = &i_data."""
    return _Late(make)


def fresh(make: Callable[[], Any]) -> Any:
    """Declare a member whose first value is make(), anew for each object: fresh(list), fresh(dict)."""
    return _Fresh(make)


def _kind(annotation: str) -> tuple[str, str]:
    found = re.search(r"\b(Embedded|Ref|Ptr)\[\s*['\"]?(\w+)", annotation)
    return (found[1], found[2]) if found else ("value", annotation)


def kstruct(cls: type | None = None, *, count: str | None = None) -> Any:
    """Turn a class of annotated members into a live structure with slots.

    count names the member that holds the reference count, if there is one.
    (A dataclass would do much of this, but takes a millisecond for each of the hundred structures of a kernel.)
    """
    if cls is None:
        return lambda cls: kstruct(cls, count=count)
    namespace = dict(cls.__dict__)
    annotations = namespace["__annotations__"]
    given = {name: namespace.pop(name) for name in annotations if name in namespace}
    for name in ("__dict__", "__weakref__"):
        namespace.pop(name, None)
    namespace["__slots__"] = tuple(annotations)
    namespace["__init__"] = _initializer(cls, annotations, given)
    made: Any = type(cls)(cls.__name__, cls.__bases__, namespace)
    made._annotations, made._count = annotations, count
    inside = []
    for name, value in given.items():
        slot = getattr(made, name)
        if type(value) is _Late:
            setattr(made, name, _LateMember(slot, value.make))
        if type(value) is _Now or (type(value) is _Late and "Embedded[" in annotations[name]):
            inside.append(slot.__get__)
    made._embedded = tuple(inside)
    made._embedded_now = tuple(name for name, value in given.items() if type(value) is _Now)
    return made


def _initializer(cls: type, annotations: dict[str, str], given: dict[str, Any]) -> Callable:
    """Return __init__ of a structure: the members in order of declaration, by position or by name; no late ones.

    It is written out as text, because nothing else in Python fills slots as fast.
    """
    arguments, values, known = ["self"], [], {}
    for name in annotations:
        if name not in given:
            arguments.append(name)
            values.append(name)
            continue
        value = given[name]
        if type(value) is _Late:
            continue
        if isinstance(value, list | dict | set | bytearray):
            raise TypeError(f"{cls.__name__}.{name}: all objects would share it, declare it with fresh(...)")
        if type(value) is _Now:
            known[f"make_{name}"] = value.make
            values.append(f"make_{name}(self)")
            continue
        if type(value) is _Fresh:
            known[f"make_{name}"] = value.make
            values.append(f"make_{name}() if {name} is None else {name}")
            value = None
        else:
            values.append(name)
        known[f"first_{name}"] = value
        arguments.append(f"{name}=first_{name}")
    members = [name for name in annotations if type(given.get(name)) is not _Late]
    lines = [f" self.{name} = {value}\n" for name, value in zip(members, values, strict=True)]
    exec(  # noqa: S102
        f"def __init__({', '.join(arguments)}):\n self._container = self._nr = self._slab = None\n{''.join(lines)}",
        known,
    )
    return known["__init__"]


class OperationTable:
    """Base of all tables of operations."""

    __slots__ = ()
    _absent: ClassVar[dict[str, Any]] = {}

    def __init__(self, **functions: Any) -> None:
        members = self._absent | functions
        wrong = members.keys() ^ set(self.__slots__)
        if wrong:
            raise TypeError(f"{type(self).__name__} has no operation, or lacks one: {', '.join(wrong)}")
        for name, value in members.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__}.{name}: a table of operations never changes")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name}: a table of operations never changes")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def operations(cls: type[T]) -> type[T]:
    """Turn a class of annotated members into a table of operations: given by name when it is made, fixed from then on.

    What is not given is as the class says: None, as NULL in C.
    """
    namespace = dict(cls.__dict__)
    names = tuple(namespace["__annotations__"])
    absent = {name: namespace.pop(name) for name in names if name in namespace}
    for name in ("__dict__", "__weakref__"):
        namespace.pop(name, None)
    namespace |= {"__slots__": names, "_absent": absent}
    return type(cls)(cls.__name__, (OperationTable,), namespace)


def container_of(ptr: KObject, cls: type[T], member: str) -> T:
    """Return the cls object whose embedded `member` is ptr; KernelBug if ptr is not embedded so."""
    outer = ptr._container
    if type(outer) is not cls or getattr(outer, member) is not ptr:
        raise KernelBug(f"container_of: {ptr!r} is not {cls.__name__}.{member}")
    return outer


@cache
def members(cls: type[KObject]) -> tuple[Member, ...]:
    """Return the declared members of a live structure, in order of declaration."""
    return tuple(Member(name, *_kind(text)) for name, text in cls._annotations.items())


def embedded_in(obj: KObject) -> list[KObject]:
    """Return the structures inside obj that have come into being: they share its memory, and its end."""
    inside = []
    for read in obj._embedded:
        try:
            inner = read(obj)
        except AttributeError:
            continue
        if isinstance(inner, KObject) and not is_freed(inner) and inner._container is obj:
            inside.append(inner)
    return inside


def poison(obj: KObject) -> None:
    """Make every later use of obj raise UseAfterFree; what is embedded in it is the caller's to poison."""
    cls = type(obj)
    freed = cls.__dict__.get("_freed")
    if freed is None:
        refusals = dict.fromkeys(("__getattribute__", "__setattr__", "__delattr__"), _refuse)
        freed = type(cls.__name__, (cls,), {"__slots__": (), **refusals})
        cls._freed = freed  # type: ignore[attr-defined]
    object.__setattr__(obj, "__class__", freed)


def is_freed(obj: KObject) -> bool:
    """True after kfree(obj)."""
    return type(obj).__getattribute__ is _refuse


def _refuse(obj: KObject, name: str, *value: Any) -> Any:
    if name in ("_nr", "__class__", "__repr__"):
        return object.__getattribute__(obj, name)
    raise UseAfterFree(f"{type(obj).__name__}#{object.__getattribute__(obj, '_nr')}.{name} was used after kfree")
