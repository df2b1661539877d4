"""The lab's notebook in nbgrader: it makes an assignment of it and grades it, and its scores are ours.

Needs `pip install 'vfslab[nbgrader]'`. nbgrader runs submissions without a box: only notebooks of our own are run.
"""

import csv
import json
import os
import subprocess
import sys

import pytest

from tests.grading import workshop
from vfslab.teach.grading.report import GRADEBOOK
from vfslab.teach.labs.starter import instructor, students

LAB = workshop.LAB


def nbgrader(course, *arguments):
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])  # it starts alembic by its name
    folders = {"HOME": str(course), "JUPYTER_CONFIG_DIR": str(course), "VFSLAB_PROGRESS": str(course / "p")}
    environment = os.environ | {"PATH": path} | folders
    command = [sys.executable, "-m", "nbgrader", *arguments, "--course", "vfs"]
    done = subprocess.run(command, cwd=course, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Return a course after generate_assignment, two submissions, autograde and export."""
    course = tmp_path_factory.mktemp("course")
    (course / "nbgrader_config.py").write_text(
        "c = get_config()\nc.CourseDirectory.course_id = 'vfs'\nc.ExecutePreprocessor.timeout = 120\n"
        f"c.CourseDirectory.root = {str(course)!r}\n"
    )
    put(course / "source" / LAB, instructor(workshop.lab()))
    nbgrader(course, "generate_assignment", LAB)
    released = json.loads((course / "release" / LAB / f"{LAB}.ipynb").read_text())
    put(course / "submitted" / "bob" / LAB, released)
    put(course / "submitted" / "ada" / LAB, solved(released))
    nbgrader(course, "autograde", LAB)
    nbgrader(course, "export", "--to", str(course / "grades.csv"))
    return course


def put(folder, made):
    folder.mkdir(parents=True)
    (folder / f"{LAB}.ipynb").write_text(json.dumps(made), encoding="utf-8")


def solved(released):
    """Return a released notebook with the answers in it."""
    sources = {cell["id"]: cell["source"] for cell in workshop.solved()["cells"]}
    made = json.loads(json.dumps(released))
    for cell in made["cells"]:
        cell["source"] = sources.get(cell["metadata"].get("nbgrader", {}).get("grade_id"), cell["source"])
    return made


def by_id(made):
    cells = [cell for cell in made["cells"] if "nbgrader" in cell["metadata"]]
    return {cell["metadata"]["nbgrader"]["grade_id"]: "".join(cell["source"]) for cell in cells}


def test_what_nbgrader_releases_has_the_cells_of_our_own_release_and_no_solution(course):
    released = json.loads((course / "release" / LAB / f"{LAB}.ipynb").read_text())
    assert by_id(released).keys() == by_id(students(workshop.lab())).keys()
    text = json.dumps(released)
    assert "BEGIN SOLUTION" not in text and "BEGIN HIDDEN TESTS" not in text
    for name in (check.name for check in workshop.lab().checks.values() if check.hidden):
        assert f'lab.check("{name}")' not in "".join(by_id(released)[f"check-{name}"])


def scores(path):
    with open(path, encoding="utf-8", newline="") as file:
        return {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in csv.DictReader(file)}


def test_nbgrader_gives_a_solved_notebook_all_points_and_the_starter_none(course):
    points = workshop.lab().points
    assert scores(course / "grades.csv") == {"ada": (points, points), "bob": (0, points)}


def test_our_grade_book_has_the_same_columns_and_scores(course, tmp_path):
    command = [
        sys.executable,
        "-m",
        "vfslab",
        "grade",
        str(course / "submitted"),
        "--lab",
        LAB,
        "-o",
        str(tmp_path / "r.csv"),
    ]
    done = subprocess.run(
        [*command, "--gradebook", str(tmp_path / "ours.csv")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert scores(tmp_path / "ours.csv") == scores(course / "grades.csv")
    header = (course / "grades.csv").read_text().splitlines()[0]
    assert header.split(",") == GRADEBOOK.split()


def test_our_release_goes_through_nbgrader_too(course):
    put(course / "submitted" / "eve" / LAB, solved(students(workshop.lab())))
    nbgrader(course, "autograde", LAB, "--student", "eve")
    nbgrader(course, "export", "--to", str(course / "again.csv"))
    assert scores(course / "again.csv")["eve"][0] == workshop.lab().points
