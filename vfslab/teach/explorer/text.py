"""A page as text: for a terminal, a screen reader, and for whoever prefers to read."""

from __future__ import annotations

import textwrap

from vfslab.teach.explorer.page import Cells, Dump, Facts, Page, Table, plain

WIDTH = 100
PER_LINE = 16


def to_text(page: Page) -> str:
    """Return a page as text; it ends with a newline."""
    lines = [f"{page.title}    [{page.address}]", "=" * min(len(page.title), WIDTH)]
    for kind, note in page.notes:
        lines += textwrap.wrap(("  " if kind == "info" else "! ") + plain(note), WIDTH, subsequent_indent="  ")
    for part in page.parts:
        lines.append("")
        if part.heading:
            lines.append(part.heading)
        lines += {Facts: fact_lines, Table: table_lines, Cells: cell_lines}[type(part)](part)
    if page.dump is not None:
        lines += ["", *dump_lines(page.dump)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def fact_lines(facts: Facts) -> list[str]:
    """Return labels and values in two columns."""
    wide = min(26, max((len(label) for label, _ in facts.rows), default=0)) + 2
    lines = []
    for label, value in facts.rows:
        words = textwrap.wrap(plain(value), max(30, WIDTH - wide - 2)) or [""]
        lines.append(f"  {label:<{wide}}{words[0]}")
        lines += [" " * (wide + 2) + more for more in words[1:]]
    return lines


def table_lines(table: Table) -> list[str]:
    """Return a table in columns."""
    rows = [table.columns, *([plain(cell) for cell in row] for row in table.rows)]
    wide = [min(60, max(len(row[column]) for row in rows)) for column in range(len(table.columns))]
    lines = ["  " + "  ".join(cell.ljust(wide[column]) for column, cell in enumerate(row)) for row in rows]
    note = plain(table.note)
    return lines + (["  " + note] if note.strip() else [])


def cell_lines(cells: Cells) -> list[str]:
    """Return a map as rows of letters, and what they mean; rows that repeat are left out, as in a hexdump."""
    unit = f"{cells.per_cell} {cells.unit}s" if cells.per_cell > 1 else f"one {cells.unit}"
    lines = [f"  one letter is {unit}: " + ", ".join(f"{letter} {name}" for letter, name in cells.names.items())]
    wide, last, skipped = len(str(cells.last)), "", False
    for start in range(0, len(cells.letters), cells.columns):
        row = cells.letters[start : start + cells.columns]
        if row == last:
            if not skipped:
                lines.append("  *")
            skipped = True
            continue
        last, skipped = row, False
        lines.append(f"  {cells.first + start * cells.per_cell:>{wide}}  {row}")
    return lines + ([f"  {cells.note}"] if cells.note else [])


def dump_lines(dump: Dump) -> list[str]:
    """Return the bytes beside the names of their fields, as `vfslab hexdump` writes them; bytes of no field in rows."""
    lines = [f"Bytes {dump.base:#x} to {dump.base + len(dump.data) - 1:#x}"]
    covered, group = 0, ""
    for span in dump.spans:
        if span.offset > covered:
            lines += raw_lines(dump, covered, span.offset)
        if span.group != group:
            group = span.group
            lines.append(f"{'':10}  {group}")
        shown = dump.data[span.offset : span.offset + span.size]
        text = shown[:PER_LINE].hex(" ") + (f" .. {span.size} bytes" if span.size > PER_LINE else "")
        mark = "  <--" if span.offset <= dump.marked < span.offset + span.size else ""
        lines.append(f"{dump.base + span.offset:#010x}  {text:<47}  {span.name:<24} {span.shown}{mark}")
        covered = max(covered, span.offset + span.size)
    return lines + raw_lines(dump, covered, len(dump.data))


def raw_lines(dump: Dump, start: int, end: int) -> list[str]:
    """Return bytes without a name, equal rows as one line."""
    lines: list[str] = []
    last, skipped = b"", False
    for at in range(start, end, PER_LINE):
        row = dump.data[at : min(at + PER_LINE, end)]
        marked = start <= dump.marked < end and at <= dump.marked < at + PER_LINE
        if row == last and at + PER_LINE < end and not marked:
            lines += [] if skipped else ["*"]
            skipped = True
            continue
        last, skipped = row, False
        ascii_text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{dump.base + at:#010x}  {row.hex(' '):<47}  {ascii_text}{'  <--' if marked else ''}")
    return lines
