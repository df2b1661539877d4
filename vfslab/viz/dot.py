"""A graph as DOT, the language of Graphviz.

Boxes become HTML-like tables, each row a port that arrows start from. A reference is a
solid arrow, a pointer without one is dashed, an address on disk is dotted.
"""

from __future__ import annotations

from html import escape

from vfslab.viz.colors import CHANGED, GROUPS
from vfslab.viz.model import Box, Graph

STYLES = (
    ("Ref", "solid"),
    ("Embedded", "bold"),
    ("Ptr", "dashed"),
    ("disk", "dotted"),
    ("call", "solid"),
    ("return", "dashed"),
    ("back", "dashed"),
    ("", "solid"),
)
FONT = 'fontname="Courier,monospace"'
PRINTABLE = 48


def to_dot(graph: Graph) -> str:
    """Return the graph as DOT text; equal graphs give equal text."""
    lines = [
        f"digraph {quote(graph.title)} {{",
        f'  graph [rankdir={graph.rankdir}, {FONT}, fontsize=12, nodesep=0.3, ranksep=0.6, bgcolor="transparent",'
        f" label={quote(graph.title)}, labelloc=t, tooltip={quote(graph.description())}];",
        f"  node [shape=plain, {FONT}, fontsize=10];",
        f'  edge [{FONT}, fontsize=9, color="#444444", arrowsize=0.7];',
    ]
    inside: dict[str, list[str]] = {}
    for box in graph.boxes.values():
        inside.setdefault(box.cluster, []).append(box.key)
    for number, (cluster, keys) in enumerate(inside.items()):
        pad = "  "
        if cluster:
            lines.append(f"  subgraph cluster_{number} {{")
            title = graph.clusters.get(cluster, cluster)
            lines.append(f'    label={quote(title)}; style="rounded"; color="#999999"; fontsize=11;')
            pad = "    "
        lines += [f"{pad}{quote(key)} [label=<{table(graph.boxes[key])}>, id={quote(key)}];" for key in keys]
        if cluster:
            lines.append("  }")
    for rank in graph.ranks:
        lines.append("  { rank=same; " + "; ".join(quote(key) for key in rank) + " }")
    lines += edges(graph)
    lines.append("}")
    return "\n".join(lines) + "\n"


def table(box: Box) -> str:
    """Return a box as an HTML-like table: the title, then a row for each member."""
    fill, border, pattern = GROUPS.get(box.group, GROUPS["other"])
    width = 2 if box.mark or pattern == "dashed" else 1
    rows = [
        f'<TR><TD COLSPAN="2" BGCOLOR="{CHANGED if box.mark else fill}" PORT="title"><B>{clean(box.title)}</B></TD></TR>'
    ]
    for number, row in enumerate(box.rows):
        tint = f' BGCOLOR="{CHANGED}"' if row.mark else ""
        value = clean(row.value) or " "
        rows.append(
            f'<TR><TD ALIGN="LEFT" PORT="l{number}"{tint}>{clean(row.name)}</TD>'
            f'<TD ALIGN="LEFT" PORT="r{number}"{tint}>{value}</TD></TR>'
        )
    style = ' STYLE="dashed"' if pattern == "dashed" else ""
    return (
        f'<TABLE BORDER="{width}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3" COLOR="{border}" BGCOLOR="white"{style}>'
        + "".join(rows)
        + "</TABLE>"
    )


def edges(graph: Graph) -> list[str]:
    """Return the arrows: those of rows whose target is drawn, then the free ones."""
    styles = dict(STYLES)
    lines = []
    for box in graph.boxes.values():
        for number, row in enumerate(box.rows):
            target = graph.boxes.get(row.to) if row.to is not None else None
            if target is None:
                continue
            head = f"{quote(target.key)}:title"
            for place, other in enumerate(target.rows):
                if row.row is not None and other.name == row.row:
                    head = f"{quote(target.key)}:l{place}"
            tail = f"{quote(box.key)}:r{number}:e" if graph.rankdir == "LR" else f"{quote(box.key)}:r{number}"
            # a pointer back is drawn, but does not decide what stands left of what
            back = ", constraint=false" if row.kind == "back" else ""
            lines.append(f"  {tail} -> {head} [style={styles.get(row.kind, 'solid')}{back}];")
    for arrow in graph.arrows:
        if arrow.tail in graph.boxes and arrow.head in graph.boxes:
            label = f", label={quote(arrow.label)}" if arrow.label else ""
            lines.append(
                f"  {quote(arrow.tail)} -> {quote(arrow.head)} [style={styles.get(arrow.kind, 'solid')}{label}];"
            )
    return lines


def quote(text: str) -> str:
    """Return text as a DOT string."""
    safe = "".join(c if c.isprintable() else "?" for c in text)
    return '"' + safe.replace("\\", "\\\\").replace('"', '\\"') + '"'


def clean(text: str) -> str:
    """Return text for an HTML-like label: no control characters, not too long."""
    safe = "".join(c if c.isprintable() else "·" for c in text)
    return escape(safe if len(safe) <= PRINTABLE else safe[: PRINTABLE - 1] + "…")
