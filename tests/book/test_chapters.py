"""The chapters run on an image of the reader's own, not only on the one that ships."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import needs_program

BOOK = Path(__file__).parents[2] / "book"
CHAPTERS = sorted(path for path in BOOK.glob("[0-9][0-9]_*.ipynb"))


@needs_program("mke2fs")
@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "options", [["-t", "ext4", "-b", "1024"], ["-t", "ext2"], ["-t", "ext4", "-O", "inline_data"]], ids=" ".join
)
def test_a_chapter_runs_on_an_image_of_ones_own(chapter, options, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    tree = tmp_path / "tree"
    (tree / "docs" / "deep").mkdir(parents=True)
    (tree / "docs" / "long").write_bytes(os.urandom(300_000))
    (tree / "docs" / "deep" / "short").write_bytes(b"a few words\n")
    (tree / "other").write_bytes(b"x" * 5000)
    image = tmp_path / "own.img"
    subprocess.run(["mke2fs", "-q", *options, "-d", tree, image, "16M"], check=True, capture_output=True)
    notebook = nbformat.read(chapter, 4)
    setup = next(cell for cell in notebook.cells if cell.cell_type == "code" and "IMAGE = None" in cell.source)
    setup.source = setup.source.replace("IMAGE = None", f"IMAGE = {str(image)!r}")
    nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
