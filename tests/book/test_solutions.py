"""The solution that a chapter shows for its Make passes the chapter's own checks, and the cell as it comes does not.

A cell tagged `make` defines functions that are still to be written and ends in check(...). The Markdown cell behind it
has a solution, in <details>, as a Python block. Here the solution's functions take the place of the empty ones.
"""

import ast
import re
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[2] / "book"
BLOCK = re.compile(r"<details>.*?```python\n(.*?)```", re.S)


def makes(notebook):
    """Yield (place, cell, solution) of each cell to be made."""
    for place, cell in enumerate(notebook.cells):
        if "make" in cell.metadata.get("tags", ()):
            yield place, cell, BLOCK.search(notebook.cells[place + 1].source)[1]


def solved(source, solution):
    """Return the cell's source with the solution's functions in place of its own of the same names."""
    written = {node.name: node for node in ast.parse(solution).body if isinstance(node, ast.FunctionDef)}
    tree = ast.parse(source)
    tree.body = [written.get(getattr(node, "name", None), node) for node in tree.body]
    return ast.unparse(tree)


def chapters():
    nbformat = pytest.importorskip("nbformat")
    notebooks = [(path, nbformat.read(path, 4)) for path in sorted(BOOK.glob("[0-9][0-9]_*.ipynb"))]
    return [(path, notebook) for path, notebook in notebooks if any(makes(notebook))]


def test_there_are_cells_to_be_made():
    assert [path.stem for path, _ in chapters()]


@pytest.mark.slow
@pytest.mark.parametrize("path, notebook", chapters(), ids=lambda value: getattr(value, "stem", ""))
def test_the_solution_passes_the_checks_and_the_empty_cell_does_not(path, notebook):
    nbclient = pytest.importorskip("nbclient")
    from nbformat.v4 import new_code_cell

    added = []
    for place, cell, solution in reversed(list(makes(notebook))):
        added.append((cell, new_code_cell(solved(cell.source, solution))))
        notebook.cells.insert(place + 1, added[-1][1])
    nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(BOOK)}}).execute()
    for empty, full in added:
        assert "all right" in printed(full) and "not yet" not in printed(full), printed(full)
        assert "all right" not in printed(empty), printed(empty)


def printed(cell):
    return "".join(output.get("text", "") for output in cell.outputs)
