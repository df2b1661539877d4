"""The built site asks nothing of any other host.

Run after `make book`, by name: pytest tests/frame/site_check.py. It is not collected otherwise, because it needs the site.
"""

import re
from pathlib import Path

import pytest

SITE = Path(__file__).parents[2] / "_build" / "html"

# What a browser fetches by itself when it opens a page or its style sheets; a plain link is not fetched.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=["']((?:https?:)?//[^"']+)"""
    r"""|<link\b[^>]*\bhref=["']((?:https?:)?//[^"']+)"""
    r"""|(?:url\(|@import\s+)["']?((?:https?:)?//[^"')]+)""",
    re.IGNORECASE,
)


def fetched(text):
    """Return the addresses on other hosts that a browser would ask when it shows this text."""
    return [next(filter(None, match.groups())) for match in FETCHED.finditer(text)]


def test_the_search_for_addresses_finds_them():
    assert fetched('<script async src="https://cdn.example/x.js">') == ["https://cdn.example/x.js"]
    assert fetched('<link rel="stylesheet" href="//cdn.example/x.css" />') == ["//cdn.example/x.css"]
    assert fetched("@import url('https://fonts.example/a.css')") == ["https://fonts.example/a.css"]
    assert fetched('<a href="https://kernel.example/">a link</a> <img src="_static/a.png">') == []


def test_the_site_is_there():
    assert (SITE / "index.html").exists(), "run `make book` first"
    assert (SITE / "book" / "index.html").exists()


@pytest.mark.parametrize("kind", ["*.html", "*.css"])
def test_the_site_asks_no_other_host(kind):
    pages = [
        page for page in SITE.rglob(kind) if page.relative_to(SITE).parts[0] != "lite"
    ]  # tests/browser/lite_check.py
    asked = {f"{page.relative_to(SITE)}: {url}" for page in pages for url in fetched(page.read_text())}
    assert not asked, "\n".join(sorted(asked))
