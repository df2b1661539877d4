"""Predictions, why boxes, review cards and self-checks: the form of every chapter's activities."""

import json
import subprocess
import sys

import pytest

from vfslab.teach import predict, study
from vfslab.teach.predict import Predictions

NOTEBOOK = """
import os, sys
os.environ.pop("PYTEST_VERSION", None)
os.environ.pop("VFSLAB_STATIC", None)
"""


@pytest.fixture
def reader(monkeypatch):
    """A reader in front of a notebook: nothing runs by itself."""
    monkeypatch.delenv("PYTEST_VERSION", raising=False)
    monkeypatch.delenv("VFSLAB_STATIC", raising=False)
    return Predictions()


def test_what_runs_before_a_guess_runs_but_shows_nothing(reader, capsys):
    with reader.after("size"):
        print("the answer is 42")
        seen = 42
    said = capsys.readouterr().out
    assert seen == 42 and "42" not in said and said.startswith("First guess: size?") and "me.skip('size')" in said


def test_a_guess_opens_the_lock(reader, capsys):
    reader.predict("size", 7)
    with reader.after("size"):
        print("the answer is 42")
    reader.reveal("size", 42)
    assert capsys.readouterr().out.splitlines() == [
        "Noted: 7. Now run the next cells.",
        "the answer is 42",
        "It is 42; you said 7. Find out why before you read on.",
    ]


@pytest.mark.parametrize("way", ["argument", "method"])
def test_skip_opens_the_lock_without_a_guess(reader, capsys, way):
    if way == "method":
        reader.skip("size")
    with reader.after("size", skip=way == "argument"):
        print("the answer is 42")
    reader.reveal("size", 42, skip=way == "argument")
    assert capsys.readouterr().out == "the answer is 42\nIt is 42. (No guess was made.)\n"


def test_the_truth_is_not_told_before_a_guess(reader, capsys):
    reader.reveal("size", 42)
    assert "42" not in capsys.readouterr().out


def test_an_error_behind_the_lock_is_seen(reader):
    with pytest.raises(ZeroDivisionError), reader.after("size"):
        print(1 // 0)


@pytest.mark.parametrize("variable", ["PYTEST_VERSION", "VFSLAB_STATIC"])
def test_nothing_is_locked_where_nobody_reads_along(reader, capsys, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    reader.predict("size")
    with reader.after("size"):
        print("shown")
    reader.reveal("size", 42)
    assert capsys.readouterr().out == "Your guess: size?\nshown\nIt is 42. (No guess was made.)\n"


@pytest.mark.parametrize(
    "typed, truth, agrees", [("0x400", 1024, True), ("yes", "Yes", True), ("[1, 2]", [1, 2], True), ("4", 5, False)]
)
def test_a_typed_guess_is_compared_by_what_it_means(reader, capsys, typed, truth, agrees):
    reader.predict("x", typed)
    reader.reveal("x", truth)
    assert ("as you said" in capsys.readouterr().out) == agrees


def test_without_widgets_a_prediction_says_how_to_write_it(reader, capsys):
    reader.predict("which", choices=("a", "b"))
    assert capsys.readouterr().out == (
        "Your guess: which? One of: a, b.\nWrite it behind the name, me.predict(name, guess), and run the cell again.\n"
    )


def in_a_kernel(code):
    """Run code in a shell that has a kernel, as in JupyterLab, and return what it prints."""
    setup = NOTEBOOK + "from IPython.testing.globalipapp import start_ipython\nshell = start_ipython()\n"
    setup += "type(shell).kernel = property(lambda self: 'one')\nout = sys.stdout\n"
    done = subprocess.run([sys.executable, "-c", setup + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_in_a_notebook_a_field_takes_the_guess():
    pytest.importorskip("ipywidgets")
    said = in_a_kernel(
        "from vfslab.teach import predict, study\n"
        "import IPython.display\n"
        "shown = []\nIPython.display.display = shown.append\n"
        "me = predict.Predictions()\n"
        "me.predict('size')\n"
        "shown[0].children[1].value = '0x10'\n"
        "me.predict('which', choices=('leaf', 'root'))\n"
        "shown[1].children[1].value = 'root'\n"
        "print(me.guesses, file=out)\n"
    )
    assert said[-1] == "{'size': 16, 'which': 'root'}"


def test_a_why_box_shows_the_model_answer_only_beside_words_of_ones_own():
    pytest.importorskip("ipywidgets")
    said = in_a_kernel(
        "from vfslab.teach.study import why\n"
        "_, box, button, said = why('Why `x`?', 'Because of *y*.').children\n"
        "button.click(); print('Because' in said.value)\n"
        "box.value = 'it has to be'\n"
        "button.click(); print('Because of <em>y</em>.' in said.value)\n"
        "_, box, button, said = why('Why `x`?').children\n"
        "box.value = 'it has to be'; button.click(); print(said.value)\n"
    )
    assert said[-3:] == ["False", "True", "Now open the model answer below."]


def test_cards_that_were_not_known_come_again():
    pytest.importorskip("ipywidgets")
    said = in_a_kernel(
        "import ipywidgets\nfrom vfslab.teach.study import deck\n"
        "front, row, back = deck(ipywidgets, [('one?', '1'), ('two?', '2')]).children\n"
        "show, known, again = row.children\n"
        "seen = []\n"
        "for button in (again, known, known):\n"
        "    show.click(); seen.append((front.value[-4:], back.value)); button.click()\n"
        "print(seen, front.value)\n"
    )
    assert said[-1] == "[('one?', '1'), ('two?', '2'), ('one?', '1')] <strong>Done.</strong>"


def test_a_model_answer_folds_open_without_a_script():
    fold = study.why("Why `x`?", "Because.\n\nSo.")
    assert fold._repr_html_() == (
        "<details><summary><strong>Why?</strong> Why <code>x</code>?</summary>Because.<br><br>So.</details>"
    )
    assert repr(fold).splitlines() == ["1. Why `x`?", "", "Answers", "1. Because. So."]
    assert "below" in study.why("Why `x`?")._repr_html_()


@pytest.fixture
def chapter(tmp_path):
    """A chapter with two review cards, and questions that are none."""
    card = "<details>\n<summary>{}</summary>\n\n{}\n\n</details>\n"
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": [card.format("A question?", "no card")]},
        {"cell_type": "markdown", "metadata": {"tags": ["review-cards"]}, "source": [card.format("Q1?", "`A1`")]},
        {"cell_type": "markdown", "metadata": {"tags": ["review-cards"]}, "source": card.format("Q<b>2</b>?", "A2")},
    ]
    (tmp_path / "03_disk.ipynb").write_text(json.dumps({"cells": cells}))
    return tmp_path


def test_review_takes_the_cards_of_a_chapter_by_its_number(chapter):
    assert study.cards("03", chapter) == [("Q1?", "`A1`"), ("Q<b>2</b>?", "A2")]
    assert study.cards("03_disk.ipynb", chapter) == study.cards("03", chapter)
    pile = study.review("03", folder=chapter, seed=1)
    assert "<details><summary>Q1?</summary><code>A1</code></details>" in pile._repr_html_()
    assert repr(pile).count("Q2?") == 1 and "<b>" not in repr(pile)


def test_cards_are_found_in_the_book_when_the_notebook_runs_elsewhere(chapter, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(study, "BOOK", chapter)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert len(study.cards("03")) == 2


def test_a_chapter_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="77"):
        study.review("77", folder=tmp_path)


def test_check_tells_what_holds_and_gives_hints_for_the_rest(capsys):
    claims = [("one", lambda: True, "-"), ("two", lambda: 0, "look at 2"), ("three", lambda: 1 // 0, "look at 3")]
    assert study.check("mine", *claims) is False
    assert capsys.readouterr().out.splitlines() == [
        "  right    one",
        "  not yet  two. Hint: look at 2",
        "  not yet  three. It raised ZeroDivisionError: integer division or modulo by zero. Hint: look at 3",
        "mine: 1 of 3",
    ]
    assert study.check("mine", claims[0]) is True


def test_what_is_still_to_be_written_is_no_mistake(capsys):
    def unwritten():
        raise NotImplementedError("your turn: four lines")

    assert study.check("mine", ("one", unwritten, "-")) is False
    assert capsys.readouterr().out == "mine: your turn: four lines\n"


def test_values_are_read_as_python_spells_them():
    assert [predict.as_value(text) for text in ("3", " 0x10 ", "1, 2", "an inode")] == [3, 16, (1, 2), "an inode"]
