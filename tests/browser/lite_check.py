"""The offline edition in a real browser: from a page of the book by its button to the chapter's first outputs and pictures.

Run by name after `make book lite`: pytest -s tests/browser/lite_check.py. The browser is given a proxy that is no
proxy but a list: whatever is asked of another machine is on it. Screenshots are left in build/screens.
"""

import functools
import http.server
import os
import socket
import threading
import time

import pytest

from tests.browser.conftest import SCREENS, TOP

SITE = TOP / "_build" / "html"
CHAPTERS = sorted(path.stem for path in (TOP / "book").glob("*.ipynb"))
CHOSEN = CHAPTERS if os.environ.get("VFSLAB_LITE_ALL") else CHAPTERS[:1]
# Chromium asks its maker's host what each form on any page is for; no page can stop that.
BROWSERS_OWN = ("content-autofill.googleapis.com",)
# The number of an executed cell, or [*] of one that waits.
PROMPTS = "[...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')].map(each => each.textContent)"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the site; says nothing of each request."""

    def log_message(self, *what):
        pass


@pytest.fixture(scope="module")
def site():
    """Serve the built site on this machine and give its address."""
    if not (SITE / "lite" / "lab" / "index.html").exists():
        pytest.fail("run `make book` and `make lite` first")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def outside():
    """Give (a proxy's address, what was asked of it): every connection that is not for this machine ends here."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def listen():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    line = connection.recv(1000).split(b"\r\n")[0].decode(errors="replace")
                    if not any(host in line for host in BROWSERS_OWN):
                        asked.append(line)

        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def page(chromium, outside):
    """Give a page that has no other way out than that list, and remembers what went wrong on it."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 1000}, proxy={"server": outside[0], "bypass": "127.0.0.1"}
    )
    opened = context.new_page()
    opened.faults = []
    context.on("console", lambda message: opened.faults.append(message.text) if is_fault(message) else None)
    context.on("weberror", lambda error: opened.faults.append(str(error.error)))
    yield opened
    context.close()


def is_fault(message):
    """True if a line of the browser's console is an error, but for the icon of the server, which has none."""
    return message.type == "error" and not message.location.get("url", "").endswith("favicon.ico")


def test_the_list_sees_what_leaves_this_machine(page, outside):
    page.set_content("<img src='http://elsewhere.invalid/picture.png'>")
    page.wait_for_timeout(500)
    assert any("elsewhere.invalid" in line for line in outside[1])


def test_a_page_opened_as_a_file_hides_the_button(page):
    page.goto((SITE / "book" / "01_the_way_of_a_request.html").as_uri())
    assert page.locator(".vfslab-lite").count() == 1
    assert not page.locator(".vfslab-lite").is_visible()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("chapter", CHOSEN)
def test_the_button_leads_to_a_chapter_and_all_its_cells_run_with_no_word_to_other_machines(
    page, site, outside, chapter
):
    page.goto(f"{site}/book/{chapter}.html")
    page.click(".vfslab-lite")
    began = time.perf_counter()
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_selector("[data-status='idle']", timeout=60_000)
    opened = time.perf_counter() - began
    page.click("li.lm-MenuBar-item:has-text('Run')")
    page.click("li.lm-Menu-item[data-command='runmenu:run-all']")
    page.wait_for_function(f"() => {PROMPTS}.some(text => /\\[1\\]/.test(text))", timeout=90_000)
    first = time.perf_counter() - began
    page.wait_for_function(f"() => !{PROMPTS}.some(text => text.includes('*'))", timeout=90_000)
    page.wait_for_selector("[data-status='idle']", timeout=90_000)
    done = time.perf_counter() - began
    page.wait_for_timeout(500)
    pictures, texts, faults = seen(page, chapter)
    assert faults == []
    assert "This installation is complete." in texts
    assert pictures >= (3 if chapter != "index" else 0)  # viz.js has drawn
    assert page.faults == []
    assert outside[1] == []
    print(f"\n{chapter}: open {opened:.1f} s, first cell {first:.1f} s, all {done:.1f} s, {pictures} pictures")


def seen(page, chapter):
    """Go through a notebook from top to end; return (number of pictures, all text outputs, texts of its errors)."""
    pane = page.locator(".jp-WindowedPanel-outer").first
    pane.evaluate("pane => pane.scrollTop = 0")
    pictures, texts, faults = set(), "", []
    for number in range(100):
        page.wait_for_timeout(100)
        pictures |= {each.text_content() for each in page.locator(".jp-Notebook .jp-OutputArea svg title").all()}
        texts += "\n".join(page.locator(".jp-Notebook .jp-OutputArea-output pre").all_inner_texts())
        shown = "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"
        faults += [each.inner_text() for each in page.locator(f".jp-Notebook :is({shown})").all()]
        page.screenshot(path=SCREENS / f"lite-{chapter}-{number:02}.png")
        before = pane.evaluate("pane => pane.scrollTop")
        if pane.evaluate("pane => { pane.scrollTop += pane.clientHeight * 0.92; return pane.scrollTop }") <= before:
            break
    return len(pictures), texts, faults
