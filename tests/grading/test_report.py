"""The reports: each point has its reason, and nothing in them does anything."""

import csv

import pytest

from tests.grading import workshop
from vfslab.teach.grading.report import cell, plain, student, write_csv, write_gradebook, write_html
from vfslab.teach.grading.run import Outcome, Row

EVIL = "<script>alert(1)</script>\x1b[31m\x1b]0;t\x07&amp;\u202e'\"\n=1+1"


def rows():
    lab = workshop.lab()
    good = [Outcome(name, check.points, check.points, True) for name, check in lab.checks.items()]
    bad = [Outcome(name, 0, check.points, False, EVIL) for name, check in lab.checks.items()]
    return [
        Row("class/good.ipynb", points=lab.points, most=lab.points, outcomes=good),
        Row(EVIL, points=0, most=lab.points, reason=EVIL, outcomes=bad, cells=[{"cell": EVIL, "error": EVIL}]),
        Row("=cmd|' /C calc'!A0", "refused", reason="@SUM(1+1)"),
    ]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "'=1", '"=1', "|x", "%x", "\x1b[0m=1"])
def test_no_cell_is_a_formula(text):
    assert cell(text).startswith("'")


@pytest.mark.parametrize("value", ["good.ipynb", "a=b", "class/a.ipynb", 3, 2.5, ""])
def test_what_is_no_formula_stays(value):
    assert cell(value) == value


def test_the_csv_has_a_line_for_each_and_its_points_by_check(tmp_path):
    write_csv(tmp_path / "r.csv", rows(), workshop.lab())
    with open(tmp_path / "r.csv", encoding="utf-8", newline="") as file:
        good, evil, formula = csv.DictReader(file)
    lab = workshop.lab()
    assert good["points"] == good["of"] == str(lab.points)
    assert {name: float(good[name]) for name in lab.checks} == {name: c.points for name, c in lab.checks.items()}
    assert formula["submission"].startswith("'=") and formula["reason"].startswith("'@")
    assert not any(ord(char) < 32 or char == "\u202e" for value in evil.values() for char in value)


def test_pages_show_all_and_run_nothing(tmp_path):
    index = write_html(tmp_path / "html", rows(), workshop.lab(), dict.fromkeys(workshop.lab().checks, 77))
    pages = {path.name: path.read_text(encoding="utf-8") for path in index.parent.iterdir()}
    assert set(pages) == {"index.html", "submission-0001.html", "submission-0002.html", "submission-0003.html"}
    for text in pages.values():
        assert "<script" not in text and "\x1b" not in text and "\u202e" not in text
        assert "default-src &#x27;none&#x27;" in text or "default-src 'none'" in text
        assert "href=" not in text.replace('href="index.html"', "").replace('href="submission-', "")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in pages["submission-0002.html"]
    for check in workshop.lab().checks.values():
        assert check.name in pages["index.html"] and check.name in pages["submission-0001.html"]
    assert "seed=77" in pages["submission-0002.html"] and "Hint:" in pages["submission-0002.html"]


@pytest.mark.parametrize(
    "text, shown",
    [
        ("\x1b[2Ja", "a"),
        ("\x1b]0;owned\x07b", "b"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;unended", ""),
        ("a\x9b31mb", "a\\x9b31mb"),
        ("\u202eabc", "\\u202eabc"),
        ("a\r\nb", "a\\x0d b"),
        ("\x00\x08", "\\x00\\x08"),
    ],
)
def test_terminal_commands_are_taken_out_and_control_characters_are_shown(text, shown):
    assert plain(text) == shown


def test_long_runs_of_escapes_take_no_time():
    import time

    began = time.monotonic()
    plain("\x1b[" * 200_000 + "\x1b]" * 200_000)
    assert time.monotonic() - began < 2


def test_the_grade_book_has_the_columns_of_nbgrader(tmp_path):
    write_gradebook(tmp_path / "g.csv", rows(), workshop.lab())
    with open(tmp_path / "g.csv", encoding="utf-8", newline="") as file:
        good, *_others = csv.DictReader(file)
    assert (good["assignment"], good["student_id"], float(good["score"])) == (
        workshop.LAB,
        "good",
        workshop.lab().points,
    )


@pytest.mark.parametrize(
    "path, whose", [("in/ada/path_walk/path_walk.ipynb", "ada"), ("in/ada.ipynb", "ada"), ("x", "x")]
)
def test_whose_a_submission_is(path, whose):
    assert student(path, workshop.lab()) == whose
