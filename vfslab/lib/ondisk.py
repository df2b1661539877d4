"""Byte layouts that someone else defined, each declared once.

    class ext4_extent(Layout, size=12):
        ee_block = le32("first file block of the extent")
        ee_len = le16("blocks covered")
        ee_start_hi = le16("upper 16 bits of the first disk block")
        ee_start_lo = le32("lower 32 bits")
        ee_start = hilo("ee_start_hi", "ee_start_lo")

    extent = ext4_extent(block, offset)      a view: nothing is copied
    extent.ee_start                          unpacked when asked for
    extent.ee_len = 4                        packed in place, if the buffer is writable
    ext4_extent.reader("ee_block", "ee_len") one precompiled unpack for hot loops

From the same declaration come reading, writing in place, mkfs (`pack`), annotated
dumps (`rows`), pictures and the tables of the book.

Linux: the structs of fs/ext4/ext4.h, include/linux/jbd2.h, ... with __le32 and __be32 members.
Left out: bit fields narrower than a byte (they are declared as flags of the whole field).

Always true
  L1  a field lies at the offset it is declared at; fields follow each other without padding
  L2  reading past the end of the buffer raises FormatError with the offset and the field
  L3  a view never copies: two views over one buffer see each other's writes
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple


class FormatError(Exception):
    """Bytes that cannot be what they are said to be: where, which field, and why.

    lib knows no errno; a filesystem turns this into EUCLEAN or EBADMSG and adds the block.
    """

    def __init__(self, offset: int, field: str, why: str = "lies beyond the end of the buffer"):
        super().__init__(f"{field} at byte {offset} ({offset:#x}): {why}")
        self.offset, self.field, self.why = offset, field, why


class Field:
    """One member of a layout: a descriptor that unpacks and packs in place.

    doc    what the member means, for dumps and tables
    at     its byte offset, where the declaration jumps or wants to be checked
    flags  {bit: name} for members that are sets of flags
    enum   {value: name} for members that are one of a list
    """

    kind = "integer"

    def __init__(
        self,
        code: str,
        doc: str = "",
        *,
        at: int | None = None,
        flags: Mapping[int, str] | None = None,
        enum: Mapping[int, str] | None = None,
    ):
        self.struct = struct.Struct(code)
        self.code, self.doc, self.at, self.flags, self.enum = code, doc, at, flags, enum
        self.size = self.struct.size
        self.name, self.offset = "", 0

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, view: Any, owner: type | None = None) -> Any:
        if view is None:
            return self
        try:
            return self.decode(self.struct.unpack_from(view.buffer, view.offset + self.offset))
        except struct.error:
            raise FormatError(view.offset + self.offset, self.name) from None

    def __set__(self, view: Any, value: Any) -> None:
        try:
            self.struct.pack_into(view.buffer, view.offset + self.offset, *self.encode(value))
        except struct.error as error:
            raise FormatError(view.offset + self.offset, self.name, str(error)) from None

    def decode(self, values: tuple) -> Any:
        """Return the member's value from what struct unpacked."""
        return values[0]

    def encode(self, value: Any) -> tuple:
        """Return what struct is to pack for value."""
        return (value,)

    def show(self, value: Any) -> str:
        """Return value as a person wants to read it: flag names, enum names, or the number.

        Modes are shown in octal, magic numbers and checksums in hexadecimal, as everywhere.
        """
        if self.flags is not None:
            names = [name for bit, name in self.flags.items() if value & bit]
            rest = value & ~sum(self.flags)
            return f"{value:#x}" + (f" ({' '.join(names + ([hex(rest)] if rest else []))})" if value else "")
        if self.enum is not None:
            return f"{value} ({self.enum.get(value, 'unknown')})"
        if isinstance(value, bytes):
            text = value.rstrip(b"\0")
            return repr(text)[1:] if text.isascii() and text.decode().isprintable() else value.hex()
        if self.name.endswith("_mode"):
            return f"0{value:o}"
        if self.name.endswith(
            ("magic", "checksum", "csum", "csum_lo", "csum_hi", "checksum_lo", "checksum_hi", "_hash")
        ):
            return f"{value:#x}"
        return str(value)


class Chars(Field):
    """A fixed number of raw bytes; a shorter value is filled up with zeros."""

    kind = "bytes"

    def encode(self, value: Any) -> tuple:
        if len(value) > self.size:  # struct would cut it without a word
            raise struct.error(f"{len(value)} bytes do not fit into {self.size}")
        return (bytes(value),)


class Array(Field):
    """A fixed number of equal integers; reads as a tuple."""

    kind = "array"

    def decode(self, values: tuple) -> tuple:
        return values

    def encode(self, value: Any) -> tuple:
        return tuple(value)

    def show(self, value: Any) -> str:
        return " ".join(map(str, value))


class Nested(Field):
    """A layout inside a layout; reads as a view over the same buffer."""

    kind = "nested"

    def __init__(self, layout: type[Layout], doc: str = "", *, at: int | None = None):
        super().__init__(f"{layout.size}s", doc, at=at)
        self.layout = layout

    def __get__(self, view: Any, owner: type | None = None) -> Any:
        return self if view is None else self.layout(view.buffer, view.offset + self.offset)

    def show(self, value: Any) -> str:
        return self.layout.__name__


class HiLo:
    """A number stored in two members, upper and lower half; lives nowhere itself.

    present   optional test of the view: without it (an old, short structure) the upper half counts as 0
    """

    def __init__(self, hi: str, lo: str, doc: str = "", present: Callable[[Any], bool] | None = None):
        self.hi, self.lo, self.doc, self.present, self.shift, self.name = hi, lo, doc, present, 0, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.shift = 8 * owner.__dict__[self.lo].size

    def __get__(self, view: Any, owner: type | None = None) -> Any:
        if view is None:
            return self
        low = getattr(view, self.lo)
        if self.present is not None and not self.present(view):
            return low
        return getattr(view, self.hi) << self.shift | low

    def __set__(self, view: Any, value: int) -> None:
        setattr(view, self.lo, value & ((1 << self.shift) - 1))
        if self.present is None or self.present(view):
            setattr(view, self.hi, value >> self.shift)


def _integer(code: str) -> Callable[..., Field]:
    def declare(doc: str = "", **more: Any) -> Field:
        return Field(code, doc, **more)

    return declare


u8, le16, le32, le64 = _integer("<B"), _integer("<H"), _integer("<I"), _integer("<Q")
s8, les16, les32, les64 = _integer("<b"), _integer("<h"), _integer("<i"), _integer("<q")
be16, be32, be64 = _integer(">H"), _integer(">I"), _integer(">Q")


def chars(count: int, doc: str = "", **more: Any) -> Field:
    """Declare `count` raw bytes (a name, a UUID, a tail); reads as bytes."""
    return Chars(f"{count}s", doc, **more)


def array(declare: Callable[..., Field], count: int, doc: str = "", **more: Any) -> Field:
    """Declare `count` integers of one kind, such as array(le32, 15)."""
    order, letter = declare().code
    return Array(f"{order}{count}{letter}", doc, **more)


def nested(layout: type[Layout], doc: str = "", **more: Any) -> Field:
    """Declare a layout inside a layout."""
    return Nested(layout, doc, **more)


def hilo(hi: str, lo: str, doc: str = "", present: Callable[[Any], bool] | None = None) -> HiLo:
    """Declare the number whose halves are the members hi and lo."""
    return HiLo(hi, lo, doc, present)


class Row(NamedTuple):
    """One line of an annotated dump: absolute offset and size in bytes, names, value and its reading."""

    offset: int
    size: int
    name: str
    value: Any
    shown: str
    doc: str


class Layout:
    """Base of all byte layouts; a subclass declares fields, an instance is a view over a buffer."""

    __slots__ = ("buffer", "offset")
    fields: tuple[Field, ...] = ()
    joined: tuple[HiLo, ...] = ()
    size = 0

    def __init_subclass__(cls, size: int | None = None):
        position, found = 0, []
        for value in list(cls.__dict__.values()):
            if isinstance(value, Field):
                if value.at is not None:
                    if value.at < position:
                        raise TypeError(f"{cls.__name__}.{value.name} is declared at {value.at}, before {position}")
                    position = value.at
                value.offset = position
                position += value.size
                found.append(value)
        if size is not None and position > size:
            raise TypeError(f"{cls.__name__} takes {position} bytes, declared as {size}")
        cls.fields = tuple(found)
        cls.joined = tuple(value for value in cls.__dict__.values() if isinstance(value, HiLo))
        cls.size = position if size is None else size

    def __init__(self, buffer: Any, offset: int = 0):
        if offset < 0:  # struct would count it from the end
            raise FormatError(offset, type(self).__name__, "lies before the buffer")
        self.buffer, self.offset = buffer, offset

    @classmethod
    def field(cls, name: str) -> Field:
        """Return the declaration of one member; KeyError if there is none."""
        for field in cls.fields:
            if field.name == name:
                return field
        raise KeyError(f"{cls.__name__} has no member {name}")

    @classmethod
    def reader(cls, *names: str) -> Callable[[Any, int], tuple]:
        """Return a function (buffer, offset) -> tuple of the named members, in offset order.

        One precompiled unpack: some ten times faster than asking a view member by member. The members of an
        array come one by one, and a buffer that ends too early is a struct.error: check its length before.
        """
        position, code = 0, "<"
        order = {field.code[0] for field in map(cls.field, names) if field.code[0] in "<>"}
        if len(order) > 1:
            raise TypeError("members of both byte orders in one reader")
        code = order.pop() if order else "<"
        for field in map(cls.field, names):
            if field.offset < position:
                raise TypeError(f"{field.name} is out of order: name members by rising offset")
            code += f"{field.offset - position}x" if field.offset > position else ""
            code += field.code.lstrip("<>")
            position = field.offset + field.size
        return struct.Struct(code).unpack_from

    @classmethod
    def each(cls, *names: str, size: int = 0) -> Callable[[Any], Iterator[tuple]]:
        """Return a function (buffer) -> iterator of such tuples, over a buffer that is an array of these structures.

        size is how many bytes each takes there, if it is not what the declaration says.
        """
        one = cls.reader(*names).__self__  # type: ignore[attr-defined]
        return struct.Struct(f"{one.format}{(size or cls.size) - one.size}x").iter_unpack

    @classmethod
    def pack(cls, **values: Any) -> bytearray:
        """Return a fresh, zeroed structure with the given members set (hi/lo names too)."""
        view = cls(bytearray(cls.size))
        for name, value in values.items():
            if not isinstance(getattr(cls, name, None), Field | HiLo):
                raise KeyError(f"{cls.__name__} has no member {name}")
            setattr(view, name, value)
        return view.buffer

    def rows(self, prefix: str = "") -> Iterator[Row]:
        """Yield a Row for each member, nested ones opened; members beyond the buffer are left out."""
        for field in self.fields:
            start = self.offset + field.offset
            if start + field.size > len(self.buffer):
                return
            value = getattr(self, field.name)
            if isinstance(value, Layout):
                yield from value.rows(f"{prefix}{field.name}.")
            else:
                yield Row(start, field.size, prefix + field.name, value, field.show(value), field.doc)

    def __bytes__(self) -> bytes:
        return bytes(self.buffer[self.offset : self.offset + self.size])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at byte {self.offset}>"
