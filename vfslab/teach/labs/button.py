"""The Check button: the same checks as lab.check(), by mouse or keyboard."""

from __future__ import annotations

from typing import Any

from vfslab.teach.labs.session import NotYet
from vfslab.teach.study import widgets


def button(session: Any, chosen: tuple[str, ...]) -> Any:
    """Return a button that runs checks (none chosen: all shown ones); without widgets, the line that does the same."""
    for name in chosen:
        session.lab.check(name)  # a wrong name is told at once
    w = widgets()
    if w is None:
        return Instead(f"lab.check({chosen[0]!r})" if len(chosen) == 1 else "lab.check()")
    words = "Check " + (", ".join(chosen) if chosen else "all that is done so far")
    press = w.Button(description=words, icon="check", layout=w.Layout(width="auto"), tooltip="Runs on your own machine")
    said = w.Output()

    def run(_: Any) -> None:
        press.disabled = True
        said.clear_output()
        try:
            with said:
                run_checks(session, chosen)
        finally:
            press.disabled = False

    press.on_click(run)
    return w.VBox([press, said])


def run_checks(session: Any, chosen: tuple[str, ...]) -> None:
    """Run checks one after the other; those that do not hold say so, and nothing is raised."""
    if not chosen:
        session.check()
    for name in chosen:
        try:
            session.check(name)
        except NotYet:
            pass  # it has told all there is to say


class Instead:
    """What stands in the button's place where no button can be."""

    def __init__(self, call: str):
        self.call = call

    def __repr__(self) -> str:
        return f"To check: {self.call}"
