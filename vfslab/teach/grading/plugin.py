"""nbval's other half, outside the box: pytest loads this beside nbval, in a process of its own for each submission.

    pytest --nbval ──▶ BoxedKernel ──unix sockets──▶ the kernel in the box
                  └──▶ one line of JSON for each cell, in the grader's folder

nbval runs the cells, waits, and compares. Here is only: whom it talks to, how much it listens to, what
it compares (the observation of a check; a print in an answer costs nobody a point), and who gets the results.
Whatever comes out of the box is taken for hostile: messages have a size, all together a sum, a wait has an end.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import time
from queue import Empty
from typing import Any

import nbval.plugin
import pytest
import zmq
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.session import Session
from nbval.kernel import RunningKernel

from vfslab.teach.grading.merge import MIME

MOST_MESSAGE, MOST_ALL, WAITING = 1 << 20, 16 << 20, 64
NEVER_COMPARED = ("stdout", "stderr", "text/plain", "text/html", "text/markdown", "text/latex", "image/svg+xml")


class Flood(RuntimeError):
    """The box has said more than any notebook needs to."""


class CountingSession(Session):
    """A session that reads so many bytes, and no more."""

    heard = 0

    def deserialize(self, msg_list: list, content: bool = True, copy: bool = True) -> dict[str, Any]:
        self.heard += sum(len(memoryview(getattr(part, "buffer", part))) for part in msg_list) + 200
        if self.heard > MOST_ALL:
            raise Flood(f"more than {MOST_ALL >> 20} MiB of output")
        return super().deserialize(msg_list, content, copy)


class BoxedKernel(RunningKernel):
    """The kernel in the box, as nbval sees it."""

    def __init__(self, kernel_name: str, cwd: str | None = None, startup_timeout: float = 60):
        given = json.loads(os.environ["VFSLAB_BOX"])
        self.pidfd = given["pidfd"]
        if not self.is_alive():
            raise RuntimeError("the notebook's process ended")
        context = zmq.Context()
        for option, value in SOCKETS.items():
            context.setsockopt(option, value)
        session = CountingSession(key=given["key"].encode())
        self.kc = BlockingKernelClient(context=context, session=session, transport="ipc", ip=given["folder"] + "/k")
        self.kc.shell_port, self.kc.iopub_port, self.kc.stdin_port, self.kc.control_port = 1, 2, 3, 4
        self.kc.start_channels(stdin=False, hb=False)
        self.wait_until_ready(time.monotonic() + startup_timeout)

    def wait_until_ready(self, deadline: float) -> None:
        """Ask until the kernel answers on both channels."""
        while time.monotonic() < deadline:
            asked = self.kc.kernel_info()
            try:
                self.await_reply(asked, timeout=deadline - time.monotonic())
                self.await_idle(asked, 0.5)
                return
            except Empty:
                continue
        raise RuntimeError("the kernel in the box did not start")

    def get_message(self, stream: str, timeout: float | None = None) -> dict[str, Any]:
        """Return the next message; Empty after timeout, RuntimeError as soon as the box is gone."""
        channel = self.kc.iopub_channel if stream == "iopub" else self.kc.shell_channel
        deadline = time.monotonic() + (timeout or 0)
        while True:
            try:
                return channel.get_msg(timeout=max(0, min(0.2, deadline - time.monotonic())))
            except Empty:
                if not self.is_alive():
                    raise RuntimeError("the notebook's process ended") from None
                if time.monotonic() >= deadline:
                    raise

    def is_alive(self) -> bool:
        """Return whether the box still runs."""
        return not select.select([self.pidfd], [], [], 0)[0]

    def interrupt(self) -> None:
        """Ask the kernel to stop what it is doing."""
        self.kc.control_channel.send(self.kc.session.msg("interrupt_request", {}))

    def stop(self) -> None:
        """Hear no more; the box is shut by whoever opened it."""
        self.kc.stop_channels()


SOCKETS = {
    zmq.MAXMSGSIZE: MOST_MESSAGE,
    zmq.RCVHWM: WAITING,
    zmq.RECONNECT_IVL: -1,  # a name that could lead somewhere else by now is not looked up again
    zmq.HANDSHAKE_IVL: 60_000,
    zmq.LINGER: 0,
}


# --- what pytest calls -------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Take nbval's kernel's place; end with the grader; have limits too."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    for which, most in ((resource.RLIMIT_AS, 4 << 30), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 64 << 20)):
        resource.setrlimit(which, (most, most))
    nbval.plugin.RunningKernel = BoxedKernel


def pytest_collectstart(collector: Any) -> None:
    """Of a check cell's outputs only the observation is compared."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare = (*collector.skip_compare, *NEVER_COMPARED)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Any:
    """Write down how a cell went, as soon as it is through."""
    report = yield
    if report.when == "call" or report.failed:
        told = dict(item.cell.metadata.get("vfslab_grading", {}))
        told |= {
            "when": report.when,
            "held": report.when == "call" and report.passed,
            "seconds": round(call.duration, 3),
        }
        told["seen"] = seen(getattr(item, "test_outputs", None) or ())
        told["error"] = "" if call.excinfo is None else reason(call.excinfo.value)
        with open(os.environ["VFSLAB_RESULTS"], "a", encoding="ascii") as file:
            file.write(json.dumps(told) + "\n")
    return report


def seen(outputs: Any) -> str | None:
    """Return the observation among a cell's outputs, None unless there is exactly one."""
    found = [each["data"][MIME] for each in outputs if isinstance(each.get("data"), dict) and MIME in each["data"]]
    return found[0] if len(found) == 1 and isinstance(found[0], str) and len(found[0]) < MOST_MESSAGE else None


def reason(error: BaseException) -> str:
    """Return why a cell did not pass: the last lines of what nbval has to say."""
    inner = getattr(error, "inner_traceback", None)
    return f"{error}\n{inner}"[-4000:] if inner else str(error)[-4000:]
