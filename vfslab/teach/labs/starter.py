"""From a lab's text to its notebooks: the starter, and the instructor's with the solutions.

    text.md                                what it becomes
    prose                                  a Markdown cell
    ```{code} tag tag                      a code cell
    ```{answer} step=1 may_lookup          an answer cell: the function's face, its body between
                                           ### BEGIN SOLUTION and ### END SOLUTION, after the
                                           words of the fence, which explain it
    ```{check} plain_names                 a check cell; a hidden one between ### BEGIN/END HIDDEN TESTS

A notebook is made as the instructor's; students() takes out of that what students are not to see, as nbgrader's
generate_assignment does. The marks and the metadata are nbgrader's (schema 3), so it may do so as well.
A function's face is its signature and its docstring.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from vfslab.teach.labs.model import Lab, NoLab, Step

FENCE = re.compile(r"^```\{(code|answer|check)\}[ ]*([^\n]*)\n(.*?)^```[ ]*$", re.S | re.M)
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION[ \t]*\n?", re.S | re.M)
HIDDEN = re.compile(r"^[ \t]*### BEGIN HIDDEN TESTS\n.*?^[ \t]*### END HIDDEN TESTS[ \t]*\n?", re.S | re.M)
Cell = dict[str, Any]


def instructor(lab: Lab) -> dict[str, Any]:
    """Return the notebook with the solutions and all checks."""
    text = (lab.folder / "text.md").read_text(encoding="utf-8")
    cells = [cell for cell in cells_of(lab, text) if cell["source"]]
    for number, cell in enumerate(cells):
        cell.setdefault("id", f"cell-{number:02}")
    return notebook(cells)


def students(lab: Lab, from_step: int = 1) -> dict[str, Any]:
    """Return the starter: no solutions but those of the steps before from_step, no hidden checks."""
    made = instructor(lab)
    for cell in made["cells"]:
        step = int(cell["metadata"].get("vfslab", {}).get("step", 0))
        if cell["metadata"].get("nbgrader", {}).get("solution") and step >= from_step:
            name = cell["metadata"]["vfslab"]["function"]
            stub = rf'\1raise NotImplementedError("step {step}: {name} is yours to write")' + "\n"
            cell["source"] = lines(SOLUTION.sub(stub, "".join(cell["source"])))
        else:
            kept = (line for line in cell["source"] if line.strip() not in ("### BEGIN SOLUTION", "### END SOLUTION"))
            cell["source"] = lines(HIDDEN.sub("", "".join(kept)).rstrip("\n") + "\n")
        cell["metadata"]["tags"] = [tag for tag in cell["metadata"].get("tags", ()) if tag != "nbval-check-output"]
        if not cell["metadata"]["tags"]:
            del cell["metadata"]["tags"]
    return made


def notebook(cells: list[Cell]) -> dict[str, Any]:
    """Return a notebook of these cells."""
    kernelspec = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernelspec, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def cells_of(lab: Lab, text: str) -> Iterator[Cell]:
    """Yield the cells that a text stands for."""
    end = 0
    for fence in FENCE.finditer(text):
        yield from prose(text[end : fence.start()])
        end = fence.end()
        kind, options, source = fence[1], fence[2].split(), fence[3]
        if kind == "code":
            yield code(source, tags=options)
        elif kind == "answer":
            yield answer(lab, lab.step(int(options[0].removeprefix("step="))), options[1], source)
        else:
            yield check(lab, options[0])
    yield from prose(text[end:])


def prose(text: str) -> Iterator[Cell]:
    """Yield a Markdown cell, and a new one at each heading of the second or third rank."""
    for part in re.split(r"^(?=##+ )", text, flags=re.M):
        if part.strip():
            yield {"cell_type": "markdown", "metadata": {}, "source": lines(part.strip())}


def code(source: str, tags: list[str] | None = None, **metadata: Any) -> Cell:
    """Return a code cell."""
    if tags:
        metadata["tags"] = tags
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": metadata,
        "outputs": [],
        "source": lines(source.rstrip("\n")),
    }


def lines(text: str) -> list[str]:
    """Return a source as a notebook keeps it."""
    return text.rstrip("\n").splitlines(keepends=True)


def answer(lab: Lab, step: Step, name: str, why: str = "") -> Cell:
    """Return the answer cell of a function, with its solution and the words about it between the marks."""
    file = next((file for each, file, asked in lab.answers() if each is step and asked == name), None)
    if file is None:
        raise NoLab(f"step {step.number} of the lab {lab.name} does not ask for {name}")
    face, body = parted(lab.solution(step, file, name))
    words = "".join(f"    # {line}\n" for part in why.split("\n\n") for line in textwrap.wrap(part, 100))
    source = (
        f"%%kernel {file} step={step.number}\n{face}\n    ### BEGIN SOLUTION\n{words}{body}\n    ### END SOLUTION\n"
    )
    cell = code(source, vfslab={"step": step.number, "function": name, "file": file})
    cell["id"] = f"step{step.number}-{name}"
    cell["metadata"]["nbgrader"] = marks(cell["id"], solution=True)
    return cell


def parted(text: str) -> tuple[str, str]:
    """Return (signature and docstring, body) of a function's text."""
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef)
    whole = text.splitlines()
    first = node.body[1] if ast.get_docstring(node) is not None else node.body[0]
    head = node.body[0].end_lineno if ast.get_docstring(node) is not None else first.lineno - 1
    return "\n".join(whole[:head]), "\n".join(whole[head:])


def check(lab: Lab, name: str) -> Cell:
    """Return the check cell of a check: it raises where the check does not hold, and prints a line where it does."""
    what = lab.check(name)
    call = f'lab.check("{name}")'
    if what.hidden:
        words = f"A hidden check, {name}: {what.says}. It runs when the lab is graded. Hint: {what.hint}"
        source = "\n".join(f"# {line}" for line in textwrap.wrap(words, 100))
        source += f"\n### BEGIN HIDDEN TESTS\n{call}\n### END HIDDEN TESTS\n"
    else:
        source = call + "\n"
    cell = code(source, ["nbval-check-output"], vfslab={"check": name})
    cell["id"] = f"check-{name}"
    cell["metadata"] |= {"nbgrader": marks(cell["id"], points=what.points), "editable": False, "deletable": False}
    return cell


def marks(grade_id: str, *, solution: bool = False, points: int | None = None) -> dict[str, Any]:
    """Return nbgrader's metadata of an answer cell (solution) or a check cell (points)."""
    made = {"grade": points is not None, "grade_id": grade_id, "locked": points is not None}
    made |= {"schema_version": 3, "solution": solution, "task": False, "cell_type": "code"}
    return made | ({} if points is None else {"points": points})
