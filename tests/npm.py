"""Packages of the npm registry that tests use: fetched once, kept in the user's cache (VFSLAB_CACHE says where)."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def cache():
    """Return the folder that keeps what tests fetch, outside the repository."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vfslab"
    return Path(os.environ.get("VFSLAB_CACHE", default))


def package(name, version, proof):
    """Return the folder of an npm package, fetched now if the file `proof` is not in it yet; skip where npm cannot."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"needs the program {program}, which is not installed")
    folder = cache() / f"{name}-{version}"
    found = folder / "node_modules" / name
    if not (found / proof).exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            "npm",
            "install",
            "--prefix",
            str(folder),
            "--no-save",
            "--no-audit",
            "--no-fund",
            f"{name}@{version}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        if done.returncode:
            pytest.skip(f"needs {name}@{version}, and npm could not fetch it: {done.stderr.strip()[-300:]}")
    return found
