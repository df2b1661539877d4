"""Each figure's text twin is the one that was read and approved, in the tests and in the gallery."""

import json

import pytest

from tests.teach.figures.twins import GALLERY, HELD, HELD_OUTPUT, HERE, held
from vfslab.teach.figures import FIGURES, draw
from vfslab.viz.text import to_text


@pytest.mark.parametrize("name", HELD)
def test_the_text_twin_is_the_one_that_was_approved(name):
    assert to_text(draw(name)) == held(name), (
        "right as it is now? python -m tests.teach.figures.twins, and read the diff"
    )


def test_every_figure_has_a_twin_and_every_twin_a_figure():
    assert {path.stem for path in HERE.glob("*.txt")} == set(HELD)


def cells():
    return json.loads(GALLERY.read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize("name", FIGURES)
def test_the_gallery_shows_each_figure_with_a_task_and_its_twin(name):
    found = cells()
    place = next(i for i, cell in enumerate(found) if "".join(cell["source"]).startswith(f"## {name}. "))
    head, *rest = found[place : place + 4]
    assert "**What to look for.**" in "".join(head["source"]) and "**Task.**" in "".join(head["source"])
    sources = ["".join(cell["source"]) for cell in rest]
    assert any(f'show("{name}", IMAGE)' in source for source in sources)
    (twin,) = [cell for cell in rest if f"print({name.lower()})" in "".join(cell["source"])]
    assert HELD_OUTPUT in twin["metadata"]["tags"]
    said = "".join(text for output in twin["outputs"] for text in output["text"])
    assert said.startswith(f"{name}: {FIGURES[name].title}") and said.count("\n") > 5
