"""Many pictures of one run as one: every box, row and arrow that is ever drawn, and who is there when.

    Union.add(graph)   for each step; what differs from the step before is kept
    Union.drawing()    the parts with their places, and the differences: what the browser gets

A part has a short name: box 3 is "3", its second row "3.1", what the running function calls it
"3t", arrow 7 "e7". A state is {part: text} of all parts that are there: a box's title, a row's
value, "" for an arrow. A difference says what is set, and null for what goes.

Marks, what just changed, are kept apart: they hold for one step only.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any, NamedTuple

from vfslab.viz.model import Box, Graph
from vfslab.viz.place import Place, place

LONGEST_NAME, LONGEST_VALUE, LONGEST_TITLE = 26, 30, 42  # characters that are drawn; the whole text is told as well


@dataclasses.dataclass
class Part:
    """One box of the union: which rows it ever has, in which order, and how wide its texts get."""

    key: str
    group: str
    cluster: str
    rows: dict[tuple[str, int], int] = dataclasses.field(default_factory=dict)
    order: list[int] = dataclasses.field(default_factory=list)
    title: int = 0
    name: int = 0
    value: int = 0

    @property
    def names(self) -> list[str]:
        """The names of its rows."""
        return [name for name, _ in self.rows]

    def row(self, name: str, nth: int, after: int = -1) -> int:
        """Return the number of a row: the nth one of this name. A new one gets its place after another, -1: first."""
        number = self.rows.get((name, nth))
        if number is None:
            number = self.rows[name, nth] = len(self.rows)
            self.order.insert(self.order.index(after) + 1 if after >= 0 else 0, number)
        return number

    @cached_property
    def line(self) -> dict[int, int]:
        """Which line of the box each row has; to be asked when all rows are known."""
        return {number: line for line, number in enumerate(self.order)}


@dataclasses.dataclass(frozen=True)
class Edge:
    """One arrow of the union: from a row of a box, or from the box itself (-1), to a box or a row of it (-1)."""

    tail: int
    row: int
    head: int
    at: int
    kind: str
    label: str = ""


class Drawn(NamedTuple):
    """A box as it was drawn last: its state, what it points to, and whether it must be looked at again each time."""

    box: Box
    now: dict[str, str]
    targets: frozenset[str]
    loose: bool


class Union:
    """All that is drawn in any step."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}
        self.parts: list[Part] = []
        self.edges: dict[Edge, int] = {}
        self.clusters: dict[str, str] = {}
        self.rankdir = "LR"
        self.ranks: list[list[str]] = []
        self.steps: list[dict[str, str | None]] = []
        self.marks: list[list[str]] = []
        self._state: dict[str, str] = {}
        self._drawn: dict[str, Drawn] = {}
        self._keys: frozenset[str] = frozenset()
        self._places: Place | None = None

    # -- taking in ------------------------------------------------------------------------------

    def add(self, graph: Graph) -> None:
        """Take in the picture of the next step."""
        self._places = None
        for part in self.parts:
            part.__dict__.pop("line", None)
        self.clusters.update(graph.clusters)
        self.rankdir = graph.rankdir
        self.ranks += [rank for rank in graph.ranks if rank not in self.ranks]
        for box in graph.boxes.values():
            if box.key not in self.number:
                self.number[box.key] = len(self.parts)
                self.parts.append(Part(box.key, box.group, box.cluster))
        keys = frozenset(graph.boxes)
        came_or_went, change, marks = keys ^ self._keys, {}, []
        for box in graph.boxes.values():
            known = self._drawn.get(box.key)
            if known is not None and known.box is box and not known.loose and known.targets.isdisjoint(came_or_went):
                continue  # the very same box, with the same ones to point to
            now = self._box(graph, box, marks)
            _differences(known.now if known else {}, now, change)
            targets = frozenset(row.to for row in box.rows if row.to is not None)
            loose = box.mark or any(row.mark or row.row is not None for row in box.rows)
            self._drawn[box.key] = Drawn(box, now, targets, loose)
        for key in self._keys - keys:
            _differences(self._drawn.pop(key).now, {}, change)
        self._free_arrows(graph, change)
        self._keys = keys
        self.steps.append(change)
        self.marks.append(marks)

    def _box(self, graph: Graph, box: Box, marks: list[str]) -> dict[str, str]:
        """Return the state of one box and the arrows from its rows; note its marks."""
        number = self.number[box.key]
        part = self.parts[number]
        part.title = max(part.title, len(box.title))
        now = {str(number): box.title}
        if box.tag:
            now[f"{number}t"] = box.tag
        if box.mark:
            marks.append(str(number))
        count: dict[str, int] = {}
        place = -1
        for row in box.rows:
            nth = count[row.name] = count.get(row.name, -1) + 1
            place = part.row(row.name, nth, place)
            part.name, part.value = max(part.name, len(row.name)), max(part.value, len(row.value))
            now[f"{number}.{place}"] = row.value
            if row.mark:
                marks.append(f"{number}.{place}")
            target = graph.boxes.get(row.to) if row.to is not None else None
            if target is not None:
                at = -1
                if row.row is not None and any(other.name == row.row for other in target.rows):
                    there = self.parts[self.number[target.key]]
                    at = there.row(row.row, 0, there.order[-1] if there.order else -1)
                now[self._edge(Edge(number, place, self.number[target.key], at, row.kind))] = ""
        return now

    def _edge(self, edge: Edge) -> str:
        return f"e{self.edges.setdefault(edge, len(self.edges))}"

    def _free_arrows(self, graph: Graph, change: dict[str, str | None]) -> None:
        """Note the arrows that belong to no row."""
        now = {
            self._edge(Edge(self.number[a.tail], -1, self.number[a.head], -1, a.kind, a.label)): ""
            for a in graph.arrows
            if a.tail in graph.boxes and a.head in graph.boxes
        }
        _differences(self._state, now, change)
        self._state = now

    # -- giving out -----------------------------------------------------------------------------

    def state(self, step: int) -> dict[str, str]:
        """Return {part: text} of all that is there at a step."""
        state: dict[str, str] = {}
        for change in self.steps[: step + 1]:
            for part, text in change.items():
                if text is None:
                    state.pop(part, None)
                else:
                    state[part] = text
        return state

    def weights(self) -> list[int]:
        """Return for each step how much changes: new and gone boxes and moved arrows count more than values."""
        weights = []
        for change, marks in zip(self.steps, self.marks, strict=True):
            moved = sum(3 for part, text in change.items() if part[0] == "e" and text is not None)
            weights.append(moved + len(marks))
        return weights

    @property
    def places(self) -> Place:
        """Where every part lies: one layout for all steps."""
        if self._places is None:
            self._places = place(self)
        return self._places

    def drawing(self) -> dict[str, Any]:
        """Return the drawing of all parts, and the differences, as JSON can say it."""
        from vfslab.viz.svg import parts_svg

        return {
            "svg": parts_svg(self),
            "boxes": [
                {"key": part.key, "group": part.group, "rows": part.names, "order": part.order} for part in self.parts
            ],
            "edges": [[e.tail, e.row, e.head, e.at] for e in self.edges],
            "steps": self.steps,
            "marks": self.marks,
        }


def _differences(before: dict[str, str], now: dict[str, str], change: dict[str, str | None]) -> None:
    """Add to change what is new or different now, and null for what is gone."""
    for part in before:
        if part not in now and part not in change:
            change[part] = None
    for part, text in now.items():
        if before.get(part) != text:
            change[part] = text
