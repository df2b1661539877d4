"""Predict, then look: a guess is written down before the answer can be seen.

    me = Predictions()
    me.predict("requests")                 one cell: asks for the guess; or me.predict("requests", 1)
    with me.after("requests"):             the cell that runs: it always runs, but what it
        print(experiment())                prints stays hidden until there is a guess
    me.reveal("requests", truth)           tells the truth beside the guess
    me.skip("requests")                    looks without a guess (after and reveal take skip=True, too)

Research on program pictures says why: who only watches learns little, who commits to a guess learns.
The lock is a soft one: it hides, it never stops the notebook. Nobody is asked where nobody reads along:
in the pages of the book (VFSLAB_STATIC=1) and when a test runs the notebook.

The guesses lie in the notebook's own object, not in the package.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from typing import Any


def automatic() -> bool:
    """True if no reader sits in front of this notebook: the book is built, or pytest runs it."""
    return bool(os.environ.get("VFSLAB_STATIC") or os.environ.get("PYTEST_VERSION"))


def as_value(text: str) -> Any:
    """Return what a reader typed: a number, a list ... as Python spells it, or else the text itself."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()


class Predictions:
    """The guesses of one reader in one notebook."""

    def __init__(self) -> None:
        self.guesses: dict[str, Any] = {}
        self.skipped: set[str] = set()

    def predict(self, name: str, guess: Any = None, choices: Sequence[Any] = ()) -> None:
        """Write a guess down; without one, ask for it, with a field or with choices where there is a front end."""
        if guess is not None:
            self.note(name, guess)
            return
        from vfslab.teach.study import ask

        if automatic() or not ask(name, choices, lambda typed: self.note(name, typed), self.guesses.get(name)):
            options = f" One of: {', '.join(map(str, choices))}." if choices else ""
            print(f"Your guess: {name}?{options}")
            if not automatic():
                print("Write it behind the name, me.predict(name, guess), and run the cell again.")

    def note(self, name: str, guess: Any) -> None:
        """Keep a guess and say so."""
        self.guesses[name] = as_value(guess) if isinstance(guess, str) else guess
        print(f"Noted: {self.guesses[name]!r}. Now run the next cells.")

    def skip(self, name: str) -> None:
        """Let the answer be seen without a guess."""
        self.skipped.add(name)

    def open(self, name: str) -> bool:
        """True if the answer may be seen: there is a guess, it was skipped, or nobody reads along."""
        return automatic() or name in self.skipped or self.guesses.get(name) is not None

    @contextlib.contextmanager
    def after(self, name: str, skip: bool = False) -> Iterator[None]:
        """Run the body; what it prints and displays is shown only if the answer may be seen."""
        if skip or self.open(name):
            yield
            return
        with hidden():
            yield
        locked(name)

    def reveal(self, name: str, truth: Any, skip: bool = False) -> None:
        """Tell the truth, beside the guess; or that a guess is still to be made."""
        guess = self.guesses.get(name)
        if guess is None:
            if skip or self.open(name):
                print(f"It is {truth!r}. (No guess was made.)")
            else:
                locked(name)
        elif guess == truth or str(guess).casefold() == str(truth).casefold():
            print(f"It is {truth!r}, as you said.")
        else:
            print(f"It is {truth!r}; you said {guess!r}. Find out why before you read on.")


def locked(name: str) -> None:
    """Say that something is hidden, and both ways to see it."""
    print(f"First guess: {name}? The cell above takes it; then run this one again. (Or: me.skip({name!r}))")


def hidden() -> Any:
    """Return a context in which nothing that is printed or displayed is seen; errors are."""
    try:
        from IPython.core.getipython import get_ipython
        from IPython.utils.capture import capture_output
    except ImportError:
        return contextlib.redirect_stdout(io.StringIO())
    return capture_output(stderr=False) if get_ipython() else contextlib.redirect_stdout(io.StringIO())
