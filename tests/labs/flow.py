"""A lab as a learner goes through it: each step's functions, then its checks."""

import ast
import dataclasses
import functools
import re
from pathlib import Path

from vfslab.teach.labs import checks
from vfslab.teach.labs.model import load, read_rungs
from vfslab.teach.labs.session import Session
from vfslab.teach.livepatch import apply

HERE = Path(__file__).parent


@functools.lru_cache(None)
def right(lab, name, seed):
    return checks.expected(load(lab), name, seed)


def failing(lab, written, seed=0, seconds=2.0):
    """Return the checks that fail, {name: first difference}, if these functions stand in place of the package's.

    written: {(step, function): text}; functions that the lab does not ask for are helpers of their step.
    """
    session, failed = Session(dataclasses.replace(load(lab), seconds=seconds)), {}
    machine = session.boot()
    try:
        for step in session.lab.steps:
            for number, name in written:
                if number == step.number and not any(ask.endswith(f":{name}") for ask in step.asks):
                    apply(machine, step.asks[0].partition(":")[0], written[number, name], number)
            for ask in step.asks:
                file, _colon, name = ask.partition(":")
                text = written.get((step.number, name)) or session.lab.solution(step, file, name)
                apply(machine, file, text, step.number)
            for check in step.checks:
                wrong = checks.first_difference(
                    checks.observe(session.lab, check.name, seed), right(lab, check.name, seed)
                )
                if wrong is not None:
                    failed[check.name] = wrong
    finally:
        machine.shutdown()
    return failed


def mutants(lab):
    """Return {name: (the check it must fail, related ones that it may fail, its functions)} of the wrong solutions."""
    found = {}
    for path in sorted((HERE / "mutants" / lab).glob("*.py")):
        text = path.read_text(encoding="utf-8")
        doc = ast.get_docstring(ast.parse(text))
        named = re.search(r"^fails: (\S+)$", doc, re.M)[1]
        related = re.search(r"^also: (.+)$", doc, re.M)
        found[path.stem] = named, related[1].split() if related else [], read_rungs(text)
    return found


def right_ones(lab):
    """Return {name: functions} of solutions that are right and written otherwise."""
    return {
        path.stem: read_rungs(path.read_text(encoding="utf-8")) for path in sorted((HERE / "right" / lab).glob("*.py"))
    }
