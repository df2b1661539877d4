"""A page as HTML: the same for the live view, where a click asks for the next page, and for the static one.

    to_html(page, Live())          links carry data-address; explorer.js follows them
    to_html(page, Static(ids))     links go to the sections that are there; others are words

Everything that comes from the image is escaped. Colours are classes; explorer.css says what they look like.
"""

from __future__ import annotations

from html import escape

from vfslab.teach.explorer.page import Cells, Dump, Facts, Link, Page, Rich, Span, Table, pieces
from vfslab.teach.explorer.places import KINDS

PER_LINE = 16
SMALL, MIDDLE, LARGE = 6, 8, 17  # pixels of a cell
MOST_LETTERED = 1024
# letter of a kind: pattern drawn over its colour, so that colour alone never tells
PATTERNS = {"S": "cross", "G": "up", "R": "dots", "B": "lines", "I": "bars", "T": "down", "J": "grid", "D": "arcs", "L": "dots",
            "N": "up", "X": "bars", "O": "dots", "u": "down", "?": "cross", "0": "lines"}  # fmt: skip
SHAPES = {
    "up": '<path d="M-1 5L5-1M-1 1L1-1M3 5L5 3"/>',
    "down": '<path d="M-1-1L5 5M3-1L5 1M-1 3L1 5"/>',
    "cross": '<path d="M-1 5L5-1M-1-1L5 5"/>',
    "grid": '<path d="M0 2H4M2 0V4"/>',
    "lines": '<path d="M0 2H4"/>',
    "bars": '<path d="M2 0V4"/>',
    "arcs": '<path d="M0 3a2 2 0 0 1 4 0"/>',
    "dots": '<circle cx="2" cy="2" r=".9"/>',
}


class Live:
    """Links of the live view."""

    def link(self, link: Link) -> str:
        """Return a link that the script follows."""
        return f'<a href="#" data-address="{escape(link.address)}">{escape(link.text)}</a>'


class Static:
    """Links of the static view. ids: {address: id of its section}."""

    def __init__(self, ids: dict[str, str]):
        self.ids = ids

    def link(self, link: Link) -> str:
        """Return a link to a section, or words if it is not there."""
        found = self.ids.get(link.address)
        return f'<a href="#{found}">{escape(link.text)}</a>' if found else escape(link.text)


Links = Live | Static


def to_html(page: Page, links: Links, ident: str) -> str:
    """Return the notes and parts of a page; ident makes the ids in it unique."""
    out = []
    for kind, note in page.notes:
        sign = '<b class="vx-sign">Damage:</b> ' if kind == "bad" else ""  # colour alone would not tell
        out.append(f'<p class="vx-{kind}">{sign}{rich(note, links)}</p>')
    for number, part in enumerate(page.parts):
        if part.heading:
            out.append(f"<h4>{escape(part.heading)}</h4>")
        if isinstance(part, Facts):
            out.append(facts_html(part, links))
        elif isinstance(part, Table):
            out.append(table_html(part, links))
        else:
            out.append(cells_html(part, f"{ident}c{number}"))
    return "".join(out)


def rich(value: Rich, links: Links) -> str:
    """Return words with their links."""
    return "".join(links.link(piece) if isinstance(piece, Link) else escape(piece) for piece in pieces(value))


def facts_html(facts: Facts, links: Links) -> str:
    """Return labels and values."""
    rows = "".join(f"<dt>{escape(label)}</dt><dd>{rich(value, links)}</dd>" for label, value in facts.rows)
    return f'<dl class="vx-facts">{rows}</dl>'


def table_html(table: Table, links: Links) -> str:
    """Return a table, its note behind it."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    body = "".join("<tr>" + "".join(f"<td>{rich(cell, links)}</td>" for cell in row) + "</tr>" for row in table.rows)
    note = rich(table.note, links)
    empty = "" if table.rows else '<p class="vx-note">none</p>'
    shown = f'<div class="vx-scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return (shown if table.rows else empty) + (f'<p class="vx-note">{note}</p>' if note.strip() else "")


# --- maps ----------------------------------------------------------------------------------------------


def cells_html(cells: Cells, ident: str, size: int = 0) -> str:
    """Return a map as SVG, the legend below it, and what one cell stands for."""
    size = size or (LARGE if len(cells.letters) <= MOST_LETTERED and cells.columns <= 32 else MIDDLE)
    each = f"{cells.per_cell} {cells.unit}s" if cells.per_cell > 1 else f"one {cells.unit}"
    note = f" {escape(cells.note)}." if cells.note else ""
    return (
        f'<div class="vx-map" data-cells="{ident}">{cells_svg(cells, ident, size)}'
        f'<p class="vx-told">Each cell is {each}.{note}</p>{legend(cells, ident)}</div>'
    )


def legend(cells: Cells, ident: str) -> str:
    """Return the legend: colour, pattern and letter of each kind that occurs."""
    items = []
    for letter, name in cells.names.items():
        items.append(
            f'<li><svg width="18" height="18" aria-hidden="true"><rect width="18" height="18" {fill(ident, letter)}/>'
            f'<text x="9" y="13.5" class="vx-l{code(letter)}">{escape(letter)}</text></svg> {escape(name)}</li>'
        )
    return f'<ul class="vx-legend">{"".join(items)}</ul>'


def code(letter: str) -> str:
    """Return a letter as it may stand in a class name."""
    return {".": "free", "?": "unknown"}.get(letter, letter)


def cells_svg(cells: Cells, ident: str, size: int) -> str:
    """Return the picture: a path for each kind, its pattern over it, letters in cells that are large enough."""
    rows = -(-len(cells.letters) // cells.columns)
    wide, high = cells.columns * size, rows * size
    kinds = list(dict.fromkeys(cells.letters))
    defs = "".join(pattern(ident, letter) for letter in kinds if letter in PATTERNS)
    body = [f'<path {fill(ident, letter)} d="{outline(cells, letter, size)}"/>' for letter in kinds]
    if size >= 14:
        body += [
            f'<text class="vx-l{code(letter)}" x="{place % cells.columns * size + size // 2}" '
            f'y="{place // cells.columns * size + size - 4}">{escape(letter)}</text>'
            for place, letter in enumerate(cells.letters)
            if letter != "."
        ]
    counts = ", ".join(f"{cells.letters.count(letter)} {name}" for letter, name in cells.names.items())
    label = f"Map of {cells.unit}s {cells.first} to {cells.last}, {cells.per_cell} to a cell; cells: {counts}"
    return (
        f'<svg class="vx-cells" role="img" aria-label="{escape(label)}" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" '
        f'data-size="{size}"><defs>{defs}</defs>{"".join(body)}<rect class="vx-frame" x=".5" y=".5" width="{wide - 1}" '
        f'height="{high - 1}"/><g class="vx-over"></g></svg>'
    )


def pattern(ident: str, letter: str) -> str:
    """Return the colour and the pattern of a kind, to fill shapes with."""
    return (
        f'<pattern id="{ident}{code(letter)}" width="4" height="4" patternUnits="userSpaceOnUse" class="vx-pattern">'
        f'<rect width="4" height="4" class="vx-k{code(letter)}"/>{SHAPES[PATTERNS[letter]]}</pattern>'
    )


def fill(ident: str, letter: str) -> str:
    """Return the attribute that fills a shape of one kind."""
    return f'fill="url(#{ident}{code(letter)})"' if letter in PATTERNS else f'class="vx-k{code(letter)}"'


def outline(cells: Cells, letter: str, size: int) -> str:
    """Return a path around all cells of one letter, run by run."""
    gap = 1 if size >= 14 else 0
    out = []
    for row in range(0, len(cells.letters), cells.columns):
        line, place = cells.letters[row : row + cells.columns], 0
        while (place := line.find(letter, place)) >= 0:
            end = place
            while end < len(line) and line[end] == letter:
                end += 1
            step = [(place, end)] if not gap else [(one, one + 1) for one in range(place, end)]
            for low, high in step:
                wide = (high - low) * size - gap
                out.append(f"M{low * size} {row // cells.columns * size}h{wide}v{size - gap}h-{wide}z")
            place = end
    return "".join(out)


# --- bytes ---------------------------------------------------------------------------------------------


def dump_html(dump: Dump, links: Links) -> str:
    """Return the bytes, coloured by field, beside the table of the fields."""
    last = dump.base + len(dump.data) - 1
    ways = [links.link(Link(text, to)) for text, to in (("before", dump.before), ("after", dump.after)) if to]
    head = f"Bytes {dump.base:#x} to {last:#x}" + (f" ({', '.join(ways)})" if ways else "")
    body = f'<div class="vx-hex" tabindex="0" role="group" aria-label="Bytes in hexadecimal">{hex_lines(dump)}</div>'
    if dump.spans:
        body += f'<div class="vx-fields">{field_table(dump, links)}</div>'
    return f'<h4>{head}</h4><div class="vx-dump">{body}</div>'


def hex_lines(dump: Dump) -> str:
    """Return the lines of the hexdump; equal lines without a field boundary are left out after the first."""
    owner = owners(dump)
    out, last, skipped = [], None, False
    for at in range(0, len(dump.data), PER_LINE):
        row, whose = dump.data[at : at + PER_LINE], owner[at : at + PER_LINE]
        same = (row, whose)
        if (
            same == last
            and len(set(whose)) == 1
            and at + PER_LINE < len(dump.data)
            and not at <= dump.marked < at + PER_LINE
        ):
            out += [] if skipped else ["<div>*</div>"]
            skipped = True
            continue
        last, skipped = same, False
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        out.append(f"<div><i>{dump.base + at:08x}</i>{hex_row(dump, at, row, whose)}<u>{escape(text)}</u></div>")
    return "".join(out)


def owners(dump: Dump) -> list[int]:
    """Return for each byte the number of its field, -1 for none; a field inside another one wins."""
    owner = [-1] * len(dump.data)
    for number, span in enumerate(dump.spans):
        end = min(span.offset + span.size, len(owner))
        owner[span.offset : end] = [number] * max(0, end - span.offset)
    return owner


def hex_row(dump: Dump, at: int, row: bytes, whose: list[int]) -> str:
    """Return one line of bytes, in pieces by field."""
    out, place = [], 0
    while place < len(row):
        end = place
        while end < len(row) and whose[end] == whose[place]:
            end += 1
        text = row[place:end].hex(" ")
        number = whose[place]
        if at + place <= dump.marked < at + end:
            one = 3 * (dump.marked - at - place)
            text = f"{text[:one]}<mark>{text[one : one + 2]}</mark>{text[one + 2 :]}"
        out.append(f'<s class="c{number % 2}" data-f="{number}">{text}</s>' if number >= 0 else f"<s>{text}</s>")
        place = end
    pad = "   " * (PER_LINE - len(row))
    return f"<b>{' '.join(out)}{pad}</b>"


def field_table(dump: Dump, links: Links) -> str:
    """Return the table of the fields, with a line above each structure."""
    rows, group = [], None
    for number, span in enumerate(dump.spans):
        if span.group != group:
            group = span.group
            rows.append(f'<tr class="vx-group"><th colspan="4" scope="colgroup">{escape(group)}</th></tr>')
        rows.append(field_row(dump, number, span, links))
    head = "".join(f'<th scope="col">{name}</th>' for name in ("byte", "field", "value", "meaning"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def field_row(dump: Dump, number: int, span: Span, links: Links) -> str:
    """Return the line of one field."""
    value = links.link(Link(span.shown or "-", span.address)) if span.address else escape(span.shown)
    mark = ' class="vx-marked"' if span.offset <= dump.marked < span.offset + span.size else ""
    return (
        f'<tr data-f="{number}" tabindex="-1"{mark}><td>{dump.base + span.offset:#x}</td><td>{escape(span.name)}</td>'
        f"<td>{value}</td><td>{escape(span.doc)}</td></tr>"
    )


def known_letters() -> str:
    """Return all letters that maps may have, for the style sheet's test."""
    return "".join(letter for letter, _ in KINDS.values())
