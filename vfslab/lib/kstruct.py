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
Left out: sizes and alignment. An embedded member takes memory when it is first touched.

Always true
  K1  a member that is not declared cannot be set
  K2  container_of(ptr, cls, member) is the object that ptr is embedded in, or it raises KernelBug
  K3  any use of an object after kfree raises UseAfterFree
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar

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


@dataclasses.dataclass(slots=True, weakref_slot=True, eq=False, repr=False)
class KObject:
    """Base of all live structures: what it is embedded in, its number, and the slab that gave that."""

    _container: Any = dataclasses.field(default=None, init=False)
    _nr: int | None = dataclasses.field(default=None, init=False)
    _slab: Any = dataclasses.field(default=None, init=False)
    _members: ClassVar[tuple[Member, ...]] = ()
    _count: ClassVar[str | None] = None
    _embedded: ClassVar[tuple[Any, ...]] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}#{self._nr if self._nr is not None else '?'}"


@dataclasses.dataclass(frozen=True)
class _Late:
    """Marks a member that comes into being when it is first touched."""

    make: Callable[[Any], Any]


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


def embedded(cls: Any, **fields: Any) -> Any:
    """Declare a structure inside a structure; cls may be a class or a function returning one."""

    def make(outer: KObject) -> KObject:
        inner = cls(**fields)
        inner._container = outer
        if outer._slab is not None:
            outer._slab.number(inner)
        return inner

    return _Late(make)


def late(make: Callable[[Any], Any]) -> Any:
    """Declare a member whose first value is make(object), such as i_mapping = &i_data."""
    return _Late(make)


def _kind(annotation: str) -> tuple[str, str]:
    found = re.search(r"\b(Embedded|Ref|Ptr)\[\s*['\"]?(\w+)", annotation)
    return (found[1], found[2]) if found else ("value", annotation)


def kstruct(cls: type | None = None, *, count: str | None = None) -> Any:
    """Turn a class of annotated members into a live structure with slots.

    count names the member that holds the reference count, if there is one.
    """
    if cls is None:
        return lambda cls: kstruct(cls, count=count)
    annotations = cls.__dict__["__annotations__"]
    members = tuple(Member(name, *_kind(text)) for name, text in annotations.items())
    late_members = {name: value.make for name, value in list(cls.__dict__.items()) if isinstance(value, _Late)}
    for name in late_members:
        setattr(cls, name, dataclasses.field(init=False))
    for name, value in list(cls.__dict__.items()):
        if name in annotations and isinstance(value, list | dict | set | bytearray):
            raise TypeError(f"{cls.__name__}.{name}: give dataclasses.field(default_factory=...)")
    made: Any = dataclasses.dataclass(slots=True, eq=False, repr=False)(cls)
    for name, make in late_members.items():
        setattr(made, name, _LateMember(made.__dict__[name], make))
    made._members, made._count = members, count
    made._embedded = tuple(
        made.__dict__[member.name] for member in members if member.kind == "Embedded" and member.name in late_members
    )
    return made


def container_of(ptr: KObject, cls: type[T], member: str) -> T:
    """Return the cls object whose embedded `member` is ptr; KernelBug if ptr is not embedded so."""
    outer = ptr._container
    if type(outer) is not cls or getattr(outer, member) is not ptr:
        raise KernelBug(f"container_of: {ptr!r} is not {cls.__name__}.{member}")
    return outer


def members(cls: type[KObject]) -> tuple[Member, ...]:
    """Return the declared members of a live structure, in order of declaration."""
    return cls._members


def embedded_in(obj: KObject) -> list[KObject]:
    """Return the structures inside obj that have come into being: they share its memory, and its end."""
    inside = []
    for member in obj._embedded:
        try:
            inner = member.read(obj)
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
