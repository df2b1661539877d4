"""Notebooks that cheat or do harm: each gets no point, a row with a reason, and leaves nothing behind.

All attacks of a backend are one batch, side by side with honest notebooks that must get what is theirs. That
the attacks on the solution are worth the name is seen where nothing is taken out of the package: there they work.
"""

import compileall
import os
import re
import shutil
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.grading import attacks, workshop
from vfslab.teach.grading.box import Contents, descendants
from vfslab.teach.grading.report import plain, write_csv, write_html
from vfslab.teach.source import PACKAGE

CODE = {"fetch: every way to the solution": attacks.EVERY_WAY}
CODE |= {f"forge: {name}": text for name, text in attacks.FORGE.items()}
CODE |= {f"harm: {name}": text for name, (text, _reason) in attacks.HARM.items()}


@pytest.fixture(scope="module", params=workshop.ISOLATED)
def rows(request, tmp_path_factory):
    """Return {attack: row} of one batch on a backend, {"honest": row} among them."""
    backend = workshop.backend_or_skip(request.param)
    notebooks = {name: workshop.answering(text) for name, text in CODE.items()}
    notebooks["honest"] = workshop.solved()
    with Listener() as listener:
        notebooks["network"] = workshop.answering(NETWORK.format(port=listener.port, name=listener.name))
        made = workshop.grade_many(notebooks, tmp_path_factory.mktemp("attacks"), workshop.small_batch(backend))
        made["reached"] = listener.reached
    return made


NETWORK = """
import socket
told = []
for family, address in (
    (socket.AF_INET, ("127.0.0.1", {port})),
    (socket.AF_INET, ("1.1.1.1", 53)),
    (socket.AF_UNIX, "\\0{name}"),
    (socket.AF_VSOCK, (2, 22)),
    (socket.AF_NETLINK, (0, 0)),
):
    try:
        with socket.socket(family, socket.SOCK_STREAM if family != socket.AF_NETLINK else socket.SOCK_RAW) as each:
            each.settimeout(1)
            each.connect(address)
            told.append(address)
    except OSError:
        pass
raise RuntimeError(f"reached {{told}}")
"""


class Listener:
    """Two sockets of the host that nobody in a box may reach."""

    def __enter__(self):
        self.inet = socket.create_server(("127.0.0.1", 0))
        self.port, self.name = self.inet.getsockname()[1], f"vfslab-test-{os.getpid()}"
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind("\0" + self.name)
        self.unix.listen()
        self.reached = []
        for each in (self.inet, self.unix):
            threading.Thread(target=self.accept, args=(each,), daemon=True).start()
        return self

    def accept(self, listening):
        try:
            listening.accept()
            self.reached.append(listening)
        except OSError:
            pass

    def __exit__(self, *error):
        for each in (self.inet, self.unix):
            each.shutdown(socket.SHUT_RDWR)
            each.close()


WRONG = [*CODE, "network"]


@pytest.mark.parametrize("attack", WRONG)
def test_wrong_work_gets_no_point_and_a_reason(rows, attack):
    row = rows[attack]
    assert row.points == 0 and not any(each.held for each in row.outcomes), row
    assert row.status in ("graded", "stopped"), row.reason
    assert all(each.reason for each in row.outcomes)


def test_honest_work_beside_all_attacks_gets_all_points(rows):
    assert rows["honest"].status == "graded" and rows["honest"].points == rows["honest"].most > 0, rows["honest"]


@pytest.mark.parametrize("attack", [name for name, (_text, reason) in attacks.HARM.items() if reason])
def test_the_row_says_what_was_done(rows, attack):
    row, wanted = rows[f"harm: {attack}"], attacks.HARM[attack][1]
    told = [row.reason, *(each.reason for each in row.outcomes), *(each["error"] for each in row.cells)]
    assert re.search(wanted, " ".join(told)), told


@pytest.mark.parametrize(
    "attack", ["equals everything", "patched display", "syntax tree transformer", "forged results"]
)
def test_a_forgery_itself_ran_without_an_error(rows, attack):
    assert rows[f"forge: {attack}"].cells == []


def test_nothing_lasts_longer_than_it_may(rows):
    assert {name: row.seconds for name, row in rows.items() if name != "reached" and row.seconds > 30} == {}


def test_no_process_is_left(rows):
    until = time.monotonic() + 5
    while (left := boxes()) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == []


def boxes():
    """Return the command lines of boxes below this process or without a parent."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"/box/inside" in command and (parent == 1 or int(pid) in set(descendants(os.getpid()))):
            found.append((pid, command[:80]))
    return found


def test_neither_the_host_nor_the_network_is_reached(rows):
    assert rows["reached"] == []
    assert any("reached []" in each["error"] for each in rows["network"].cells), rows["network"].cells


def test_the_reports_hold_no_commands_and_no_scripts(rows, tmp_path):
    made = [row for name, row in rows.items() if name != "reached"]
    write_csv(tmp_path / "report.csv", made, workshop.lab())
    write_html(tmp_path / "html", made, workshop.lab(), {})
    for path in tmp_path.rglob("*.*"):
        text = path.read_text(encoding="utf-8")
        assert "\x1b" not in text and "\u202e" not in text and "<script" not in text and "<img" not in text, path
    assert plain("\x1b[2Ja\x1b]0;owned\x07b") == "ab"


@pytest.fixture(scope="module")
def unstripped(tmp_path_factory):
    """Return {way: row} in a box whose package is whole."""
    backend = workshop.backend_or_skip(workshop.ISOLATED[-1])
    folder = tmp_path_factory.mktemp("unstripped")
    package = folder / "package"
    shutil.copytree(PACKAGE, package / "vfslab", ignore=shutil.ignore_patterns("*.pyc", "figures", "explorer"))
    compileall.compile_dir(str(package), quiet=2, stripdir=str(package), prependdir="/box/package")
    for path in [folder, package, *package.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    notebooks = {name: workshop.answering(text) for name, text in attacks.FETCH.items()}
    return workshop.grade_many(notebooks, folder, workshop.small_batch(backend, ["plain_names"]), Contents(package))


@pytest.mark.parametrize("way", attacks.FETCH)
def test_this_way_leads_to_the_solution_where_the_package_still_holds_it(unstripped, way):
    assert unstripped[way].points > 0, unstripped[way]
