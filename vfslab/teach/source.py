"""The text of the package: where a function stands, what its source is, which file of Linux does the same work.

    source("link_path_walk")           its text, whatever is patched at the moment, and its Linux counterpart
    source(p.stat), source("fs/namei.py:step_into")

    package_functions("fs/namei.py")   {name: node of its syntax tree}, for patches, stubs and the test of the chapters

What runs may be a patch (teach/livepatch.py); what is shown here is always the package.
"""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import os
import re
import textwrap
from pathlib import Path
from types import FunctionType
from typing import Any

from vfslab.kernel.sched import cpu

PACKAGE = Path(os.path.abspath(__file__)).parents[1]
FOLDERS = ("fs", "mm", "block", "drivers", "kernel", "lib", "user", "include", "init", "tools")
LINUX = "https://elixir.bootlin.com/linux/v6.12/source/"
TREES = ("Documentation", "arch", "block", "crypto", "drivers", "fs", "include", "init", "kernel", "lib", "mm")


class NoSource(LookupError):
    """There is no such file or function: one line for a person."""

    def __str__(self) -> str:
        return str(self.args[0])

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the line is all there is to say."""
        return [f"{type(self).__name__}: {self}"]


def kernel_files() -> list[str]:
    """Return the files of the package that hold kernel code, such as "fs/namei.py"."""
    return [path.relative_to(PACKAGE).as_posix() for top in FOLDERS for path in sorted((PACKAGE / top).rglob("*.py"))]


def check_file(file: str) -> str:
    """Return the file's name as the package has it; NoSource, with the nearest names, if there is none."""
    name = file.strip().removeprefix("vfslab/")
    known = kernel_files()
    if name not in known:
        near = difflib.get_close_matches(name, known, 3, 0.6)
        raise NoSource(f"there is no kernel file {file!r}" + (f": did you mean {' or '.join(near)}?" if near else ""))
    return name


@functools.lru_cache(64)
def parsed(file: str) -> tuple[str, ast.Module]:
    """Return the text of a file of the package and its syntax tree."""
    text = (PACKAGE / file).read_text(encoding="utf-8")
    return text, ast.parse(text, file)


def package_functions(file: str) -> dict[str, ast.FunctionDef]:
    """Return the functions that a file of the package defines, in its order: {name: node}."""
    return {node.name: node for node in parsed(file)[1].body if isinstance(node, ast.FunctionDef)}


def text_of(file: str, node: ast.FunctionDef | ast.ClassDef) -> str:
    """Return the lines of a definition as they stand in the file, with its decorators."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return "\n".join(parsed(file)[0].splitlines()[first - 1 : node.end_lineno])


def final_cell(file: str, names: list[str]) -> str:
    """Return the text of a %%kernel cell with the package's own functions: a chapter's last rung."""
    file = check_file(file)
    functions = package_functions(file)
    for name in names:
        if name not in functions:
            raise NoSource(missing(name, file, list(functions)))
    return f"%%kernel {file}\n" + "\n\n\n".join(text_of(file, functions[name]) for name in names) + "\n"


def missing(name: str, file: str, known: list[str]) -> str:
    """Return the line that says that a file has no such function."""
    near = difflib.get_close_matches(name, known, 2, 0.6)
    return f"{file} has no function {name!r}" + (f": did you mean {' or '.join(near)}?" if near else "")


# --- what source() shows --------------------------------------------------------------------------


class Source:
    """The source of one function or class of the package, as a notebook or print() shows it."""

    def __init__(self, file: str, path: list[str], node: Any):
        self.file, self.name, self.line = file, ".".join(path), node.lineno
        self.text = text_of(file, node)
        self.linux = linux_lines(file, node)

    def heading(self) -> str:
        """Return where it stands; and that something else runs at the moment, if it does."""
        patched = patch_on(self.file, self.name)
        if patched is None:
            note = ""
        elif same_text(patched, self.text):
            note = " - patched at the moment, with this same text: what runs is what the package has"
        else:
            note = " - patched at the moment: this is the package's, not what runs"
        return f"vfslab/{self.file}, line {self.line}{note}"

    def __str__(self) -> str:
        counterpart = [f"# In Linux: {line}" for line in self.linux]
        return "\n".join([f"# {self.heading()}", *counterpart, "", textwrap.dedent(self.text)])

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        """Markdown, because a notebook then colours the code as its theme does."""
        head = [f"**{self.name}**, {self.heading()}", *(f"In Linux: {linked(line)}" for line in self.linux)]
        return "  \n".join(head) + f"\n\n```python\n{textwrap.dedent(self.text)}\n```\n"


def source(what: Any) -> Source:
    """Return the package's source of a function (or class), given itself or by name, with its Linux counterpart."""
    if isinstance(what, str):
        file, path = by_name(what)
    else:
        what = inspect.unwrap(getattr(what, "__func__", what))
        module = getattr(what, "__module__", None) or ""
        if not module.startswith("vfslab.") or not hasattr(what, "__qualname__"):
            raise NoSource(f"source() shows functions and classes of vfslab, not {what!r}")
        file, path = module_file(module), what.__qualname__.split(".")
    body: Any = parsed(file)[1]
    for name in path:
        found = [each for each in body.body if isinstance(each, ast.FunctionDef | ast.ClassDef) and each.name == name]
        if not found:
            raise NoSource(missing(".".join(path), file, list(package_functions(file))))
        body = found[-1]
    return Source(file, path, body)


def by_name(what: str) -> tuple[str, list[str]]:
    """Return (file, path in it) for "link_path_walk", "Process.stat" or "fs/namei.py:step_into"."""
    file, colon, name = what.rpartition(":")
    if colon:
        return check_file(file), name.strip().split(".")
    pattern = re.compile(rf"^(?:def|class) {re.escape(name.partition('.')[0])}\b", re.MULTILINE)
    files = [file for file in kernel_files() if pattern.search((PACKAGE / file).read_text(encoding="utf-8"))]
    if not files:
        raise NoSource(f"no file of the kernel defines {what!r}")
    if len(files) > 1:
        raise NoSource(
            f"{what!r} is defined in more than one file: say which, as in source('{files[0]}:{what}'); {', '.join(files)}"
        )
    return files[0], name.split(".")


def module_file(module: str) -> str:
    """Return the file of a module of the package: "vfslab.fs.namei" lies in "fs/namei.py"."""
    name = module.partition(".")[2].replace(".", "/")
    return f"{name}/__init__.py" if (PACKAGE / name).is_dir() else f"{name}.py"


def linux_lines(file: str, node: Any) -> list[str]:
    """Return what the docstrings of the definition and of its file say behind "Linux:"."""
    lines = []
    for holder in (node, parsed(file)[1]):
        found = re.search(r"^ *Linux: (.+?)(?:   Chapters? .*)?$", ast.get_docstring(holder) or "", re.MULTILINE)
        if found:
            lines.append(found[1].rstrip())
    return lines


def linked(line: str) -> str:
    """Return the line as Markdown in which each file of Linux's tree leads to its text."""
    pattern = rf"\b(?:{'|'.join(TREES)})/[\w/.-]+\.(?:c|h|rst|S)\b"
    return re.sub(pattern, lambda found: f"[{found[0]}]({LINUX}{found[0]})", line)


def patch_on(file: str, name: str) -> FunctionType | None:
    """Return the function of the package on which a live patch is in force; None if there is no patch on it."""
    for patch in cpu.klp_patches:
        if (file, name) in patch.names():
            return patch.changes[file, name].function
    return None


def same_text(function: FunctionType, text: str) -> bool:
    """Return whether what runs was written as text is, docstring included; spaces and comments do not count."""
    try:
        running = textwrap.dedent(inspect.getsource(function))
        return ast.dump(ast.parse(running)) == ast.dump(ast.parse(textwrap.dedent(text)))
    except (OSError, SyntaxError):  # a stub has no text
        return False
