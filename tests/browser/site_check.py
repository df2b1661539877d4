"""The built site, page by page in a real browser: no request abroad, no fault, open to everybody, fit for paper.

Run by name after `make book`: pytest -s tests/browser/site_check.py. Accessibility is judged by axe-core.
Printed chapters are left in build/screens as PDF and as the browser shows them for print.
"""

import re

import pytest

from tests import npm
from tests.browser.conftest import SCREENS, TOP

SITE = TOP / "_build" / "html"
AXE_VERSION = "4.14.1"
PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if not {"_static", "lite"} & set(path.relative_to(SITE).parts)
)
PAGES = [name for name in PAGES if name != "index.html"]  # it does no more than lead to book/index.html
CHAPTERS = [name for name in PAGES if re.match(r"book/(\d\d_|figures)", name)]
# What axe-core is asked: every rule of these kinds; "best-practice" is its own opinion, heard too.
RULES = {
    "light": {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "dark": {"runOnly": {"type": "rule", "values": ["color-contrast"]}},  # what else holds does not hang on the colours
}


@pytest.fixture(scope="session")
def axe():
    """Return axe-core's script."""
    return (npm.package("axe-core", AXE_VERSION, "axe.min.js") / "axe.min.js").read_text(encoding="utf-8")


def serious(page, axe, theme="light"):
    """Return what axe-core calls serious or critical on a page: rule, element, and what to do."""
    page.evaluate(axe)
    found = page.evaluate("rules => axe.run(document, rules)", RULES[theme])["violations"]
    return [
        f"{fault['id']} ({fault['impact']}): {node['target']} {node['html'][:160]}: {node['failureSummary']}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


def test_the_search_for_faults_finds_one(page, axe):
    page.set_content("<html><body><img src='data:,'><input></body></html>")
    assert any(fault.startswith("image-alt (critical)") for fault in serious(page, axe))


def test_the_site_is_there():
    assert "book/index.html" in PAGES, "run `make book` first"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_open_to_everybody(page, axe, name, theme):
    page.emulate_media(color_scheme=theme)
    page.goto((SITE / name).as_uri())
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    page.wait_for_timeout(300)
    if name in CHAPTERS:
        page.screenshot(path=SCREENS / f"site-{theme}-{name[5:-5]}.png", full_page=True)
    assert page.faults == []  # before axe-core looks: it asks for style sheets in a way that files refuse
    assert page.abroad == []
    assert serious(page, axe, theme) == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_prints(page, name):
    page.goto((SITE / name).as_uri())
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 720, "height": 1000})  # about the width of A4 without its margins
    page.wait_for_timeout(300)
    page.pdf(
        path=SCREENS / f"print-{name[5:-5]}.pdf",
        format="A4",
        margin=dict.fromkeys(("top", "bottom", "left", "right"), "15mm"),
    )
    page.screenshot(path=SCREENS / f"print-{name[5:-5]}.png", full_page=True)
    cut = page.evaluate(
        """() => [...document.querySelectorAll('main pre, main svg, main table, main img')]
            .filter(e => e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 1)
            .map(e => e.tagName + ' ' + e.textContent.slice(0, 60))"""
    )
    assert cut == []
    hidden = page.evaluate(
        """() => ['.bd-sidebar-primary', '.bd-header-article', '.prev-next-footer']
            .filter(name => [...document.querySelectorAll(name)].some(e => e.checkVisibility()))"""
    )
    assert hidden == []
