"""A learner does the lab path_walk from the starter, in JupyterLab in a real browser: answers typed in, checks run.

Run by name: pytest -s tests/browser/learner_check.py. Screenshots are left in build/screens.
"""

import json
import os
import shutil

import pytest

from tests.browser.conftest import SCREENS, TOP
from tests.browser.lab_check import screens
from vfslab.teach.labs.model import load
from vfslab.teach.labs.starter import parted

NAME = "path_walk"
WRONG = (  # of step 1: forgets to ask before the last name
    "    nd.remaining = split_path(text)\n    nd.trailing_slash = text[-1:] == b'/'\n    nd.last = b''\n"
    "    while nd.remaining:\n        nd.last = nd.remaining.pop()\n        if nd.remaining:\n"
    "            may_lookup(nd)\n            walk_component(nd, 0)\n    nd.last_type = LAST_TYPES.get(nd.last, LAST_NORM)"
)


@pytest.fixture(scope="session", autouse=True)
def learners_file(tmp_path_factory):
    """Keep the progress of this learner in a file that nobody else has."""
    before = os.environ.get("VFSLAB_PROGRESS")
    os.environ["VFSLAB_PROGRESS"] = str(tmp_path_factory.mktemp("learner") / "progress.json")
    yield
    os.environ.pop("VFSLAB_PROGRESS")
    if before is not None:
        os.environ["VFSLAB_PROGRESS"] = before


@pytest.fixture
def notebook(page, lab):
    """Give the starter, opened; page.cells are its cells."""
    address, root = lab
    shutil.copytree(TOP / "labs", root / "labs", dirs_exist_ok=True)
    page.goto(f"{address}/lab/workspaces/learner/tree/labs/{NAME}.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_selector("#jp-main-statusbar >> text=/Python 3.*Idle/", timeout=60_000)
    page.made = json.loads((root / "labs" / f"{NAME}.ipynb").read_text())["cells"]
    page.cells = page.locator(".jp-Notebook .jp-Cell")
    return page


def type_answer(page, number, body):
    """Put a body in place of the last line of an answer cell, as a learner does; what stood there before goes."""
    face = "".join(page.made[number]["source"]).rpartition("    raise NotImplementedError")[0]
    page.cells.nth(number).locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(face + body)


def run(page, number):
    """Run a cell and return the text of its outputs."""
    cell = page.cells.nth(number)
    cell.locator(".jp-InputPrompt").click()
    page.keyboard.press("Control+Enter")
    page.wait_for_function(
        "n => /\\[\\d+\\]/.test(document.querySelectorAll('.jp-Notebook .jp-Cell')[n]"
        ".querySelector('.jp-InputPrompt').textContent)",
        arg=number,
        timeout=30_000,
    )
    page.wait_for_selector("#jp-main-statusbar >> text=/Python 3.*Idle/", timeout=30_000)
    page.wait_for_timeout(120)
    return "\n".join(page.cells.nth(number).locator(".jp-OutputArea-output").all_inner_texts())


def shot(page, name, number):
    """Leave a picture of a cell and what is around it."""
    page.cells.nth(number).scroll_into_view_if_needed()
    page.wait_for_timeout(400)
    page.screenshot(path=SCREENS / f"lab-{NAME}-{name}.png")


@pytest.mark.timeout(300)
def test_a_learner_does_the_lab_from_the_starter(notebook):
    page, lab = notebook, load(NAME)
    numbers = {cell["id"]: number for number, cell in enumerate(page.made)}
    shot(page, "top", 0)
    for number, cell in enumerate(page.made):
        if cell["cell_type"] != "code":
            continue
        about, source = cell["metadata"].get("vfslab", {}), "".join(cell["source"])
        if source == "k.shutdown()":
            press_the_button(page)
        if "function" in about:
            step, name = lab.step(about["step"]), about["function"]
            _face, body = parted(lab.solution(step, about["file"], name))
            if (step.number, name) == (1, "link_path_walk"):
                try_it_wrong(page, number, numbers)
            type_answer(page, number, body)
        told = run(page, number)
        if "check" in about:
            hidden = lab.check(about["check"]).hidden
            assert hidden or told.startswith("holds"), (about, told)
        elif "me.reveal" in source:
            assert "First guess" in told, told  # nobody has guessed: the answer stays hidden
        else:
            assert "Error" not in told and "Not yet" not in told, (number, source, told)
    screens(page, f"lab-{NAME}-all")
    assert [fault for fault in page.faults if "favicon" not in fault] == []
    assert page.abroad == []


def try_it_wrong(page, number, numbers):
    """First an empty answer, then a wrong one: both are told, the second with a picture."""
    run(page, number)
    told = run(page, numbers["check-plain_names"])
    assert "yours to write" in told and "Traceback" not in told, told
    shot(page, "empty", numbers["check-plain_names"])
    type_answer(page, number, WRONG)
    run(page, number)
    told = run(page, numbers["check-who_may_search"])
    assert "not yet" in told and "should be" in told and "Hint" in told and "Traceback" not in told, told
    page.wait_for_timeout(1500)
    shot(page, "wrong", numbers["check-who_may_search"])
    page.cells.nth(numbers["check-who_may_search"]).screenshot(path=SCREENS / f"lab-{NAME}-film.png")


def press_the_button(page):
    """Press the Check button, and see all that holds."""
    button = page.locator("button:has-text('Check all')")
    cell = page.locator(".jp-Notebook .jp-Cell").filter(has=button)
    button.click()
    cell.locator("text=short_balance").first.wait_for(timeout=20_000)
    page.wait_for_timeout(1500)
    told = cell.inner_text()
    assert told.count("holds") == 15 and "not yet" not in told, told
    button.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    page.screenshot(path=SCREENS / f"lab-{NAME}-button.png")
