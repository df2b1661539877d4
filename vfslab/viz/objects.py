"""Live objects as boxes: the declarations say what there is, a view says what to show.

    graph_of([file], view=FILE_VIEW)          from live objects
    graph_of_frame(frame, view, before=...)   from a snapshot, changes tinted

A view is data: {class name: (members to show)}; "*" shows all that are not empty. Classes
that a view does not name are not drawn, and pointers to them end in the target's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vfslab.kernel.snapshot import Bytes, Frame, Key, More, Record, changes, take
from vfslab.lib.kstruct import KObject, members
from vfslab.viz.colors import group_of
from vfslab.viz.model import Graph, Row

View = Mapping[str, tuple[str, ...]]
OCTAL = frozenset({"i_mode", "mode", "umask", "ia_mode"})
HEX = frozenset(
    {"flags", "d_flags", "mnt_flags", "s_flags", "s_magic", "f_mode", "f_flags", "i_state", "b_state", "bi_opf"}
)


def graph_of(objects: Iterable[KObject], view: View, title: str = "", alt: str = "") -> Graph:
    """Return a graph of the objects and all that the view lets one reach from them."""
    frame = take(objects, follow=lambda obj, member, target: shows(view, obj, member, target))
    return graph_of_frame(frame, view, title, alt)


def shows(view: View, obj: KObject, member: str, target: KObject) -> bool:
    """True if a view shows this member of obj and draws what it points to."""
    members = view.get(type(obj).__name__, ())
    return type(target).__name__ in view and (member in members or members == ("*",))


def graph_of_frame(frame: Frame, view: View, title: str = "", alt: str = "", before: Frame | None = None) -> Graph:
    """Return a graph of a snapshot; what differs from `before` is marked."""
    graph = Graph(title, alt)
    changed = {(c.key, c.member) for c in changes(before, frame)} if before is not None else set()
    for key, record in frame.items():
        members = view.get(record.cls.__name__)
        if members is None:
            continue
        box = graph.box(key, heading(key, record), group=group_of(record.cls.__name__))
        box.mark = (key, "") in changed
        for name in record.members if members == ("*",) else members:
            if name in record.members:
                rows = rows_of(frame, record, name)
                for row in rows:
                    row.mark = (key, name) in changed
                box.rows += rows
    return graph


def heading(key: Key, record: Record) -> str:
    """Return what is written on top of a box: "Dentry#3 src.img"."""
    members = record.members
    label = key.split("@")[0] if "@" in key else str(key)
    for name in ("d_name", "s_id", "disk_name", "comm", "name"):
        value = members.get(name)
        if isinstance(value, bytes) and value:
            return f"{label} {value.decode(errors='replace')}"
    if "i_ino" in members:
        return f"{label} ino {members['i_ino']}"
    return label


def rows_of(frame: Frame, record: Record, name: str) -> list[Row]:
    """Return the rows of one member: one, or one for each item of a list or table of objects."""
    kind = next((member.kind for member in members(record.cls) if member.name == name), "")
    value = record.members[name]
    if isinstance(value, dict):
        rows = []
        for label, item in value.items():
            if isinstance(item, Key):
                rows.append(Row(f"{name}[{label_text(name, label)}]", "" if item in frame else item, item, kind=kind))
        return rows or [Row(name, show(name, value))]
    if isinstance(value, tuple) and any(isinstance(item, Key) for item in value):
        return [
            Row(
                f"{name}[{number}]",
                "" if item in frame else show(name, item),
                item if isinstance(item, Key) else None,
                kind=kind,
            )
            for number, item in enumerate(value)
        ]
    if isinstance(value, Key):
        return [Row(name, str(value).split("@")[0], value, kind=kind)]
    return [Row(name, show(name, value))]


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
        return '"' + value.decode(errors="replace") + '"'
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
    if isinstance(value, dict | tuple):
        return f"{len(value)} entries" if value else "empty"
    return str(value)
