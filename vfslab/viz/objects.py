"""Live objects as boxes: the declarations say what there is, a view says what to show.

    graph_of([file], view=FILE_VIEW)          from live objects
    graph_of_frame(frame, view, before=...)   from a snapshot, changes tinted

A view is data: {class name: (members to show)}; "*" shows all. Classes that a view does not
name are not drawn, and pointers to them end in the target's name. "path.dentry" is a member of
an embedded structure, shown where it lies; a pointer to an embedded structure leads to the box
of the object around it. Views with names of their own: views.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from vfslab.kernel.snapshot import Bytes, Camera, Frame, Inner, Key, More, Record, View, changes
from vfslab.lib.kstruct import KObject, members
from vfslab.viz.colors import group_of
from vfslab.viz.model import Box, Graph, Row

LONGEST = 160  # characters of a value
TAKEN_OFF_THE_END = frozenset({"remaining", "name"})  # names still to be walked: shown in the order they will be
OCTAL = frozenset({"i_mode", "mode", "umask", "ia_mode"})
HEX = frozenset(
    {"flags", "d_flags", "mnt_flags", "s_flags", "s_magic", "f_mode", "f_flags", "i_state", "b_state", "bi_opf"}
)


def graph_of(objects: Iterable[KObject], view: View, title: str = "", alt: str = "") -> Graph:
    """Return a graph of the objects and all that the view lets one reach from them."""
    return graph_of_frame(Camera(view).take(objects), view, title, alt)


def shows(view: View, obj: KObject, member: str, target: KObject) -> bool:
    """True if a view shows this member of obj and draws what it points to."""
    members = view.get(type(obj).__name__, ())
    return type(target).__name__ in view and (member in members or members == ("*",))


def graph_of_frame(frame: Frame, view: View, title: str = "", alt: str = "", before: Frame | None = None) -> Graph:
    """Return a graph of a snapshot; what differs from `before` is marked."""
    return Drawer(view).graph(frame, before, title, alt)


class Drawer:
    """Makes graphs of many snapshots that one camera took with this view; an unchanged object's box is made once."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.made: dict[Key, tuple[Record, Box]] = {}

    def graph(self, frame: Frame, before: Frame | None = None, title: str = "", alt: str = "") -> Graph:
        """Return a graph of a snapshot; what differs from `before` is marked. Boxes may be shared between graphs."""
        graph = Graph(title, alt)
        changed: dict[Key, set[str]] = {}
        for change in changes(before, frame) if before is not None else ():
            changed.setdefault(change.key, set()).add(change.member)
        for key, record in frame.items():
            if record.cls.__name__ in self.view:
                box = self.box(frame, key, record)
                graph.boxes[key] = marked(box, changed[key]) if key in changed else box
        return graph

    def box(self, frame: Frame, key: Key, record: Record) -> Box:
        """Return the box of one object. What a viewed object points to is in the frame, so its record decides all."""
        known = self.made.get(key)
        if known is None or known[0] is not record:
            known = self.made[key] = record, box_of(frame, key, record, self.view[record.cls.__name__])
        return known[1]


def box_of(frame: Frame, key: Key, record: Record, names: tuple[str, ...]) -> Box:
    """Return the box of one object with the named members, "*" for all."""
    box = Box(key, heading(key, record), [], group_of(record.cls.__name__))
    held = record.members
    if "freed" in held:
        box.rows.append(Row("freed", "and still pointed to", member="freed"))
    for name in held if names == ("*",) else names:
        if name in held:
            box.rows += rows_of(frame, record, name, held[name])
        elif name.partition(".")[0] in held:  # a frame taken without a view: the embedded structure has a record
            head, _, rest = name.partition(".")
            inside = frame.get(held[head]) if isinstance(held[head], Key) else None
            if inside is not None and rest in inside.members:
                box.rows += rows_of(frame, record, name, inside.members[rest])
    return box


def marked(box: Box, changed: set[str]) -> Box:
    """Return a copy of a box with what changed marked; "" among the members means: the whole box is new."""
    rows = [dataclasses.replace(row, mark=row.member in changed) for row in box.rows]
    return dataclasses.replace(box, rows=rows, mark="" in changed)


def heading(key: Key, record: Record) -> str:
    """Return what is written on top of a box: "Dentry#3 src.img"."""
    members = record.members
    label = key.split("@")[0] if "@" in key else str(key)
    if "freed" in members:
        return f"{label} freed"
    for name in ("d_name", "s_id", "disk_name", "comm", "name"):
        value = members.get(name)
        if isinstance(value, bytes) and value:
            return f"{label} {value.decode(errors='replace')}"
    if "i_ino" in members:
        return f"{label} ino {members['i_ino']}"
    return label


def rows_of(frame: Frame, record: Record, name: str, value: Any) -> list[Row]:
    """Return the rows of one member: one, or one for each item of a list or table of objects."""
    kind = kind_of(record.cls, name)
    if isinstance(value, dict):
        rows = []
        for label, item in runs(value):
            if isinstance(item, Key):
                text = "" if item in frame else item
                rows.append(Row(f"{name}[{label_text(name, label)}]", text, target(item), kind=kind, member=name))
        return rows or [Row(name, show(name, value), member=name)]
    if isinstance(value, tuple) and any(isinstance(item, Key) for item in value):
        return [
            Row(f"{name}[{place}]", "" if item in frame else show(name, item), target(item), kind=kind, member=name)
            for place, item in enumerate(value)
        ]
    return [Row(name, show(name, value), target(value), kind=kind if isinstance(value, Key) else "", member=name)]


def runs(table: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the entries of a table; a folio of many pages, which stands at many indices, as one: (4-19, folio)."""
    first = last = held = None
    for label, item in table.items():
        if isinstance(item, Key) and item == held and item.startswith("Folio#") and label == last + 1:
            last = label
            continue
        if held is not None:
            yield (first if first == last else f"{first}-{last}"), held
        first = last = label
        held = item
    if held is not None:
        yield (first if first == last else f"{first}-{last}"), held


def target(value: Any) -> Key | None:
    """Return the box that a value points to: the object's, or that of the one it is embedded in."""
    if isinstance(value, Inner):
        return value.outer
    return value if isinstance(value, Key) else None


@cache
def kind_of(cls: type[KObject], name: str) -> str:
    """Return how a member is declared: "Ref", "Ptr", ...; "path.dentry" is looked up in struct path."""
    head, _, rest = name.partition(".")
    for member in members(cls):
        if member.name == head:
            if not rest:
                return member.kind
            inner = next((c for c in KObject.__subclasses__() if c.__name__ == member.target and c._annotations), None)
            return kind_of(inner, rest) if inner is not None else "Ptr"
    return ""


def label_text(name: str, label: Any) -> str:
    """Return the key of a table's entry; a key of several parts is shown with all of them."""
    return ", ".join(show(name, part) for part in label) if isinstance(label, tuple) else show(name, label)


def show(name: str, value: Any) -> str:
    """Return one value as a person wants to read it."""
    if value is None:
        return "NULL"
    if isinstance(value, Key):
        return str(value).split("@")[0]
    if isinstance(value, bytes):
        text = value[: LONGEST + 1].decode(errors="replace")
        return f'"{text}"' if len(value) <= LONGEST else f'"{text[:LONGEST]}..." ({len(value)} bytes)'
    if isinstance(value, Bytes):
        return f"{value.length} bytes"
    if isinstance(value, More):
        return f"and {value.count} more"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int) and name in OCTAL:
        return f"0{value:o}"
    if isinstance(value, int) and name in HEX:
        return hex(value)
    if name in TAKEN_OFF_THE_END and isinstance(value, tuple):
        value = value[::-1]
    if isinstance(value, tuple) and 0 < len(value) <= 4 and all(isinstance(item, bytes | int | str) for item in value):
        return ", ".join(show(name, item) for item in value)
    if isinstance(value, dict | tuple):
        return f"{entries_in(value)} entries" if value else "empty"
    return str(value)


def entries_in(value: Mapping[Any, Any] | tuple[Any, ...]) -> int:
    """Return how many members a list or table had; of a long one a snapshot keeps the first and counts the rest."""
    rest = sum(item.count - 1 for item in value if isinstance(item, More))
    return len(value) + rest
