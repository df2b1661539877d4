"""Each chapter runs in JupyterLab in a real browser, from its first cell to its last, and nothing complains.

Run by name: pytest -s tests/browser/lab_check.py. Screenshots are left in build/screens.
"""

import json
import time

import pytest

from tests.browser.conftest import SCREENS, TOP

NOTEBOOKS = sorted(path.name for path in (TOP / "book").glob("*.ipynb"))
ALL_SECONDS = 60


def open_notebook(page, lab, name):
    """Open a notebook and return when its kernel is idle."""
    address, _root = lab
    page.goto(f"{address}/lab/workspaces/{name.partition('.')[0]}/tree/book/{name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_selector("#jp-main-statusbar >> text=/Python 3.*Idle/", timeout=60_000)


def run_all(page, name, failing=0, restart=False):
    """Run all cells by the menu, as a reader does; return the seconds until the last one has ended.

    No more cells may fail than are meant to.
    """
    page.click("li.lm-MenuBar-item:has-text('Run')")
    page.click(f"li.lm-Menu-item[data-command='runmenu:{'restart-and-run-all' if restart else 'run-all'}']")
    began = time.perf_counter()
    if restart:
        page.click(".jp-Dialog .jp-mod-accept")
        page.wait_for_function(f"() => ({RUNNING})().length")
    while page.evaluate(RUNNING) and len(errors(page)) <= failing:
        if time.perf_counter() - began > ALL_SECONDS:
            page.screenshot(path=SCREENS / f"{name.partition('.')[0]}-still-running.png")
            pytest.fail(f"cells still run: {page.evaluate(RUNNING)}")
        page.wait_for_timeout(100)
    took = time.perf_counter() - began
    page.wait_for_timeout(1000)  # widgets draw themselves after their cell has ended
    assert len(errors(page)) <= failing, errors(page)
    return took


# The code cells that still wait or run; one whose source is folded away shows no prompt.
RUNNING = """() => [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')]
    .filter(cell => /\\[[ *]\\]/.test(cell.querySelector('.jp-InputPrompt')?.textContent))
    .map(cell => cell.textContent.slice(0, 80))"""


def errors(page):
    """Return the texts of the error outputs, but those of cells that are there to fail."""
    shown = "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"
    return [each.inner_text() for each in page.locator(f".jp-Notebook :is({shown})").all()]


def meant_to_fail(name):
    """Return how many cells of a notebook are tagged as raising."""
    cells = json.loads((TOP / "book" / name).read_text(encoding="utf-8"))["cells"]
    return sum("raises-exception" in cell["metadata"].get("tags", []) for cell in cells)


def screens(page, name, most=60):
    """Leave pictures of a notebook, one a screenful, from its top to its end."""
    pane = page.locator(".jp-WindowedPanel-outer").first
    pane.evaluate("pane => pane.scrollTop = 0")
    for number in range(most):
        page.wait_for_timeout(150)
        page.screenshot(path=SCREENS / f"{name.partition('.')[0]}-{number:02}.png")
        before = pane.evaluate("pane => pane.scrollTop")
        after = pane.evaluate("pane => { pane.scrollTop += pane.clientHeight * 0.92; return pane.scrollTop }")
        if after <= before:
            return


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_top_to_end_and_again_after_a_restart(page, lab, name):
    open_notebook(page, lab, name)
    first = run_all(page, name, meant_to_fail(name))
    screens(page, name)
    again = run_all(page, name, meant_to_fail(name), restart=True)
    assert page.faults == []
    assert page.abroad == []
    print(f"\n{name}: all cells {first:.1f} s, restarted {again:.1f} s")
