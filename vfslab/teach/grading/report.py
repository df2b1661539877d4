"""The rows as files: a CSV for the grade book, pages for the discussion with a student.

Names of files, errors and observations come from submissions, so nothing of them is trusted: control
characters become escapes, HTML is escaped and the pages allow no scripts, and a CSV cell that a spreadsheet
would take for a formula gets a quote before it.
"""

from __future__ import annotations

import csv
import datetime
import html
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vfslab.teach.grading.run import Row
from vfslab.teach.labs.model import Lab

FORMULA = re.compile(r"^[\s'\"]*[=+\-@|%]|^[\t\r\n]")
TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")


def plain(text: str, lines: bool = False) -> str:
    """Return text without terminal commands; other control characters as escapes, line ends too unless lines."""
    kept = TERMINAL.sub("", text)
    shown = (each if each.isprintable() or (lines and each == "\n") else escaped(each) for each in kept)
    return "".join(shown)


def escaped(char: str) -> str:
    """Return the escape of a character that cannot be shown."""
    return {"\n": " ", "\t": " "}.get(char, f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}")


def cell(value: Any) -> Any:
    """Return a value for a CSV: numbers as they are, text so that no program takes it for a formula."""
    if not isinstance(value, str):
        return value
    text = plain(value)
    return "'" + text if FORMULA.match(text) else text


def write_csv(path: Path, rows: list[Row], lab: Lab) -> None:
    """Write one line for each submission: points, reason, and the points of each check."""
    checks = list(lab.checks)
    with open(path, "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["submission", "status", "points", "of", "reason", "seconds", *checks])
        for row in rows:
            points = {each.check: each.points for each in row.outcomes}
            fixed = [row.submission, row.status, row.points, lab.points, row.reason, row.seconds]
            out.writerow([cell(value) for value in [*fixed, *(points.get(name, 0) for name in checks)]])


GRADEBOOK = "assignment duedate timestamp student_id last_name first_name email raw_score late_submission_penalty score max_score"


def write_gradebook(path: Path, rows: list[Row], lab: Lab) -> None:
    """Write the CSV that `nbgrader export` writes, so that what reads the one reads the other."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, GRADEBOOK.split(), restval="")
        out.writeheader()
        for row in rows:
            scores = {"raw_score": row.points, "score": row.points, "max_score": lab.points}
            told = {
                "assignment": lab.name,
                "student_id": cell(student(row.submission, lab)),
                "late_submission_penalty": 0.0,
            }
            out.writerow(told | scores)


def student(submission: str, lab: Lab) -> str:
    """Return whose a submission is: nbgrader keeps STUDENT/ASSIGNMENT/NAME.ipynb, others name the file."""
    parts = Path(submission).parts
    return parts[-3] if len(parts) >= 3 and parts[-2] == lab.name else Path(submission).stem


# --- pages ------------------------------------------------------------------------------------------------

HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><title>{title}</title><style>
body {{ font: 1em/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #111; background: #fff }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ border-bottom: 1px solid #bbb; padding: .3em .6em; text-align: left; vertical-align: top; overflow-wrap: break-word }}
th, .short {{ white-space: nowrap }} td.long {{ overflow-wrap: anywhere; min-width: 12em }}
.number {{ text-align: right; white-space: nowrap }} .held {{ color: #00563b }} .not {{ color: #8a1c00 }}
pre {{ background: #f3f3f3; padding: .6em; white-space: pre-wrap; overflow-wrap: anywhere }}
</style></head><body>
"""


def write_html(folder: Path, rows: list[Row], lab: Lab, seeds: dict[str, int] | None = None) -> Path:
    """Write index.html and a page for each submission; return the index."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows, 1):
        (folder / page(number)).write_text("".join(submission_page(row, lab, seeds or {})), encoding="utf-8")
    index = folder / "index.html"
    index.write_text("".join(index_page(rows, lab)), encoding="utf-8")
    return index


def page(number: int) -> str:
    return f"submission-{number:04}.html"


def safe(value: Any, lines: bool = False) -> str:
    """Return a value as text of a page."""
    return html.escape(plain(str(value), lines))


def index_page(rows: list[Row], lab: Lab) -> Iterable[str]:
    """Yield the page with all submissions, and how often each check held."""
    when = datetime.datetime.now().strftime("%Y-%m-%d %H:%M")
    yield HEAD.format(title=safe(f"{lab.name}: report"))
    yield f"<h1>{safe(lab.title)}</h1><p>{len(rows)} submissions, {lab.points} points, {when}.</p>"
    yield '<table><thead><tr><th scope="col">Submission<th scope="col">Status<th scope="col" class="number">Points'
    yield '<th scope="col">Reason<th scope="col" class="number">Seconds</tr></thead><tbody>'
    for number, row in enumerate(rows, 1):
        yield f'<tr><td class="long"><a href="{page(number)}">{safe(row.submission)}</a><td class="short">{safe(row.status)}'
        yield f'<td class="number">{row.points:g} of {lab.points:g}<td class="long">{safe(row.reason)}<td class="number">{row.seconds:.1f}</tr>'
    yield '</tbody></table><h2>Checks</h2><table><thead><tr><th scope="col">Check<th scope="col">What holds'
    yield '<th scope="col" class="number">Points<th scope="col" class="number">Held</tr></thead><tbody>'
    for check in lab.checks.values():
        held = sum(each.held for row in rows for each in row.outcomes if each.check == check.name)
        hidden = " (hidden)" if check.hidden else ""
        yield f"<tr><td>{safe(check.name)}{hidden}<td>{safe(check.says)}"
        yield f'<td class="number">{check.points:g}<td class="number">{held} of {len(rows)}</tr>'
    yield "</tbody></table></body></html>\n"


def submission_page(row: Row, lab: Lab, seeds: dict[str, int]) -> Iterable[str]:
    """Yield the page of one submission: each check, its points, and why."""
    yield HEAD.format(title=safe(f"{lab.name}: {row.submission}"))
    yield f'<p><a href="index.html">All submissions</a></p><h1>{safe(row.submission)}</h1>'
    yield f"<p>{row.points:g} of {lab.points:g} points. {safe(row.status)}{': ' if row.reason else '.'}{safe(row.reason)}</p>"
    yield '<table><thead><tr><th scope="col">Check<th scope="col">What should hold<th scope="col">Result'
    yield '<th scope="col" class="number">Points<th scope="col">Why, and how to see it again</tr></thead><tbody>'
    for each in row.outcomes:
        check = lab.check(each.check)
        result = '<td class="short held">holds' if each.held else '<td class="short not">does not hold'
        yield f"<tr><td>{safe(each.check)}<td>{safe(check.says)}{result}"
        yield f'<td class="number">{each.points:g} of {each.most:g}<td class="long">{safe(each.reason)}'
        if not each.held:
            yield f" <br>Hint: {safe(check.hint)}"
            if each.check in seeds:
                yield f" <br><code>lab.check({safe(repr(each.check))}, seed={seeds[each.check]})</code>"
        yield "</tr>"
    yield "</tbody></table>"
    for told in row.cells:
        yield f"<h2>The cell {safe(told['cell'])} ended in an error</h2><pre>{safe(told['error'], lines=True)}</pre>"
    yield "</body></html>\n"
