"""vfslab runs in a browser: the same package, under Pyodide, started here by Node.

Pyodide comes from the npm registry once and is kept in the user's cache (VFSLAB_CACHE says where).
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

VERSION = "314.0.6"
TOP = Path(__file__).parents[2]
HERE = Path(__file__).parent


def cache():
    """Return the folder that keeps what tests fetch, outside the repository."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vfslab"
    return Path(os.environ.get("VFSLAB_CACHE", default))


@pytest.fixture(scope="module")
def pyodide():
    """Return the folder of the Pyodide runtime, fetched now if this machine has not got it yet."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"needs the program {program}, which is not installed")
    folder = cache() / f"pyodide-{VERSION}"
    package = folder / "node_modules" / "pyodide"
    if not (package / "pyodide-lock.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            "npm",
            "install",
            "--prefix",
            str(folder),
            "--no-save",
            "--no-audit",
            "--no-fund",
            f"pyodide@{VERSION}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        if done.returncode:
            pytest.skip(f"needs pyodide@{VERSION}, and npm could not fetch it: {done.stderr.strip()[-300:]}")
    return package


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
