"""Many submissions: side by side, with a bar, and not from the beginning again after an interrupt.

    grade_all(submissions, batch, ...)  ──▶ a row for each, in their order

Each finished row goes to a journal beside the report. A second run with the same lab takes from there what it has: the
seeds, so that all submissions of a batch solve the same problems, and the rows of files that have not changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vfslab.teach.grading.box import Contents, shared
from vfslab.teach.grading.merge import Refused, Submission
from vfslab.teach.grading.run import Batch, Row, grade, prepare
from vfslab.teach.grading.strip import strip
from vfslab.teach.labs.model import Lab, load


class Journal:
    """What is already graded, in a file that is written line by line: the batch first, then rows."""

    def __init__(self, path: Path | None):
        self.path = path
        self.kept: dict[tuple[str, str], Row] = {}

    def batch(self, lab: Lab, backend: str, **times: float) -> Batch:
        """Return the batch that was begun here if it still fits, else a new one; then rows of before do not count."""
        head, rows = self.read()
        seeds = (
            head.get("seeds") if set(head.get("seeds", ())) == set(lab.checks) and head.get("lab") == lab.name else None
        )
        batch = prepare(lab, backend, seeds, **times)
        if seeds and head.get("digest") == digest(batch):
            self.kept = {(row.submission, row.digest): row for row in rows}
        elif self.path is not None:
            head = {"lab": lab.name, "seeds": batch.seeds, "digest": digest(batch)}
            self.path.write_text(json.dumps(head) + "\n", encoding="ascii")
        return batch

    def read(self) -> tuple[dict[str, Any], list[Row]]:
        """Return (head, rows) of the file; what a crash has cut off, or no journal at all, is nothing."""
        try:
            lines = self.path.read_text(encoding="ascii").splitlines() if self.path else []
            head = json.loads(lines[0]) if lines else {}
        except (OSError, ValueError):
            return {}, []
        rows = []
        for line in lines[1:]:
            try:
                rows.append(Row.read(json.loads(line)))
            except (ValueError, TypeError, KeyError):
                break
        return head, rows

    def find(self, submission: Submission) -> Row | None:
        """Return the row of a submission that was graded before and is the same still."""
        if not self.kept:
            return None
        try:
            return self.kept.get((submission.name, hashlib.sha256(submission.content()).hexdigest()))
        except Refused:
            return None

    def add(self, row: Row) -> None:
        """Keep a row; an interrupted one is to be graded again."""
        if self.path is not None and row.status != "interrupted":
            with open(self.path, "a", encoding="ascii") as file:
                file.write(json.dumps(asdict(row)) + "\n")

    def done(self) -> None:
        """The report is written: nothing is left to be taken up."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def digest(batch: Batch) -> str:
    """Return what says whether two batches would judge the same."""
    return hashlib.sha256(json.dumps([batch.lab, batch.expected], sort_keys=True).encode()).hexdigest()


@contextmanager
def contents_for(lab: Lab) -> Iterator[Contents]:
    """Give what the boxes of a lab show; it is made anew, and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="vfslab-package-") as folder:
        yield Contents(strip(lab, shared(folder, "package")))


def grade_all(
    submissions: list[Submission],
    batch: Batch,
    journal: Journal,
    jobs: int = 0,
    progress: bool = False,
    pool: Any = None,
) -> list[Row]:
    """Return the rows of all submissions, in their order. An interrupt ends the boxes, and says so in the rows.

    pool: what runs grade() somewhere else (dask.py); default: jobs threads here, one for each core.
    """
    rows: dict[int, Row] = {}
    for number, submission in enumerate(submissions):
        kept = journal.find(submission)
        if kept is not None:
            rows[number] = kept
    todo = [number for number in range(len(submissions)) if number not in rows]
    source = (
        pool.rows(submissions, todo, batch) if pool else here(submissions, todo, batch, jobs or os.cpu_count() or 1)
    )
    with bar(len(submissions), len(rows), progress) as shown:
        for number, row in source:
            rows[number] = row
            journal.add(row)
            shown(row)
    return [rows.get(number) or missing(submission) for number, submission in enumerate(submissions)]


def missing(submission: Submission) -> Row:
    """Return the row of a submission that an interrupt came before."""
    return Row(submission.name, status="interrupted", reason="the batch was interrupted")


def here(submissions: list[Submission], todo: list[int], batch: Batch, jobs: int) -> Iterator[tuple[int, Row]]:
    """Yield (number, row) as they come, from threads of this process: the work is done by the processes they watch."""
    stop = threading.Event()
    with contents_for(load(batch.lab)) as contents, ThreadPoolExecutor(min(jobs, len(todo) or 1)) as threads:
        running: dict[Future[Row], int] = {}
        waiting = iter(todo)
        try:
            while True:
                for number in waiting:
                    running[threads.submit(grade, submissions[number], batch, contents, stop)] = number
                    if len(running) >= 2 * jobs:
                        break
                if not running:
                    return
                done, _others = wait(running, return_when=FIRST_COMPLETED)
                for each in done:
                    yield running.pop(each), each.result()
        except KeyboardInterrupt:
            stop.set()
            for each in running:
                each.cancel()
        finally:
            stop.set()


@contextmanager
def bar(total: int, already: int, progress: bool) -> Iterator[Any]:
    """Give what is called with each row: a bar on stderr, or nothing."""
    if not progress:
        yield lambda row: None
        return
    from tqdm import tqdm

    with tqdm(total=total, initial=already, unit=" notebook", desc="grading") as shown:
        yield lambda row: shown.update()
