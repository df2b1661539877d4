"""How far a learner has come: one small file that is the learner's own.

It lies in $VFSLAB_PROGRESS, else in $XDG_DATA_HOME/vfslab/progress.json, else in
~/.local/share/vfslab/progress.json. It says which checks have held, and when for the first time. Nothing
reads it but the lines that are shown to its owner: it is no record for anybody else. Deleting it does no harm.

    {"labs": {"path_walk": {"plain_names": {"tries": 3, "held": "2026-03-01T10:12:00"}}}}

Nothing is written where nobody reads along (a test runs the notebook), or where the file cannot be.
"""

from __future__ import annotations

import datetime
import html
import json
import os
from pathlib import Path
from typing import Any

from vfslab.teach.labs.model import Lab, load
from vfslab.teach.predict import automatic


def where() -> Path:
    """Return the place of the learner's file."""
    if os.environ.get("VFSLAB_PROGRESS"):
        return Path(os.environ["VFSLAB_PROGRESS"])
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return Path(data) / "vfslab" / "progress.json"


def nobody() -> bool:
    """True if no learner sits in front of this: the book is built, or a test runs the notebook."""
    return automatic() and not os.environ.get("VFSLAB_PROGRESS")


def kept() -> str:
    """Return where the file is, for its owner."""
    place = "a file of your own" if nobody() else str(where()).replace(os.path.expanduser("~"), "~", 1)
    return f"Kept in {place}; nobody else reads it."


def read() -> dict[str, dict[str, dict[str, Any]]]:
    """Return {lab: {check: {"tries": 3, "held": when}}}; empty if there is no file, or none that can be read."""
    try:
        found = json.loads(where().read_text(encoding="utf-8"))["labs"]
        return {
            lab: {check: done for check, done in checks.items() if isinstance(done, dict)}
            for lab, checks in found.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def note(lab: str, check: str, held: bool) -> None:
    """Write down that a check was tried, and when it held for the first time."""
    if nobody():
        return
    labs = read()
    done = labs.setdefault(lab, {}).setdefault(check, {})
    tries = done.get("tries")
    done["tries"] = (tries if isinstance(tries, int) else 0) + 1
    if held and "held" not in done:
        done["held"] = datetime.datetime.now().isoformat(timespec="seconds")
    path = where()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.{os.getpid()}")
        new.write_text(json.dumps({"labs": labs}, indent=1), encoding="utf-8")
        new.replace(path)  # whoever reads meanwhile sees the old file or the new one
    except OSError:
        pass  # progress is a convenience: a check must not fail because of it


class Progress:
    """Which checks have held, as a notebook shows it; print() gives the text."""

    def __init__(self, names: list[str]):
        self.labs = [load(name) for name in names]
        self.done = {} if nobody() else read()

    def held(self, lab: Lab, check: str) -> bool:
        return "held" in self.done.get(lab.name, {}).get(check, {})

    def rows(self) -> list[tuple[str, str, str]]:
        """Return (lab, step, what) of each step: "3 of 4 shown checks", or "done"."""
        rows = []
        for lab in self.labs:
            for step in lab.steps:
                shown = [check.name for check in step.checks if not check.hidden]
                count = sum(self.held(lab, name) for name in shown)
                what = "done" if count == len(shown) else f"{count} of {len(shown)} shown checks have held"
                rows.append((lab.title, f"{step.number}. {step.title}", what if count else "not begun"))
        return rows

    def __str__(self) -> str:
        lines, before = [], None
        for lab, step, what in self.rows():
            if lab != before:
                lines.append(lab)
            before = lab
            lines.append(f"  {step:<40} {what}")
        return "\n".join([*lines, kept()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f'<td style="text-align: left">{html.escape(cell)}</td>' for cell in row) + "</tr>"
            for row in self.rows()
        )
        head = "".join(f'<th scope="col" style="text-align: left">{each}</th>' for each in ("Lab", "Step", "So far"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><p>{html.escape(kept())}</p>"
