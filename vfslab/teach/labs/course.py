"""The instructor's side: the notebooks of the labs, made from the package.

vfslab course list                         the labs, their steps, checks and points
vfslab course release -o DIR [LAB ...]     the students' edition: no solutions, no hidden checks
python -m vfslab.teach.labs.course [LAB]   make labs/ and labs/solutions/ of the checkout anew
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from vfslab.teach.labs.model import Lab, load, names
from vfslab.teach.labs.starter import instructor, students


def written(notebook: dict[str, Any]) -> str:
    """Return a notebook as the text of its file."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def release(lab: Lab, folder: Path, from_step: int = 1) -> Path:
    """Write the students' edition of a lab into a folder; return its path."""
    path = folder / f"{lab.name}.ipynb"
    path.write_text(written(students(lab, from_step)), encoding="utf-8")
    return path


def executed(notebook: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a notebook after a run, with what its checked cells print; other outputs are left out."""
    import nbformat
    from nbclient import NotebookClient

    ran = nbformat.reads(written(notebook), 4)
    NotebookClient(ran, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    for before, after in zip(notebook["cells"], ran.cells, strict=True):
        if "nbval-check-output" in before["metadata"].get("tags", ()):
            before["execution_count"] = after.execution_count
            before["outputs"] = [
                {"name": "stdout", "output_type": "stream", "text": each.text.splitlines(keepends=True)}
                for each in after.outputs
                if each.output_type == "stream" and each.name == "stdout"
            ]
    return notebook


def make(top: Path, chosen: list[str]) -> None:
    """Make labs/ and labs/solutions/ of a checkout anew; chosen: only these labs."""
    (top / "solutions").mkdir(parents=True, exist_ok=True)
    for lab in map(load, chosen or names()):
        release(lab, top)
        solved = executed(instructor(lab), top / "solutions")
        (top / "solutions" / f"{lab.name}.ipynb").write_text(written(solved), encoding="utf-8")


if __name__ == "__main__":
    make(Path(__file__).parents[3] / "labs", sys.argv[1:])
