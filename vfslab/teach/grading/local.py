"""`vfslab grade my.ipynb`: a learner's own notebook, here and now. It tells which checks hold, and never a grade.

The answers of the notebook go into a kernel, step by step, and after each step its shown checks run, as the
cells of the notebook would. Nothing is isolated: it is one's own code.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from vfslab.teach.cells import LivePatchError
from vfslab.teach.grading.merge import Refused, answer_id, answer_ids, answers, plain_file
from vfslab.teach.labs.model import Lab, load, names
from vfslab.teach.labs.session import Session
from vfslab.teach.livepatch import apply

MAGIC = re.compile(r"\s*%%kernel\s+(\S+)[^\n]*\n")


def lab_of(content: bytes) -> Lab:
    """Return the lab whose answer cells a notebook has most of; Refused if none."""
    best, most = None, 0
    for lab in map(load, names()):
        try:
            taken, _remarks = answers(content, answer_ids(lab))
        except Refused:
            continue
        if len(taken) > most:
            best, most = lab, len(taken)
    if best is None:
        raise Refused(f"no answer cell of a lab is in it; there are the labs {', '.join(names())}")
    return best


def check_own(path: Path, name: str | None = None) -> bool:
    """Run the shown checks of a notebook's lab with its answers; return whether all hold. Refused if it is no notebook."""
    content = plain_file(path)
    lab = load(name) if name else lab_of(content)
    taken, remarks = answers(content, answer_ids(lab))
    session = Session(lab)
    machine = session.boot()
    print(f"{lab.title}: {path}")
    for remark in remarks:
        print(f"note     {remark}")
    held = True
    try:
        for step in lab.steps:
            print(f"Step {step.number}: {step.title}")
            for _step, file, function in (each for each in lab.answers() if each[0] is step):
                put(machine, taken.get(answer_id(step, function)), file, f"step {step.number}, {function}")
            for check in (each for each in step.checks if not each.hidden):
                held &= session.trial(check)
    finally:
        machine.shutdown()
    return held


def put(machine: Any, source: str | None, file: str, where: str) -> None:
    """Put an answer into the kernel; what is wrong with it is one line."""
    if source is None:
        return
    magic = MAGIC.match(source)
    try:
        apply(machine, magic[1] if magic else file, "\n" + source[magic.end() :] if magic else source, place=where)
    except (LivePatchError, LookupError) as error:
        print(f"error    {where}: {error}")
    except SyntaxError as error:
        print(f"error    {where}, line {error.lineno}: {error.msg}")
