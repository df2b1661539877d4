"""A graph as sorted text: the twin of each picture, for screen readers, tests and terminals."""

from __future__ import annotations

import re

from vfslab.viz.model import Graph, printable


def to_text(graph: Graph) -> str:
    """Return the graph as text: boxes sorted by key within their clusters, rows in order, arrows by target."""
    lines = [graph.title, ""]
    for cluster in sorted({box.cluster for box in graph.boxes.values()}, key=_natural):
        if cluster:
            lines.append(f"[{graph.clusters.get(cluster, cluster)}]")
        for box in sorted((b for b in graph.boxes.values() if b.cluster == cluster), key=lambda b: _natural(b.key)):
            tag = f" <- {box.tag}" if box.tag else ""
            lines.append(("* " if box.mark else "") + box.title + tag)
            for row in box.rows:
                arrow = f" -> {graph.boxes[row.to].title}" if row.to in graph.boxes else ""
                arrow += f".{row.row}" if arrow and row.row else ""
                value = f" = {row.value}" if row.value else ""
                lines.append(f"{'* ' if row.mark else '  '}  {row.name}{value}{arrow}")
    free = [a for a in graph.arrows if a.tail in graph.boxes and a.head in graph.boxes]
    for arrow in free:
        label = f" ({arrow.label})" if arrow.label else ""
        lines.append(f"{graph.boxes[arrow.tail].title} -> {graph.boxes[arrow.head].title}{label}")
    return "\n".join(map(printable, lines)) + "\n"


def _natural(key: str) -> list:
    """Return a sort key by which Inode#10 follows Inode#9."""
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"(\d+)", key)]
