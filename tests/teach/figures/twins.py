"""The text twins of the figures, as they were read and approved: twins/F5.txt holds what draw("F5") says.

    python -m tests.teach.figures.twins              write them anew, and the outputs of book/figures.ipynb
    git diff tests/teach/figures book/figures.ipynb  and read what has changed

F7, F8 and F10 are held in walk/ (test_walk.py).
"""

import sys
from pathlib import Path

from vfslab.teach.figures import FIGURES, draw
from vfslab.viz.text import to_text

HERE = Path(__file__).parent / "twins"
GALLERY = Path(__file__).parents[3] / "book" / "figures.ipynb"
HELD = [name for name in FIGURES if name not in ("F7", "F8", "F10")]
HELD_OUTPUT = "nbval-check-output"


def held(name):
    """Return the twin of a figure as it was approved."""
    return (HERE / f"{name}.txt").read_text(encoding="utf-8")


def write_twins():
    """Write the twins of all figures."""
    HERE.mkdir(exist_ok=True)
    for name in HELD:
        (HERE / f"{name}.txt").write_text(to_text(draw(name)), encoding="utf-8")


def write_gallery():
    """Run the gallery, and keep the outputs of those cells only that are compared."""
    import nbclient
    import nbformat

    notebook = nbformat.read(GALLERY, 4)
    nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(GALLERY.parent)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code" and HELD_OUTPUT not in cell.metadata.get("tags", ()):
            cell.outputs, cell.execution_count = [], None
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, GALLERY)


if __name__ == "__main__":
    write_twins()
    if "--twins" not in sys.argv:
        write_gallery()
