"""Where things lie: Graphviz finds places for boxes of known size, and ways for the arrows between them.

The sizes are known beforehand (a fixed-width font), so the drawing (svg.py) is our own and needs
no more of Graphviz than places and ways. Where Graphviz is missing, columns of boxes and plain
curves do, too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from vfslab.viz.dot import quote
from vfslab.viz.render import NoEngine, layout

if TYPE_CHECKING:
    from vfslab.viz.union import Edge, Part, Union

CHAR, ROW, HEAD, PAD = 6.7, 16, 20, 6  # width of a character, heights of a row and of a title, in px
MANY, TOO_MANY = 250, 400  # arrows: beyond these, Graphviz searches less for a better layout; it draws no arrows
GAP = 90  # between columns, where there is no Graphviz
# Members that point back to what leads here: the arrow is drawn so, but what it points to stands left.
BACK = frozenset({"d_parent", "mnt_parent", "host", "mapping"})


class Rect(NamedTuple):
    """A box on the drawing: left, top, width, height, and where the values begin."""

    x: float
    y: float
    width: float
    height: float
    values: float


class Place(NamedTuple):
    """Where everything lies: boxes, ways of arrows (Bezier points; the last one is the tip), frames, the whole size."""

    boxes: list[Rect]
    ways: list[list[tuple[float, float]]]
    frames: list[tuple[str, float, float, float, float]]
    labels: list[tuple[float, float] | None]
    width: float
    height: float


def size(part: Part) -> tuple[float, float, float]:
    """Return width, height and the place of the values of a box."""
    from vfslab.viz.union import LONGEST_NAME, LONGEST_TITLE, LONGEST_VALUE

    name, value = min(part.name, LONGEST_NAME), min(part.value, LONGEST_VALUE)
    values = PAD + name * CHAR + 10
    title = min(part.title, LONGEST_TITLE) * CHAR * 1.04 + 2 * PAD
    return max(title, values + value * CHAR + PAD, 70), HEAD + ROW * len(part.rows) + (3 if part.rows else 0), values


def place(union: Union) -> Place:
    """Return places for all parts of a union."""
    sizes = [size(part) for part in union.parts]
    if not sizes:
        return Place([], [], [], [], 10, 10)
    try:
        return read(union, sizes, json.loads(layout(dot_of(union, sizes), "json0")))
    except (NoEngine, ValueError):
        return columns(union, sizes)


def dot_of(union: Union, sizes: list[tuple[float, float, float]]) -> str:
    """Return the union as DOT: tables of fixed cells, so that arrows start at the right row."""
    splines = "none" if len(union.edges) > TOO_MANY else "true"
    effort = ", mclimit=0.2, nslimit=0.5, nslimit1=0.5" if len(union.edges) > MANY else ""
    lines = [
        "digraph g {",
        f"graph [rankdir={union.rankdir}, nodesep=0.28, ranksep=0.45, splines={splines}, margin=0{effort}];",
        'node [shape=plain, margin=0]; edge [arrowsize=0.6, fontname="Courier", fontsize=9];',
    ]
    inside: dict[str, list[int]] = {}
    for number, part in enumerate(union.parts):
        inside.setdefault(part.cluster, []).append(number)
    for place, (cluster, numbers) in enumerate(inside.items()):
        nodes = [f"b{number} [label=<{cells(union.parts[number], sizes[number])}>];" for number in numbers]
        if cluster:
            label = quote(union.clusters.get(cluster, cluster))
            nodes = [f"subgraph cluster_{place} {{ label={label}; margin=12; fontsize=12;", *nodes, "}"]
        lines += nodes
    for rank in union.ranks:
        lines.append("{ rank=same; " + "; ".join(f"b{union.number[key]}" for key in rank if key in union.number) + " }")
    level = union.rankdir == "LR"
    lines += [arrow(union, edge, number, level) for edge, number in union.edges.items() if edge.tail != edge.head]
    return "\n".join([*lines, "}"])


def arrow(union: Union, edge: Edge, number: int, level: bool) -> str:
    """Return one arrow as DOT; one that points back is laid out the other way round."""
    if edge.row < 0:
        return f"b{edge.tail} -> b{edge.head} [id=e{number}, label={quote(edge.label)}];"
    tail, head = f"b{edge.tail}:r{edge.row}", f"b{edge.head}:" + (f"r{edge.at}" if edge.at >= 0 else "t")
    if level and points_back(union, edge):
        return f"{head}:e -> {tail}:w [id=e{number}, dir=back];"
    more = ", constraint=false" if edge.kind == "back" else ""
    return f"{tail}{':e' if level else ''} -> {head}{':w' if level and not more else ''} [id=e{number}{more}];"


def points_back(union: Union, edge: Edge) -> bool:
    """True for an arrow of a member such as d_parent."""
    return edge.row >= 0 and union.parts[edge.tail].names[edge.row] in BACK


def cells(part: Part, size: tuple[float, float, float]) -> str:
    """Return a table of empty cells of fixed size: the title, then a row for each member."""
    width, height, _ = size
    rest = height - HEAD - ROW * len(part.rows)
    heights = [("t", HEAD)] + [(f"r{number}", ROW) for number in part.order]
    if part.rows:
        heights[-1] = heights[-1][0], ROW + rest
    rows = "".join(
        f'<TR><TD PORT="{port}" FIXEDSIZE="TRUE" WIDTH="{width:.0f}" HEIGHT="{tall:.0f}"></TD></TR>'
        for port, tall in heights
    )
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">{rows}</TABLE>'


def read(union: Union, sizes: list[tuple[float, float, float]], told: dict[str, Any]) -> Place:
    """Return the places that Graphviz has found; its y axis goes up, ours goes down."""
    left, low, right, high = map(float, told["bb"].split(","))
    boxes: list[Rect] = [Rect(0, 0, 0, 0, 0)] * len(sizes)
    frames = []
    for thing in told.get("objects", ()):
        if thing["name"].startswith("cluster_"):
            x0, y0, x1, y1 = map(float, thing["bb"].split(","))
            frames.append((thing.get("label", ""), x0 - left, high - y1, x1 - x0, y1 - y0))
        elif thing["name"][0] == "b":
            number = int(thing["name"][1:])
            x, y = map(float, thing["pos"].split(","))
            width, height, values = sizes[number]
            boxes[number] = Rect(x - left - width / 2, high - y - height / 2, width, height, values)
    ways: list[list[tuple[float, float]]] = [[]] * len(union.edges)
    labels: list[tuple[float, float] | None] = [None] * len(union.edges)
    for edge in told.get("edges", ()):
        if "pos" not in edge:
            continue
        number = int(edge["id"][1:])
        tip, points = None, []
        for piece in edge["pos"].split(";")[0].split(" "):
            x, y = map(float, piece.removeprefix("e,").removeprefix("s,").split(","))
            if piece[0] in "es":
                tip = x - left, high - y
            else:
                points.append((x - left, high - y))
        if edge.get("dir") == "back":
            points.reverse()
        ways[number] = [*points, tip or points[-1]]
        if "lp" in edge:
            x, y = map(float, edge["lp"].split(","))
            labels[number] = x - left, high - y
    for edge, number in union.edges.items():
        if not ways[number]:
            ways[number] = curve(union, edge, boxes)
    return Place(boxes, ways, frames, labels, right - left, high - low)


def curve(union: Union, edge: Edge, boxes: list[Rect]) -> list[tuple[float, float]]:
    """Return a plain curve from the right side of a row to the left side of a box."""
    tail, head = boxes[edge.tail], boxes[edge.head]
    x0, y0 = tail.x + tail.width, tail.y + middle(union, edge.tail, edge.row)
    x1, y1 = head.x, head.y + middle(union, edge.head, edge.at)
    if edge.tail == edge.head:  # to itself: a small loop at the right side, back to the title
        return [(x0, y0), (x0 + 22, y0), (x0 + 22, y1), (x0 + 6, y1), (x0, y1)]
    if x1 <= x0 and tail.x < head.x + head.width:  # one above the other: round the right side
        x1 = head.x + head.width
        out = max(x0, x1) + 40
        return [(x0, y0), (out, y0), (out, y1), (x1 + 6, y1), (x1, y1)]
    bend = max(40, abs(x1 - x0) / 2)
    return [(x0, y0), (x0 + bend, y0), (x1 - bend, y1), (x1 - 6, y1), (x1, y1)]


def middle(union: Union, number: int, row: int) -> float:
    """Return how far below the top of a box a row's middle lies; -1 is the title."""
    return HEAD / 2 if row < 0 else HEAD + ROW * (union.parts[number].line[row] + 0.5)


def columns(union: Union, sizes: list[tuple[float, float, float]]) -> Place:
    """Return places without Graphviz: each box one column right of the first one that points to it."""
    column: dict[int, int] = {}
    targets: dict[int, list[int]] = {}
    for edge in union.edges:
        targets.setdefault(edge.tail, []).append(edge.head)
    for start in range(len(sizes)):
        waiting = [start] if start not in column else []
        column.setdefault(start, 0)
        for number in waiting:
            for target in targets.get(number, ()):
                if target not in column:
                    column[target] = column[number] + 1
                    waiting.append(target)
    boxes: list[Rect] = [Rect(0, 0, 0, 0, 0)] * len(sizes)
    x = tallest = 0.0
    for level in range(max(column.values()) + 1):
        y = 0.0
        inside = [number for number in column if column[number] == level]
        for number in inside:
            width, height, values = sizes[number]
            boxes[number] = Rect(x, y, width, height, values)
            y += height + 22
        tallest = max(tallest, y)
        x += max(sizes[number][0] for number in inside) + GAP
    ways = [curve(union, edge, boxes) for edge in union.edges]
    return Place(boxes, ways, [], [None] * len(ways), x, tallest)
