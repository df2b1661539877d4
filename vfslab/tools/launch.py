"""Start what a reader starts: JupyterLab on the book, or the book's build. Both need a checkout of the book."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

from vfslab.tools.image import ImageError

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOP = os.path.dirname(PACKAGE)
SETTINGS = os.path.join(PACKAGE, "data", "jupyter")  # no pop-up that asks about news
INDEX = "book/index.ipynb"


def lab(arguments: list[str]) -> int:
    """Open JupyterLab at the book's index, and become it; arguments go to jupyter lab. Nothing is fetched from outside."""
    need("jupyterlab", "lab")
    if not os.path.exists(os.path.join(TOP, INDEX)):
        raise ImageError(f"{os.path.join(TOP, INDEX)}: the book is not here; run this from a checkout of vfslab")
    line = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={TOP}",
        f"--LabApp.default_url=/lab/tree/{INDEX}",
    ]
    line += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        line.append("--allow-root")  # Jupyter refuses root without it, as in a container
    paths = [path for path in (os.environ.get("JUPYTER_CONFIG_PATH"), SETTINGS) if path]
    return become([*line, *arguments], dict(os.environ, JUPYTER_CONFIG_PATH=os.pathsep.join(paths)))


def become(line: list[str], environment: dict[str, str]) -> int:
    """Go on as another program, so that a signal meant for it reaches it; where that cannot be done, wait for it."""
    if os.name == "nt":
        return subprocess.call(line, env=environment)
    sys.stdout.flush()
    os.execve(line[0], line, environment)


def book(arguments: list[str]) -> int:
    """Build the static site into _build/html beside the book; warnings are errors. Returns the exit status.

    VFSLAB_STATIC=1 makes each widget write its steps out, for pages that have no kernel and no script.
    --lite builds the offline edition beside its pages instead, --pdf prints them.
    """
    if arguments[:1] == ["--lite"]:
        need("jupyterlite_pyodide_kernel", "lite")
        from vfslab.tools.lite import lite

        return lite(arguments[1:])
    if arguments[:1] == ["--pdf"]:
        need("pypdf", "pdf")
        from vfslab.tools.pdf import pdf

        return pdf()
    need("jupyter_book", "book")
    line = [sys.executable, "-m", "jupyter", "book", "build", TOP, "-W", "-n", "--keep-going", *arguments]
    status = subprocess.call(line, env=dict(os.environ, VFSLAB_STATIC="1"))
    from vfslab.tools.lite import put_buttons

    put_buttons()  # if the offline edition was built before: new pages lead to it too
    return status


def need(module: str, extra: str) -> None:
    """Raise unless a module is installed, naming the extra that brings it."""
    if importlib.util.find_spec(module) is None:
        raise ImageError(f"{module} is not installed; get it by: pip install 'vfslab[{extra}]'")
