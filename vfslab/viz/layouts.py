"""Bytes as boxes: a view over a declared layout becomes a record with a row for each member."""

from __future__ import annotations

from collections.abc import Iterable

from vfslab.lib.ondisk import Layout
from vfslab.viz.model import Box, Graph, Row


def layout_box(
    graph: Graph,
    key: str,
    view: Layout,
    names: Iterable[str] | None = None,
    title: str | None = None,
    group: str = "disk",
    cluster: str = "",
    address: int | None = None,
) -> Box:
    """Add a box for a view: the named members (default all), each with its reading.

    address is the view's byte address on the device, for the title; None leaves it out.
    """
    wanted = None if names is None else list(names)
    rows = []
    for row in view.rows():
        short = row.name.split(".")[-1]
        if wanted is None or row.name in wanted or short in wanted:
            rows.append(Row(row.name, row.shown))
    for joined in type(view).joined:
        if wanted is not None and joined.name in wanted:
            rows.append(Row(joined.name, str(getattr(view, joined.name))))
    if wanted is not None:
        rows.sort(
            key=lambda row: wanted.index(row.name) if row.name in wanted else wanted.index(row.name.split(".")[-1])
        )
    place = "" if address is None else f" at {address:#x}"
    return graph.box(key, (title or type(view).__name__) + place, rows, group, cluster)
