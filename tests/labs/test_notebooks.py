"""The labs' notebooks are made from the package: the committed ones are what would be made today."""

import ast
import json
from pathlib import Path

import pytest

from vfslab.teach.labs.course import page, written
from vfslab.teach.labs.model import load, names
from vfslab.teach.labs.starter import instructor, students
from vfslab.teach.source import package_functions

LABS = Path(__file__).parents[2] / "labs"
NAMES = names()
MARK = 'raise NotImplementedError("step '


def text(cell):
    return "".join(cell["source"])


def answers(notebook):
    """Return {grade_id: (step, file, function, source)} of the answer cells."""
    found = {}
    for cell in notebook["cells"]:
        about = cell["metadata"].get("vfslab", {})
        if "function" in about:
            found[cell["id"]] = about["step"], about["file"], about["function"], text(cell)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_starter_is_what_the_package_gives(name):
    assert (LABS / f"{name}.ipynb").read_text(encoding="utf-8") == written(students(load(name))), (
        f"python -m vfslab.teach.labs.course {name}"
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_solutions_are_what_the_package_gives(name):
    committed = json.loads((LABS / "solutions" / f"{name}.ipynb").read_text(encoding="utf-8"))
    for cell in committed["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    assert written(committed) == written(instructor(load(name))), f"python -m vfslab.teach.labs.course {name}"
    assert (LABS / "solutions" / f"{name}.md").read_text(encoding="utf-8") == page(load(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_last_solution_of_each_function_is_the_packages_own(name):
    last = {}
    for _step, file, function, source in answers(instructor(load(name))).values():
        last[file, function] = ast.parse(source.partition("\n")[2]).body[0]
    assert last
    for (file, function), node in last.items():
        assert ast.dump(node) == ast.dump(package_functions(file)[function]), function


@pytest.mark.parametrize("name", NAMES)
def test_a_starter_keeps_faces_and_has_no_bodies_and_no_hidden_checks(name):
    full, empty = answers(instructor(load(name))), answers(students(load(name)))
    assert full.keys() == empty.keys()
    for key, (_step, _file, _function, source) in empty.items():
        ours, theirs = (ast.parse(each.partition("\n")[2]).body[0] for each in (full[key][3], source))
        assert ast.dump(ours.args) == ast.dump(theirs.args) and ast.get_docstring(ours) == ast.get_docstring(theirs)
        assert len(theirs.body) == 1 + (ast.get_docstring(theirs) is not None) and MARK in source
    whole = written(students(load(name)))
    assert "BEGIN SOLUTION" not in whole and "HIDDEN TESTS" not in whole
    for check in load(name).checks.values():
        assert (f'lab.check(\\"{check.name}\\")' in whole) != check.hidden


@pytest.mark.parametrize("name", NAMES)
def test_from_step_fills_the_earlier_steps_only(name):
    full = answers(instructor(load(name)))
    for key, (step, _file, _function, source) in answers(students(load(name), from_step=3)).items():
        if step >= 3:
            assert MARK in source
        else:
            done, whole = (ast.parse(each.partition("\n")[2]) for each in (source, full[key][3]))
            assert ast.dump(done) == ast.dump(whole)


@pytest.mark.parametrize("name", NAMES)
def test_every_check_has_a_cell_and_every_cell_that_counts_nbgraders_marks(name):
    lab, cells = load(name), instructor(load(name))["cells"]
    points = {}
    for cell in cells:
        marks = cell["metadata"].get("nbgrader")
        if marks is None:
            assert "BEGIN" not in text(cell)
            continue
        assert marks["schema_version"] == 3 and marks["grade_id"] == cell["id"] and marks["cell_type"] == "code"
        assert marks["solution"] != marks["grade"] and marks["locked"] == marks["grade"]
        if marks["grade"]:
            points[cell["metadata"]["vfslab"]["check"]] = marks["points"]
    assert points == {check.name: check.points for check in lab.checks.values()}
    asked = sorted((step.number, function) for step, _file, function in lab.answers())
    cells_of = [(step, function) for step, _, function, _ in answers({"cells": cells}).values()]
    assert sorted(cells_of) == asked and [step for step, _ in cells_of] == [step for step, _ in asked]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_valid_and_its_ids_are_its_own(name):
    nbformat = pytest.importorskip("nbformat")
    for made in (instructor(load(name)), students(load(name))):
        nbformat.validate(nbformat.reads(written(made), 4))
        ids = [cell["id"] for cell in made["cells"]]
        assert len(set(ids)) == len(ids)
