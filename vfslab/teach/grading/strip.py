"""The package that goes into the box: this one, without what a lab asks for.

The solution of a lab is the package itself, so a grader's package is made anew for each batch:

    graded functions       signature and docstring; the body raises ENOSYS, in the file and so in its .pyc
    a lab's own folder     the declaration and the scenes stay, and what they import; all else goes, such as rungs.py
                           (earlier forms of the solutions), the prose, programs of the notebook
    the rest of teach      other labs, figures, explorer, grading: gone
    tools, cli, book       gone, unless the lab's own scenes import from them; tests were never part of the package

There is no original anywhere: what live patches would revert to is the stub.
"""

from __future__ import annotations

import ast
import compileall
import shutil
from pathlib import Path

from vfslab.teach.cells import stub_text
from vfslab.teach.labs.model import Lab
from vfslab.teach.source import PACKAGE, package_functions

# Folders and files that no answer needs, and the scenes of a lab only if they say so by an import.
LEFT_OUT = (
    "teach/figures",
    "teach/explorer",
    "teach/grading",
    "teach/doctor.py",
    "teach/tables.py",
    "tools",
    "host",
    "cli.py",
    "__main__.py",
    "data/jupyter",
)
# Of a lab's folder: what holds answers.
ANSWERS = ("rungs.py", "text.md", "text.py", "solution.py")
KEPT = (".py", ".gz", ".json", ".js")


def strip(lab: Lab, target: Path) -> Path:
    """Make the package for a lab in target/vfslab; return target. Readable to all, compiled."""
    gone = left_out(lab)
    for path in sorted(PACKAGE.rglob("*")):
        name = path.relative_to(PACKAGE).as_posix()
        if path.suffix in KEPT and path.is_file() and not path.is_symlink() and not is_gone(name, gone):
            copy = target / "vfslab" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    for file, names in graded(lab).items():
        text = without(file, names)
        (target / "vfslab" / file).write_text(text, encoding="utf-8")
    compileall.compile_dir(str(target), quiet=2, workers=1, stripdir=str(target), prependdir="/box/package")
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return target


def graded(lab: Lab) -> dict[str, list[str]]:
    """Return {file: functions} whose bodies go: those that are asked for, and those that the lab names beside them."""
    found = {file: list(names) for file, names in lab.graded().items()}
    for each in lab.also_gone:
        file, _colon, name = each.partition(":")
        found.setdefault(file, []).append(name)
    return found


def left_out(lab: Lab) -> list[str]:
    """Return the folders and files, below the package, that this lab's box does without."""
    here = f"teach/labs/{lab.name}/"
    kept = needed_by_scenes(here)
    others = [path.parent.name for path in lab.folder.parent.glob("*/lab.py") if path.parent.name != lab.name]
    gone = [each for each in LEFT_OUT if not any(is_gone(name, [each]) for name in kept)]
    gone += [f"teach/labs/{name}" for name in others]
    gone += [here + path.name for path in lab.folder.iterdir() if here + path.name not in kept]
    return gone + [here + name for name in ANSWERS]


def needed_by_scenes(here: str) -> set[str]:
    """Return the files of the package that a lab's declaration and scenes import, those of its own folder among them."""
    kept, todo = set(), [here + name for name in ("__init__.py", "lab.py", "checks.py", "hidden.py")]
    while todo:
        name = todo.pop()
        if name not in kept:
            kept.add(name)
            if name.startswith(here) and (PACKAGE / name).exists():
                todo += imports(PACKAGE / name)
    return kept


def imports(path: Path) -> set[str]:
    """Return the files of the package that a file imports, such as "tools/image.py"."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {each.partition(".")[2].replace(".", "/") + ".py" for each in modules if each.startswith("vfslab.")}
    return found


def is_gone(name: str, gone: list[str]) -> bool:
    """Return whether a file is one of those left out, or lies below one."""
    bare = name.removesuffix(".py")
    return "__pycache__" in name or any(name == each or bare == each or name.startswith(each + "/") for each in gone)


def without(file: str, names: list[str]) -> str:
    """Return the text of a file of the package in which some functions have nothing but their faces."""
    lines = (PACKAGE / file).read_text(encoding="utf-8").splitlines()
    functions = package_functions(file)
    for node in sorted((functions[name] for name in names), key=lambda node: -node.lineno):
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        lines[first - 1 : node.end_lineno] = stub_text(file, node).splitlines()
    return "\n".join(lines) + "\n"
