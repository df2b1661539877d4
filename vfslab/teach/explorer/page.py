"""What a page of the explorer consists of: words, links, tables, a map, bytes with the names of their fields.

    Page ─▶ notes, parts (Facts, Table, Cells), dump
              │
              ├─▶ text.py   for a terminal, a screen reader, print()
              └─▶ html.py   for a notebook, with or without a script

A page knows nothing of how it is shown, so each form shows the same.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

MOST_ROWS = 256  # of one table on one page: what is more is a link to the next page


class Link(NamedTuple):
    """Words that lead to another page, by its address."""

    text: str
    address: str


Rich = Any  # a str, a Link, or a list of them


@dataclasses.dataclass
class Facts:
    """Labels and what stands behind them."""

    heading: str
    rows: list[tuple[str, Rich]] = dataclasses.field(default_factory=list)

    def add(self, label: str, *value: Rich) -> None:
        """Add one line."""
        self.rows.append((label, list(value)))


@dataclasses.dataclass
class Table:
    """Rows of cells, each a Rich; note says what is left out."""

    heading: str
    columns: list[str]
    rows: list[list[Rich]] = dataclasses.field(default_factory=list)
    note: Rich = ""


@dataclasses.dataclass
class Cells:
    """A map: one letter for each cell, which stands for per_cell things of one unit ("block", "inode").

    fill    for each cell how many eighths of it are in use
    names   what each letter means; zoom: addresses of cells name a range, else one thing
    """

    heading: str
    unit: str
    first: int
    last: int
    per_cell: int
    columns: int
    letters: str
    fill: str
    names: dict[str, str]
    note: str = ""

    def address(self, cell: int) -> str:
        """Return the address that a cell leads to."""
        start = self.first + cell * self.per_cell
        if self.per_cell == 1:
            return f"{self.unit} {start}"
        return f"{self.unit}s {start}-{min(start + self.per_cell - 1, self.last)}"

    def told(self, cell: int) -> str:
        """Return one cell in words."""
        name = self.names.get(self.letters[cell], "?")
        part = (
            f", {int(self.fill[cell]) * 100 // 8} % in use" if self.per_cell > 1 and self.fill[cell] not in "08" else ""
        )
        return f"{self.address(cell)}: {name}{part}"


class Span(NamedTuple):
    """A field in a dump: where it lies in the data, and what it is."""

    offset: int
    size: int
    name: str
    shown: str
    doc: str
    group: str
    address: str = ""


@dataclasses.dataclass
class Dump:
    """Bytes of the device from byte base on, and the fields they belong to; marked: an offset to point at, or -1."""

    base: int
    data: bytes
    spans: list[Span] = dataclasses.field(default_factory=list)
    marked: int = -1
    before: str = ""
    after: str = ""


@dataclasses.dataclass
class Page:
    """One page. marks: ranges (first block, last block) that the overview's map points at."""

    address: str
    title: str
    parts: list[Any] = dataclasses.field(default_factory=list)
    notes: list[tuple[str, Rich]] = dataclasses.field(default_factory=list)
    dump: Dump | None = None
    marks: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    crumbs: list[Link] = dataclasses.field(default_factory=list)

    def facts(self, heading: str = "") -> Facts:
        """Return a new block of facts on this page."""
        self.parts.append(Facts(heading))
        return self.parts[-1]

    def bad(self, *text: Rich) -> None:
        """Add a note of damage."""
        self.notes.append(("bad", list(text)))

    def no(self, *text: Rich) -> None:
        """Add a note that there is no such thing, which may be nobody's fault but that of the address."""
        self.notes.append(("no", list(text)))

    def say(self, *text: Rich) -> None:
        """Add a note that is no damage."""
        self.notes.append(("info", list(text)))

    def links(self) -> list[str]:
        """Return the addresses of all links in words on the page."""
        found: list[str] = []
        for part in self.parts:
            rows = part.rows if isinstance(part, Facts | Table) else []
            for row in rows:
                for cell in row:
                    found += [piece.address for piece in pieces(cell) if isinstance(piece, Link)]
        return found


def pieces(rich: Rich) -> list[Any]:
    """Return the strings and links of a Rich, in order."""
    if isinstance(rich, Link) or not isinstance(rich, list | tuple):
        return [rich if isinstance(rich, Link) else str(rich)]
    return [piece for part in rich for piece in pieces(part)]


def plain(rich: Rich) -> str:
    """Return a Rich as words alone."""
    return "".join(piece.text if isinstance(piece, Link) else piece for piece in pieces(rich))


def to_block(number: int, text: str | None = None) -> Link:
    """Return a link to a block."""
    return Link(str(number) if text is None else text, f"block {number}")


def to_inode(number: int, text: str | None = None) -> Link:
    """Return a link to an inode."""
    return Link(str(number) if text is None else text, f"inode {number}")


def to_group(number: int, text: str | None = None) -> Link:
    """Return a link to a block group."""
    return Link(str(number) if text is None else text, f"group {number}")


def to_blocks(first: int, count: int = 1) -> Link:
    """Return a link to a run of blocks."""
    if count <= 1:
        return to_block(first)
    return Link(f"{first}-{first + count - 1}", f"blocks {first}-{first + count - 1}")


def to_byte(offset: int) -> Link:
    """Return a link to a byte of the device."""
    return Link(f"{offset:#x}", f"byte {offset:#x}")
