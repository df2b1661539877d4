"""`vfslab course`: the instructor's commands."""

import json

import pytest

from vfslab.cli import main


def test_course_list_tells_each_lab_in_a_line(capsys):
    assert main(["course", "list"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("path_walk")]
    assert "5 steps, 15 checks and 7 hidden ones, 50 points, 90 minutes" in line


def test_course_list_of_a_lab_is_the_instructors_page(capsys):
    assert main(["course", "list", "path_walk"]) == 0
    out = capsys.readouterr().out
    for part in ("## Aims", "## How the points fall", "## Common mistakes", "`two_views` (hidden)", "vfslab grade"):
        assert part in out


def test_course_release_writes_the_students_edition(tmp_path, capsys):
    assert main(["course", "release", "path_walk", "-o", str(tmp_path / "out"), "--from-step", "4"]) == 0
    text = (tmp_path / "out" / "path_walk.ipynb").read_text()
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "path_walk.ipynb")
    assert text.count("is yours to write") == 5 and "SOLUTION" not in text
    ids = [c["metadata"]["nbgrader"]["grade_id"] for c in json.loads(text)["cells"] if "nbgrader" in c["metadata"]]
    assert "step4-follow_dotdot" in ids and "check-two_views" in ids


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["release", "path_walk"], "vfslab: course release needs a folder: -o DIR"),
        (["release", "path_wlak", "-o", "out"], "vfslab: there is no lab 'path_wlak': did you mean path_walk?"),
        (["release", "path_walk", "-o", "out", "--from-step", "9"], "vfslab: the lab path_walk has no step 9: "),
        (["list", "nothing"], "vfslab: there is no lab 'nothing'"),
        (["release", "path_walk", "-o", "/proc/none"], "vfslab: "),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["course", *arguments]) == 2
    told = capsys.readouterr()
    assert told.err.startswith(words) and told.err.count("\n") == 1 and not told.out


def test_a_notebook_that_is_there_is_not_overwritten(tmp_path, capsys):
    work = tmp_path / "path_walk.ipynb"
    work.write_text("somebody's work")
    assert main(["course", "release", "path_walk", "-o", str(tmp_path)]) == 2
    assert work.read_text() == "somebody's work" and "--force" in capsys.readouterr().err
    assert main(["course", "release", "path_walk", "-o", str(tmp_path), "--force"]) == 0
    assert work.read_text() != "somebody's work"
