"""The book on paper: Chromium prints each page of the built site, and the pages are bound into one.

    _build/html/book/NAME.html ──Chromium──▶ _build/pdf/NAME.pdf ──▶ _build/pdf/vfslab.pdf, with an outline

The site's style sheet knows paper: it opens what is folded and leaves out what is there to be clicked. A link from one
page of the book to another would lead to a file of this machine; in the single files it leads to the other PDF, in
the bound one to the page.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from vfslab.tools.image import ImageError

TOP = Path(__file__).parents[2]
PAGES = TOP / "_build" / "html" / "book"
TARGET = TOP / "_build" / "pdf"
WHOLE = "vfslab.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
# No question to any other host, and nothing of the person's own settings.
ALONE = (
    "--headless --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync"
)
SECONDS = 120


def pdf() -> int:
    """Print each chapter of the built site, and all of them as one; return 0."""
    browser = chromium()
    if not (PAGES / "index.html").exists():
        raise ImageError(f"{PAGES}: the site is not built; `make book` builds it")
    names = reading_order((PAGES / "index.html").read_text(encoding="utf-8"))
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    for name in names:
        print_page(browser, PAGES / f"{name}.html", TARGET / f"{name}.pdf")
    count = bind(names)
    for name in names:
        lead_to_files(TARGET / f"{name}.pdf", names)
    print(f"{len(names)} files and {WHOLE}, {count} pages, are in _build/pdf")
    return 0


def chromium() -> str:
    """Return the program of a Chromium; VFSLAB_CHROMIUM names another than the one on the PATH."""
    found = os.environ.get("VFSLAB_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None or shutil.which(found) is None:
        raise ImageError(
            f"{found or 'Chromium'} is not installed, and prints the book; "
            "install it (Debian: apt install chromium), or let VFSLAB_CHROMIUM name it"
        )
    return found


def reading_order(index: str) -> list[str]:
    """Return the names of the book's pages as the site's own table of contents has them, its first page first."""
    contents = re.search(r'<nav class="bd-links.*?</nav>', index, re.DOTALL)
    links = re.findall(r'<a class="[^"]*internal" href="([^"]*)"', contents[0] if contents else "")
    names = [link.removesuffix(".html") for link in links if re.fullmatch(r"\w+\.html", link)]
    return list(dict.fromkeys(["index", *names]))


def print_page(browser: str, page: Path, target: Path) -> None:
    """Let Chromium print one page of the site into a file."""
    line = [browser, *ALONE.split(), "--no-pdf-header-footer", f"--print-to-pdf={target}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        line.append("--no-sandbox")  # Chromium refuses root with it
    with tempfile.TemporaryDirectory(prefix="vfslab-pdf-", ignore_cleanup_errors=True) as profile:
        line += [f"--user-data-dir={profile}", page.as_uri()]
        try:
            done = subprocess.run(line, capture_output=True, text=True, errors="replace", timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise ImageError(f"{page}: {browser} did not print it within {SECONDS} seconds") from None
    if not target.exists():
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ImageError(f"{page}: {browser} did not print it: {said[-1]}")


# -- links and binding -----------------------------------------------------------------------------------


def bind(names: list[str]) -> int:
    """Write all chapters as one file with an outline; return how many pages it has."""
    from pypdf import PdfReader, PdfWriter
    from pypdf.annotations import Link
    from pypdf.generic import Fit

    whole, first = PdfWriter(), {}
    for name in names:
        first[name] = len(whole.pages)
        whole.append(PdfReader(TARGET / f"{name}.pdf"), outline_item=title_of(name), import_outline=False)
    for number, page in enumerate(whole.pages):
        links, others = parted(page, names)
        if not links:
            continue
        page.pop("/Annots")
        for annotation in others:
            whole.add_annotation(number, annotation)
        for name, annotation in links:
            link = Link(rect=annotation["/Rect"], target_page_index=first[name], fit=Fit.fit())
            whole.add_annotation(number, link)
    whole.add_metadata({"/Title": "vfslab"})
    whole.write(TARGET / WHOLE)
    return len(whole.pages)


def lead_to_files(file: Path, names: list[str]) -> None:
    """Let the links of one chapter to other pages of the book lead to the PDFs beside it."""
    from pypdf import PdfWriter
    from pypdf.generic import NameObject, TextStringObject

    writer = PdfWriter(clone_from=file)
    for page in writer.pages:
        for name, annotation in parted(page, names)[0]:
            annotation["/A"][NameObject("/URI")] = TextStringObject(f"{name}.pdf")
    writer.write(file)


def parted(page: Any, names: list[str]) -> tuple[list[tuple[str, Any]], list[Any]]:
    """Return a page's annotations as ([(chapter, link to it)], [all others])."""
    links, others = [], []
    for each in page.get("/Annots") or ():
        annotation = each.get_object()
        name = chapter_of((annotation.get("/A") or {}).get("/URI", ""))
        if name in names:
            links.append((name, annotation))
        else:
            others.append(annotation)
    return links, others


def chapter_of(address: str) -> str | None:
    """Return the page of the book that the address of a file names, or None."""
    parts = urlsplit(str(address))
    return Path(unquote(parts.path)).stem if parts.scheme == "file" else None


def title_of(name: str) -> str:
    """Return the heading of a page of the book."""
    text = (PAGES / f"{name}.html").read_text(encoding="utf-8")
    heading = re.search(r"<h1>([^\n]*?)<a class=\"headerlink", text)
    return html.unescape(re.sub(r"<[^>]*>", "", heading[1])).strip() if heading else name
