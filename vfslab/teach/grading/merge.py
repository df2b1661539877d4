"""From what was handed in to the notebook that is graded.

    submission ──read──▶ {grade_id: source} of its answer cells ──merged──▶ a notebook made here

Nothing else of a submission is ever used: no outputs, no metadata, no check cells, no other cells, no kernel's
name. What is not a plain file with a notebook in it is refused, with a reason, before anything looks further.
"""

from __future__ import annotations

import json
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vfslab.teach.labs.model import Lab, Step
from vfslab.teach.labs.starter import code, notebook
from vfslab.user.text import printable

MOST_BYTES, MOST_CELLS, MOST_MEMBERS = 10 << 20, 2000, 2000
MIME = "application/x-vfslab-observation"
MARKER = re.compile(r"^(\s*#+\s*)(NBVAL_|PYTEST_VALIDATE_)", re.MULTILINE)


class Refused(Exception):
    """A submission that is not graded; its text is the reason in its row."""


@dataclass(frozen=True)
class Submission:
    """Where a submission lies: a file, or a member of a zip archive."""

    path: Path
    member: str = ""

    @property
    def name(self) -> str:
        """Return what its row is called."""
        return printable(f"{self.path}!{self.member}" if self.member else str(self.path))

    def content(self) -> bytes:
        """Return its bytes; Refused if it is no plain file of a size that a notebook can have."""
        if not self.member:
            return plain_file(self.path)
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                content = file.read(MOST_BYTES + 1)
        except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
            raise Refused(f"the archive cannot be read: {error}") from None
        return fitting(content)


def plain_file(path: Path) -> bytes:
    """Return the content of a plain file; nothing that is a link, a pipe or a device is followed or waited for."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        link = path.is_symlink()
        raise Refused("a symbolic link, not a file" if link else f"cannot be opened: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Refused("not a plain file")
        with open(fd, "rb", closefd=False) as file:
            return fitting(file.read(MOST_BYTES + 1))
    finally:
        os.close(fd)


def fitting(content: bytes) -> bytes:
    """Return the content; Refused if it is too large."""
    if len(content) > MOST_BYTES:
        raise Refused(f"larger than {MOST_BYTES >> 20} MiB")
    return content


def found(places: list[str]) -> Iterator[Submission]:
    """Yield the submissions that a command line names: files, all notebooks in folders and in zip archives."""
    for place in places:
        path = Path(place)
        if path.is_dir() and not path.is_symlink():
            for top, folders, files in os.walk(path):
                folders[:] = sorted(each for each in folders if not each.startswith("."))
                for name in sorted(files):
                    if name.endswith((".ipynb", ".zip")):
                        yield from in_file(Path(top, name))
        else:
            yield from in_file(path)


def in_file(path: Path) -> Iterator[Submission]:
    """Yield the submission that a file is, or those in it if it is an archive. Nothing is unpacked to the disk."""
    if path.suffix != ".zip" or path.is_symlink() or not path.is_file():
        yield Submission(path)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = [each.filename for each in archive.infolist() if each.filename.endswith(".ipynb")]
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        yield Submission(path)  # is refused for what it is when it is read
        return
    for member in members[:MOST_MEMBERS]:
        yield Submission(path, member)
    if not members:
        yield Submission(path)


def answers(content: bytes, wanted: set[str]) -> tuple[dict[str, str], list[str]]:
    """Return ({grade_id: source} of the answer cells, remarks); Refused if this is no notebook."""
    try:
        read = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError, MemoryError) as error:
        raise Refused(f"not a notebook: {type(error).__name__}") from None
    if not isinstance(read, dict) or read.get("nbformat") != 4 or not isinstance(read.get("cells"), list):
        raise Refused("not a notebook of format 4")
    if len(read["cells"]) > MOST_CELLS:
        raise Refused(f"more than {MOST_CELLS} cells")
    taken: dict[str, str] = {}
    twice = set()
    for cell in read["cells"]:
        grade_id, source = answer(cell)
        if grade_id in wanted and source is not None:
            twice |= {grade_id} & taken.keys()
            taken[grade_id] = source
    remarks = [f"{name} is there more than once: the last one counts" for name in sorted(twice)]
    missing = sorted(wanted - taken.keys())
    if missing:
        remarks.append(f"no cell {', '.join(missing)}")
    if not taken:
        raise Refused("no answer cell of this lab")
    return taken, remarks


def answer(cell: Any) -> tuple[str, str | None]:
    """Return (grade_id, source) of a cell, with None where it is no code cell with an id."""
    if not isinstance(cell, dict) or cell.get("cell_type") != "code" or not isinstance(cell.get("metadata"), dict):
        return "", None
    marks, source = cell["metadata"].get("nbgrader"), cell.get("source")
    grade_id = marks.get("grade_id") if isinstance(marks, dict) else None
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(grade_id, str) or not isinstance(source, str) or "\0" in source:
        return "", None
    return grade_id, source.encode("utf-8", "replace").decode("utf-8")


# --- the notebook that is graded ---------------------------------------------------------------------


def answer_id(step: Step, name: str) -> str:
    """Return the id of an answer cell."""
    return f"step{step.number}-{name}"


def answer_ids(lab: Lab) -> set[str]:
    """Return the ids of the lab's answer cells."""
    return {answer_id(step, name) for step, _file, name in lab.answers()}


def merged(lab: Lab, taken: dict[str, str], seeds: dict[str, int], expected: dict[str, str]) -> dict[str, Any]:
    """Return the notebook that is graded: a kernel, the answers in the lab's order, after each step its checks.

    seeds, expected: for each check the seed of its problems, and what the package shows for it.
    """
    cells = [made("setup", SETUP.format(lab=lab.name))]
    for step in lab.steps:
        for _step, _file, name in (each for each in lab.answers() if each[0] is step):
            grade_id = answer_id(step, name)
            if grade_id in taken:
                cells.append(made(grade_id, MARKER.sub(r"\1no \2", taken[grade_id]), answer=grade_id))
        for check in (each for each in step.checks if each.name in seeds):
            source = CHECK.format(lab=lab.name, name=check.name, seed=seeds[check.name])
            cell = made(f"check-{check.name}", source, check=check.name)
            cell["execution_count"] = 1  # without a number nbval would compare nothing
            cell["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": {MIME: expected[check.name]}}]
            cells.append(cell)
    return notebook(cells)


SETUP = """%load_ext vfslab
from vfslab.teach import labs
lab = labs.open({lab!r})
k = lab.boot()
p = k.process()
"""
CHECK = f"""from IPython.display import display
from vfslab.teach import labs
display({{{{{MIME!r}: str(labs.open({{lab!r}}).observe({{name!r}}, {{seed}}))}}}}, raw=True)
"""


def made(id: str, source: str, **told: str) -> dict[str, Any]:
    """Return a code cell with an id, and what it is for in its metadata."""
    cell = code(source, vfslab_grading=told)
    cell["id"] = re.sub(r"[^a-zA-Z0-9_-]", "-", id)[:64]
    return cell
