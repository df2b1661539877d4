"""Graphviz in the Python of a browser (Pyodide), where no program can be started and no C library loaded.

    viz.js, Graphviz compiled to WebAssembly, lies beside the other scripts where the offline edition put it (make lite)
      begin()    starts to compile it and returns at once; importing viz/render.py does this
      layout()   draws with it; it waits for the compiler, where the browser can let Python wait

A browser compiles WebAssembly while Python does nothing: between two cells, mostly. Python itself can wait for it only
in a browser with stack switching (JSPI). In another, a picture asked for too soon is text, and says to run the cell again.

Left out: fonts. viz.js knows the widths of a few, of Courier among them, and the browser draws with its own.
"""

from __future__ import annotations

import sys
from importlib import resources
from typing import Any

SCRIPT = "viz-global.js"
SOON = "Graphviz is still being started in this browser: run the cell again"
KNOWN_FONT = ('"Courier,monospace"', '"Courier"')  # viz.js takes the widths of a list of fonts from another font
HERE = sys.platform == "emscripten"


def begin() -> Any:
    """Return JavaScript's promise of a Graphviz, one for each page; None where there is no browser or no viz.js."""
    if not HERE:
        return None
    import js

    if not hasattr(js, "vfslabGraphviz"):
        script = resources.files("vfslab.viz") / "js" / SCRIPT
        if not script.is_file():
            return None
        from pyodide.code import run_js

        run_js(script.read_text(encoding="utf-8"))
        js.vfslabGraphviz = run_js("Viz.instance().then((viz) => { globalThis.vfslabGraphvizReady = viz })")
    return js.vfslabGraphviz


def layout(dot: str, form: str) -> str | None:
    """Return DOT laid out by viz.js, or None if it is not here or not ready and cannot be waited for."""
    promise = begin()
    if promise is None:
        return None
    import js

    if not hasattr(js, "vfslabGraphvizReady"):
        from pyodide.ffi import can_run_sync, run_sync

        if not can_run_sync():
            return None
        run_sync(promise)
    return js.vfslabGraphvizReady.renderString(dot.replace(*KNOWN_FONT), format=form)
