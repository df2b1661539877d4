"""The instructor's side: the labs as they are given out, and what to know about them.

    vfslab course list [LAB ...]           the labs; of one that is named: its steps, checks, points, mistakes
    vfslab course release -o DIR [LAB ...] the students' edition: no solutions, no hidden checks
    python -m vfslab.teach.labs.course [LAB ...]
                                           make labs/ and labs/solutions/ of the checkout anew (runs the solutions)

labs/NAME.ipynb is the students' edition; labs/solutions/NAME.ipynb has the solutions, explained, which are the
package's own functions, and NAME.md beside it is the instructor's page. All three are made from the lab's folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vfslab.teach.labs.model import Lab, Step, load, names, split_ask
from vfslab.teach.labs.starter import instructor, students


class Exists(OSError):
    """A file is there already: perhaps somebody's work."""


def written(notebook: dict[str, Any]) -> str:
    """Return a notebook as the text of its file, as Jupyter writes it."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def release(chosen: list[str], folder: Path, from_step: int = 1, force: bool = False) -> Iterator[Path]:
    """Write the students' edition of labs (none named: of all) into a folder; yield their paths.

    What is there already is left alone unless force is given: Exists. NoLab if a name is wrong.
    """
    labs = [load(name) for name in chosen or names()]
    for lab in labs:
        lab.step(from_step)
    for lab in labs:
        path = folder / f"{lab.name}.ipynb"
        text = written(students(lab, from_step))
        if path.exists() and not force and path.read_text(encoding="utf-8", errors="replace") != text:
            raise Exists(17, "is there already, and is not the same: another folder, or --force", str(path))
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        yield path


def listing(chosen: list[str]) -> Iterator[str]:
    """Yield the lines of `course list`: one for each lab, or the instructor's page of those that are named."""
    for name in chosen:
        yield from page(load(name)).splitlines()
    for lab in [] if chosen else map(load, names()):
        hidden = sum(check.hidden for check in lab.checks.values())
        checks = f"{len(lab.checks) - hidden} checks and {hidden} hidden ones"
        yield f"{lab.name:<14} {lab.title}: {len(lab.steps)} steps, {checks}, {lab.points} points, {lab.minutes} minutes"


# --- the instructor's page --------------------------------------------------------------------------------


def page(lab: Lab) -> str:
    """Return the instructor's page, as Markdown."""
    parts = [
        f"# {lab.title}: for the instructor",
        f"Lab `{lab.name}` · {lab.minutes} minutes · {lab.points} points · belongs to {lab.chapter}",
        "## Aims\n\nAfterwards a learner can\n\n" + "\n".join(f"- {aim};" for aim in lab.aims),
        f"**Needs:** {lab.needs}",
        "## How the points fall\n\n" + "\n".join(table(lab)),
        "A check holds or it does not; there are no parts of points. Points are taken from the checks alone, on fresh "
        "problems, by `vfslab grade`. Shown checks are those in the notebook. Hidden ones: the learner knows the name "
        "and the hint. What is right is what vfslab's own functions show in the same scene, so each point can be "
        "defended by the scene, the seed, and the first difference.",
        *(about(step) for step in lab.steps),
        "## Common mistakes, and what to ask\n\n"
        + "\n".join(f"- **{wrong}** {question}" for wrong, question in lab.mistakes),
        "## Giving it out, and taking it in\n\n" + HOW.format(name=lab.name),
    ]
    return "\n\n".join(parts) + "\n"


HOW = """```
vfslab course release {name} -o handout        the students' edition
vfslab course release {name} -o handout3 --from-step 3      with steps 1 and 2 filled in
vfslab grade handed-in/*.ipynb --lab {name} -o report.csv --html report
```

The functions that the lab asks for are vfslab's own, and vfslab is public: who pastes them in has copied, and no grader
can promise to find that. Ask for the *why*: the pictures and the questions in the notebook are made for it."""


def table(lab: Lab) -> Iterator[str]:
    """Yield the table of checks and points."""
    yield "| step | check | points | what holds |"
    yield "|---|---|--:|---|"
    for step in lab.steps:
        for check in step.checks:
            name = f"`{check.name}`" + (" (hidden)" if check.hidden else "")
            yield f"| {step.number} {step.title} | {name} | {check.points} | {check.says.rstrip('.')} |"
    yield f"| | | **{lab.points}** | |"


def about(step: Step) -> str:
    """Return the section of a step."""
    asked = ", ".join(f"`{name}` ({file})" for file, name in map(split_ask, step.asks))
    hints = "\n".join(f"- `{check.name}`: {check.hint}" for check in step.checks)
    return f"## Step {step.number}: {step.title}\n\nAsks for {asked}. The hints that a learner sees:\n\n{hints}"


# --- the checkout ----------------------------------------------------------------------------------------


def executed(notebook: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a notebook after a run, with what its checked cells print; other outputs are left out."""
    import nbformat
    from nbclient import NotebookClient

    ran = nbformat.reads(written(notebook), 4)
    NotebookClient(ran, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    for before, after in zip(notebook["cells"], ran.cells, strict=True):
        if "nbval-check-output" in before["metadata"].get("tags", ()):
            before["execution_count"] = after.execution_count
            printed = "".join(each.text for each in after.outputs if each.get("name") == "stdout")
            before["outputs"] = [{"name": "stdout", "output_type": "stream", "text": printed.splitlines(keepends=True)}]
    return notebook


def make(top: Path, chosen: list[str]) -> None:
    """Make labs/ and labs/solutions/ of a checkout anew; chosen: only these labs."""
    solutions = top / "solutions"
    solutions.mkdir(parents=True, exist_ok=True)
    for lab in [load(name) for name in chosen or names()]:
        list(release([lab.name], top, force=True))
        solved = executed(instructor(lab), solutions)
        (solutions / f"{lab.name}.ipynb").write_text(written(solved), encoding="utf-8")
        (solutions / f"{lab.name}.md").write_text(page(lab), encoding="utf-8")


if __name__ == "__main__":
    make(Path(__file__).parents[3] / "labs", sys.argv[1:])
