"""make.py says in one line what is missing, and installs only once for each pyproject.toml."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path):
    """Return a folder with make.py and pyproject.toml, and nothing installed."""
    for name in ("make.py", "pyproject.toml"):
        shutil.copy(TOP / name, tmp_path)
    return tmp_path


@pytest.fixture
def make(copy, monkeypatch):
    """Return the copy's make.py as a module."""
    monkeypatch.delenv("VFSLAB_VENV", raising=False)
    spec = importlib.util.spec_from_file_location("make_under_test", copy / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_python_without_venv_is_one_line(copy):
    (copy / "shadow").mkdir()
    (copy / "shadow" / "ensurepip.py").write_text("raise ImportError")
    environment = {**os.environ, "PYTHONPATH": str(copy / "shadow")}
    environment.pop("VFSLAB_VENV", None)
    done = subprocess.run([sys.executable, copy / "make.py", "lint"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.startswith("vfslab: ") and "python3-venv" in line
    assert not (copy / ".venv").exists()


def test_an_old_python_with_no_newer_beside_it_is_one_line(make, monkeypatch):
    monkeypatch.setattr(make, "OLDEST", (4, 0))
    with pytest.raises(SystemExit, match=r"^vfslab: vfslab needs Python 3.11 or newer, and .* is Python 3\.\d+"):
        make.new_enough()


def test_a_full_disk_is_one_line(make, monkeypatch):
    monkeypatch.setattr(make.shutil, "disk_usage", lambda path: namedtuple("usage", "free")(100 << 20))
    with pytest.raises(SystemExit, match=r"^vfslab: not enough disk: .* 100 MiB are free"):
        make.enough_disk()


@pytest.mark.parametrize(
    "log, words",
    [
        (
            "WARNING: Retrying: [Errno -3] Temporary failure in name resolution\nERROR: No matching distribution",
            "no network",
        ),
        ("ERROR: Could not install packages: [Errno 28] No space left on device\n", "not enough disk"),
        ("Collecting x\nERROR: No matching distribution found for x>=9\n", "No matching distribution found for x>=9"),
        ("", "it printed nothing"),
    ],
)
def test_why_pip_failed_is_one_line(make, log, words):
    line = make.why_pip_failed(log)
    assert words in line and "\n" not in line


def test_what_was_installed_is_not_installed_again_until_pyproject_changes(make, monkeypatch):
    ran = []
    monkeypatch.setattr(make, "works", lambda python: True)
    monkeypatch.setattr(make, "enough_disk", lambda: None)
    monkeypatch.setattr(make, "follow", lambda line: ran.append(line) or 0)
    os.mkdir(make.VENV)
    make.install("all")
    make.install("all")
    assert len(ran) == 1 and ran[0][-1] == ".[all]"
    with open(Path(make.TOP) / "pyproject.toml", "a") as file:
        file.write("\n# changed\n")
    make.install("all")
    make.install("bench")
    assert [line[-1] for line in ran] == [".[all]", ".[all]", ".[bench]"]


def test_a_failed_installation_is_tried_again(make, monkeypatch):
    monkeypatch.setattr(make, "works", lambda python: True)
    monkeypatch.setattr(make, "enough_disk", lambda: None)
    monkeypatch.setattr(make, "follow", lambda line: 1)
    os.mkdir(make.VENV)
    for _ in range(2):
        with pytest.raises(SystemExit, match="^vfslab: "):
            make.install("all")
