"""The widgets under a reader's hands: keys, mouse, and how long an answer takes.

Run by name: pytest -s tests/browser/widget_check.py. Times and sizes are printed, never asserted.
"""

import json

import pytest

from tests.browser.conftest import SCREENS
from tests.browser.lab_check import errors, open_notebook, run_all

# A trace of 200 steps over more than 200 objects, and an explorer.
CELLS = (
    """
import vfslab
from vfslab import boot, deck_image, explore, trace

k = boot()
k.attach("vda", deck_image(), read_only=True)
p = k.process()
p.mkdir("/d")
fds = [p.open(f"/d/file{n}", p.O_CREAT | p.O_RDWR) for n in range(70)]
""",
    """
with trace(k, limit=200) as t:
    for fd in fds:
        p.fstat(fd)
print(len(t.steps), "steps,", len({key for step in t.steps for key in step.frame}), "objects")
t
""",
    """
p.mkdir("/mnt")
p.mount("/dev/vda", "/mnt", "ext4", "ro")
trace(p.stat, "/mnt/a123/b456/none")
""",
    "explore(deck_image())",
)


@pytest.fixture(scope="module")
def notebook(lab):
    """Write the notebook of these checks into the lab's folder; return its name."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    made = new_notebook(cells=[new_code_cell(text.strip()) for text in CELLS])
    made.metadata["kernelspec"] = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    _address, root = lab
    nbformat.write(made, root / "book" / "widgets.ipynb")
    return "widgets.ipynb"


@pytest.fixture
def opened(page, lab, notebook):
    """Give a page with the notebook run; nothing may have been complained of in the end."""
    open_notebook(page, lab, notebook)
    run_all(page, notebook)
    page.wait_for_selector(".vfslab-timeline svg .v-box", timeout=30_000)
    yield page
    assert errors(page) == []
    assert page.faults == []
    assert page.abroad == []


def timeline(page, number):
    """Return the number-th timeline of the notebook, in view."""
    found = page.locator(".vfslab-timeline").nth(number)
    found.scroll_into_view_if_needed()
    return found


def step_of(widget):
    """Return at which step a timeline stands, from 1."""
    return int(widget.locator("input[type=range]").input_value())


# One step after the other: milliseconds until the script has set everything, and until the browser has painted it.
TIME_STEPS = """async ([slider, count]) => {
    const times = [];
    for (let step = 0; step < count; step++) {
        const began = performance.now();
        slider.stepUp();
        slider.dispatchEvent(new Event("input", {bubbles: true}));
        const set = performance.now() - began;
        await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
        times.push([set, performance.now() - began]);
    }
    return times;
}"""


def test_the_slider_obeys_keys_and_mouse_forward_and_back(opened):
    widget = timeline(opened, 1)
    slider = widget.locator("input[type=range]")
    last = int(slider.get_attribute("max"))
    slider.focus()
    for key, place in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("End", last), ("Home", 1)):
        opened.keyboard.press(key)
        assert step_of(widget) == place
    box = slider.bounding_box()
    opened.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] / 2)
    assert 1 < step_of(widget) < last
    before = step_of(widget)
    widget.locator(".v-steps button").nth(2).click()
    assert step_of(widget) == before + 1
    opened.screenshot(path=SCREENS / "widget-slider.png")


def test_a_node_tells_its_members_by_mouse_and_by_keyboard(opened):
    widget = timeline(opened, 1)
    widget.locator("input[type=range]").focus()
    opened.keyboard.press("End")
    node = widget.locator("svg .v-box:not(.v-off)").first
    node.click()
    detail = widget.locator(".v-detail")
    assert detail.is_visible() and detail.inner_text().strip()
    opened.keyboard.press("Escape")
    assert not detail.is_visible()
    node.focus()
    opened.keyboard.press("Enter")
    assert detail.is_visible()
    opened.screenshot(path=SCREENS / "widget-details.png")


def test_the_table_says_what_the_picture_shows(opened):
    widget = timeline(opened, 1)
    names = [title.split()[0] for title in widget.locator("svg .v-box:not(.v-off) .v-title").all_text_contents()]
    widget.get_by_role("button", name="Table").click()
    opened.screenshot(path=SCREENS / "widget-table.png")
    text = widget.inner_text()
    assert names and all(name in text for name in names)


def test_the_explorer_follows_links_and_addresses(opened):
    explorer = opened.locator(".vx-live").first
    explorer.scroll_into_view_if_needed()
    line = explorer.locator(".vx-bar input").first
    line.fill("inode 16")
    line.press("Enter")
    opened.wait_for_function("() => /16/.test(document.querySelector('.vx-status').textContent)")
    link = explorer.locator(".vx-page a, .vx-page button").first
    link.click()
    opened.wait_for_timeout(500)
    opened.screenshot(path=SCREENS / "widget-explorer.png")
    assert explorer.inner_text().strip()


def test_how_long_it_takes_and_how_much_a_notebook_keeps(opened, lab, notebook):
    widget = timeline(opened, 0)
    slider = widget.locator("input[type=range]")
    opened.evaluate(TIME_STEPS, [slider.element_handle(), 5])
    times = opened.evaluate(TIME_STEPS, [slider.element_handle(), 60])
    scripts, painted = (sorted(column) for column in zip(*times, strict=True))
    opened.click("li.lm-MenuBar-item:has-text('File')")
    opened.click("li.lm-Menu-item[data-command='docmanager:save']")
    opened.wait_for_timeout(1500)
    saved = (lab[1] / "book" / notebook).stat().st_size
    state = json.loads((lab[1] / "book" / notebook).read_text(encoding="utf-8"))["metadata"].get("widgets", {})
    said = [cell.inner_text() for cell in opened.locator(".jp-OutputArea-output").all()][:1]
    print(f"\n{said}: a step's script: median {scripts[30]:.0f} ms, longest {scripts[-1]:.0f} ms")
    print(f"until it is painted, without a graphics card: median {painted[30]:.0f} ms, longest {painted[-1]:.0f} ms")
    print(
        f"the notebook with these widgets: {saved / 1000:.0f} kB, {len(json.dumps(state)) / 1000:.0f} kB of it widget state"
    )
    assert step_of(widget) > 1
