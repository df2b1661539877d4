"""What a picture is, before it is drawn: boxes with rows, arrows between rows, frames around boxes.

    Graph("two names, one inode")
      .box("Dentry#3", "Dentry#3", [Row("d_name", "a"), Row("d_inode", "", to="Inode#7")])

viz/objects.py makes graphs of live structures, viz/layouts.py of bytes; viz/dot.py and
viz/text.py say the same graph in two ways: one to look at, one to read, compare and test.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable


@dataclasses.dataclass
class Row:
    """One line of a box: a member and its value; `to` names the box it points to, `row` a row of that box.

    kind   "Ref" (holds a reference), "Ptr" (does not), "back" (a pointer back to where one came from),
           "disk" (an address on disk), "call", ""
    mark   True if the row is to stand out (it just changed)
    member the declared member that the row shows, where it is one
    """

    name: str
    value: str = ""
    to: str | None = None
    row: str | None = None
    kind: str = ""
    mark: bool = False
    member: str = ""


@dataclasses.dataclass
class Box:
    """One object: key is its identity, title what is written on top, group its colour and meaning.

    tag: by which names the running function knows it ("nd", "dentry").
    """

    key: str
    title: str
    rows: list[Row]
    group: str = "other"
    cluster: str = ""
    mark: bool = False
    tip: str = ""
    tag: str = ""


@dataclasses.dataclass
class Arrow:
    """An arrow that belongs to no row: between whole boxes, with a label."""

    tail: str
    head: str
    label: str = ""
    kind: str = ""


@dataclasses.dataclass
class Graph:
    """A picture: its title and alternative text, boxes by key, free arrows, clusters {name: title}."""

    title: str
    alt: str = ""
    boxes: dict[str, Box] = dataclasses.field(default_factory=dict)
    arrows: list[Arrow] = dataclasses.field(default_factory=list)
    clusters: dict[str, str] = dataclasses.field(default_factory=dict)
    rankdir: str = "LR"
    ranks: list[list[str]] = dataclasses.field(default_factory=list)

    def box(self, key: str, title: str, rows: Iterable[Row] = (), group: str = "other", cluster: str = "") -> Box:
        """Add a box and return it; a box of the same key is replaced."""
        made = self.boxes[key] = Box(key, title, list(rows), group, cluster)
        return made

    def arrow(self, tail: str, head: str, label: str = "", kind: str = "") -> None:
        """Add an arrow between two boxes."""
        self.arrows.append(Arrow(tail, head, label, kind))

    def description(self) -> str:
        """Return the alternative text: what was given, or a sentence made from the content."""
        if self.alt:
            return printable(self.alt)
        count = sum(1 for box in self.boxes.values() for row in box.rows if row.to in self.boxes) + len(self.arrows)
        names = ", ".join(box.title for box in list(self.boxes.values())[:8])
        return printable(
            f"{self.title}: {len(self.boxes)} boxes ({names}{', ...' if len(self.boxes) > 8 else ''}), {count} arrows."
        )


def printable(text: str) -> str:
    """Return text that does nothing to a terminal or page: a dot for each control character."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "·" for c in text)
