"""The printed book: chapters in the order of the site, links that lead to no file of this machine."""

import os

import pytest

from vfslab.tools import pdf
from vfslab.tools.image import ImageError

INDEX = """<html><title>t</title><h1>Start</h1><nav class="bd-links bd-docs-nav" hidden>
<a class="reference internal" href="#">Start</a> <a class="reference internal" href="02_b.html">B</a>
<a class="reference internal" href="01_a.html">A</a></nav><h1>Start &amp; go<a class="headerlink" href="#x">#</a></h1>
<p><a href="01_a.html#part">the first chapter</a> <a href="https://kernel.example/">elsewhere</a></p></html>"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return a site of three pages, where pdf() looks for it."""
    monkeypatch.setattr(pdf, "PAGES", tmp_path / "book")
    monkeypatch.setattr(pdf, "TARGET", tmp_path / "pdf")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "index.html").write_text(INDEX)
    for name in ("01_a", "02_b"):
        text = f'<h1>Page {name}<a class="headerlink" href="#"></a></h1><div style="break-before: page">end</div>'
        (tmp_path / "book" / f"{name}.html").write_text(text)
    return tmp_path


def test_the_order_is_that_of_the_site():
    assert pdf.reading_order(INDEX) == ["index", "02_b", "01_a"]


def test_no_chromium_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("VFSLAB_CHROMIUM", raising=False)
    with pytest.raises(ImageError, match="^Chromium is not installed, and prints the book; install it"):
        pdf.chromium()
    monkeypatch.setenv("VFSLAB_CHROMIUM", "/no/such/browser")
    with pytest.raises(ImageError, match="^/no/such/browser is not installed"):
        pdf.chromium()


def test_no_site_is_one_line(site, monkeypatch):
    monkeypatch.setattr(pdf, "chromium", lambda: "chromium")
    os.remove(site / "book" / "index.html")
    with pytest.raises(ImageError, match="the site is not built; `make book` builds it"):
        pdf.pdf()


@pytest.mark.slow
@pytest.mark.needs_program("chromium")
def test_pages_are_printed_and_bound_and_their_links_lead_to_no_file_here(site, capsys):
    pypdf = pytest.importorskip("pypdf", reason="needs the Python package pypdf")
    assert pdf.pdf() == 0
    assert capsys.readouterr().out == "3 files and vfslab.pdf, 5 pages, are in _build/pdf\n"
    whole = pypdf.PdfReader(site / "pdf" / "vfslab.pdf")
    assert [entry.title for entry in whole.outline] == ["Start & go", "Page 02_b", "Page 01_a"]
    assert "Page 02_b" in whole.pages[1].extract_text() and "Page 01_a" in whole.pages[3].extract_text()
    single = pypdf.PdfReader(site / "pdf" / "index.pdf")
    assert addresses(single.pages[0]) == {"01_a.pdf", "https://kernel.example/"}
    assert addresses(whole.pages[0]) == {"https://kernel.example/"}
    (inside,) = [each for each in annotations(whole.pages[0]) if "/A" not in each]
    assert inside["/Dest"][0] == 3 or inside["/Dest"][0].get_object() == whole.pages[3].get_object()


def annotations(page):
    return [each.get_object() for each in page.get("/Annots", ())]


def addresses(page):
    """Return the addresses that a page's links lead to."""
    return {str(each["/A"]["/URI"]) for each in annotations(page) if "/A" in each}
