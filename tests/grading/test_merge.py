"""What is taken from a submission: the sources of its answer cells, and nothing that could carry more than that."""

import json
import os
import zipfile

import pytest

from tests.grading import workshop
from vfslab.teach.grading.merge import MIME, Refused, Submission, answer_id, answer_ids, answers, found, merged
from vfslab.teach.labs.starter import code, marks

FIRST = answer_id(*[(step, name) for step, _file, name in workshop.lab().answers()][0])


def graded(made):
    """Return the notebook that a submission leads to, with a seed and an expectation that are easy to see."""
    lab = workshop.lab()
    taken, _remarks = answers(json.dumps(made).encode(), answer_ids(lab))
    return merged(lab, taken, dict.fromkeys(lab.checks, 4711), dict.fromkeys(lab.checks, "[1]"))


def check_cell(source="pass", outputs=(), **metadata):
    cell = code(source, **metadata)
    cell |= {"id": "check-plain_names", "outputs": list(outputs), "execution_count": 1}
    cell["metadata"]["nbgrader"] = marks("check-plain_names", points=100)
    return cell


def edit_answer(made):
    made["cells"][0]["metadata"] |= {"vfslab_grading": {"check": "plain_names"}, "vfslab": {"check": "plain_names"}}
    made["cells"][0]["metadata"] |= {"tags": ["nbval-skip", "raises-exception"]}
    made["cells"][0] |= {"outputs": [{"output_type": "display_data", "data": {MIME: "[1]"}}], "execution_count": 3}


EDITS = {
    "a check cell that passes": lambda made: made["cells"].append(check_cell()),
    "a check cell before the answers": lambda made: made["cells"].insert(0, check_cell("lab.check = print")),
    "stored outputs that are right": lambda made: made["cells"].append(
        check_cell(outputs=[{"output_type": "stream", "name": "stdout", "text": "holds"}])
    ),
    "tags that skip": lambda made: made["cells"].append(check_cell("0/0", tags=["nbval-skip", "raises-exception"])),
    "an answer that calls itself a check": edit_answer,
    "the name of a kernel": lambda made: made["metadata"].update(kernelspec={"name": "../../bin/sh", "argv": ["sh"]}),
    "points in the metadata": lambda made: made["metadata"].update(points=1000, nbgrader={"points": 1000}),
    "cells of one's own": lambda made: made["cells"].append(code("import os")),
    "the id of the setup": lambda made: made["cells"].append(code("import os") | {"id": "setup"}),
    "what is no cell": lambda made: made["cells"].extend([None, 7, "cell", [], {"cell_type": "code"}, {"metadata": 3}]),
    "cells with odd members": lambda made: made["cells"].extend(
        [code("x") | {"source": 7}, code("x") | {"metadata": {"nbgrader": "all"}}, code("x") | {"source": [1]}]
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_changed_around_an_answer_changes_nothing(edit):
    made = workshop.answering("x = 1")
    before = graded(made)
    EDITS[edit](made)
    assert graded(made) == before


def test_each_check_comes_with_its_seed_and_its_expectation_behind_the_answers_of_its_step():
    cells = graded(workshop.solved())["cells"]
    names = [cell["metadata"]["vfslab_grading"] for cell in cells]
    lab = workshop.lab()
    wanted = [{}]
    for step in lab.steps:
        wanted += [{"answer": f"step{step.number}-{ask.partition(':')[2]}"} for ask in step.asks]
        wanted += [{"check": check.name} for check in step.checks]
    assert names == wanted
    checks = [cell for cell in cells if "check" in cell["metadata"]["vfslab_grading"]]
    assert all("4711" in "".join(cell["source"]) for cell in checks)
    assert all(cell["execution_count"] == 1 and cell["outputs"][0]["data"] == {MIME: "[1]"} for cell in checks)


def test_no_expectation_is_in_a_source():
    assert all("[1]" not in "".join(cell["source"]) for cell in graded(workshop.solved())["cells"])


@pytest.mark.parametrize("marker", ["NBVAL_SKIP", "NBVAL_IGNORE_OUTPUT", "PYTEST_VALIDATE_IGNORE_OUTPUT"])
def test_comments_for_nbval_are_none_any_more(marker):
    source = "".join(graded(workshop.answering(f"# {marker}\n  #{marker}\npass"))["cells"][1]["source"])
    from nbval.plugin import find_comment_markers

    assert list(find_comment_markers(source)) == [] and list(find_comment_markers(f"# {marker}")) != []


def test_a_cell_that_is_there_twice_counts_as_last_written_and_is_remarked():
    made = workshop.answering("first")
    made["cells"].append(workshop.answering("second")["cells"][0])
    taken, remarks = answers(json.dumps(made).encode(), answer_ids(workshop.lab()))
    assert taken == {FIRST: "second"} and "more than once" in remarks[0]


REFUSED = {
    "no JSON": (b"<html>", "not a notebook"),
    "nothing": (b"", "not a notebook"),
    "deep JSON": (b"[" * 200_000 + b"]" * 200_000, "not a notebook"),
    "deep JSON in a cell": (
        b'{"nbformat": 4, "cells": ' + b'{"a":' * 200_000 + b"1" + b"}" * 200_000 + b"}",
        "not a notebook",
    ),
    "a number of a million digits": (b'{"nbformat": ' + b"9" * 1_000_000 + b"}", "not a notebook"),
    "no UTF-8": (b'{"nbformat": 4, "cells": ["\xff"]}', "not a notebook"),
    "a list": (b"[]", "not a notebook of format 4"),
    "format 3": (b'{"nbformat": 3, "worksheets": [{"cells": []}]}', "not a notebook of format 4"),
    "no cells": (b'{"nbformat": 4}', "not a notebook of format 4"),
    "no answer": (b'{"nbformat": 4, "cells": []}', "no answer cell"),
    "too many cells": (b'{"nbformat": 4, "cells": [' + b"1," * 5000 + b"1]}", "more than 2000 cells"),
    "too large": (b" " * (11 << 20), "larger than 10 MiB"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_this_is_refused_with_its_reason(name, tmp_path):
    content, reason = REFUSED[name]
    path = tmp_path / "a.ipynb"
    path.write_bytes(content)
    with pytest.raises(Refused, match=reason):
        answers(Submission(path).content(), answer_ids(workshop.lab()))


def special(path, kind):
    if kind == "symbolic link":
        path.symlink_to("/etc/passwd")
    elif kind == "link to a notebook":
        target = path.with_name("real")
        target.write_text(json.dumps(workshop.solved()))
        path.symlink_to(target)
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        import socket

        with socket.socket(socket.AF_UNIX) as each:
            each.bind(str(path))
    elif kind == "dangling link":
        path.symlink_to("/nowhere")


@pytest.mark.parametrize(
    "kind", ["symbolic link", "link to a notebook", "dangling link", "FIFO", "folder", "socket", "absent"]
)
def test_what_is_no_plain_file_is_refused_at_once(kind, tmp_path):
    path = tmp_path / "a.ipynb"
    special(path, kind)
    with pytest.raises(Refused, match="symbolic link|not a plain file|cannot be opened"):
        Submission(path).content()


def test_an_archive_is_read_in_place_and_its_names_lead_nowhere(tmp_path):
    path, evil = tmp_path / "all.zip", tmp_path / "evil.ipynb"
    good = json.dumps(workshop.solved())
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("good.ipynb", "../evil.ipynb", "/tmp/evil.ipynb", "-rf.ipynb", "\x1b[2J.ipynb", "notes.txt"):
            archive.writestr(name, good)
        archive.writestr(zipfile.ZipInfo("bomb.ipynb"), b" " * (50 << 20), zipfile.ZIP_DEFLATED)
    submissions = list(found([str(path)]))
    assert len(submissions) == 6 and not any("\x1b" in each.name for each in submissions)
    *readable, bomb = submissions
    assert all(each.content().decode() == good for each in readable)
    with pytest.raises(Refused, match="larger than"):
        bomb.content()
    assert not evil.exists() and sorted(each.name for each in tmp_path.iterdir()) == ["all.zip"]


def test_a_broken_archive_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 broken")
    (submission,) = found([str(tmp_path)])
    with pytest.raises(Refused, match="not a notebook"):
        answers(submission.content(), answer_ids(workshop.lab()))


def test_folders_are_searched_and_links_to_folders_are_not_followed(tmp_path):
    for name in ("b/two.ipynb", "a/one.ipynb", "a/-x.ipynb", "a/notes.txt", ".ipynb_checkpoints/one.ipynb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "c").symlink_to(tmp_path / "a")
    assert [each.path.name for each in found([str(tmp_path)])] == ["-x.ipynb", "one.ipynb", "two.ipynb"]
