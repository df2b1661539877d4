"""The repository speaks of the product alone: no path of somebody's machine, no number in a tracker, no mark of unfinished work."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
FOLDERS = ["vfslab", "tests", "book", "labs", ".ci"]
TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".ipynb", ".mjs", ".js", ".css", ".cfg", ".txt", ".sh", ".conf", ""}

# Each is written so that it does not match itself.
WORDS = {
    "a path of somebody's machine": r"/(?:work/(?:main|shared)|Users/\w+|home/runner)\b|/root/(?:dev|\.\w+)/|/tmp/ipykernel[_]\d",
    "a number in a tracker": r"\b[Ii]ssue (?:#|[Nn]o\.? ?)?\d+\b",
    "a mark that the work is not done": r"\b(?:FIX[M]E|XX[X])\b",
}


def files():
    """Return the text files of the repository, without what is built."""
    inside = [path for folder in FOLDERS for path in (TOP / folder).rglob("*") if path.is_file()]
    top = [path for path in TOP.iterdir() if path.is_file() and not path.name.startswith(".git")]
    built = {"__pycache__", ".ipynb_checkpoints", "node_modules", "_build"}
    return [path for path in inside + top if path.suffix in TEXT and not built & set(path.parts)]


def found(text, pattern):
    """Return (line number, match) for each match."""
    return [(text.count("\n", 0, match.start()) + 1, match[0]) for match in re.finditer(pattern, text)]


@pytest.mark.parametrize("what", WORDS)
def test_the_text_speaks_of_the_product(what):
    bad = [
        f"{path.relative_to(TOP)}:{line}: {words!r} is {what}"
        for path in files()
        for line, words in found(path.read_text(encoding="utf-8", errors="replace"), WORDS[what])
    ]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize(
    "what, text",
    [
        ("a path of somebody's machine", "see /" + "work/main/x"),
        ("a path of somebody's machine", "open('/" + "root/dev/bin/python')"),
        ("a number in a tracker", "as iss" + "ue #12 says"),
        ("a mark that the work is not done", "# FIX" + "ME: later"),
    ],
)
def test_planted_words_are_found(what, text):
    assert len(found(text, WORDS[what])) == 1


def test_no_large_file_is_kept():
    assert [path.name for path in files() if path.stat().st_size > 1 << 20] == []
