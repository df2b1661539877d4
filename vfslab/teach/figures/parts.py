"""What several figures need to make a graph of live objects easier to read. None of it adds a fact.

fold(graph, "Path")         an embedded structure becomes rows of the box it is embedded in
loops(graph)                an object that points to itself says so, without an arrow round its own box
gather(graph, cluster, f)   the boxes that f wants stand in one frame
table_box(graph, ...)       a table of operations: which function stands in which member
renumbered(graph)           Inode#28 and Inode#31 become Inode#1 and Inode#2: what boot made before is not counted
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from vfslab.include.uapi.stat import MAJOR, MINOR
from vfslab.lib.kstruct import OperationTable
from vfslab.viz.model import Box, Graph, Row

NUMBERED = re.compile(r"\b([A-Z][A-Za-z0-9]*)#(\d+)")


def class_of(box: Box) -> str:
    """Return the class of the object that a box shows: "Inode" of "Inode#3 ino 12"."""
    return re.split(r"[#@ ]", box.title)[0]


def fold(graph: Graph, *classes: str) -> None:
    """Draw structures of these classes as rows of the box they are embedded in; arrows to them lead to that row.

    A box that is embedded nowhere in the picture stays.
    """
    for box in list(graph.boxes.values()):
        rows: list[Row] = []
        for row in box.rows:
            rows.append(row)
            inner = graph.boxes.get(row.to) if row.kind == "Embedded" and row.to is not None else None
            if inner is None or class_of(inner) not in classes:
                continue
            rows[-1] = replace(row, to=None, kind="", mark=row.mark or inner.mark)
            rows += [replace(part, name=f"{row.name}.{part.name}") for part in inner.rows]
            redirect(graph, inner.key, box.key, row.name)
            del graph.boxes[inner.key]
        box.rows[:] = rows


def redirect(graph: Graph, old: str, new: str, row: str) -> None:
    """Let all arrows that lead to the box `old` lead to a row of the box `new`."""
    for box in graph.boxes.values():
        for each in box.rows:
            if each.to == old:
                each.to, each.row = new, row


def loops(graph: Graph) -> None:
    """Say in words where an object points to itself: a root is its own parent."""
    for box in graph.boxes.values():
        for row in box.rows:
            if row.to == box.key:
                row.to = row.row = None
                row.value = f"{row.value} (itself)".strip()


def gather(graph: Graph, cluster: str, title: str, wanted: Callable[[Box], bool]) -> None:
    """Put the boxes that are wanted into one frame."""
    graph.clusters[cluster] = title
    for box in graph.boxes.values():
        if wanted(box):
            box.cluster = cluster


def add_moment(graph: Graph, cluster: str, title: str, part: Graph) -> None:
    """Put the boxes of `part` into a frame of `graph`; an object that stands in several frames has a box in each."""
    graph.clusters[cluster] = title
    for key, box in part.boxes.items():
        rows = [replace(row, to=None if row.to is None else f"{cluster} {row.to}") for row in box.rows]
        graph.boxes[f"{cluster} {key}"] = replace(box, key=f"{cluster} {key}", rows=rows, cluster=cluster)
    graph.arrows += [replace(a, tail=f"{cluster} {a.tail}", head=f"{cluster} {a.head}") for a in part.arrows]


def functions(table: OperationTable | None) -> Iterator[tuple[str, str]]:
    """Yield (member, function's name) of a table of operations, without what is None (NULL)."""
    slots: tuple[str, ...] = type(table).__slots__ if table is not None else ()
    for member in slots:
        function = getattr(table, member)
        if function is not None:
            yield member, getattr(function, "__name__", str(function))


def table_box(graph: Graph, table: Any, name: str, group: str, cluster: str = "") -> Box:
    """Add a box for a table of operations, with the functions that stand in it; what is None (NULL) is left out."""
    rows = [Row(member, function) for member, function in functions(table)]
    return graph.box(name, f"{name}: {type(table).__name__}", rows, group, cluster)


def point(graph: Graph, names: Iterable[str], key: str) -> None:
    """Let the rows that hold the name of a table, such as "def_blk_fops", point to the box `key`."""
    for box in graph.boxes.values():
        for row in box.rows:
            if row.name.split(".")[-1] in names and row.value == key:
                row.to = key


def in_dentry_cache(dentry: Any) -> bool:
    """True if a lookup of its name in its directory finds this dentry."""
    return (dentry.d_parent.d_children or {}).get(dentry.d_name) is dentry


def in_inode_cache(inode: Any) -> bool:
    """True if a lookup of its number in its superblock finds this inode."""
    return inode.i_sb.s_inode_hashtable.get(inode.i_ino) is inode


def device_number(dev: int) -> str:
    """Return a device number as `ls -l` shows it: "254, 1"."""
    return f"{MAJOR(dev)}, {MINOR(dev)}"


def renumbered(graph: Graph) -> Graph:
    """Return the graph with the objects of each class counted from 1, in the order of their numbers in the kernel."""
    numbers: dict[str, set[int]] = {}
    for text in texts(graph):
        for cls, number in NUMBERED.findall(text):
            numbers.setdefault(cls, set()).add(int(number))
    new = {(cls, n): place for cls, found in numbers.items() for place, n in enumerate(sorted(found), 1)}

    def name(text: Any) -> Any:
        if not text:
            return text
        return NUMBERED.sub(lambda found: f"{found[1]}#{new[found[1], int(found[2])]}", text)

    ranks = [[name(key) for key in rank] for rank in graph.ranks]
    arrows = [replace(arrow, tail=name(arrow.tail), head=name(arrow.head)) for arrow in graph.arrows]
    boxes = {}
    for box in graph.boxes.values():
        rows = [replace(r, name=name(r.name), value=name(r.value), to=name(r.to), row=name(r.row)) for r in box.rows]
        boxes[name(box.key)] = replace(box, key=name(box.key), title=name(box.title), rows=rows)
    return replace(graph, alt=name(graph.alt), ranks=ranks, arrows=arrows, boxes=boxes)


def texts(graph: Graph) -> Iterator[str]:
    """Yield all that is written in a graph, and all keys."""
    yield graph.alt
    for box in graph.boxes.values():
        yield from (box.key, box.title)
        for row in box.rows:
            yield from (row.name, row.value, row.to or "", row.row or "")
