"""vfslab runs in a browser: the same package, under Pyodide, started here by Node."""

import subprocess
from pathlib import Path

import pytest

from tests import npm

VERSION = "314.0.6"
TOP = Path(__file__).parents[2]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def pyodide():
    """Return the folder of the Pyodide runtime."""
    return npm.package("pyodide", VERSION, "pyodide-lock.json")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_boot_mount_and_read_in_the_python_of_a_browser(pyodide):
    command = ["node", str(HERE / "smoke.mjs"), str(pyodide), str(TOP)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    python, root, file = done.stdout.splitlines()[-3:]
    assert python.endswith("on emscripten")
    assert root == "root a123 a789 lost+found"
    assert file == "inode 16 bytes 100"
