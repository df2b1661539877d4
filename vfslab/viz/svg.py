"""The drawing of a union: the same parts for the browser, which shows and hides them, and for static pictures.

    parts_svg(union)                        all parts, hidden, texts empty: js/timeline.js fills them in
    parts_svg(union, state, marks, ...)     the picture of one step, complete in itself

Colours are classes (js/vfslab.css), so that light, dark and printed pages differ without a new
drawing. What changed has a bar at its left besides the tint: it stays visible in grey.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING

from vfslab.viz.place import CHAR, HEAD, PAD, ROW, Rect

if TYPE_CHECKING:
    from vfslab.viz.union import Edge, Union

MARGIN = 14
PATTERNS = frozenset({"Ref", "Ptr", "Embedded", "disk", "call", "return", "back"})


def parts_svg(
    union: Union, state: Mapping[str, str] | None = None, marks: Collection[str] = (), title: str = "", alt: str = ""
) -> str:
    """Return the drawing as one <svg>: all parts, or what is there in a state."""
    return picture(union, parts(union, state, marks), title, alt, alone=state is not None)


def parts(union: Union, state: Mapping[str, str] | None, marks: Collection[str]) -> list[str]:
    """Return the parts of a drawing: frames, arrows, boxes."""
    body = [frame_svg(*frame) for frame in union.places.frames]
    for edge, number in union.edges.items():
        if state is None or f"e{number}" in state:
            body.append(edge_svg(union, edge, number, state is not None, marks))
    for number in range(len(union.parts)):
        if state is None or str(number) in state:
            body.append(box_svg(union, number, state, marks))
    return body


def picture(union: Union, body: Iterable[str], title: str, alt: str, alone: bool = True) -> str:
    """Return an <svg> of the size of the union: an image with a description, or a group of things to be used."""
    width, height = union.places.width + 2 * MARGIN, union.places.height + 2 * MARGIN
    said = f"<title>{escape(title)}</title><desc>{escape(alt)}</desc>" if alone else ""
    return (
        f'<svg class="v-picture" role="{"img" if alone else "group"}" viewBox="{-MARGIN} {-MARGIN} {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" xmlns="http://www.w3.org/2000/svg">{said}{"".join(body)}</svg>'
    )


def frame_svg(label: str, x: float, y: float, width: float, height: float) -> str:
    """Return the frame around the boxes of a cluster."""
    return (
        f'<g class="v-frame"><rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="8"/>'
        f'<text x="{x + 8:.0f}" y="{y + 13:.0f}">{escape(label)}</text></g>'
    )


def box_svg(union: Union, number: int, state: Mapping[str, str] | None, marks: Collection[str]) -> str:
    """Return one box: paper, title bar, rows of name and value, and a flag for what the function calls it."""
    part, rect = union.parts[number], union.places.boxes[number]
    room = int((rect.width - 2 * PAD) / (CHAR * 1.04) + 0.1)
    title = "" if state is None else clip(state[str(number)], room)
    new = " v-new" if str(number) in marks else ""
    hidden = " v-off" if state is None else ""
    focus = f' data-b="{number}" data-room="{room}" tabindex="0" role="button"' if state is None else ""
    tag = (state or {}).get(f"{number}t", "")
    shown = "" if tag else " v-off"
    rows = [row_svg(rect, f"{number}.{row}", part.line[row], name, state, marks) for row, name in enumerate(part.names)]
    flag = (
        f'<g class="v-tag{shown}"><rect y="-13" width="{len(tag) * CHAR + 10:.1f}" height="13" rx="3"/>'
        f'<text x="5" y="-3">{escape(tag)}</text></g>'
        if state is None or tag
        else ""
    )
    return (
        f'<g class="v-box v-{part.group}{new}{hidden}"{focus} transform="translate({rect.x:.1f} {rect.y:.1f})">'
        f'<rect class="v-paper" width="{rect.width:.1f}" height="{rect.height:.1f}" rx="4"/>'
        f'<path class="v-head" d="{top(rect.width, HEAD)}"/>'
        f'<text class="v-title" x="{rect.width / 2:.1f}" y="14">{escape(title)}</text>'
        f'{"".join(rows)}<rect class="v-rim" width="{rect.width:.1f}" height="{rect.height:.1f}" rx="4"/>{flag}</g>'
    )


def top(width: float, height: float) -> str:
    """Return the outline of a title bar: round above, straight below."""
    return f"M0 {height}V4a4 4 0 0 1 4 -4H{width - 4:.1f}a4 4 0 0 1 4 4V{height}Z"


def row_svg(
    rect: Rect, part: str, line: int, name: str, state: Mapping[str, str] | None, marks: Collection[str]
) -> str:
    """Return one row; nothing if it is not there in this state."""
    if state is not None and part not in state:
        return ""
    y = HEAD + ROW * line
    room = int((rect.width - rect.values - 2) / CHAR)
    value = "" if state is None else clip(state[part], room)
    names = clip(name, int((rect.values - PAD) / CHAR))
    classes = "v-row" + (" v-changed" if part in marks else "") + (" v-off" if state is None else "")
    data = f' data-room="{room}"' if state is None else ""
    return (
        f'<g class="{classes}"{data}><rect x="1" y="{y}" width="{rect.width - 2:.1f}" height="{ROW}"/>'
        f'<path d="M2 {y}v{ROW}"/>'
        f'<text x="{PAD}" y="{y + 12}">{escape(names)}</text>'
        f'<text class="v-value" x="{rect.values:.1f}" y="{y + 12}">{escape(value)}</text></g>'
    )


def edge_svg(union: Union, edge: Edge, number: int, shown: bool, marks: Collection[str]) -> str:
    """Return one arrow: a dot where it starts, its way, a head at its tip."""
    points = union.places.ways[number]
    (x0, y0), *rest, (x1, y1) = points
    way = f"M{x0:.1f} {y0:.1f}C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in rest) + f"L{x1:.1f} {y1:.1f}"
    x2, y2 = next(((x, y) for x, y in reversed(points[:-1]) if (x, y) != (x1, y1)), (x1 - 1, y1))
    head = arrow_head(x1, y1, math.atan2(y1 - y2, x1 - x2))
    kind = f" v-{edge.kind}" if edge.kind in PATTERNS else ""
    classes = f"v-edge{kind}" + ("" if shown else " v-off")
    if shown and edge.row >= 0 and f"{edge.tail}.{edge.row}" in marks:
        classes += " v-changed"
    data = "" if shown else f' data-e="{number}"'
    label = union.places.labels[number]
    text = f'<text x="{label[0]:.0f}" y="{label[1] + 3:.0f}">{escape(edge.label)}</text>' if label else ""
    return (
        f'<g class="{classes}"{data}><path class="v-way" d="{way}"/><circle cx="{x0:.1f}" cy="{y0:.1f}" r="2"/>'
        f'<path class="v-tip" d="{head}"/>{text}</g>'
    )


def arrow_head(x: float, y: float, angle: float) -> str:
    """Return a triangle whose tip is at a point."""
    left, right = angle + 2.75, angle - 2.75
    return (
        f"M{x:.1f} {y:.1f}L{x + 8 * math.cos(left):.1f} {y + 8 * math.sin(left):.1f}"
        f"L{x + 8 * math.cos(right):.1f} {y + 8 * math.sin(right):.1f}Z"
    )


def clip(text: str, room: int) -> str:
    """Return text as far as there is room for it, control characters as dots."""
    safe = "".join(c if c.isprintable() else "·" for c in text)
    return safe if len(safe) <= room else safe[: max(room - 1, 0)] + "…"
