"""What a lab is: a declaration. Scenes, prose and notebooks hang on it.

    Lab        title, aims, minutes; its steps
    Step       the functions it asks for ("fs/namei.py:link_path_walk"), and its checks
    Check      a scene, its points, whether it is shown or hidden, a hint
    scene      def plain_names(k, p, rng): plays something on a fresh kernel (k, a Stage; p, a process of
               its root user) with what rng says, and notes what came of it; it knows no right answers

A lab lies in vfslab/teach/labs/NAME/: lab.py (LAB), text.md (the notebook's prose and cells), checks.py and
hidden.py (the scenes), rungs.py (simpler forms of functions that a later step asks for again).

What is right is what the same scene gives on the package's own code. So the package is the solution, and
there are as many problems as there are seeds.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from vfslab.teach.source import package_functions

HERE = Path(__file__).parent
Scene = Callable[..., Any]


class NoLab(LookupError):
    """There is no such lab, step or check: one line for a person."""

    def __str__(self) -> str:
        return str(self.args[0])

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """One claim about the learner's functions.

    scene     the name of a function of checks.py (hidden: of hidden.py); default: the check's own name
    says      what holds if it holds, in one sentence
    rounds    how many problems are made from one seed
    stations  the functions that the picture of a failure shows; default: those of the lab
    """

    name: str
    points: int
    says: str
    hint: str
    hidden: bool = False
    scene: str = ""
    rounds: int = 3
    stations: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """A part of a lab after which something new works. asks: "file:function" for each function to be written."""

    number: int
    title: str
    asks: tuple[str, ...]
    checks: tuple[Check, ...]
    optional: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lab:
    """A lab as declared. boot: makes the machine that the learner works on; view, stations: what its pictures show.

    for_now   ("file:function", body): what a function does until its step, where that is not ENOSYS
    also_gone other functions of the package that do the same work: a grader's box is without them too
    mistakes  common mistakes, for the instructor: (mistake, what to ask the learner)
    """

    name: str
    title: str
    chapter: str
    minutes: int
    aims: tuple[str, ...]
    needs: str
    steps: tuple[Step, ...]
    view: Any = None
    stations: tuple[str, ...] = ()
    boot: Callable[[], Any] | None = None
    for_now: tuple[tuple[str, str], ...] = ()
    mistakes: tuple[tuple[str, str], ...] = ()
    seconds: float = 10.0
    also_gone: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return HERE / self.name

    @cached_property
    def checks(self) -> dict[str, Check]:
        """All checks by name, in their order."""
        return {check.name: check for step in self.steps for check in step.checks}

    def check(self, name: str) -> Check:
        """Return a check by name; NoLab, with the nearest names, if there is none."""
        return chosen(name, self.checks, f"the lab {self.name} has no check")

    def step(self, number: int) -> Step:
        """Return a step by its number."""
        return chosen(number, {step.number: step for step in self.steps}, f"the lab {self.name} has no step")

    def step_of(self, check: str) -> Step:
        """Return the step that a check belongs to."""
        return next(step for step in self.steps if any(each.name == check for each in step.checks))

    @property
    def points(self) -> int:
        return sum(check.points for check in self.checks.values())

    def graded(self) -> dict[str, list[str]]:
        """Return {file: functions} of all that the lab asks for: what a grader's package must not hold."""
        files: dict[str, list[str]] = {}
        for step in self.steps:
            for ask in step.asks:
                file, name = split_ask(ask)
                if name not in files.setdefault(file, []):
                    files[file].append(name)
        return files

    def scene(self, name: str) -> Scene:
        """Return the scene of a check; NoLab if this edition does not hold it (hidden checks of a students' edition)."""
        check = self.check(name)
        module = f"vfslab.teach.labs.{self.name}.{'hidden' if check.hidden else 'checks'}"
        try:
            return getattr(importlib.import_module(module), check.scene or name)
        except ModuleNotFoundError:
            raise NoLab(f"the check {name} is hidden: it runs when the lab is graded. Its hint: {check.hint}") from None

    # -- what the functions look like ------------------------------------------------------------------

    def answers(self) -> Iterator[tuple[Step, str, str]]:
        """Yield (step, file, function) for each answer cell, in order."""
        for step in self.steps:
            for ask in step.asks:
                yield (step, *split_ask(ask))

    def is_last(self, step: Step, file: str, name: str) -> bool:
        """True if no later step asks for this function again."""
        return not any(f"{file}:{name}" in other.asks for other in self.steps if other.number > step.number)

    def solution(self, step: Step, file: str, name: str) -> str:
        """Return the text of a function as it should be after a step: the package's own, or before that a rung."""
        from vfslab.teach.source import text_of

        if not self.is_last(step, file, name):
            return self.rungs()[step.number, name]
        return text_of(file, package_functions(file)[name])

    def rungs(self) -> dict[tuple[int, str], str]:
        """Return {(step, function): text} of the simpler forms; empty where the lab has none, or this edition not."""
        path = self.folder / "rungs.py"
        return read_rungs(path.read_text(encoding="utf-8")) if path.exists() else {}


def read_rungs(text: str) -> dict[tuple[int, str], str]:
    """Return the functions of a file that `# step N` lines divide."""
    import ast

    lines, found, step = text.splitlines(), {}, 0
    nodes = {node.lineno: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    for number, line in enumerate(lines, 1):
        if line.startswith("# step "):
            step = int(line.split()[2])
        if number in nodes:
            found[step, nodes[number].name] = "\n".join(lines[number - 1 : nodes[number].end_lineno])
    return found


def split_ask(ask: str) -> tuple[str, str]:
    """Return (file, function) of "fs/namei.py:may_lookup"."""
    file, _colon, name = ask.partition(":")
    return file, name


def chosen(name: Any, known: dict[Any, Any], words: str) -> Any:
    """Return known[name], or raise NoLab with the names that come nearest."""
    if name in known:
        return known[name]
    near = difflib.get_close_matches(str(name), map(str, known), 2, 0.5) or list(map(str, known))
    raise NoLab(f"{words} {name!r}: did you mean {' or '.join(near)}?")


def names() -> list[str]:
    """Return the names of the labs that there are."""
    return sorted(path.parent.name for path in HERE.glob("*/lab.py"))


def load(name: str) -> Lab:
    """Return a lab by its name; NoLab if there is none."""
    chosen(name, {each: each for each in names()}, "there is no lab")
    return importlib.import_module(f"vfslab.teach.labs.{name}.lab").LAB
