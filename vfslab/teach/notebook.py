"""What the first cell of each notebook uses: is the installation complete, and how a graph is shown."""

from __future__ import annotations

from typing import Any

from vfslab.kernel.trace import Trace, function_graph
from vfslab.viz.dot import to_dot
from vfslab.viz.model import Graph
from vfslab.viz.render import NoEngine, to_svg
from vfslab.viz.text import to_text


class Picture:
    """A graph as a notebook shows it: SVG where it can be drawn, else its text twin. print() gives the twin."""

    def __init__(self, graph: Graph):
        self.graph = graph

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        bundle = {"text/plain": to_text(self.graph)}
        try:
            svg = to_svg(to_dot(self.graph), self.graph.description(), self.graph.title)
            bundle["image/svg+xml"] = svg
            # A notebook shows an SVG at its natural size, and cuts it; inside HTML it is as wide as the page at the most.
            bundle["text/html"] = f'<div style="overflow-x: auto">{svg}</div>'
        except NoEngine as error:
            bundle["text/plain"] += f"({error})\n"
        return bundle

    def __str__(self) -> str:
        return to_text(self.graph)


def show(name_or_graph: str | Graph, image: str | None = None) -> Picture:
    """Return a figure by its name ("F5"), or any graph, as a picture for a notebook."""
    if isinstance(name_or_graph, Graph):
        return Picture(name_or_graph)
    from vfslab.teach.figures import draw

    return Picture(draw(name_or_graph, image))


def installation() -> None:
    """Print whether all that the book needs is here; if not, what is missing and how to get it."""
    from vfslab.teach.doctor import doctor

    lines, complete = doctor()
    if complete:
        print("This installation is complete.")
    else:
        print("\n".join(line for line in lines if line.startswith(("missing", "not complete"))))


def trace(machine: Any, **choice: Any) -> function_graph:
    """Return a tracer of a booted kernel's functions, for `with trace(k) as t:`; choices as for function_graph."""
    return function_graph(machine.kernel, **choice)


def requests(t: Trace) -> list[tuple[int, int]]:
    """Return (first sector, bytes) of each request that a trace saw going to the driver."""
    return [(p.values["sector"], p.values["bytes"]) for p in t.points if p.name == "block_rq_issue"]
