"""A notebook's cell is checked only if it was executed: nbval passes a cell without a stored run, whatever it prints."""

import json
import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
NOTEBOOKS = sorted(path for folder in ("book", "labs") for path in (TOP / folder).rglob("*.ipynb"))
NOTEBOOKS = [path for path in NOTEBOOKS if ".ipynb_checkpoints" not in path.parts]
CHECK = re.compile(r"^\s*#\s*(NBVAL_CHECK_OUTPUT|PYTEST_VALIDATE_CHECK_OUTPUT)\b", re.MULTILINE)
# What differs between two right machines is not compared, so it is no stored output to check against.
COMPARED = ("text/plain", "application/json", "text/latex")


def problems(notebook):
    """Return, for each checked cell of a notebook that nbval would pass without looking, its number and why."""
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [f"code cell {number}: {why}" for number, cell in enumerate(code) if (why := vacuous(cell))]


def vacuous(cell):
    """Return why the check of this cell says nothing, or None if it says something or there is none."""
    tags = cell["metadata"].get("tags", [])
    if "nbval-check-output" not in tags and not CHECK.search("".join(cell["source"])):
        return None
    if cell["execution_count"] is None:
        return "is checked but was never executed"
    if not any(output.get("name") == "stdout" or has_text(output) for output in cell["outputs"]):
        return "is checked but has no stored text to compare with"
    if "nbval-skip" in tags or "nbval-ignore-output" in tags:
        return "is checked and left out at once"
    return None


def has_text(output):
    return output["output_type"] == "error" or any(kind in output.get("data", {}) for kind in COMPARED)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(TOP).as_posix())
def test_every_checked_cell_was_executed(path):
    assert problems(json.loads(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(TOP).as_posix())
def test_a_notebook_is_small_and_holds_no_widget_state(path):
    assert path.stat().st_size < 1 << 20
    assert "widgets" not in json.loads(path.read_text(encoding="utf-8"))["metadata"]


def test_the_book_has_checked_cells():
    text = "".join(path.read_text(encoding="utf-8") for path in NOTEBOOKS if path.is_relative_to(TOP / "book"))
    assert "nbval-check-output" in text or "NBVAL_CHECK_OUTPUT" in text


def cell(source="", tags=(), count=1, outputs=()):
    return {
        "cell_type": "code",
        "source": source,
        "metadata": {"tags": list(tags)},
        "execution_count": count,
        "outputs": list(outputs),
    }


PRINTED = {"output_type": "stream", "name": "stdout", "text": "2\n"}
PICTURE = {"output_type": "display_data", "data": {"image/svg+xml": "<svg/>"}}


@pytest.mark.parametrize(
    "planted",
    [
        cell("# NBVAL_CHECK_OUTPUT\nprint(2)", count=None),
        cell("print(2)", ["nbval-check-output"]),
        cell("draw()", ["nbval-check-output"], outputs=[PICTURE]),
        cell("print(2)", ["nbval-check-output", "nbval-skip"], outputs=[PRINTED]),
    ],
)
def test_a_check_that_says_nothing_is_found(planted):
    assert len(problems({"cells": [cell(), planted]})) == 1


def test_a_check_that_says_something_passes():
    assert (
        problems({"cells": [cell("print(2)", count=None), cell("2", ["nbval-check-output"], outputs=[PRINTED])]}) == []
    )
