"""Progress bars on stderr, where tqdm is installed and somebody is looking."""

from __future__ import annotations

import sys
from typing import Any


class Bars:
    """One bar after the other, if wanted; without tqdm there is none."""

    def __init__(self, wanted: bool):
        self.what, self.bar, self.tqdm = "", None, None
        if wanted:
            try:
                from tqdm import tqdm

                self.tqdm = tqdm
            except ImportError:
                pass

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    def advance(self, what: str, amount: int) -> None:
        """Move the bar of what is counted."""
        if self.tqdm is None:
            return
        if what != self.what:
            self.close()
            self.what, self.bar = what, self.tqdm(unit=" " + what, unit_scale=True, file=sys.stderr, leave=False)
        self.bar.update(amount)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
