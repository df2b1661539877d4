"""The explorer itself: one object with three faces. Live in a notebook, sections without a script in a book, text.

view = explore("disk.img")      in a notebook: the overview, the page, the bytes
view.go("inode 2")              from Python; a click does the same
print(view.text("block 35"))    any page as text
"""

from __future__ import annotations

import zlib
from html import escape
from typing import Any

from vfslab.teach.explorer.blockmap import block_cells
from vfslab.teach.explorer.explored import Explored
from vfslab.teach.explorer.html import SMALL, Links, Live, Static, cells_html, dump_html, facts_html, to_html
from vfslab.teach.explorer.page import Cells, Facts, Page
from vfslab.teach.explorer.pages_image import MOST_OWNED, SHORTLY, summary
from vfslab.teach.explorer.text import to_text
from vfslab.tools.image import ImageError
from vfslab.user.text import printable
from vfslab.viz.widget import Face, _file

MOST_STATIC = 24
MOST_VISITED = 200


class Explorer(Face):
    """An explorer of one image. image: the questions one can ask about it; address: of the page that is shown."""

    script = "explorer.js"
    styles = ("vfslab.css", "explorer.css")

    def __init__(self, image: Explored, at: str = "super", pages: list[str] | None = None):
        self.image, self.address = image, at
        self.pages = list(pages or [])
        self.visited: list[str] = []
        self._ident = f"e{id(self):x}"  # patterns of two explorers on one page must not mix
        self._drawn: tuple[Any, dict[str, Any]] | None = None

    # --- from Python ----------------------------------------------------------------------------

    def page(self, address: str | None = None) -> Page:
        """Return a page as data; without an address the one that is shown."""
        page = self.image.page(self.address if address is None else address)
        if page.address not in self.visited[-MOST_VISITED:]:
            self.visited.append(page.address)
        return page

    def text(self, address: str | None = None) -> str:
        """Return a page as text."""
        return to_text(self.page(address))

    def go(self, address: str) -> Explorer:
        """Show another page, in all live views too."""
        self.address = self.page(address).address
        self.push(go=self.address)
        return self

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Explorer of {printable(self.image.name)} at {self.address!r}>"

    # --- live -----------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        return f"Explorer of {printable(self.image.name)}"

    def payload(self) -> dict[str, Any]:
        return {"overview": self.overview(), "page": self.live_page(self.address), "pages": self.pages}

    def answer(self, what: str, **values: Any) -> Any:
        if what == "page":
            return self.live_page(str(values.get("address", "")))
        return super().answer(what, **values)

    def live_page(self, address: str) -> dict[str, Any]:
        """Return a page as the script wants it; the overview with it if the image has changed."""
        page = self.page(address)
        self.address = page.address
        text = to_text(page)
        page.parts = [part for part in page.parts if part.heading != SHORTLY]  # it stands at the side
        told = {
            "address": page.address,
            "title": page.title,
            "html": to_html(page, Live(), self._ident),
            "dump": dump_html(page.dump, Live()) if page.dump else "",
            "marks": page.marks[:512],
            "cells": {
                f"{self._ident}c{n}": cells_json(part) for n, part in enumerate(page.parts) if isinstance(part, Cells)
            },
            "text": text,
        }
        if self._drawn is not None and self._drawn[0] is not self.image.disk:
            told["overview"] = self.overview()
        return told

    def overview(self) -> dict[str, Any]:
        """Return what stands at the side: the image in short, the map of all blocks with its legend."""
        image = self.image
        if self._drawn is not None and self._drawn[0] is image.disk:
            return self._drawn[1]
        if image.disk is None:
            told = {"html": f"<p>{escape(printable(image.name))}: no superblock.</p>", "cells": None}
        else:
            facts, cells = Facts(""), self.cells()
            summary(image, facts)
            told = {
                "html": facts_html(facts, Live()) + cells_html(cells, self._ident + "o", SMALL),
                "cells": cells_json(cells),
            }
        self._drawn = (image.disk, told)
        return told

    def cells(self) -> Cells:
        """Return the map of all blocks; owners are looked up first where the image is small."""
        image = self.image
        last = image.disk.end - 1
        try:
            image.owners.within(0, last if image.owners.small else min(last, MOST_OWNED))
        except ImageError:
            pass  # the map shows what is known without them
        return block_cells(image, 0, last, "")

    # --- static -----------------------------------------------------------------------------------

    def static_html(self) -> str:
        """Return the pages given, or those visited so far and the one shown, as sections without a script."""
        wanted = dict.fromkeys(self.pages or [*self.visited[-MOST_STATIC + 1 :], self.address])
        pages = [self.image.page(address) for address in list(wanted)[:MOST_STATIC]]
        prefix = f"vx{zlib.crc32(repr((self.image.name, *wanted)).encode()):08x}-"
        ids = {page.address: f"{prefix}{number}" for number, page in enumerate(pages)}
        ids |= {address: ids[page.address] for address, page in zip(wanted, pages, strict=False)}
        links = Static(ids)
        listed = "".join(f'<li><a href="#{ids[page.address]}">{escape(page.title)}</a></li>' for page in pages)
        nav = f'<nav aria-label="Pages of the explorer"><ol>{listed}</ol></nav>' if len(pages) > 1 else ""
        sections = "".join(section(page, links, ids[page.address]) for page in pages)
        label = escape(self.label)
        return f'<style>{_file("explorer.css")}</style><div class="vx vx-static" role="region" aria-label="{label}">{nav}{sections}</div>'


def section(page: Page, links: Links, ident: str) -> str:
    """Return one page as a section."""
    dump = f"<details><summary>Its bytes</summary>{dump_html(page.dump, links)}</details>" if page.dump else ""
    return f'<section id="{ident}"><h3>{escape(page.title)}</h3>{to_html(page, links, ident)}{dump}</section>'


def cells_json(cells: Cells) -> dict[str, Any]:
    """Return what the script needs to know of a map."""
    return {
        "unit": cells.unit,
        "first": cells.first,
        "last": cells.last,
        "per": cells.per_cell,
        "columns": cells.columns,
        "letters": cells.letters,
        "fill": cells.fill,
        "names": cells.names,
    }
