"""A check plays its scene on kernels of its own, compares with the package, and says what was otherwise."""

import dataclasses
import json

import pytest

import vfslab
from vfslab.kernel.sched import cpu
from vfslab.teach import labs
from vfslab.teach.labs import checks, record
from vfslab.teach.labs.model import NoLab, load
from vfslab.teach.labs.session import NotYet
from vfslab.teach.livepatch import apply, suspended

LAB = load("path_walk")
ANYBODY = "def may_lookup(nd):\n    if nd.inode.i_mode & S_IFMT != S_IFDIR:\n        raise ENOTDIR(nd.last)\n"


@pytest.fixture
def lab():
    """Give the lab with step 1 done as it should be."""
    session = labs.open("path_walk")
    machine = session.boot(from_step=2)
    yield session
    machine.shutdown()


def test_a_wrong_name_is_one_line_with_the_nearest_names():
    with pytest.raises(NoLab, match=r"^there is no lab 'path_wlak': did you mean path_walk\?$"):
        labs.open("path_wlak")
    with pytest.raises(NoLab, match="did you mean plain_names"):
        LAB.check("plain_name")


def test_a_seed_gives_the_same_problems_and_another_seed_others():
    assert checks.expected(LAB, "links", 1) == checks.expected(LAB, "links", 1)
    assert checks.expected(LAB, "links", 1) != checks.expected(LAB, "links", 2)


@pytest.mark.parametrize("name", LAB.checks)
def test_an_observation_is_text_that_comes_back_the_same(name):
    seen = checks.expected(LAB, name)
    assert json.loads(checks.canonical(seen)) == seen and all(seen)


def test_a_check_that_holds_prints_a_line_and_one_that_does_not_raises_its_hint(lab, capsys):
    lab.check("who_may_search")
    assert capsys.readouterr().out.startswith("holds    who_may_search: ")
    apply(None, "fs/namei.py", ANYBODY)
    with pytest.raises(NotYet, match="may_lookup comes before every name"):
        lab.check("who_may_search")
    out = capsys.readouterr().out
    assert "by uid 1000" in out and "should be EACCES, is directory" in out and "Hint: " in out
    assert "nd.last" not in out.partition("Hint")[0] and "Nameidata" in out  # the picture, as text


def test_the_picture_is_of_the_failing_call_and_stands_at_the_error(lab):
    apply(None, "fs/namei.py", "def may_lookup(nd):\n    raise ENOTDIR(nd.last)\n")
    wrong = checks.first_difference(checks.observe(LAB, "plain_names"), checks.expected(LAB, "plain_names"))
    notes, film = checks.play(LAB, LAB.check("plain_names"), 0, wrong.round, wrong.note)
    assert film.title == wrong.words == notes[wrong.note][0]
    from vfslab.teach.labs.session import moment

    assert film.steps[moment(film)].call.error == "ENOTDIR"


def test_a_call_that_was_counted_is_filmed_too(lab):
    """Two tracers at a time there cannot be."""
    notes = checks.expected(LAB, "known_names")[0]
    number = next(n for n, (words, _) in enumerate(notes) if "how often" in words)
    with suspended():
        _notes, film = checks.play(LAB, LAB.check("known_names"), 0, 0, number)
    assert [call.function for call in film.calls()][:2] == ["path_init", "link_path_walk"]


def test_what_is_still_to_be_written_is_said_and_is_no_failure_of_another_kind(lab, capsys):
    with pytest.raises(NotYet):
        lab.check("dots")
    assert "still to be written: handle_dots, follow_dotdot" in capsys.readouterr().out
    text = 'def may_lookup(nd):\n    raise NotImplementedError("step 1: may_lookup is yours to write")\n'
    apply(None, "fs/namei.py", text)
    with pytest.raises(NotYet):
        lab.check("plain_names")
    assert "step 1: may_lookup is yours to write" in capsys.readouterr().out
    assert "yours to write" in lab.observe("plain_names")


def test_checks_leave_the_learners_kernel_and_functions_alone(lab):
    before = {key: change.function.__code__ for patch in cpu.klp_patches for key, change in patch.changes.items()}
    machines = set(cpu.machines)
    lab.check("plain_names")
    lab.observe("links")
    assert set(cpu.machines) == machines
    assert before == {
        key: change.function.__code__ for patch in cpu.klp_patches for key, change in patch.changes.items()
    }


def test_the_package_is_itself_again_after_shutdown():
    session = labs.open("path_walk")
    session.boot().shutdown()
    with vfslab.boot() as k:
        p = k.process()
        p.mkdir("/a")
        assert sorted(p.listdir("/a/..")) == ["a", "dev"]


def test_a_function_that_raises_is_told_with_its_error(lab, capsys):
    apply(None, "fs/namei.py", "def may_lookup(nd):\n    return nd.no_such_thing\n")
    with pytest.raises(NotYet):
        lab.check("plain_names")
    assert "is AttributeError: " in capsys.readouterr().out


def test_a_function_that_ends_the_process_ends_the_round_only(lab):
    apply(None, "fs/namei.py", "def may_lookup(nd):\n    raise SystemExit('enough')\n")
    seen = checks.observe(LAB, "plain_names")
    assert [notes[-1][1] for notes in seen] == ["SystemExit: enough"] * 3


def test_a_loop_that_swallows_every_exception_is_ended_all_the_same(lab):
    text = "def may_lookup(nd):\n    for _ in range(2):\n        try:\n            while True:\n                pass\n"
    apply(None, "fs/namei.py", text + "        except BaseException:\n            pass\n    raise ENOTDIR(nd.last)\n")
    quick = dataclasses.replace(LAB, seconds=0.2)
    seen = checks.observe(quick, "plain_names")
    assert checks.first_difference(seen, checks.expected(LAB, "plain_names")) is not None


@pytest.mark.parametrize("body", ["        pass", "        walk_component(nd, 0)"])
def test_of_a_walk_without_end_the_beginning_is_shown(lab, body, capsys, monkeypatch):
    lab.lab = dataclasses.replace(LAB, seconds=0.3)
    text = f"def link_path_walk(text, nd):\n    nd.last = b'.'\n    while True:\n{body}\n"
    apply(None, "fs/namei.py", "def handle_dots(nd):\n    pass\n")
    apply(None, "fs/namei.py", text)
    with pytest.raises(NotYet):
        lab.check("plain_names")
    out = capsys.readouterr().out
    assert "is no end" in out and "link_path_walk" in out and len(out) < 100_000


def test_a_trace_shows_the_objects_and_functions_of_the_lab(lab):
    k = next(iter(cpu.klp_patches)).machine
    film = lab.trace(k.process().mkdir, "/a/new", more="ramfs_mkdir")
    functions = [call.function for call in film.calls()]
    assert functions[0] == "path_init" and "ramfs_mkdir" in functions and film.error is None


def test_a_session_runs_all_shown_checks_and_raises_nothing(lab, capsys):
    lab.check()
    lines = capsys.readouterr().out.splitlines()
    shown = [check for check in LAB.checks.values() if not check.hidden]
    assert sum(line.startswith(("holds", "not yet")) for line in lines) == len(shown)
    assert sum(line.startswith("holds") for line in lines) == 2
    assert "points" not in "".join(lines)


def test_a_button_is_a_call_to_make_where_there_are_no_widgets(lab):
    assert repr(lab.button("links")) == "To check: lab.check('links')"
    with pytest.raises(NoLab):
        lab.button("no such check")


# --- progress --------------------------------------------------------------------------------------------


def test_progress_is_kept_in_the_learners_own_file(lab, capsys):
    assert not record.where().exists()
    lab.check("plain_names")
    lab.check("plain_names", seed=5)
    done = json.loads(record.where().read_text())["labs"]["path_walk"]["plain_names"]
    assert done["tries"] == 2 and "held" in done
    lab.check("who_may_search")
    assert "1. Plain names" in str(labs.progress()) and "done" in labs.progress()._repr_html_()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"labs": 3}', '{"labs": {"path_walk": 1}}', "[" * 100_000, '{"labs": {}']
)
def test_a_progress_file_that_is_damaged_counts_as_none(lab, content, capsys):
    record.where().write_text(content)
    assert record.read() == {}
    lab.check("plain_names")
    assert "plain_names" in record.read()["path_walk"]


def test_a_progress_file_that_cannot_be_written_stops_nothing(lab, monkeypatch, capsys):
    monkeypatch.setenv("VFSLAB_PROGRESS", "/proc/none/progress.json")
    lab.check("plain_names")
    assert "holds" in capsys.readouterr().out


def test_nothing_is_written_where_nobody_reads_along(lab, monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("VFSLAB_PROGRESS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    lab.check("plain_names")  # PYTEST_VERSION is set: a test runs
    assert not (tmp_path / "share").exists()
