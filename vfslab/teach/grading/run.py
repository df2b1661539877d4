"""One submission, from the file to its points.

    read ──▶ merged notebook ──▶ Box (kernel inside)  ◀──sockets──  pytest --nbval outside ──▶ lines of results
                                     └── watched ten times a second, shut in any case

A check counts if nbval says that its cell passed, and what was seen is what the package shows. Whatever
goes wrong, there is a Row with a reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from vfslab.teach.grading.box import Box, Contents
from vfslab.teach.grading.merge import Refused, answer_ids, answers, merged
from vfslab.teach.labs.model import Lab, load
from vfslab.teach.source import PACKAGE

CELL_SECONDS, ALL_SECONDS, TICK = 20.0, 90.0, 0.1


@dataclass(frozen=True)
class Batch:
    """What all submissions of a batch have in common: the checks that have a seed count. expected never leaves the grader."""

    lab: str
    backend: str
    seeds: dict[str, int]
    expected: dict[str, str]
    cell_seconds: float = CELL_SECONDS
    all_seconds: float = ALL_SECONDS


class Handed(Protocol):
    """What can be graded: a Submission here, or one that was read on another machine (dask.py)."""

    @property
    def name(self) -> str: ...

    def content(self) -> bytes: ...


@dataclass
class Outcome:
    """How one check went: its points, and if none, why."""

    check: str
    points: float = 0
    most: float = 0
    held: bool = False
    reason: str = ""
    seconds: float = 0


@dataclass
class Row:
    """One submission's line: its points with a reason for each, or why it was not graded."""

    submission: str
    status: str = "graded"
    points: float = 0
    most: float = 0
    reason: str = ""
    seconds: float = 0
    memory: int = 0
    digest: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    cells: list[dict[str, str]] = field(default_factory=list)

    @staticmethod
    def read(kept: dict[str, Any]) -> Row:
        """Return a row as asdict() has kept it."""
        return Row(**kept | {"outcomes": [Outcome(**each) for each in kept["outcomes"]]})

    kept = asdict


def prepare(lab: Lab, backend: str, seeds: dict[str, int] | None = None, **times: float) -> Batch:
    """Return a batch: fresh seeds, unless some are given, and what the package shows for them."""
    from vfslab.teach.labs import checks

    seeds = seeds or {name: secrets.randbits(48) for name in lab.checks}
    expected = {name: checks.canonical(checks.expected(lab, name, seed)) for name, seed in seeds.items()}
    return Batch(lab.name, backend, seeds, expected, **times)


def grade(submission: Handed, batch: Batch, contents: Contents, stop: threading.Event | None = None) -> Row:
    """Return the row of one submission. Nothing that it holds makes this raise, or last longer than it may."""
    lab = load(batch.lab)
    row = Row(submission.name)
    row.outcomes = [Outcome(name, most=lab.check(name).points) for name in batch.seeds]
    row.most = sum(each.most for each in row.outcomes)
    began = time.monotonic()
    try:
        content = submission.content()
        row.digest = hashlib.sha256(content).hexdigest()
        taken, remarks = answers(content, answer_ids(lab))
        row.reason = "; ".join(remarks)
        notebook = merged(lab, taken, batch.seeds, batch.expected)
        with tempfile.TemporaryDirectory(prefix="vfslab-grade-") as folder:
            run(row, notebook, batch, contents, Path(folder), stop or threading.Event())
    except Refused as refused:
        row.status, row.reason = "refused", str(refused)
    except (OSError, RuntimeError, MemoryError, subprocess.SubprocessError) as error:
        row.status, row.reason = "not graded", f"the grader failed: {type(error).__name__}: {error}"
    row.seconds = round(time.monotonic() - began, 2)
    row.points = sum(each.points for each in row.outcomes)
    if row.status in ("graded", "stopped"):
        row.reason = "; ".join(each for each in (row.reason, summary(row.outcomes)) if each)
    return row


def summary(outcomes: list[Outcome]) -> str:
    """Return how many checks hold, and what is wrong with the first that does not."""
    wrong = [each for each in outcomes if not each.held]
    if not wrong:
        return f"all {len(outcomes)} checks hold"
    return f"{len(outcomes) - len(wrong)} of {len(outcomes)} checks hold; first {wrong[0].check}: {wrong[0].reason}"


def run(row: Row, notebook: dict, batch: Batch, contents: Contents, folder: Path, stop: threading.Event) -> None:
    """Run the notebook in a box and enter in the row what came of it."""
    path, results = folder / "graded.ipynb", folder / "results"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="ascii")
    results.touch()
    deadline = time.monotonic() + batch.all_seconds
    with Box(batch.backend, contents, folder) as box:
        environment = runner_environment(folder, results, box)
        with open(folder / "said", "wb") as said:
            runner = subprocess.Popen(
                runner_command(path, folder, batch),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=folder,
                pass_fds=[box.pidfd],
                start_new_session=True,
            )
        try:
            trouble = watched(box, runner, deadline, stop)
        finally:
            runner.kill()
            runner.wait()
        row.memory = box.most
    if trouble == "interrupted":
        row.status, row.reason = "interrupted", "the batch was interrupted"
        return
    enter(row, results.read_text(encoding="ascii"), batch)
    ended_well = runner.returncode in (0, 1) and all(each.reason or each.held for each in row.outcomes)
    if trouble is None and not ended_well:
        said = (folder / "said").read_bytes()[-2000:].decode("utf-8", "replace")
        trouble = "the run broke off: " + (said.strip().splitlines() or ["nothing was said"])[-1][:300]
    if trouble:
        row.status = "stopped"
        row.reason = "; ".join(each for each in (trouble, row.reason) if each)
    for each in row.outcomes:
        if not each.held and not each.reason:
            each.reason = trouble or "was not reached"


def watched(box: Box, runner: subprocess.Popen, deadline: float, stop: threading.Event) -> str | None:
    """Wait until the runner ends, looking after the box; return why it had to be stopped, or None."""
    ended = None
    while runner.poll() is None:
        trouble = "interrupted" if stop.is_set() else box.watch(deadline)
        if trouble == "the notebook's process ended":
            ended = ended or time.monotonic()
            if time.monotonic() - ended < 5:  # the runner sees it too, and says which cell it was
                time.sleep(TICK / 2)
                continue
        if trouble:
            return trouble
        try:
            runner.wait(TICK / 2)
        except subprocess.TimeoutExpired:
            pass
    return "the notebook's process ended" if ended else None


# jsonschema, which nbformat uses, takes a grammar of addresses if it is there: a second that no notebook needs.
START = "import sys; sys.modules['rfc3987_syntax'] = None; import pytest; sys.exit(pytest.main())"


def runner_command(path: Path, folder: Path, batch: Batch) -> list[str]:
    """Return the command that runs pytest with nothing of the surroundings in it: no conftest, no other plugins."""
    made = [sys.executable, "-B", "-c", START, "-p", "nbval.plugin", "-p", "vfslab.teach.grading.plugin", "--nbval"]
    made += ["-p", "no:cacheprovider", "--noconftest", "--rootdir", str(folder), "--confcutdir", str(folder)]
    made += ["-c", str(folder / "pytest.ini"), "--nbval-cell-timeout", str(batch.cell_seconds)]
    return [*made, "--nbval-kernel-startup-timeout", "30", "--color", "no", "--tb", "no", "-q", str(path)]


def runner_environment(folder: Path, results: Path, box: Box) -> dict[str, str]:
    """Return the environment of the runner: where the box is, where results go."""
    made = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    made |= {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONPATH": str(PACKAGE.parent)}
    made |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "VFSLAB_RESULTS": str(results), "JUPYTER_PLATFORM_DIRS": "1"}
    given = {"folder": str(folder), "key": box.key, "pidfd": box.pidfd}
    return made | {"VFSLAB_BOX": json.dumps(given)}


# --- points -----------------------------------------------------------------------------------------------


def enter(row: Row, text: str, batch: Batch) -> None:
    """Enter the lines that the runner wrote: points of checks that held, reasons of those that did not."""
    outcomes = {each.check: each for each in row.outcomes}
    for line in text.splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            break  # the runner was ended in the middle of it
        outcome = outcomes.get(told.get("check", ""))
        if outcome is None:
            if told["error"]:
                row.cells.append({"cell": told.get("answer", "setup"), "error": told["error"]})
            continue
        outcome.seconds = told["seconds"]
        outcome.held = told["held"] and told["seen"] == batch.expected[outcome.check]
        outcome.points = outcome.most if outcome.held else 0
        outcome.reason = "" if outcome.held else why(told, batch.expected[outcome.check])


def why(told: dict[str, Any], expected: str) -> str:
    """Return why a check did not hold, in one line: what should have been seen, and what was."""
    from vfslab.teach.labs.checks import first_difference

    if told["seen"] is None:
        return (told["error"].strip().splitlines() or ["nothing was seen"])[0][:300]
    try:
        seen = json.loads(told["seen"])
        if isinstance(seen, dict) and "still to be written" in seen:
            return f"still to be written: {seen['still to be written']}"[:300]
        return str(first_difference(seen, json.loads(expected)) or "something else was shown")[:600]
    except Exception:  # what was seen may be anything
        return "what was seen is no observation"
