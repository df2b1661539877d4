"""Start what a reader starts: JupyterLab on the book, or the book's build. Both need a checkout of the book."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

from vfslab.tools.image import ImageError

BOOK = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "book")


def lab(arguments: list[str]) -> int:
    """Open JupyterLab at the book's index; arguments go to jupyter lab. Returns its exit status."""
    need("jupyterlab", "lab")
    index = os.path.join(BOOK, "index.ipynb")
    if not os.path.exists(index):
        raise ImageError(f"{BOOK}: the book is not here; run this from a checkout of vfslab")
    quiet = ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    return subprocess.call([sys.executable, "-m", "jupyterlab", index, *quiet, *arguments])


def book() -> int:
    """Build the static site into _build/html beside the book; warnings are errors. Returns the exit status."""
    need("jupyter_book", "book")
    return subprocess.call(
        [sys.executable, "-m", "jupyter_book", "build", os.path.dirname(BOOK), "-W", "-n", "--keep-going"]
    )


def need(module: str, extra: str) -> None:
    """Raise unless a module is installed, naming the extra that brings it."""
    if importlib.util.find_spec(module) is None:
        raise ImageError(f"{module} is not installed; get it by: pip install 'vfslab[{extra}]'")
