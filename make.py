#!/usr/bin/env python3
"""Set vfslab up in .venv and run it: python3 make.py lab | test | book | lite | pdf | lint | fuzz | bench [arguments]

    lab    open JupyterLab on the book               (--no-browser --port 8899: a server only)
    test   run every test and every notebook         (with arguments: run pytest with them)
    book   build the static site in _build/html
    lite   build the edition that runs in a browser, in _build/html/lite
    pdf    print the site's chapters, in _build/pdf
    lint   check style and types
    fuzz   read 10,000 damaged images of each kind
    bench  measure against other readers of ext4

The first run makes .venv and installs vfslab into it; later runs find it there, until pyproject.toml changes.
What is missing on this machine is said in one line. `make lab` does no more than call this file, so it works
where make is absent; VFSLAB_VENV names another place than .venv. It uses the standard library only and runs on
an old Python far enough to say so.
"""

import hashlib
import os
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.abspath(__file__))
# What builds the edition for the browser has a place of its own: its parts would show up in an ordinary JupyterLab.
PLACE = os.path.join("build", "venv-lite") if sys.argv[1:2] == ["lite"] else ".venv"
VENV = os.path.abspath(os.environ.get("VFSLAB_VENV") or os.path.join(TOP, PLACE))
PYTHON = os.path.join(VENV, "Scripts", "python.exe") if os.name == "nt" else os.path.join(VENV, "bin", "python")
LOG = os.path.join(VENV, "install.log")
OLDEST, NEWEST = (3, 11), (3, 14)
NEEDED_BYTES = 1 << 30  # the installation takes about half of it, the package cache the rest

NOTEBOOKS = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=60"]
COMMANDS = ("lab", "test", "book", "lite", "pdf", "lint", "fuzz", "bench")
EXTRAS = {"lite": "lite", "pdf": "all,pdf", "bench": "bench"}  # what a command needs installed, if not `all`


def main(command="--help", *arguments):
    if command not in COMMANDS:
        print(__doc__.strip())
        return 0 if command in ("-h", "--help") else 2
    os.chdir(TOP)
    install(EXTRAS.get(command, "all"))
    if command == "lab":
        return become(["-m", "vfslab", "lab"] + list(arguments))
    return max(run(line) for line in steps(command, list(arguments)))


def steps(command, arguments):
    """Return the command lines, without the interpreter, that a command consists of."""
    if command == "test" and arguments:
        return [["-m", "pytest"] + arguments]
    if command == "test":
        folders = [folder for folder in ("tests", "book", os.path.join("labs", "solutions")) if os.path.isdir(folder)]
        return [["-m", "pytest", "-q"] + NOTEBOOKS + folders]
    if command == "book":
        return [["-m", "vfslab", "book"] + arguments]
    if command in ("lite", "pdf"):
        return [["-m", "vfslab", "book", "--" + command] + arguments]
    if command == "lint":
        return [["-m", "ruff", "check", "."], ["-m", "ruff", "format", "--check", "."], ["-m", "mypy"]]
    if command == "fuzz":
        return [["-m", "tests.fuzz"] + (arguments or ["--count", "10000"])]
    return [["-m", "tests.bench"] + arguments]


def run(line):
    """Run one command line in .venv and return its exit status."""
    return subprocess.call([PYTHON] + line, env=environment())


def become(line):
    """Go on as this command, so that a signal meant for it reaches it."""
    if os.name == "nt":
        return run(line)
    sys.stdout.flush()
    os.execve(PYTHON, [PYTHON] + line, environment())


def environment():
    """Return the environment in which .venv comes first: its programs, and its Jupyter kernel."""
    path = os.pathsep.join([os.path.dirname(PYTHON), os.environ.get("PATH", os.defpath)])
    return dict(os.environ, PATH=path, VIRTUAL_ENV=VENV, JUPYTER_PREFER_ENV_PATH="1", PIP_RETRIES="2")


# --- installing -----------------------------------------------------------------------------------


def install(extra):
    """Make .venv and install vfslab[extra] into it, unless that was done for this pyproject.toml."""
    stamp = os.path.join(VENV, "installed-" + extra)
    if works(PYTHON) and read(stamp) == wanted():
        return
    if not works(PYTHON):
        make_venv()
    enough_disk()
    say(f"installing vfslab into {os.path.relpath(VENV, TOP)}: about a minute; the log is install.log there")
    if follow([PYTHON, "-m", "pip", "install", "--editable", ".[" + extra + "]"]):
        stop(why_pip_failed(read(LOG)))
    with open(stamp, "w") as file:
        file.write(wanted())


def wanted():
    """Return what an installation was made from: pyproject.toml, and the place it points to."""
    with open(os.path.join(TOP, "pyproject.toml"), "rb") as file:
        return hashlib.sha256(file.read() + TOP.encode()).hexdigest()


def make_venv():
    """Make an empty .venv with a Python that is new enough."""
    python = new_enough()
    enough_disk()
    if subprocess.call([python, "-c", "import ensurepip, venv"], stderr=subprocess.DEVNULL):
        stop("this Python has no venv: install it (Debian, Ubuntu: apt install python3-venv) and try again")
    done = subprocess.run([python, "-m", "venv", "--clear", VENV], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        words = done.stdout.decode(errors="replace").strip().splitlines() or ["no reason given"]
        stop(f"cannot make the virtual environment {VENV}: " + words[-1])


def new_enough():
    """Return a Python that vfslab runs on: this one, or a newer one found beside it."""
    if sys.version_info >= OLDEST:
        return sys.executable
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        python = shutil.which(f"python3.{minor}")
        if python and works(python):
            return python
    stop(f"vfslab needs Python 3.11 or newer, and {sys.executable} is Python {sys.version.split()[0]}")


def works(python):
    """Return whether this is a Python that starts and is new enough."""
    test = f"import sys; sys.exit(sys.version_info < {OLDEST})"
    try:
        return subprocess.call([python, "-c", test], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def enough_disk():
    free = shutil.disk_usage(TOP).free
    if free < NEEDED_BYTES:
        stop(f"not enough disk: the installation needs 1 GiB, and {free >> 20} MiB are free at {TOP}")


def follow(line):
    """Run a command with its output in the log, show its last line on a terminal, return its exit status."""
    width = shutil.get_terminal_size().columns - 1 if sys.stdout.isatty() else 0
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment())
    with open(LOG, "wb") as log:
        for output in process.stdout:
            log.write(output)
            if width:
                shown = output.decode(errors="replace").strip()[:width]
                sys.stdout.write("\r" + shown.ljust(width) + "\r")
                sys.stdout.flush()
    return process.wait()


def why_pip_failed(log):
    """Return in one line what stopped pip, from what it printed."""
    lower = log.lower()
    if "no space left on device" in lower:
        return "not enough disk for the installation; install.log has the details"
    if any(sign in lower for sign in NO_NETWORK):
        return "cannot reach the Python package index: no network, or a proxy that pip was not told of"
    lines = [line.strip() for line in log.splitlines() if line.strip()] or ["it printed nothing"]
    errors = [line for line in lines if "Error: " in line or line.startswith("ERROR: ")]
    return f"pip could not install vfslab: {(errors or lines)[-1]} ({LOG})"


NO_NETWORK = (
    "connection refused",
    "connection reset",
    "failed to establish a new connection",
    "name resolution",
    "network is unreachable",
    "proxyerror",
    "read timed out",
    "sslerror",
    "connecttimeout",
)


def read(path):
    """Return the text of a file, or "" if it is not there."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def say(words):
    print("vfslab: " + words, flush=True)


def stop(words):
    sys.exit("vfslab: " + words)


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        stop(str(error))
