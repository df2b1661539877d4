"""A lab as its notebook has it in hand.

    lab = labs.open("path_walk")
    k = lab.boot()                     a kernel without the lab's functions; %%kernel cells bring them
    lab.check("plain_names")           does it hold? If not: the input that shows it, a hint, a picture
    lab.check("plain_names", seed=7)   the same with other problems; there is no end of seeds
    lab.check()                        all shown checks, and what they say
    lab.button()                       the same by a button
    lab.trace(p.stat, "/a")            the calls and objects of one system call, step by step
    lab.observe("plain_names", 7)      what the scene shows with this code, as one line of JSON

A check never prints a grade: it holds, or not yet.
"""

from __future__ import annotations

import dataclasses
import textwrap
from typing import Any

from vfslab.init import machine as machines
from vfslab.kernel.sched import cpu
from vfslab.teach.labs import checks
from vfslab.teach.labs.model import Check, Lab, split_ask
from vfslab.teach.labs.record import Progress, note
from vfslab.teach.livepatch import announce, apply, arm, in_notebook, refuse_others

A_LOOK = 0.1  # seconds of an endless walk that are filmed
MANY_CALLS = 2000  # more are no picture any more


class NotYet(AssertionError):
    """A check does not hold: its hint. All has been printed by then, so a notebook shows the check's name only."""

    def __init__(self, check: Check):
        super().__init__(check.hint)
        self.check = check

    def _render_traceback_(self) -> list[str]:
        return [f"Not yet: {self.check.name}"]


class Observed(str):
    """An observation as text; a notebook shows it without quotes."""

    def __repr__(self) -> str:
        return str(self)


class Session:
    """One learner's work on one lab, in one notebook."""

    def __init__(self, lab: Lab):
        self.lab = lab

    def __repr__(self) -> str:
        steps = "; ".join(f"{step.number} {step.title}" for step in self.lab.steps)
        return f"<lab {self.lab.name}: {self.lab.title}. Steps: {steps}>"

    def boot(self, from_step: int = 1) -> Any:
        """Return a running kernel without the lab's functions. from_step=3: steps 1 and 2 are there, as they should be."""
        self.lab.step(from_step)
        for patch in list(cpu.klp_patches):
            if not patch.away:
                patch.machine.shutdown()
        refuse_others(None)
        machine = (self.lab.boot or machines.boot)()
        try:
            announce(self.prepare(machine, from_step))
        except BaseException:
            machine.shutdown()
            raise
        return machine

    def prepare(self, machine: Any, from_step: int) -> Any:
        """Take the lab's functions out of a kernel, and put the earlier steps in; return the patch."""
        patch = arm(machine, list(self.lab.graded().items()))
        for ask, body in self.lab.for_now:
            file, name = split_ask(ask)
            patch = apply(machine, file, stand_in(file, name, body), place="for now", told="for now")
        for step, file, name in self.lab.answers():
            if step.number < from_step:
                text = self.lab.solution(step, file, name)
                patch = apply(machine, file, text, step.number, place=f"step {step.number}")
        return patch

    # -- checks ------------------------------------------------------------------------------------

    def check(self, name: str | None = None, seed: int | str = 0) -> None:
        """Tell whether a check holds; NotYet if not. Without a name: all shown checks, one line each, nothing raised."""
        if name is None:
            for each in self.lab.checks.values():
                if not each.hidden:
                    self.trial(each, seed)
            return
        check = self.lab.check(name)
        if not self.trial(check, seed, picture=True):
            raise NotYet(check)

    def trial(self, check: Check, seed: int | str = 0, picture: bool = False) -> bool:
        """Print whether a check holds, and what was otherwise if not."""
        missing = self.still_stubs(check)
        if missing:
            report(check, "not yet", missing)
            return False
        try:
            seen = checks.observe(self.lab, check.name, seed)
        except NotImplementedError as reminder:
            report(check, "not yet", str(reminder) or "a function is still to be written")
            return False
        wrong = checks.first_difference(seen, checks.expected(self.lab, check.name, seed))
        note(self.lab.name, check.name, wrong is None)
        if wrong is None:
            report(check, "holds")
            return True
        report(check, "not yet", str(wrong), f"Hint: {check.hint}")
        if picture:
            self.show(check, seed, wrong)
        return False

    def still_stubs(self, check: Check) -> str:
        """Return what a check waits for: a kernel of the lab, or functions that no cell has brought yet; else ""."""
        brought = {key: change.told for patch in cpu.klp_patches for key, change in patch.changes.items()}
        asked = [split_ask(ask) for ask in self.lab.step_of(check.name).asks]
        if not any(key in brought for key in asked):
            return "no kernel of this lab runs: k = lab.boot(), then run your cells once more"
        missing = [name for file, name in asked if brought.get((file, name), "ENOSYS") in ("ENOSYS", "for now")]
        return f"still to be written: {', '.join(missing)}" if missing else ""

    def show(self, check: Check, seed: int | str, wrong: checks.Difference) -> None:
        """Show the calls and the objects of the moment at which it went wrong."""
        lab = self.lab
        if wrong.seen == "no end":
            lab = dataclasses.replace(lab, seconds=A_LOOK)  # its beginning will do: the film of ten seconds is long
        _notes, film = checks.play(lab, check, seed, wrong.round, wrong.note)
        if film is None or not len(film):
            return
        if sum(1 for _ in film.calls()) > MANY_CALLS:
            print("It begins like this, and goes on:", *str(film).splitlines()[:30], sep="\n         ")
            return
        film.step = moment(film)
        if in_notebook():
            from IPython.display import display

            display(film)
        else:
            print(film.text())

    def trace(self, action: Any, *args: Any, more: str = "", **keywords: Any) -> Any:
        """Return a Timeline of one call with the functions and objects of this lab; more: names of further functions."""
        from vfslab.teach.notebook import trace

        functions = [*self.lab.stations, *more.split()] or None
        return trace(action, *args, view=self.lab.view, functions=functions, **keywords)

    def observe(self, name: str, seed: int | str = 0) -> Observed:
        """Return what the scene of a check shows with the code that is in force, as one line of JSON."""
        try:
            return Observed(checks.canonical(checks.observe(self.lab, name, seed)))
        except NotImplementedError as reminder:
            return Observed(checks.canonical({"still to be written": str(reminder)}))

    def button(self, *chosen: str) -> Any:
        """Return a button that runs checks (default: all shown ones); where there are no widgets, say what to call."""
        from vfslab.teach.labs.button import button

        return button(self, chosen)

    def progress(self) -> Any:
        """Return how far this lab has come, as the learner's own file has it."""
        return Progress([self.lab.name])


def report(check: Check, word: str, *more: str) -> None:
    """Print what there is to say of a check: whether it holds, and below that what was otherwise."""
    text = f"{check.name}: {check.says}"
    print(f"{word:<9}{text}")
    for each in more:
        print(textwrap.fill(each, 100, initial_indent=" " * 9, subsequent_indent=" " * 13))


def moment(film: Any) -> int:
    """Return the step of a film at which a failure shows: the first error that a function ends with, else the end."""
    for step in film.steps:
        if step.what == "return" and step.call.error:
            return step.number
    return len(film) - 1


def stand_in(file: str, name: str, body: str) -> str:
    """Return a function with the face of the package's and another body."""
    from vfslab.teach.labs.starter import parted
    from vfslab.teach.source import package_functions, text_of

    face, _body = parted(text_of(file, package_functions(file)[name]))
    return f"{face}\n    {body}\n"
