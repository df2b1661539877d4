"""What the tests of grading share: notebooks of a lab with any answers, and batches of them on a backend."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

from vfslab.teach.grading import box
from vfslab.teach.grading.batch import Journal, grade_all
from vfslab.teach.grading.merge import Submission, answer_id
from vfslab.teach.grading.run import grade, prepare
from vfslab.teach.labs.model import load
from vfslab.teach.labs.starter import answer, code, marks, notebook

LAB = "path_walk"
ISOLATED = ["bubblewrap", "namespaces"]
JOBS = (os.cpu_count() or 1) + 1  # some of them only wait
CHECKS = ["plain_names", "who_may_search"]


def lab():
    return load(LAB)


def backend_or_skip(name):
    """Return the backend, or skip with the reason why this machine does not have it."""
    import pytest

    reason = box.trouble(name)
    if reason:
        pytest.skip(f"the backend {name} is not available: {reason}")
    return name


def small_batch(backend, checks=CHECKS, **times):
    """Return a batch that grades a few checks only, and is not patient."""
    seeds = {name: 1000 + number for number, name in enumerate(checks)}
    times = {"cell_seconds": 2.5, "all_seconds": 20.0} | times
    return prepare(lab(), backend, seeds, **times)


def solved():
    """Return the notebook of somebody who has solved everything."""
    return notebook([answer(lab(), step, name) for step, _file, name in lab().answers()])


def answering(source):
    """Return a notebook whose first answer cell is this, and that has no others."""
    step, _file, name = next(lab().answers())
    cell = code(source)
    cell["id"] = answer_id(step, name)
    cell["metadata"]["nbgrader"] = marks(cell["id"], solution=True)
    return notebook([cell])


def write(folder, name, made):
    path = folder / f"{name}.ipynb"
    path.write_text(made if isinstance(made, str) else json.dumps(made), encoding="utf-8")
    return path


def grade_many(notebooks, folder, batch, contents=None):
    """Return {name: row} of {name: notebook}, graded side by side."""
    names = {f"n{number:03}": name for number, name in enumerate(notebooks)}
    paths = [write(folder, short, notebooks[name]) for short, name in names.items()]
    submissions = [Submission(path) for path in paths]
    if contents is None:
        rows = grade_all(submissions, batch, Journal(None), jobs=JOBS)
    else:
        with ThreadPoolExecutor(JOBS) as threads:
            rows = list(threads.map(lambda each: grade(each, batch, contents), submissions))
    return dict(zip(names.values(), rows, strict=True))
