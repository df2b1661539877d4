"""The offline edition: the book in JupyterLab inside a browser, from plain files, without any server program.

    npm: pyodide, viz.js ──┐
    Python wheels ─────────┼──▶ static/pyodide/  + a lock that lists these wheels alone
    this checkout's wheel ─┘
    book/*.ipynb ──────────────▶ the notebooks, for the kernel named `python`
                                        │  jupyter lite build
                                        ▼
                                _build/html/lite/     and a button on each page of _build/html/book

Everything is fetched while building (tools/fetch.py) and nothing while reading: the kernel takes packages from the
lock alone. The browser asks for files by fetch(), so the folder must be served (python -m http.server); opened as
file:// the pages of the book work and their buttons hide.

Left out: threads, programs and sockets, which that Python has not; what needs them says so where it is used.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vfslab.tools.fetch import npm, plain, run, wheel
from vfslab.tools.image import ImageError

TOP = Path(__file__).parents[2]
SITE = TOP / "_build" / "html"
SETTINGS = TOP / "book" / "lite"

PYODIDE = "314.0.6"  # jupyterlite-pyodide-kernel 0.8.6 takes this version and no other
VIZ_JS = "3.31.0"
RUNTIME = ("pyodide.mjs", "pyodide.js", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
FROM_LOCK = ("micropip", "ipython", "jedi", "packaging", "typing-extensions", "tqdm")
# What Pyodide's own list has not, and what each needs; the front end's halves are in the build's environment.
OURS = {
    "comm": ("traitlets",),
    "psygnal": (),
    "ipywidgets": ("comm", "ipython", "traitlets"),
    "anywidget": ("ipywidgets", "psygnal", "typing-extensions"),
    "vfslab": ("tqdm", "ipywidgets", "anywidget"),
}


def lite(arguments: list[str]) -> int:
    """Build the offline edition into _build/html/lite; arguments go to jupyter lite build."""
    if not (TOP / "book" / "index.ipynb").exists():
        raise ImageError(f"{TOP / 'book'}: the book is not here; run this from a checkout of vfslab")
    with tempfile.TemporaryDirectory(prefix="vfslab-lite-") as name:
        folder = Path(name)
        put_pyodide(folder / "static" / "pyodide", folder)
        put_notebooks(folder / "notebooks" / "book")
        shutil.copytree(SETTINGS, folder, dirs_exist_ok=True)
        line = [sys.executable, "-m", "jupyterlite_core", "build", "--lite-dir", ".", "--contents", "notebooks"]
        line += ["--output-dir", "out", "--apps", "lab", "--no-sourcemaps", "--no-unused-shared-packages", *arguments]
        run(line, "jupyter lite could not build", cwd=folder)
        shutil.rmtree(SITE / "lite", ignore_errors=True)
        shutil.copytree(folder / "out", SITE / "lite")
    pages = put_buttons()
    size = sum(path.stat().st_size for path in (SITE / "lite").rglob("*") if path.is_file())
    print(f"the offline edition is in _build/html/lite: {size >> 20} MiB, {pages} pages of the book lead to it")
    print("to use it: python3 -m http.server --directory _build/html, and open http://127.0.0.1:8000/lite/lab/")
    return 0


# -- the Python of the browser ---------------------------------------------------------------------------


def put_pyodide(target: Path, work: Path) -> None:
    """Fill a folder with Pyodide, the wheels that a kernel needs, and the lock that lists them."""
    source = npm("pyodide", PYODIDE, "pyodide-lock.json")
    target.mkdir(parents=True)
    for name in RUNTIME:
        shutil.copy(source / name, target)
    lock = json.loads((source / "pyodide-lock.json").read_text(encoding="utf-8"))
    packages = {}
    for name in closure([*FROM_LOCK, *sum(OURS.values(), ())], lock["packages"]):
        known = lock["packages"][name]
        packages[name] = entry(name, wheel(known["name"], known["version"]), known["depends"], known["imports"])
    for name, needs in OURS.items():
        file = own_wheel(work) if name == "vfslab" else wheel(name, version(name))
        packages[name] = entry(name, file, needs, [name])
    for each in packages.values():
        shutil.copy(each.pop("path"), target)
    lock["packages"] = packages
    (target / "pyodide-lock.json").write_text(json.dumps(lock), encoding="utf-8")


def closure(names: Iterable[str], packages: dict[str, Any]) -> list[str]:
    """Return the names, and those they need, that Pyodide's list has; sorted."""
    found: set[str] = set()
    ask = list(names)
    while ask:
        name = plain(ask.pop())
        if name in packages and name not in found:
            found.add(name)
            ask += packages[name]["depends"]
    return sorted(found)


def entry(name: str, file: Path, depends: Iterable[str], imports: list[str]) -> dict[str, Any]:
    """Return what a lock says of one wheel; `path` is for our own use."""
    return {
        "name": name,
        "version": file.name.split("-")[1],
        "file_name": file.name,
        "install_dir": "site",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "package_type": "package",
        "imports": imports,
        "depends": list(depends),
        "unvendored_tests": False,
        "path": file,
    }


def own_wheel(work: Path) -> Path:
    """Return a wheel of this checkout, with viz.js beside the other scripts: there it draws the pictures."""
    line = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(work), str(TOP)]
    run(line, "pip could not build vfslab's wheel")
    (file,) = work.glob("vfslab-*.whl")
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as opened:
        opened.write(
            npm("@viz-js/viz", VIZ_JS, "dist/viz-global.js") / "dist/viz-global.js", "vfslab/viz/js/viz-global.js"
        )
    return file


# -- the notebooks, and the way to them --------------------------------------------------------------------


def put_notebooks(target: Path) -> None:
    """Copy the book's notebooks and texts; a notebook asks for the kernel that the browser has."""
    target.mkdir(parents=True)
    for source in sorted((TOP / "book").iterdir()):
        if source.suffix == ".ipynb":
            (target / source.name).write_text(for_browser(source.read_text(encoding="utf-8")), encoding="utf-8")
        elif source.suffix == ".md":
            shutil.copy(source, target)


def for_browser(notebook: str) -> str:
    """Return a notebook's text with the kernel's name changed: under another one JupyterLite would ask which to take."""
    content = json.loads(notebook)
    content["metadata"]["kernelspec"] = {"name": "python", "display_name": "Python (Pyodide)", "language": "python"}
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


BUTTON = """<a class="btn btn-sm vfslab-lite" hidden href="../lite/lab/index.html?path={path}" title="Run this page in the browser">\
<i class="fas fa-rocket" aria-hidden="true"></i>&nbsp;Run</a>\
<script>document.querySelector(".vfslab-lite").hidden = location.protocol === "file:"</script>"""
PLACE = '<div class="article-header-buttons">'


def put_buttons() -> int:
    """Put a button that opens the notebook into each page made of one; return how many pages have one."""
    if not (SITE / "lite").exists():
        return 0
    count = 0
    for page in sorted((SITE / "book").glob("*.html")):
        notebook = f"book/{page.stem}.ipynb"
        if (TOP / notebook).exists():
            page.write_text(with_button(page.read_text(encoding="utf-8"), notebook), encoding="utf-8")
            count += 1
    return count


def with_button(html: str, notebook: str) -> str:
    """Return a page's text with one button that opens the notebook."""
    html = re.sub(r'<a class="btn btn-sm vfslab-lite".*?</script>', "", html, flags=re.DOTALL)
    return html.replace(PLACE, PLACE + BUTTON.format(path=notebook), 1)
