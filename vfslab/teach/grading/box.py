"""The box a student's code runs in: what it can see, which limits it has, who watches it.

    with Box(backend, contents) as box:      sockets that listen, a process that answers on them
        ... box.folder, box.key ...          how the grader outside talks to the kernel inside
        box.watch(deadline)                  None while all is well, else why the box was shut

What is in it: Python's library, the packages that ipykernel needs, a package that is made for one lab (strip.py),
64 MiB of /tmp. Nothing else of the machine: no programs, no home, no network, no other site-packages.

    bubblewrap      bwrap, if it is installed and works
    namespaces      the same by our own means (namespaces.py)
    unsafe          no isolation but limits: only if someone asks for it
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SOCKETS = {1: "shell", 2: "iopub", 3: "stdin", 4: "control"}
MEMORY, PROCESSES, DISK, FILES = 768 << 20, 32, 64 << 20, 8192
# AS is address space, of which threads reserve much that they never touch; what is really used is counted by watch().
LIMITS = {"AS": 3 << 30, "CPU": 120, "NPROC": 64, "FSIZE": 32 << 20, "NOFILE": 256, "CORE": 0, "MSGQUEUE": 0}
NOBODY = 65534
DEVICES = ("null", "zero", "full", "random", "urandom")
LEFT_OUT = {"debugpy", "jedi", "parso", "appnope", "vfslab"}  # a kernel runs without them


class NoBox(RuntimeError):
    """No isolation is to be had here: one line for a person."""


@dataclass(frozen=True)
class Contents:
    """What a box shows, the same for all submissions of a batch: package is the folder that holds vfslab/."""

    package: Path
    limits: dict[str, int] = field(default_factory=lambda: dict(LIMITS))

    @functools.cached_property
    def binds(self) -> list[tuple[str, str]]:
        """Return (path outside, path inside) of all that is shown, read-only."""
        shown = [(path, path) for path in libraries()]
        shown += [(path, f"/box/site/{os.path.basename(path)}") for path in site_entries()]
        shown += [(str(self.package), "/box/package"), (str(HERE / "inside"), "/box/inside")]
        program = base_python()
        return shown + [(program, program), *((f"/dev/{name}", f"/dev/{name}") for name in DEVICES)]

    @functools.cached_property
    def hidden(self) -> list[str]:
        """Return the folders inside the shown ones that are shown empty: where packages are installed."""
        found = [path for top in libraries() for path in Path(top).glob("python3*/*-packages")]
        return [str(path) for path in found if path.is_dir() and not path.is_symlink()]


def base_python() -> str:
    """Return the interpreter itself, not the link that a virtual environment has to it."""
    return os.path.realpath(sys.executable)


def libraries() -> list[str]:
    """Return the folders with the C library's and Python's own files."""
    tops = [f"{top}/{name}" for top in ("/usr", sys.base_prefix) for name in ("lib", "lib64")]
    found = [path for path in dict.fromkeys(tops) if os.path.isdir(path) and not os.path.islink(path)]
    found += [
        path for path in ("/lib", "/lib64", "/etc/ld.so.cache") if os.path.exists(path) and not os.path.islink(path)
    ]
    return found


def root_links() -> list[tuple[str, str]]:
    """Return (path, text) of the links that lead to the libraries: /lib64 to usr/lib64, on most machines."""
    names = ("/lib", "/lib32", "/lib64", "/usr/lib64")
    return [(name, os.readlink(name)) for name in names if os.path.islink(name)]


def site_entries() -> list[str]:
    """Return the files and folders that belong to ipykernel and to all that it needs."""
    found: dict[str, None] = {}
    for name in sorted(needed("ipykernel")):
        dist = importlib.metadata.distribution(name)
        for file in dist.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__", "/"):
                found[str(dist.locate_file(top))] = None
    return [path for path in found if os.path.exists(path)]


def needed(name: str) -> set[str]:
    """Return the names of the distributions that one needs, itself among them."""
    from packaging.requirements import Requirement

    names, todo = set(), [name]
    while todo:
        each = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if each in names or each in LEFT_OUT:
            continue
        try:
            wanted = importlib.metadata.requires(each) or ()
        except importlib.metadata.PackageNotFoundError:
            continue
        names.add(each)
        for text in wanted:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                todo.append(requirement.name)
    if not names:
        raise NoBox(f"{name} is not installed: pip install 'vfslab[test]'")
    return names


# --- backends -------------------------------------------------------------------------------------------


def inner_command(given: dict[str, Any]) -> list[str]:
    """Return what runs first in a box."""
    return [base_python(), "-I", "-S", "-B", "/box/inside/start.py", json.dumps(given)]


ENVIRONMENT = {"LANG": "C.UTF-8", "HOME": "/tmp", "TMPDIR": "/tmp"}


def bubblewrap(contents: Contents, given: dict[str, Any], empty: str) -> list[str]:
    """Return the command that runs a box by bubblewrap."""
    made = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    made += ["--die-with-parent", "--new-session", "--hostname", "box", "--clearenv"]
    if os.geteuid() == 0:
        made += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        made += ["--unshare-user"]
    for path in parents(contents.binds):
        made += ["--perms", "0755", "--dir", path]  # else only the one who made the box may go through them
    for path, text in root_links():
        made += ["--symlink", text, path]
    for source, target in contents.binds:
        made += ["--dev-bind" if target.startswith("/dev/") else "--ro-bind", source, target]
    for path in contents.hidden:
        made += ["--ro-bind", empty, path]
    made += ["--perms", "1777", "--size", str(DISK), "--tmpfs", "/tmp", "--proc", "/proc", "--chdir", "/tmp"]
    for name, value in ENVIRONMENT.items():
        made += ["--setenv", name, value]
    return [*made, "--remount-ro", "/", *inner_command(given)]


def parents(binds: list[tuple[str, str]]) -> list[str]:
    """Return the folders on the way to what is shown, from the top down, but for the ones that are shown themselves."""
    tops = {target for _source, target in binds}
    found = {str(path) for _source, target in binds for path in Path(target).parents}
    inside = {path for path in found if any(path == top or path.startswith(top + "/") for top in tops)}
    return sorted(found - inside - {"/"})


def namespaces(contents: Contents, given: dict[str, Any], empty: str) -> list[str]:
    """Return the command that runs a box by our own means."""
    binds = [*contents.binds, *((empty, path) for path in contents.hidden)]
    root = empty + "-root"  # is mounted upon, so it cannot be the empty folder too
    os.mkdir(root)
    spec = {"root": root, "binds": binds, "links": root_links(), "disk": DISK, "env": ENVIRONMENT}
    spec["command"] = inner_command(given)
    return [base_python(), "-I", "-S", "-B", str(HERE / "namespaces.py"), json.dumps(spec)]


def unsafe(contents: Contents, given: dict[str, Any], empty: str) -> list[str]:
    """Return the command that runs a kernel with limits, but on the whole machine."""
    given = given | {"path": [str(contents.package), *sys.path[1:]], "uid": 0}
    return [base_python(), "-B", str(HERE / "inside" / "start.py"), json.dumps(given)]


BACKENDS = {"bubblewrap": bubblewrap, "namespaces": namespaces, "unsafe": unsafe}


def available(wanted: str | None = None) -> str:
    """Return the backend to take, the first that works; NoBox if there is none."""
    reasons = []
    for name in [wanted] if wanted else ["bubblewrap", "namespaces"]:
        reason = trouble(name)
        if reason is None:
            return name
        reasons.append(f"{name}: {reason}")
    raise NoBox(
        f"no isolation is available ({'; '.join(reasons)}): install bubblewrap, "
        "or say --unsafe if you trust every submission as your own code"
    )


def trouble(name: str) -> str | None:
    """Return why a backend does not work on this machine, None if it does: a box is made and looks around in itself."""
    if name not in BACKENDS:
        return f"there is no such backend; there are {', '.join(BACKENDS)}"
    if not sys.platform.startswith("linux"):
        return "only Linux has what it needs"
    if name == "bubblewrap" and shutil.which("bwrap") is None:
        return "the program bwrap is not installed"
    try:
        with tempfile.TemporaryDirectory(prefix="vfslab-box-") as folder:
            done = run(name, Contents(shared(folder, "package")), PROBE)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if done.returncode == 0 and done.stdout.strip() == "shut":
        return None
    return (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}, {done.stdout.strip()}"])[-1]


PROBE = """
import os
seen = [path for path in ("/home", "/root/.ssh", "/etc/passwd", "/usr/bin/env", "/work", "/var") if os.path.exists(path)]
others = [each for each in os.listdir("/proc") if each.isdigit() and int(each) not in (1, 2, 3, os.getpid())]
print("shut" if os.getuid() and not seen and not others else f"open: {seen} {others}")
"""


def run(name: str, contents: Contents, program: str, seconds: float = 20) -> subprocess.CompletedProcess:
    """Run a program in a box of its own, without a kernel; return how it ended. For probes and tests."""
    given = {"uid": own_uid(), "limits": contents.limits, "program": program, "path": PATH}
    with tempfile.TemporaryDirectory(prefix="vfslab-box-") as folder:
        command = BACKENDS[name](contents, given, str(shared(folder, "empty")))
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, env=environment()
        )


PATH = ["/box/inside", "/box/package", "/box/site"]


def own_uid() -> int:
    """Return the user that the box runs as: nobody, if the grader is root, else the grader's own."""
    return NOBODY if os.geteuid() == 0 else os.geteuid()


def shared(folder: str | Path, name: str) -> Path:
    """Make a folder that the box's user may read; return its path."""
    path = Path(folder, name)
    path.mkdir()
    path.chmod(0o755)
    return path


def environment() -> dict[str, str]:
    """Return the environment of what starts a box: nothing of the grader's own but where programs lie."""
    return {"PATH": os.environ.get("PATH", os.defpath), **ENVIRONMENT}


# --- one box ----------------------------------------------------------------------------------------------


class Box:
    """A box that runs a kernel, from start to end. folder: where its sockets listen; private to the grader."""

    def __init__(self, backend: str, contents: Contents, folder: Path):
        self.backend, self.contents, self.folder = backend, contents, folder
        self.key = secrets.token_hex(16)
        self.said = b""
        self.most = 0
        self.began = time.monotonic()

    def __enter__(self) -> Box:
        listening = {number: self.listen(number) for number in SOCKETS}
        given = {"uid": own_uid(), "limits": self.contents.limits, "key": self.key, "path": PATH}
        given["fds"] = {number: each.fileno() for number, each in listening.items()}
        command = BACKENDS[self.backend](self.contents, given, str(shared(self.folder, "empty")))
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=list(given["fds"].values()),
                env=environment(),
                cwd=self.folder,
                start_new_session=True,
            )
        finally:
            for each in listening.values():
                each.close()
        self.pidfd = os.pidfd_open(self.process.pid)
        os.set_blocking(self.process.stdout.fileno(), False)
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def listen(self, number: int) -> socket.socket:
        """Return a socket that listens in the grader's folder; the box gets it open, and never sees the folder."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.bind(str(self.folder / f"k-{number}"))
        made.listen(8)
        return made

    def watch(self, deadline: float) -> str | None:
        """Look at the box once; return why it has to be shut, or None."""
        self.drain()
        if self.process.poll() is not None:
            return "the notebook's process ended"
        if time.monotonic() > deadline:
            return "out of time"
        processes = list(descendants(self.process.pid))
        if len(processes) > PROCESSES:
            return f"more than {PROCESSES} processes"
        memory = sum(map(resident, processes))
        self.most = max(self.most, memory)
        if memory > MEMORY:
            return f"more than {MEMORY >> 20} MiB of memory"
        if self.files(processes) > FILES:
            return f"more than {FILES} files"
        return None

    def files(self, processes: list[int]) -> int:
        """Return how many files the box has made: bubblewrap's tmpfs counts bytes only."""
        if self.backend == "unsafe" or not processes:
            return 0
        try:
            told = os.statvfs(f"/proc/{processes[-1]}/root/tmp")
        except OSError:
            return 0
        return told.f_files - told.f_ffree if told.f_blocks * told.f_frsize <= DISK else 0

    def drain(self) -> None:
        """Take what the box writes to its standard output; the first 16 KiB are kept, the rest is thrown away."""
        for _ in range(16):
            try:
                piece = os.read(self.process.stdout.fileno(), 65536)
            except (BlockingIOError, OSError):
                return
            if not piece:
                return
            self.said = (self.said + piece)[:16384]

    def close(self) -> None:
        """End every process of the box, and wait until they are gone."""
        inside = list(descendants(self.process.pid)) if self.process.poll() is None else []
        for pid in inside[::-1]:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.drain()
        self.process.stdout.close()
        os.close(self.pidfd)
        until = time.monotonic() + 5
        while any(alive(pid) for pid in inside) and time.monotonic() < until:
            time.sleep(0.01)


def descendants(pid: int) -> Iterator[int]:
    """Yield a process and all that come from it: in a box, process 1 takes in whoever lost its parent."""
    yield pid
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                    yield from descendants(int(child))


def resident(pid: int) -> int:
    """Return how many bytes of memory a process uses."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def alive(pid: int) -> bool:
    """Return whether a process is there, and not just waiting to be counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False
