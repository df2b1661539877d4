"""Predict, then look: a guess is written down before the answer can be seen.

    predict("requests", 1)              in one cell
    reveal("requests", len(found))      in a later one: tells both, and whether they agree

Research on program pictures says why: who only watches learns little, who commits to a guess learns.
The guesses lie in the notebook's own namespace object, not in the package.
"""

from __future__ import annotations

from typing import Any


class Predictions:
    """The guesses of one reader in one notebook."""

    def __init__(self) -> None:
        self.guesses: dict[str, Any] = {}

    def predict(self, name: str, guess: Any) -> None:
        """Write a guess down; None (as the notebook comes) means that it is still to be made."""
        self.guesses[name] = guess
        if guess is None:
            print(f"Your guess for {name!r} is still to be made: put it in place of None and run the cell again.")
        else:
            print(f"Noted: {guess!r}. Now run the next cells.")

    def reveal(self, name: str, truth: Any) -> None:
        """Tell the truth, beside the guess."""
        guess = self.guesses.get(name)
        if guess is None:
            print(f"It is {truth!r}. (No guess was made: next time, guess first.)")
        elif guess == truth:
            print(f"It is {truth!r}, as you said.")
        else:
            print(f"It is {truth!r}; you said {guess!r}. Find out why before you read on.")
