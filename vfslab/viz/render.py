"""DOT to SVG, with whatever engine is at hand.

    viz.js in a browser's Python  else  pygraphviz (a wheel with Graphviz inside)  else  the program `dot`
    else  the text twin with a hint

No engine is needed to draw text twins. A browser draws DOT itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html import escape

from vfslab.viz import browser

HINT = "no Graphviz found: `pip install pygraphviz` brings one along, or install the program `dot`"


class NoEngine(Exception):
    """No layout engine is installed; the message says how to get one."""


def to_svg(dot: str, alt: str = "", title: str = "") -> str:
    """Return DOT laid out as one <svg> element with a title and a description; NoEngine if none is installed."""
    return _accessible(layout(dot, "svg"), title, alt)


def layout(dot: str, form: str) -> str:
    """Return DOT laid out, in one of Graphviz's formats ("svg", "json0"); NoEngine if no engine is installed."""
    for engine in (browser.layout, _pygraphviz, _program):
        told = engine(dot, form)
        if told is not None:
            return told
    raise NoEngine(browser.SOON if browser.begin() else HINT)


def engine_name() -> str | None:
    """Return which engine draws here: "viz.js", "pygraphviz", "dot" or None."""
    for name, engine in (("viz.js", browser.layout), ("pygraphviz", _pygraphviz), ("dot", _program)):
        if engine("digraph g { a }", "svg") is not None:
            return name
    return None


def _pygraphviz(dot: str, form: str = "svg") -> str | None:
    try:
        with _silenced():
            import pygraphviz

            graph = pygraphviz.AGraph(string=dot)
            return graph.draw(format=form, prog="dot").decode()
    except ImportError:
        return None


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keep the font library's remarks on file descriptor 2 out of notebooks."""
    try:
        saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:
        yield
        return
    try:
        sys.stderr.flush()
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def _program(dot: str, form: str = "svg") -> str | None:
    try:
        done = subprocess.run(["dot", f"-T{form}"], input=dot.encode(), capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode() if done.returncode == 0 else None


def _accessible(svg: str, title: str, alt: str) -> str:
    """Return the <svg> element alone, no wider than the page, with role, title and description for screen readers."""
    svg = svg[svg.index("<svg") :]
    head = re.match(r"<svg[^>]*>", svg)
    assert head is not None
    opened = head[0].replace("<svg", '<svg role="img" style="max-width: 100%; height: auto"', 1)
    said = f"<title>{escape(title)}</title><desc>{escape(alt)}</desc>"
    return opened + said + svg[head.end() :]


browser.begin()
