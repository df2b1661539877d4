"""What the first cell of each notebook uses: is the installation complete, and how a graph is shown."""

from __future__ import annotations

import functools
import sys
from typing import Any

from vfslab.include.kernel import Kernel
from vfslab.kernel.trace import Trace
from vfslab.lib.kstruct import KObject
from vfslab.viz.dot import to_dot
from vfslab.viz.film import Film, Still
from vfslab.viz.model import Graph
from vfslab.viz.render import NoEngine, to_svg
from vfslab.viz.text import to_text
from vfslab.viz.timeline import Timeline, traced
from vfslab.viz.views import EVERYTHING

CHOICES = ("view", "layers", "functions", "at", "title", "limit")


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
            # Its lines are dark: a dark theme leaves it on white paper.
            bundle["text/html"] = f'<div style="overflow-x: auto; background: #fff; padding: 4px">{svg}</div>'
        except NoEngine as error:
            bundle["text/plain"] += f"({error})\n"
        return bundle

    def __str__(self) -> str:
        return to_text(self.graph)


def show(name_or_graph: str | Graph, image: str | None = None, steps: bool = False) -> Picture | Timeline:
    """Return a figure by its name ("F5"), or any graph, as a picture for a notebook.

    steps  as a Timeline, if the figure is one that moves (F8 and F10)
    """
    if isinstance(name_or_graph, Graph):
        return Picture(name_or_graph)
    from vfslab.teach import figures

    if steps:
        return figures.steps(name_or_graph, image)
    return Picture(figures.draw(name_or_graph, image))


def installation() -> None:
    """Print whether all that the book needs is here; if not, what is missing and how to get it."""
    from vfslab.teach.doctor import doctor

    lines, complete = doctor()
    if complete:
        print("This installation is complete.")
        if sys.platform == "emscripten":
            print("It is the Python of your browser, slower than that of your machine: no program can be started here.")
    else:
        print("\n".join(line for line in lines if line.startswith(("missing", "not complete"))))


def trace(what: Any, *args: Any, **choice: Any) -> Timeline:
    """Return a Timeline: of all that happens inside `with trace(k) as t:`, or of one call, `trace(p.stat, "/a")`.

    view       what is drawn (viz/views.py: PATH_WALK, MOUNTS, FILES, PAGE_CACHE, BLOCK, EXT4, EVERYTHING)
    layers     folders whose functions are seen, such as ("fs/",); default: the storage stack
    functions  only functions of these names; at: only they are steps, all are in the call tree
    Of one call: what it returned is t.result; an OSError is not raised, but kept as t.error. Other keywords are
    the call's own: trace(p.open, "/a", dir_fd=3).
    """
    ours = {name: choice.pop(name) for name in CHOICES if name in choice}
    if not callable(what):
        if args or choice:
            raise TypeError(
                f"trace(k) has no {', '.join(map(str, args)) or ', '.join(choice)}; it has {', '.join(CHOICES)}"
            )
        return Timeline(kernel_of(what), **ours)
    title = f"{getattr(what, '__name__', 'call')}({', '.join(map(repr, args))})"
    return traced(kernel_of(what), functools.partial(what, *args, **choice), **{"title": title, **ours})


def draw(objects: Any, view: Any = None, title: str = "") -> Film:
    """Return a picture of live objects, and of what the view lets one reach from them."""
    view = EVERYTHING if view is None else view
    roots = [objects] if isinstance(objects, KObject) else list(objects)
    wrong = [root for root in roots if not isinstance(root, KObject)]
    if wrong:
        raise TypeError(f"draw() takes structures of a kernel, such as p.task, not {type(wrong[0]).__name__}")
    return Still(roots, view, title)


def kernel_of(what: Any) -> Any:
    """Return the kernel that something belongs to: a machine, a process, or a method of one."""
    if isinstance(what, Kernel):
        return what
    for holder in (what, getattr(what, "__self__", None)):
        kernel = getattr(holder, "kernel", None) or getattr(getattr(holder, "task", None), "kernel", None)
        if isinstance(kernel, Kernel):
            return kernel
    raise TypeError("trace() takes a machine, `with trace(k) as t:`, or a method of a process, trace(p.stat, '/a')")


def requests(t: Trace | Timeline) -> list[tuple[int, int]]:
    """Return (first sector, bytes) of each request that a trace saw going to the driver."""
    return [(p.values["sector"], p.values["bytes"]) for p in t.points if p.name == "block_rq_issue"]
