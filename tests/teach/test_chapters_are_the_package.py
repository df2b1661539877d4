"""The last rung of each chapter is the package: what a %%kernel cell ends with, the package has, to the docstring.

A chapter builds a function in steps. Cells `%%kernel FILE step=N` are rungs on the way; the last definition of each
function, in whichever cell, must be the package's own. A function that only rungs define and the package does not have
is a rung's helper. Cells tagged `broken` hold code that is wrong on purpose, and are left out.
"""

import ast
import json
import re
from pathlib import Path

import pytest

from vfslab.teach.source import NoSource, check_file, final_cell, package_functions

BOOK = Path(__file__).parents[2] / "book"
CHAPTERS = sorted(BOOK.glob("*.ipynb"))
MAGIC = re.compile(r"^%%kernel\s+(\S+)(\s+step=\S+)?\s*\n")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_ends_with_the_code_of_the_package(path):
    found = list(differences(json.loads(path.read_text(encoding="utf-8"))))
    assert not found, "\n".join([f"{path.name} and the package differ:", *found])


def differences(notebook):
    """Yield a line for each function whose last definition in the notebook is not the package's."""
    last = {}
    for number, cell in enumerate(notebook["cells"], 1):
        found = MAGIC.match("".join(cell["source"]))
        if cell["cell_type"] != "code" or not found or "broken" in cell["metadata"].get("tags", ()):
            continue
        where = f"cell {number} ({cell.get('id', 'no id')})"
        try:
            file = check_file(found[1])
            tree = ast.parse("".join(cell["source"])[found.end() :])
        except (NoSource, SyntaxError) as error:
            yield f"{where}: {error}"
            continue
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                last[file, node.name] = where, bool(found[2]), node
    for (file, name), (where, rung, node) in last.items():
        own = package_functions(file).get(name)
        if own is None and not rung:
            yield f"{where}: {file} has no function {name}; a rung's helper belongs into a cell with step=N"
        elif own is not None and ast.dump(own) != ast.dump(node):
            yield (
                f"{where}: {name} is not that of {file}, line {own.lineno}: {first_difference(own, node)} "
                f"(python -m vfslab.teach.livepatch {file} {name} prints it)"
            )


def first_difference(own, node):
    """Return the first line, as Python writes it, in which two functions differ."""
    ours, theirs = ast.unparse(own).splitlines(), ast.unparse(node).splitlines()
    for mine, other in zip(ours, theirs, strict=False):
        if mine != other:
            return f"`{mine.strip()}` in the package, `{other.strip()}` in the cell"
    return f"{len(ours)} lines in the package, {len(theirs)} in the cell"


# --- the comparison finds what it is for ----------------------------------------------------------

FILE = "fs/namei.py"
OWN = final_cell(FILE, ["may_lookup", "split_path"])
STEP = OWN.replace(FILE, f"{FILE} step=1")


def notebook(*cells):
    """Return a notebook of code cells; a cell may be (source, tag)."""
    made = [cell if isinstance(cell, tuple) else (cell, "") for cell in cells]
    return {
        "cells": [
            {
                "cell_type": "code",
                "id": f"c{n}",
                "metadata": {"tags": [tag]},
                "source": source.splitlines(keepends=True),
            }
            for n, (source, tag) in enumerate(made)
        ]
    }


ALTERED = {
    "docstring": ("may search, else", "may search; else"),
    "operator": ("!= S_IFDIR", "== S_IFDIR"),
    "default": ("(nd: Nameidata)", "(nd: Nameidata = None)"),
    "annotation": ("-> None", "-> int"),
    "line gone": ("    inode_permission(inode, MAY_EXEC)\n", ""),
    "new function": ("def may_lookup", "def may_look_up"),
    "file": (FILE, "fs/nami.py"),
    "syntax": ("def split_path(", "def split_path("[:-1]),
}


@pytest.mark.parametrize("old, new", ALTERED.values(), ids=ALTERED)
def test_an_altered_function_is_found_and_its_cell_named(old, new):
    assert old in OWN
    (line,) = differences(notebook("1 + 1", OWN.replace(old, new)))
    assert line.startswith("cell 2 (c1): ")


def test_the_package_itself_is_equal_and_comments_do_not_count():
    assert list(differences(notebook(OWN))) == []
    assert list(differences(notebook(OWN.replace("\n    inode =", "\n\n    # a word\n    inode =")))) == []


def test_rungs_may_differ_as_long_as_the_last_one_does_not():
    rung = STEP.replace("raise ENOTDIR(nd.last)", "pass")
    assert list(differences(notebook(rung, OWN))) == []
    assert list(differences(notebook(rung, STEP))) == []
    (line,) = differences(notebook(OWN, rung))
    assert line.startswith("cell 2 (c1): may_lookup") and "`raise ENOTDIR(nd.last)` in the package, `pass`" in line


def test_a_helper_that_the_package_does_not_have_may_stand_in_a_rung():
    helper = f"%%kernel {FILE} step=1\ndef helper(nd):\n    pass\n"
    assert list(differences(notebook(helper))) == []
    assert len(list(differences(notebook(helper.replace(" step=1", ""))))) == 1


def test_code_that_is_broken_on_purpose_is_left_out():
    wrong = OWN.replace("!= S_IFDIR", "== S_IFDIR")
    assert list(differences(notebook(OWN, (wrong, "broken")))) == []
    assert len(list(differences(notebook(OWN, (wrong, "other"))))) == 1


def test_the_book_has_chapters():
    assert "index" in {path.stem for path in CHAPTERS}
