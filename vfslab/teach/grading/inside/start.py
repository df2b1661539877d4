"""The first program in the box: gives up every right, then becomes the notebook's kernel.

    namespaces (bwrap or namespaces.py) ──▶ start.py: uid, limits, system calls, a look at itself ──▶ ipykernel

Nothing of the student's has run before this is through. The kernel's sockets come as open file descriptors
that already listen: so the box and the grader need no folder that both can see.
argv[1] is JSON: uid, limits, the connection (key), fds {port: fd}, path.
"""

from __future__ import annotations

import json
import os
import resource
import sys


def main(given: dict) -> None:
    """Shut the box from inside, then run what it is for: a kernel, or a program of the tests."""
    sys.path[:] = [*given["path"], *(each for each in sys.path if not each.startswith("/box"))]
    drop(given["uid"])
    limit(given["limits"])
    import seccomp

    seccomp.end_with_parent()
    seccomp.no_new_privileges()
    filtered = seccomp.install()
    confirm()
    os.environ.update(HOME="/tmp", IPYTHONDIR="/tmp/.ipython", MALLOC_ARENA_MAX="2", VFSLAB_HOME="/tmp")
    if "program" in given:
        exec(compile(given["program"], "<program>", "exec"), {"__name__": "__main__", "filtered": filtered})
    else:
        kernel(given["key"], {int(port): fd for port, fd in given["fds"].items()})


def drop(uid: int) -> None:
    """Become an ordinary user, if this still is root."""
    if os.getuid() == 0 and uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def limit(limits: dict[str, int]) -> None:
    """Set the limits of this process and of each that it starts."""
    for name, most in limits.items():
        which = getattr(resource, "RLIMIT_" + name)
        _soft, hard = resource.getrlimit(which)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (most, most))


def confirm() -> None:
    """Stop unless all rights are really gone."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    rights = int(status["CapEff"], 16) | int(status["CapPrm"], 16)
    if rights or status["NoNewPrivs"] != "1":
        sys.exit("the box still has rights: nothing was run")


def kernel(key: str, fds: dict[int, int]) -> None:
    """Run ipykernel on sockets that are there already. Does not return."""
    import zmq
    from ipykernel.kernelapp import IPKernelApp
    from traitlets.config import Config

    class BoxedApp(IPKernelApp):
        def _try_bind_socket(self, s: zmq.Socket, port: int) -> int:
            s.setsockopt(zmq.USE_FD, fds[port])
            s.bind(f"ipc:///tmp/.kernel-{port}")
            return port

        def init_heartbeat(self) -> None:
            """Without one: whether the box lives is seen from outside."""

        def write_connection_file(self, **_info: object) -> None:
            """Nobody reads it."""

    config = Config()
    config.Session.key = key.encode()
    config.HistoryManager.enabled = False
    config.IPKernelApp.update(transport="ipc", ip="/tmp/.kernel", parent_handle=0, connection_file="/tmp/.kernel.json")
    for number, name in enumerate(("shell", "iopub", "stdin", "control", "hb"), 1):
        config.IPKernelApp[f"{name}_port"] = number
    BoxedApp.launch_instance(argv=[], config=config)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
