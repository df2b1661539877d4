"""A run of the kernel, step by step: the calls on one side, the objects on the other.

    with trace(k) as t:
        p.stat("/etc/hosts")
    t                                    in a notebook: a slider through all steps, forward and backward
    t.when("nd.path")                    the steps at which the walk moved on
    t.step = 12; print(t.text())         one step as text
    t.graph(12)                          the picture, with what just changed marked

Each call and each return of a kernel function is a step, with a snapshot of what the open
functions can see at that moment, as far as the view shows it. The steps are data: nothing of
the kernel is needed any more once the run is over.

Left out: what a function does between two calls; local variables that were never arguments or results.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

from vfslab.include.kernel import Kernel
from vfslab.kernel.snapshot import Frame, Key, View
from vfslab.kernel.trace import LAYERS, Call, function_graph
from vfslab.viz.film import Film, details
from vfslab.viz.model import Graph
from vfslab.viz.objects import Drawer
from vfslab.viz.views import EVERYTHING

MOST_CALLS = 2000  # calls in the browser's tree; print(t.tree()) has all
LIMIT = 1000  # steps; calls after that are listed, but have no picture


@dataclasses.dataclass(frozen=True)
class Step:
    """One step: a function is called, or returns. frame: what was in sight at that moment."""

    number: int
    what: str
    call: Call
    frame: Frame

    def __str__(self) -> str:
        return f"{self.number}: {sentence(self)}"


class Timeline(Film):
    """The steps of a run. It passes on what a Trace offers: calls(), find(), roots, points, str().

    result, error   what the traced call returned or raised, if trace() was given one call
    """

    def __init__(
        self,
        kernel: Kernel,
        view: View | None = None,
        layers: Iterable[str] | None = None,
        functions: Iterable[str] | None = None,
        at: Iterable[str] | None = None,
        title: str = "",
        limit: int = LIMIT,
    ):
        super().__init__()
        self.view = EVERYTHING if view is None else view
        self.tracer = function_graph(
            kernel, layers=LAYERS if layers is None else layers, functions=functions, view=self.view, at=at, limit=limit
        )
        self.trace = self.tracer.trace
        self._title = title
        self.result: Any = None
        self.error: BaseException | None = None

    def __enter__(self) -> Timeline:
        self.tracer.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.tracer.__exit__(*error)

    # -- what a Trace offers -----------------------------------------------------------------

    def calls(self) -> Iterator[Call]:
        """Yield all calls in the order they began."""
        return self.trace.calls()

    def find(self, function: str) -> list[Call]:
        """Return the calls of one function."""
        return self.trace.find(function)

    @property
    def roots(self) -> list[Call]:
        """The outermost calls."""
        return self.trace.roots

    @property
    def points(self) -> list:
        """The tracepoints that were passed."""
        return self.trace.points

    @property
    def kernel(self) -> Kernel:
        """The kernel that was traced."""
        return self.trace.kernel

    def tree(self, args: bool = False, depth: int | None = None) -> str:
        """Return the call tree as text, one line a call, errors by name."""
        return self.trace.text(args, depth)

    def __str__(self) -> str:
        return self.trace.text()

    def twin(self) -> str:
        """Return the text twin: how many steps, the call tree, the picture of the current step."""
        return self.cut_twin(
            f"{self.label}\n\n{self.tree(args=True)}\n", self.text(self.telling_step()) if self.steps else ""
        )

    def objects(self, number: int) -> int:
        return len(self.steps[number].frame)

    # -- steps -------------------------------------------------------------------------------

    @cached_property
    def _drawer(self) -> Drawer:
        return Drawer(self.view)

    @property
    def steps(self) -> list[Step]:
        """All steps in order of time."""
        frames, moments = self.trace.frames, self.trace.moments
        known = self.__dict__.setdefault("_steps", [])
        for number in range(len(known), len(frames)):
            known.append(Step(number, moments[number][1], moments[number][0], frames[number]))
        return known

    def __len__(self) -> int:
        return len(self.trace.frames)

    @property
    def title(self) -> str:
        """What was run: the outermost calls."""
        if self._title:
            return self._title
        names = [call.function for call in self.roots]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "nothing was traced"

    @property
    def label(self) -> str:
        cut = self.trace.cut
        return super().label + (f" ({cut} more have no picture: limit={self.tracer.limit})" if cut else "")

    def note(self, number: int) -> str:
        """Return one sentence about a step, such as "walk_component returns -ENOENT"."""
        return sentence(self.steps[number])

    def graph(self, number: int | None = None) -> Graph:
        """Return the picture of a step (default: the current one), what changed since the step before marked."""
        step = self.steps[self.step if number is None else number]
        before = self.steps[step.number - 1].frame if step.number else None
        graph = self._drawer.graph(
            step.frame, before, f"{self.title}, step {step.number + 1} of {len(self)}: {sentence(step)}"
        )
        for key, names in self.names(step).items():
            if key in graph.boxes:
                graph.boxes[key] = dataclasses.replace(graph.boxes[key], tag=", ".join(names))
        return graph

    def gone(self, number: int) -> dict[Key, str]:
        """Return what was drawn one step before and is not any more: {key: "freed" or "out of sight"}."""
        if number == 0:
            return {}
        frame = self.steps[number].frame
        return {
            key: "freed" if key in frame.freed else "out of sight"
            for key in self.steps[number - 1].frame
            if key not in frame
        }

    def names(self, step: Step) -> dict[Key, list[str]]:
        """Return by which names the running function knows objects: its arguments, and at the end its result."""
        names: dict[Key, list[str]] = {}
        for name, obj in step.call.objects.items():
            names.setdefault(self.tracer.camera.key(obj), []).append(name)
        if step.what == "return" and step.call.value is not None:
            names.setdefault(self.tracer.camera.key(step.call.value), []).append("result")
        return names

    # -- for the browser ---------------------------------------------------------------------

    def payload(self) -> dict[str, Any]:
        calls = self._calls()
        more = sum(1 for _ in self.calls()) - len(calls)
        return {**super().payload(), "calls": calls, "more": more, "watches": self.watches}

    def _calls(self) -> list[dict[str, Any]]:
        """Return the call tree as a list: who called whom, with what, how it ended, and at which steps."""
        steps: dict[int, list[int]] = {}
        for step in self.steps:
            steps.setdefault(id(step.call), []).append(step.number)
        numbers: dict[int, int] = {}
        told = []
        for number, call in enumerate(itertools.islice(self.calls(), MOST_CALLS)):
            numbers[id(call)] = number
            at = steps.get(id(call), [])
            told.append(
                {
                    "function": call.function,
                    "where": call.where,
                    "depth": call.depth,
                    "parent": None if call.parent is None else numbers[id(call.parent)],
                    "args": ", ".join(f"{name}={text}" for name, text in call.args.items()),
                    "short": shortest(call),
                    "result": call.result if call.result != "None" else None,
                    "error": call.error,
                    "words": error_text(call.error) if call.error else None,
                    "first": at[0] if at else None,
                    "last": at[-1] if at else None,
                }
            )
        return told

    def answer(self, what: str, **values: Any) -> Any:
        if what == "details":
            return self.details(int(values["step"]), str(values["key"]))
        return super().answer(what, **values)

    def details(self, number: int, key: str) -> dict[str, Any]:
        """Return what is known of one object at a step beside its rows: what its class is for, the bytes it holds."""
        record = self.steps[number].frame.get(key)
        if record is None:
            raise ValueError(f"{key} is not in sight at step {number}")
        return details(record)

    # -- searching ---------------------------------------------------------------------------

    def when(self, what: str) -> list[int]:
        """Return the steps at which a member changed: "nd.path", "nd.path.dentry", "Dentry#3.d_count", "Dentry.d_flags".

        The first part is the name of an argument of an open function, an object, or a class.
        """
        name, _, member = what.partition(".")
        found: list[int] = []
        seen: dict[Key, tuple] = {}
        known = False
        for step in self.steps:
            for key in self.meant(name, step):
                record = step.frame.get(key)
                if record is None:
                    continue
                held = {n: v for n, v in record.members.items() if n == member or n.startswith(member + ".")}
                known = known or bool(held)
                value = tuple(held.values())
                if key in seen and seen[key] != value and held:
                    found.append(step.number)
                seen[key] = value
        if not known:
            raise ValueError(f"{what!r}: {self._why_unknown(name, member)}")
        return sorted(set(found))

    def meant(self, name: str, step: Step) -> Iterator[Key]:
        """Yield the objects that a name stands for at a step: by key, by class, or the innermost argument so called."""
        if name in step.frame:
            yield Key(name)
            return
        if name[:1].isupper():
            yield from (key for key, record in step.frame.items() if record.cls.__name__ == name)
            return
        call: Call | None = step.call
        while call is not None:
            if name in call.objects:
                yield self.tracer.camera.key(call.objects[name])
                return
            call = call.parent

    def _why_unknown(self, name: str, member: str) -> str:
        keys = [(key, step.frame[key]) for step in self.steps for key in self.meant(name, step) if key in step.frame]
        if not keys:
            arguments = sorted({n for call in self.calls() for n in call.objects})
            return f"no object of that name is in sight; arguments are: {', '.join(arguments)}"
        return f"the view shows no {member!r} of {keys[0][0]}, only: {', '.join(keys[0][1].names)}"

    @cached_property
    def watches(self) -> dict[str, list[int]]:
        """What is worth waiting for, {"nd.path": steps at which it changed}: arguments of functions, most general first."""
        found: dict[str, list[int]] = {}
        before: dict[Key, tuple] = {}
        for step in self.steps:
            names = {}
            call: Call | None = step.call
            while call is not None:
                for name, obj in call.objects.items():
                    names.setdefault(name, self.tracer.camera.key(obj))
                call = call.parent
            for name, key in names.items():
                record = step.frame.get(key)
                if record is None or record is before.get(key):
                    continue
                old = before.get(key)
                if old is not None and old.names == record.names:
                    for member, was, now in zip(record.names, old.values, record.values, strict=True):
                        if was != now:
                            watch = f"{name}.{member.partition('.')[0]}"
                            if step.number not in found.setdefault(watch, []):
                                found[watch].append(step.number)
            for key, record in step.frame.items():
                before[key] = record
        return dict(
            sorted(found.items(), key=lambda pair: (pair[0] != "nd.path", not pair[0].startswith("nd."), pair[0]))
        )

    def goto(self, where: int | str | Call) -> Timeline:
        """Go to a step by number, to the next call of a function by name, or to the beginning of a call."""
        if isinstance(where, int):
            self.step = where
            return self
        later = [s.number for s in self.steps if s.what == "call" and where in (s.call, s.call.function)]
        if not later:
            raise ValueError(f"no call of {where!r} was seen (with a picture)")
        self.step = later[bisect.bisect_right(later, self.step) % len(later)]
        return self


def sentence(step: Step) -> str:
    """Return what happens at a step, as one sentence."""
    call = step.call
    if step.what == "call":
        told = ", ".join(f"{name}={text}" for name, text in call.args.items())
        return f"{call.function}({told}) is called"
    if call.error is not None:
        return f"{call.function}() fails with {error_text(call.error)}"
    return (
        f"{call.function}() returns {call.result}"
        if call.result not in (None, "None")
        else f"{call.function}() returns"
    )


def shortest(call: Call) -> str:
    """Return the one argument that tells calls of a function apart: a name, else a number."""
    for text in call.args.values():
        if text.startswith("'") and len(text) > 2:
            return text
    for text in call.args.values():
        if "(" in text:  # a dentry is told with its name
            return text[text.index("(") + 1 : -1]
    return ""


def error_text(name: str) -> str:
    """Return an errno in words: "-ENOENT (No such file or directory)"."""
    import errno
    import os

    number = getattr(errno, name, None)
    return f"-{name} ({os.strerror(number)})" if number is not None else name


def traced(kernel: Kernel, action: Callable, *args: Any, **choice: Any) -> Timeline:
    """Run action(*args) under a Timeline and return it; what came back is .result, an OSError is .error."""
    timeline = Timeline(kernel, **choice)
    with timeline:
        try:
            timeline.result = action(*args)
        except OSError as error:
            timeline.error = error
    return timeline
