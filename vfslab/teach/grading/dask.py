"""A batch over many machines: `vfslab grade ... --dask tcp://HOST:8786`.

    here                                        on each worker (vfslab installed, the same version)
    reads submissions, computes what is right   makes the lab's package once, then a box for each
    ── content of one notebook, the batch ──▶   run.grade()
    ◀── Row ──

The expectations go to the workers, which are the instructor's machines, and from there into no box.
A worker that dies gives its submissions back to the others; one that has another vfslab says so in the row.
"""

from __future__ import annotations

import functools
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from vfslab.teach.grading.box import Contents, NoBox, available, shared
from vfslab.teach.grading.merge import Refused, Submission
from vfslab.teach.grading.run import Batch, Row, grade
from vfslab.teach.grading.strip import strip
from vfslab.teach.labs.model import load
from vfslab.teach.source import PACKAGE


@dataclass(frozen=True)
class Sent:
    """A submission that was read on another machine: what it is called, and its content or why there is none."""

    name: str
    read: bytes
    refused: str = ""

    def content(self) -> bytes:
        if self.refused:
            raise Refused(self.refused)
        return self.read


def sent(submission: Submission) -> Sent:
    """Return a submission as it goes to a worker."""
    try:
        return Sent(submission.name, submission.content())
    except Refused as refused:
        return Sent(submission.name, b"", str(refused))


class Cluster:
    """The workers of a Dask scheduler, in the place of threads here."""

    def __init__(self, address: str, unusable: type[Exception]):
        try:
            from distributed import Client
        except ImportError:
            raise unusable("--dask needs Dask: pip install 'vfslab[dask]'") from None
        try:
            self.client = Client(address, timeout=15)
        except (OSError, ValueError, TimeoutError) as error:
            raise unusable(f"{address}: no Dask scheduler answers there ({error})") from None

    def rows(self, submissions: list[Submission], todo: list[int], batch: Batch) -> Iterator[tuple[int, Row]]:
        """Yield (number, row) as they come."""
        from distributed import as_completed

        version = package_digest()

        def submit(number: int) -> Any:
            return self.client.submit(grade_there, sent(submissions[number]), batch, version, pure=False, retries=2)

        futures = {submit(number): number for number in todo}
        try:
            for future in as_completed(futures):
                number = futures[future]
                yield number, self.row_of(future, submissions[number], partial(submit, number))
        except KeyboardInterrupt:
            self.client.cancel(list(futures))
        finally:
            self.client.close()

    def row_of(self, future: Any, submission: Submission, again: Callable[[], Any]) -> Row:
        """Return the row of a future. A result that is lost with its worker is worked out again, once."""
        reason = ""
        for each in (lambda: future, again):
            try:
                return each().result()
            except Exception as error:  # whatever the cluster has to say
                reason = f"the cluster failed: {type(error).__name__}: {error}"[:300]
        return Row(submission.name, status="not graded", reason=reason)


def grade_there(submission: Sent, batch: Batch, version: str) -> Row:
    """Return the row of one submission, on a worker."""
    if version != package_digest():
        return Row(submission.name, status="not graded", reason="the worker has another vfslab than the grader")
    try:
        backend = batch.backend if batch.backend == "unsafe" else available()
    except NoBox as error:
        return Row(submission.name, status="not graded", reason=f"on the worker: {error}")
    return grade(submission, replace(batch, backend=backend), contents(batch.lab))


@functools.lru_cache(4)
def contents(lab: str) -> Contents:
    """Return what the boxes of a lab show on this worker; made once, and gone with the process."""
    folder = tempfile.TemporaryDirectory(prefix="vfslab-package-")
    made = Contents(strip(load(lab), shared(folder.name, "package")))
    made.__dict__["folder"] = folder  # lives as long as what lies in it is used
    return made


@functools.lru_cache(1)
def package_digest() -> str:
    """Return what says whether two machines have the same package."""
    found = hashlib.sha256()
    for path in sorted(Path(PACKAGE).rglob("*.py")):
        found.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()
