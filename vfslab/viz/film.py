"""A film: pictures of one thing at several moments, to be stepped through.

    Timeline (timeline.py)   a run of the kernel, with its calls
    Album                    any graphs, each with a note: Album([("before", graph), ("after", graph)])

All pictures are laid out together, once (union.py), so that an object keeps its place while one
steps. The browser gets that one drawing and, for each step, what differs from the step before;
it steps without asking the kernel.

Linux: nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from vfslab.kernel.snapshot import Bytes, Camera, Record, View
from vfslab.lib.kstruct import KObject
from vfslab.viz.model import Graph
from vfslab.viz.objects import graph_of_frame
from vfslab.viz.text import to_text
from vfslab.viz.union import Union
from vfslab.viz.widget import LONGEST_TWIN, Face

KEY_FRAMES = 24  # pictures of a static stepper


class Film(Face):
    """Base of what is stepped through: a subclass has a length, graph(number) and note(number)."""

    script = ("calls.js", "timeline.js")
    title = ""

    def __init__(self) -> None:
        self._step = 0

    # -- what a subclass says ------------------------------------------------------------------

    def __len__(self) -> int:
        raise NotImplementedError

    def graph(self, number: int | None = None) -> Graph:
        """Return the picture of one step, what changed since the step before marked."""
        raise NotImplementedError

    def note(self, number: int) -> str:
        """Return one sentence about a step."""
        raise NotImplementedError

    def gone(self, number: int) -> dict[Any, str]:
        """Return what was there one step before and is not any more: {key: why}."""
        return {}

    # -- stepping ------------------------------------------------------------------------------

    @property
    def step(self) -> int:
        """The current step, counted from 0. Setting it moves all live views too."""
        return self._step

    @step.setter
    def step(self, number: int) -> None:
        if not 0 <= number < max(len(self), 1):
            raise IndexError(f"step {number}: there are {len(self)} steps, counted from 0")
        self._step = number
        self.push(step=number)

    def next(self) -> int:
        """Go one step forward, at the last one nowhere; return the step."""
        self.step = min(self._step + 1, max(len(self) - 1, 0))
        return self._step

    def back(self) -> int:
        """Go one step back, at the first one nowhere; return the step."""
        self.step = max(self._step - 1, 0)
        return self._step

    def goto(self, where: Any) -> Film:
        """Go to a step by its number."""
        self.step = where
        return self

    def text(self, number: int | None = None) -> str:
        """Return the text twin of a step (default: the current one)."""
        number = self._step if number is None else number
        lines = to_text(self.graph(number))
        gone = [f"{key}: {why}" for key, why in self.gone(number).items()]
        return lines + (f"gone: {', '.join(gone)}\n" if gone else "")

    def key_frames(self, most: int = KEY_FRAMES) -> list[int]:
        """Return at most so many steps that tell the story: the first, the last, and those where most changes."""
        if len(self) <= most:
            return list(range(len(self)))
        weight = self.union.weights()
        inner = sorted(range(1, len(self) - 1), key=lambda number: (-weight[number], number))
        return sorted([0, len(self) - 1, *inner[: most - 2]])

    # -- faces ---------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        count = len(self)
        return f"{self.title}: {count} step{'' if count == 1 else 's'}"

    @cached_property
    def union(self) -> Union:
        """All pictures in one, and the differences between them."""
        made = Union()
        for number in range(len(self)):
            made.add(self.graph(number))
        return made

    def payload(self) -> dict[str, Any]:
        """Return all that the browser needs: one drawing, one difference for each step, notes and calls."""
        drawing = self.union.drawing()
        return {
            "title": self.title,
            "alt": self.graph(0).description() if len(self) else "",
            "step": self._step,
            **drawing,
            "notes": [self.note(number) for number in range(len(self))],
            "gone": {
                str(n): {str(k): why for k, why in self.gone(n).items()} for n in range(len(self)) if self.gone(n)
            },
        }

    def answer(self, what: str, **values: Any) -> Any:
        if what == "step":  # a live view was moved: remember it, so that text() and graph() follow
            self._step = max(0, min(int(values["step"]), len(self) - 1))
            return self._step
        if what == "text":
            return self.text(int(values["step"]))
        return super().answer(what, **values)

    def static_html(self) -> str:
        from vfslab.viz.stepper import stepper

        return stepper(self)

    def twin(self) -> str:
        return self.cut_twin(f"{self.label}\n", self.text(self.telling_step()) if len(self) else "")

    def telling_step(self) -> int:
        """Return the step that a twin shows: where the reader is, at the beginning the first one with most objects."""
        if self._step:
            return self._step
        return max(range(len(self)), key=lambda number: (self.objects(number), -number))

    def objects(self, number: int) -> int:
        """Return how many objects are in sight at a step."""
        return len(self.graph(number).boxes)

    def cut_twin(self, head: str, picture: str) -> str:
        """Return head and picture as one text, short enough to be saved with a notebook."""
        room = LONGEST_TWIN * 2 // 3
        if len(head) > room:
            head = head[: head.rindex("\n", 0, room)] + "\n... (more calls: print(t.tree()))\n"
        text = f"{head}\n{picture}"
        if len(text) > LONGEST_TWIN:
            text = text[: text.rindex("\n", 0, LONGEST_TWIN)] + "\n... (more: print(t.text()))\n"
        return text


class Album(Film):
    """Any graphs as a film, each with a sentence about it."""

    def __init__(self, pictures: Iterable[tuple[str, Graph]], title: str = "") -> None:
        super().__init__()
        self.pictures = list(pictures)
        self.title = title or (self.pictures[0][1].title if self.pictures else "")

    def __len__(self) -> int:
        return len(self.pictures)

    def graph(self, number: int | None = None) -> Graph:
        return self.pictures[self._step if number is None else number][1]

    def note(self, number: int) -> str:
        return self.pictures[number][0]

    def __str__(self) -> str:
        return "\n".join(f"{note}\n{to_text(graph)}" for note, graph in self.pictures)


class Still(Album):
    """One picture of live objects, taken when it is made."""

    def __init__(self, objects: Iterable[KObject], view: View, title: str = "") -> None:
        roots = list(objects)
        self.frame = Camera(view).take(roots)
        title = title or ", ".join(map(repr, roots[:4])) + (", ..." if len(roots) > 4 else "")
        super().__init__([("", graph_of_frame(self.frame, view, title))])

    def answer(self, what: str, **values: Any) -> Any:
        if what == "details":
            return details(self.frame[values["key"]])
        return super().answer(what, **values)

    def __str__(self) -> str:
        return to_text(self.graph(0))


def details(record: Record) -> dict[str, Any]:
    """Return what is known of an object beside its rows: what its class is for, and the bytes it holds."""
    about = inspect.getdoc(record.cls) or ""
    held = [
        {"name": name, "lines": hex_lines(value.head, value.length)}
        for name, value in record.members.items()
        if isinstance(value, Bytes) and value.head
    ]
    return {"about": about.partition("\n")[0], "bytes": held}


def hex_lines(head: bytes, length: int) -> list[str]:
    """Return bytes as a hexdump, 16 to a line, and how many more there are."""
    lines = []
    for at in range(0, len(head), 16):
        piece = head[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
        lines.append(f"{at:04x}  {piece.hex(' '):<47}  {text}")
    return lines if length <= len(head) else [*lines, f"... and {length - len(head)} bytes more"]
