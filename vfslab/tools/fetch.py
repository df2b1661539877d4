"""What the build of the offline edition takes from the registries of npm and Python: fetched once, kept in a cache.

    npm("pyodide", "314.0.6", "pyodide.mjs")     the package's folder
    wheel("jedi", "0.19.2")                      the file of a wheel that runs on any machine

The cache is ~/.cache/vfslab; VFSLAB_CACHE names another folder. What is there is not asked for again, so a second
build needs no network. The registries are those that npm and pip are set up for.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from vfslab.tools.image import ImageError


def cache() -> Path:
    """Return the folder that keeps what was fetched, outside the repository."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vfslab"
    return Path(os.environ.get("VFSLAB_CACHE") or default)


def npm(name: str, version: str, proof: str) -> Path:
    """Return the folder of an npm package, fetched now unless the file `proof` is in it."""
    folder = cache() / f"{name.replace('/', '-')}-{version}"
    found = folder / "node_modules" / name
    if (found / proof).exists():
        return found
    program = shutil.which("npm")
    if program is None:
        raise ImageError(f"npm is not installed, and fetches {name}; install Node.js (Debian, Ubuntu: apt install npm)")
    folder.mkdir(parents=True, exist_ok=True)
    quiet = ["--no-save", "--no-audit", "--no-fund"]
    run([program, "install", "--prefix", str(folder), *quiet, f"{name}@{version}"], f"npm could not fetch {name}")
    return found


def wheel(name: str, version: str) -> Path:
    """Return the wheel of a pure Python package, fetched now unless it is in the cache."""
    folder = cache() / "wheels"
    found = in_folder(folder, name, version)
    if found is None:
        folder.mkdir(parents=True, exist_ok=True)
        pure = ["--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none", "--python-version=3.14"]
        line = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *pure, "--dest", str(folder)]
        run([*line, f"{name}=={version}"], f"pip could not fetch {name}")
        found = in_folder(folder, name, version)
    if found is None:
        raise ImageError(f"{folder}: pip put no wheel of {name} {version} there")
    return found


def in_folder(folder: Path, name: str, version: str) -> Path | None:
    """Return the wheel of a package that a folder has, or None. A file may spell the name in other ways."""
    for path in sorted(folder.glob(f"*-{version}-*.whl")):
        if plain(path.name.split("-")[0]) == plain(name):
            return path
    return None


def plain(name: str) -> str:
    """Return a package's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def run(line: list[str], failure: str, cwd: Path | None = None) -> None:
    """Run a program; if it fails, raise with the last line it printed."""
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd=cwd)
    if done.returncode:
        said = [text.strip() for text in done.stdout.splitlines() if text.strip()]
        faults = [text for text in said if "error" in text.lower()]
        raise ImageError(f"{failure}: {(faults or said or [f'exit status {done.returncode}'])[-1]}")
