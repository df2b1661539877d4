"""Live patches: other code in the functions of a running kernel.

    k = vfslab.boot(stub="fs/namei.py")      the path walk raises ENOSYS
    %%kernel fs/namei.py step=1              a cell (teach/magics.py) brings functions of its own
    revert()                                 the package's code is back; shutdown does the same

    cell ──ast──▶ what may not be patched is refused, before anything changes
         ──compile, with the module's own globals──▶ new function objects
         ──their __code__ into the old function objects──▶ operation tables, imports under other
           names and references held anywhere see the cell, for the object has stayed the same

A patch changes code, defaults, keyword defaults and the docstring of functions at the top of a file.
A function that the file does not have becomes a global of its module, as does an import; revert()
removes both. The code is compiled under the name "<its file> [cell N]": the tracer takes it for
its file, and inspect, tracebacks and the debugger find the cell's lines in linecache.

    python -m vfslab.teach.livepatch fs/namei.py link_path_walk step_into
                                             prints the %%kernel cell that ends a chapter

Linux: kernel/livepatch/ (which redirects calls with ftrace, and waits for tasks to leave the old code).
Left out: methods, classes, constants, closures; functions that are running go on with the code they began with.

Always true
  L1  a function object that is patched keeps its identity, its parameters and its decorators
  L2  a patch that is refused has changed nothing
  L3  after revert() code, defaults and module globals are what they were before the first patch
  L4  patched code runs for one kernel only: others are refused, or step beside it (aside)
"""

from __future__ import annotations

import dataclasses
import gc
import html
import importlib
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from vfslab.init import machine as machines
from vfslab.init.machine import Machine
from vfslab.kernel.sched import cpu
from vfslab.teach.cells import Change, LivePatchError, compiled, prepare, stub_text, stubbed_functions
from vfslab.teach.source import NoSource, check_file, final_cell, package_functions


class LivePatch:
    """All that is patched at the moment, on one machine.

    changes   {(file, name): Change}
    added     {(file, name): its module's globals}: the helpers and imports that cells have brought
    away      how many are at work beside the patch (aside): while it is not 0, the package's own code runs
    """

    def __init__(self, machine: Machine):
        self.machine = machine
        self.changes: dict[tuple[str, str], Change] = {}
        self.added: dict[tuple[str, str], dict] = {}
        self.cells = itertools.count(1)
        self.away = 0

    def names(self) -> set[tuple[str, str]]:
        """Return the (file, function) that are patched."""
        return set(self.changes)

    def files(self) -> list[str]:
        """Return the files that hold patched functions."""
        return sorted({file for file, _name in (*self.changes, *self.added)})

    def put(self, changes: Iterable[Change], file: str, namespace: dict, added: dict[str, Any]) -> None:
        """Put changes in force; a function that was patched before keeps its first body for revert()."""
        for change in changes:
            key = change.file, change.name
            first = self.changes.get(key, change)
            self.changes[key] = dataclasses.replace(change, before=first.before)
            change.now.put(change.function)
        for name, value in added.items():
            self.added[file, name] = namespace
            namespace[name] = value
        if self not in cpu.klp_patches and (self.changes or self.added):
            cpu.klp_patches.append(self)

    def revert(self) -> None:
        """Give every function its own body back, and remove what cells have added (L3)."""
        for change in self.changes.values():
            change.before.put(change.function)
        for (_file, name), namespace in self.added.items():
            del namespace[name]
        if self in cpu.klp_patches:
            cpu.klp_patches.remove(self)
        self.changes, self.added = {}, {}

    def suspend(self) -> None:
        """The package's own code runs until resume(); this may nest."""
        self.away += 1
        if self.away == 1:
            for change in self.changes.values():
                change.before.put(change.function)

    def resume(self) -> None:
        """The patched code runs again."""
        self.away -= 1
        if not self.away:
            for change in self.changes.values():
                change.now.put(change.function)

    def check_boot(self) -> None:
        """Raise LivePatchError if a kernel that boots now would run patched code (L4)."""
        if not self.away:
            raise LivePatchError(
                f"a kernel with patched code runs ({', '.join(self.files())}), and a second one would run the same code: "
                "call shutdown() of the first, or revert()"
            )

    def lines(self) -> list[str]:
        """Return what is patched by what, a line for each file and cell."""
        groups: dict[tuple[str, str], list[str]] = {}
        for (file, name), change in self.changes.items():
            groups.setdefault((file, change.told), []).append(name)
        for file, name in self.added:
            groups.setdefault((file, "new"), []).append(name)
        return [f"{file}: {listed(names)} ({told})" for (file, told), names in groups.items()]

    def __str__(self) -> str:
        return "\n".join([PATCHED, *self.lines()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "".join(f"<br><code>{html.escape(line)}</code>" for line in self.lines())
        return f'<div role="note" style="{BANNER}"><strong>{PATCHED}</strong>{lines}</div>'


PATCHED = "This kernel runs patched code; revert() brings the package's back."
BANNER = "border-left: 6px solid #b36b00; padding: 0.3em 0.8em; margin: 0.3em 0"


def listed(names: list[str], most: int = 8) -> str:
    """Return names for a person: a few of them, and how many more."""
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:4])} and {len(names) - 4} more"


# --- the face -----------------------------------------------------------------------------------------


def boot_stubbed(memory: int, stubs: str | Iterable[str]) -> Machine:
    """Return a booted machine some of whose functions are stubs; one that ran patched code is shut down before."""
    wanted = list(stubbed_functions(stubs))  # a wrong name is told before anything happens
    for patch in list(cpu.klp_patches):
        if not patch.away:
            patch.machine.shutdown()
    refuse_others(None)
    machine = machines.boot(memory)
    try:
        announce(arm(machine, wanted))
    except BaseException:
        machine.shutdown()
        raise
    return machine


def stub(machine: Machine, stubs: str | Iterable[str]) -> None:
    """Make functions of a running kernel raise ENOSYS, after its disks are mounted, say; stubs as for boot()."""
    announce(arm(machine, list(stubbed_functions(stubs))))


def arm(machine: Machine, wanted: list[tuple[str, list[str]]]) -> LivePatch:
    """Put stubs for {file: functions} in force."""
    patch = None
    for file, names in wanted:
        functions = package_functions(file)
        text = "\n\n\n".join(stub_text(file, functions[name]) for name in names) + "\n"
        patch = apply(machine, file, text, place="stub", told="ENOSYS")
    if patch is None:
        raise LivePatchError("stub names no function")
    return patch


def apply(
    machine: Machine | None,
    file: str,
    text: str,
    step: int | str | None = None,
    place: str | None = None,
    told: str | None = None,
) -> LivePatch:
    """Put the functions of text into a file of the running kernel; LivePatchError or SyntaxError, and nothing changed.

    machine None: the one that runs. step names the rung of a chapter. place is where the text comes from, as
    tracebacks name it; told is what the banner calls it.
    """
    file = check_file(file)
    machine = the_machine(machine)
    patch = machine.patch or LivePatch(machine)
    tree, code = compiled(file, text, place or f"cell {next(patch.cells)}")
    module = importlib.import_module("vfslab." + file.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    brought = {name for where, name in patch.added if where == file}
    told = told or ("patched" if step is None else f"step {step}")
    changes, added = prepare(file, module, tree, code, brought, told)
    patch.put(changes, file, vars(module), added)
    return patch


def revert() -> None:
    """Undo all live patches, stubs included: the package's own code runs again."""
    files = sorted({file for patch in cpu.klp_patches for file in patch.files()})
    for patch in list(cpu.klp_patches):
        patch.revert()
    if files and in_notebook():
        print(f"The package's own code runs again: {', '.join(files)}")


def announce(patch: LivePatch) -> None:
    """Show in a notebook that patched code runs, and which; elsewhere the machine's repr says so."""
    if in_notebook():
        from IPython.display import display

        display(patch)


def in_notebook() -> bool:
    """Return whether this runs in a notebook, or in another IPython."""
    return "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None


# --- one kernel at a time -------------------------------------------------------------------------------------


def the_machine(machine: Machine | None = None) -> Machine:
    """Return the machine to patch: the one given, or the one that runs. LivePatchError if another one runs, too."""
    if machine is None:
        machine = next(iter(running()), None)
    if machine is None:
        raise LivePatchError("no kernel runs: boot one first, k = vfslab.boot()")
    if not machine.kernel.running:
        raise LivePatchError("this kernel was shut down: boot another one, k = vfslab.boot()")
    refuse_others(machine)
    return machine


def refuse_others(machine: Machine | None) -> None:
    """Raise LivePatchError if others than machine run (None: than one still to be booted): code is theirs, too (L4)."""
    if running() - {machine}:
        gc.collect()  # one that nobody can reach any more does not count
    others = len(running() - {machine})
    if others:
        raise LivePatchError(
            f"{others + 1} kernels would run patched code, and a patch is for one: "
            "call shutdown() of those that are not to be patched"
        )


def running() -> set[Machine]:
    """Return the machines that run, without those that step beside patches."""
    return {each for each in cpu.machines if each.kernel.running and not isinstance(each.kernel.baton, Beside)}


@contextmanager
def aside() -> Iterator[None]:
    """The package's own code runs inside, whatever is patched; a kernel that is booted inside runs it ever after.

    For figures and explorers, which have kernels of their own beside the reader's.
    """
    before = set(cpu.machines)
    try:
        with suspended():
            yield
    finally:
        for machine in set(cpu.machines) - before:
            machine.kernel.baton = Beside(machine.kernel.baton)


@contextmanager
def suspended() -> Iterator[None]:
    """While this runs, no patch is in force."""
    patches = list(cpu.klp_patches)
    for patch in patches:
        patch.suspend()
    try:
        yield
    finally:
        for patch in patches:
            if patch in cpu.klp_patches:
                patch.resume()


class Beside:
    """The baton of a kernel that runs beside a patched one: whoever takes it finds the package's own code."""

    def __init__(self, baton: Any):
        self.baton = baton
        self.inside: list[Any] = []

    def acquire(self) -> bool:
        self.baton.acquire()
        self.inside.append(suspended())
        self.inside[-1].__enter__()
        return True

    def release(self) -> None:
        self.inside.pop().__exit__(None, None, None)
        self.baton.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: Any) -> None:
        self.release()


def main(arguments: list[str], say: Callable[[str], Any] = print) -> int:
    """Print a chapter's final %%kernel cell; return the exit status."""
    if len(arguments) < 2:
        say("usage: python -m vfslab.teach.livepatch FILE FUNCTION...")
        return 2
    try:
        say(final_cell(arguments[0], arguments[1:]))
    except NoSource as error:
        say(f"vfslab: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
