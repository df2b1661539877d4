"""Timelines: what is a step, what is in sight at it, and that what the browser gets is what the kernel had."""

import json
import subprocess

import pytest

import vfslab
from tests.conftest import needs_program
from vfslab.kernel.snapshot import Camera, take
from vfslab.teach.notebook import draw, trace
from vfslab.viz import views, widget
from vfslab.viz.film import Album
from vfslab.viz.model import Arrow, Box, Graph, Row
from vfslab.viz.objects import graph_of_frame
from vfslab.viz.text import to_text
from vfslab.viz.timeline import LIMIT, error_text

PATH = "/mnt/a123/b456/test.c"


@pytest.fixture
def booted():
    with vfslab.boot() as kernel:
        kernel.attach("vda", vfslab.deck_image(), read_only=True)
        p = kernel.process()
        p.mkdir("/mnt")
        p.mount("/dev/vda", "/mnt", "ext4", "ro")
        yield kernel, p


# --- what a step is ---------------------------------------------------------------------------------


def test_each_call_and_each_return_is_a_step_and_lies_between_those_of_its_caller(booted):
    _, p = booted
    t = trace(p.stat, PATH, view=views.PATH_WALK)
    steps = {}
    for step in t.steps:
        steps.setdefault(id(step.call), []).append((step.number, step.what))
    calls = list(t.calls())
    assert len(t) == 2 * len(calls) > 60
    for call in calls:
        (first, called), (last, returned) = steps[id(call)]
        assert (called, returned) == ("call", "return") and first < last
        if call.parent is not None:
            assert steps[id(call.parent)][0][0] < first and last < steps[id(call.parent)][1][0]


def test_one_call_keeps_its_result_or_its_error(booted):
    _, p = booted
    good, bad = trace(p.stat, PATH), trace(p.stat, "/absent")
    assert good.result.st_size == 100 and good.error is None
    assert isinstance(bad.error, FileNotFoundError) and bad.result is None
    assert any("fails with -ENOENT (No such file or directory)" in bad.note(number) for number in range(len(bad)))


def test_a_with_block_offers_what_a_trace_offers(booted):
    k, p = booted
    with trace(k) as t:
        p.stat(PATH)
    assert [call.function for call in t.roots] == ["sys_newfstatat"] and t.find("link_path_walk")
    assert str(t).startswith("sys_newfstatat()\n  user_path_at()") and t.kernel is k.kernel
    assert [point.name for point in t.points if point.name == "block_rq_issue"]


def test_what_the_open_functions_were_given_is_in_sight_and_called_by_its_name(booted):
    _, p = booted
    t = trace(p.stat, PATH, view=views.PATH_WALK)
    walk = next(step for step in t.steps if step.call.function == "link_path_walk")
    (nd,) = (key for key in walk.frame if key.startswith("Nameidata"))
    assert t.graph(walk.number).boxes[nd].tag == "nd" and f"{nd} <- nd" in t.text(walk.number)
    assert not any(key.startswith("Nameidata") for key in t.steps[-1].frame), "the walk is over"


def test_a_limit_holds_for_pictures_and_not_for_calls(booted):
    k, p = booted
    with trace(k, limit=10) as t:
        p.stat(PATH)
    assert len(t) == 10 and len(list(t.calls())) > 10
    assert t.trace.cut == 2 * len(list(t.calls())) - 10 and LIMIT >= 200
    told = t.payload()["calls"]
    assert told[0]["first"] == 0 and told[-1]["first"] is None
    assert t.label == f"sys_newfstatat: 10 steps ({t.trace.cut} more have no picture: limit=10)"


# --- when something changed -------------------------------------------------------------------------


def test_when_finds_exactly_the_steps_at_which_the_path_of_the_walk_differs(booted):
    _, p = booted
    t = trace(p.stat, PATH, view=views.PATH_WALK)
    places = []
    for step in t.steps:
        (record,) = [r for k, r in step.frame.items() if r.cls.__name__ == "Nameidata"] or [None]
        places.append(None if record is None else (record.members.get("path.mnt"), record.members.get("path.dentry")))
    wanted = [n for n in range(1, len(t)) if places[n] != places[n - 1] and None not in (places[n], places[n - 1])]
    assert t.when("nd.path") == wanted and len(wanted) >= 4
    names = [t.steps[n].frame[places[n][1]].members["d_name"] for n in wanted]
    assert [n for n in names if n != b"/"] == [b"a123", b"b456", b"test.c"], (
        "mnt is covered: the walk enters the root of ext4"
    )
    assert t.watches["nd.path"] == wanted


def test_when_takes_an_object_or_a_class_too(booted):
    _, p = booted
    t = trace(p.chmod, "/mnt/..", 0o700, view=views.EVERYTHING)
    (inode,) = {
        s.call.objects["inode"] for s in t.steps if "inode" in s.call.objects and s.call.objects["inode"].i_ino == 1
    }
    by_key = t.when(f"Inode#{inode._nr}.i_mode")
    assert len(by_key) == 1 and by_key == t.when("Inode.i_mode")
    assert "i_mode = 040700" in t.text(by_key[0])


def test_a_name_that_means_nothing_is_answered_with_what_there_is(booted):
    _, p = booted
    t = trace(p.stat, PATH, view=views.PATH_WALK)
    with pytest.raises(ValueError, match=r"nd\.colour.*shows no 'colour' of Nameidata#\d+, only: last, path\.mnt"):
        t.when("nd.colour")
    with pytest.raises(ValueError, match="no object of that name is in sight; arguments are: .*nd"):
        t.when("banana.i_ino")
    with pytest.raises(ValueError, match="no call of 'open_banana'"):
        t.goto("open_banana")


def test_one_steps_forward_and_back_and_jumps(booted):
    _, p = booted
    t = trace(p.stat, PATH)
    assert (t.back(), t.next(), t.next()) == (0, 1, 2)
    t.goto("lookup_fast")
    assert t.steps[t.step].call.function == "lookup_fast" and t.steps[t.step].what == "call"
    t.step = len(t) - 1
    assert t.next() == len(t) - 1 and to_text(t.graph()) in t.text()
    with pytest.raises(IndexError, match=f"there are {len(t)} steps"):
        t.step = len(t)


def test_an_errno_is_told_in_words():
    assert error_text("ENOTDIR") == "-ENOTDIR (Not a directory)"
    assert error_text("EUCLEAN").startswith("-EUCLEAN (") and error_text("ValueError") == "ValueError"


# --- what the browser gets is what there was ----------------------------------------------------------


def replay(drawing, step, title):
    """Return the graph of a step, made from nothing but what the browser gets."""
    state = {}
    for change in drawing["steps"][: step + 1]:
        state.update(change)
    state = {part: text for part, text in state.items() if text is not None}
    marks = set(drawing["marks"][step])
    graph = Graph(title)
    boxes = drawing["boxes"]
    for number, box in enumerate(boxes):
        if str(number) not in state:
            continue
        made = Box(box["key"], state[str(number)], [], mark=str(number) in marks, tag=state.get(f"{number}t", ""))
        heads = {row: (head, at) for e, (tail, row, head, at) in arrows(drawing) if e in state and tail == number}
        for row in box["order"]:
            part = f"{number}.{row}"
            if part in state:
                head, at = heads.get(row, (None, -1))
                to = None if head is None else boxes[head]["key"]
                at_row = None if head is None or at < 0 else boxes[head]["rows"][at]
                made.rows.append(Row(box["rows"][row], state[part], to, at_row, mark=part in marks))
        graph.boxes[made.key] = made
    for e, (tail, row, head, _at) in arrows(drawing):
        if row < 0 and e in state:
            graph.arrows.append(Arrow(boxes[tail]["key"], boxes[head]["key"]))
    return graph


def arrows(drawing):
    return ((f"e{number}", tuple(edge[:4])) for number, edge in enumerate(drawing["edges"]))


SCENES = {
    "a walk": (views.PATH_WALK, lambda p: p.stat(PATH)),
    "a walk that fails": (views.PATH_WALK, lambda p: p.access("/mnt/a123/nothing/x", 0)),
    "a read": (views.PAGE_CACHE, lambda p: p.read(p.open(PATH, 0), 100)),
    "a request": (views.BLOCK, lambda p: p.read(p.open(PATH, 0), 100)),
    "files come and go": (views.FILES, lambda p: [p.close(fd) for fd in (p.open("/a", 0o101), p.open("/b", 0o101))]),
    "a mount": (views.MOUNTS, lambda p: (p.mkdir("/m"), p.mount("none", "/m", "ramfs"), p.umount("/m"))),
    "a rename and a removal": (views.EVERYTHING, lambda p: (p.mkdir("/x"), p.rename("/x", "/y"), p.rmdir("/y"))),
    "ext4": (views.EXT4, lambda p: p.listdir("/mnt/a123")),
}


@pytest.mark.parametrize("scene", SCENES)
def test_the_differences_give_back_each_picture(booted, scene):
    k, p = booted
    view, play = SCENES[scene]
    with trace(k, view=view) as t:
        play(p)
    drawing = json.loads(json.dumps(t.payload()))
    assert len(t) > 10 and len(drawing["steps"]) == len(drawing["marks"]) == len(drawing["notes"]) == len(t)
    for step in range(len(t)):
        graph = t.graph(step)
        assert to_text(replay(drawing, step, graph.title)) == to_text(graph), f"step {step}: {t.note(step)}"
    assert sum(map(len, drawing["marks"])) > 3 and len({to_text(t.graph(s)) for s in range(len(t))}) > 3


@pytest.mark.parametrize("scene", SCENES)
def test_a_picture_does_not_depend_on_those_drawn_before(booted, scene):
    k, p = booted
    view, play = SCENES[scene]
    with trace(k, view=view) as t:
        play(p)
    for step in t.steps:
        drawn = t.graph(step.number)
        alone = graph_of_frame(step.frame, view)
        for key, box in alone.boxes.items():
            rows = [(row.name, row.value, row.to in alone.boxes) for row in box.rows]
            assert rows == [(row.name, row.value, row.to in drawn.boxes) for row in drawn.boxes[key].rows]


def test_a_box_that_two_graphs_share_loses_its_arrow_with_the_target():
    first, second = Graph("one"), Graph("two")
    shared = first.box("a", "A", [Row("next", "B", to="b")])
    first.box("b", "B")
    second.boxes["a"] = shared
    album = Album([("", first), ("", second)])
    assert album.union.state(0).keys() == {"0", "0.0", "1", "e0"} and album.union.state(1).keys() == {"0", "0.0"}


@needs_program("node")
def test_the_script_of_the_browser_makes_the_same_states(booted, tmp_path):
    _, p = booted
    t = trace(p.stat, PATH, view=views.PATH_WALK)
    script = widget.script(Album.script).replace("matchMedia", "(() => ({}))")
    steps = [len(t) - 1, 0, 26, 25, len(t) // 2, 24, 1]
    (tmp_path / "check.mjs").write_text(
        script
        + f"\nconst s = new States({json.dumps(t.union.steps)});"
        + f"console.log(JSON.stringify({steps}.map((n) => Object.fromEntries(s.at(n)))));"
    )
    done = subprocess.run(["node", tmp_path / "check.mjs"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [t.union.state(step) for step in steps]


def test_an_object_keeps_its_place_while_one_steps(booted):
    from vfslab.viz.svg import box_svg

    _, p = booted
    t = trace(p.stat, PATH, view=views.PATH_WALK)
    seen = {}
    for step in range(len(t)):
        state = t.union.state(step)
        for number, part in enumerate(t.union.parts):
            if str(number) in state:
                drawn = box_svg(t.union, number, state, ())
                seen.setdefault(part.key, set()).add(drawn.split("translate(")[1].split(")")[0])
    assert len(seen) > 10 and all(len(places) == 1 for places in seen.values())


def test_boxes_do_not_lie_on_each_other_with_and_without_graphviz(booted, monkeypatch):
    _, p = booted
    t = trace(p.stat, PATH, view=views.PATH_WALK)
    assert not overlapping(t.union.places.boxes)
    from vfslab.viz import render

    monkeypatch.setattr(render, "_pygraphviz", lambda dot, form: None)
    monkeypatch.setattr(render, "_program", lambda dot, form: None)
    again = trace(p.stat, PATH, view=views.PATH_WALK)
    places = again.union.places
    assert len(places.boxes) > 10 and not overlapping(places.boxes)
    assert all(len(way) >= 5 for way in places.ways)


def overlapping(boxes):
    return [
        (a, b)
        for place, a in enumerate(boxes)
        for b in boxes[:place]
        if a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height
    ]


def test_an_album_of_any_graphs_is_stepped_too():
    first, second = Graph("one"), Graph("two")
    first.box("a", "A", [Row("next", "", to="b")])
    first.box("b", "B")
    second.box("a", "A", [Row("next", "none", mark=True)])
    second.box("c", "C")
    second.arrow("a", "c", "free")
    album = Album([("before", first), ("after", second)], "a list")
    told = album.payload()
    assert to_text(replay(told, 0, "one")) == to_text(first) and told["notes"] == ["before", "after"]
    assert to_text(replay(told, 1, "two")).replace("A -> C\n", "A -> C (free)\n") == to_text(second)
    assert album.label == "a list: 2 steps" and "calls" not in told


# --- what is in sight ---------------------------------------------------------------------------------


def test_a_camera_with_a_view_sees_what_a_full_snapshot_sees(booted):
    _, p = booted
    view = {
        "TaskStruct": ("comm", "files"),
        "FilesStruct": ("fdt",),
        "File": ("f_pos", "f_path.dentry"),
        "Dentry": ("d_name", "d_parent"),
    }
    fd = p.open(PATH, 0)
    frame, full = Camera(view).take([p.task]), take([p.task])
    assert {record.cls.__name__ for record in frame.values()} == set(view)
    for key, record in frame.items():
        held = full[key].members
        for name, value in record.members.items():
            assert value == (full[held["f_path"]].members["dentry"] if name == "f_path.dentry" else held[name])
    p.close(fd)


def test_an_object_that_has_not_changed_is_not_copied_again(booted):
    _, p = booted
    camera = Camera(views.EVERYTHING)
    first = camera.take([p.task])
    p.mkdir("/new")
    second = camera.take([p.task])
    changed = {key for key in first if second[key] is not first[key]}
    assert 1 <= len(changed) < len(first) / 2
    assert all(first[key].values != second[key].values for key in changed)


def test_a_table_that_changed_in_place_is_copied_again(booted):
    _, p = booted
    camera = Camera(views.FILES)
    before = camera.take([p.task])
    fd = p.open("/mnt", 0)
    after = camera.take([p.task])
    (table,) = (key for key in before if key.startswith("FilesStruct"))
    assert fd not in before[table].members["fdt"] and fd in after[table].members["fdt"]
    p.close(fd)
    assert camera.take([p.task])[table].members["fdt"] == before[table].members["fdt"]


def test_a_snapshot_brings_nothing_into_being(booted):
    from vfslab.include.dcache import Dentry
    from vfslab.include.fs import Inode

    inode, dentry = Inode(i_ino=7), Dentry(d_name=b"x")
    frame = Camera({"Inode": ("i_ino", "i_mapping"), "Dentry": ("d_name", "d_lock.name")}).take([inode, dentry])
    assert [record.members for record in frame.values()] == [{"i_ino": 7}, {"d_name": b"x"}]
    for untouched, obj in ((Inode.i_data, inode), (Inode.i_mapping, inode), (Dentry.d_lock, dentry)):
        with pytest.raises(AttributeError):
            untouched.__get__(obj)


def test_what_was_freed_is_said_to_be_freed_and_what_is_only_hidden_is_not(booted):
    k, p = booted
    with trace(k, view=views.FILES) as t:
        p.close(p.open("/a", p.O_CREAT | p.O_WRONLY))
        end = len(t)
        p.stat("/a")
    assert " freed <- file\n" in t.text(end - 1), "its last user still has a pointer"
    assert "freed" in {why for key, why in t.gone(end).items() if key.startswith("File#")}
    walk = trace(p.stat, "/a", view=views.PATH_WALK)
    hidden = {why for number in range(len(walk)) for key, why in walk.gone(number).items() if key.startswith("Inode")}
    assert hidden <= {"out of sight"}


def test_a_pointer_to_an_embedded_structure_leads_to_what_it_lies_in(booted):
    _, p = booted
    t = trace(p.stat, PATH, view=views.PATH_WALK)
    graph = t.graph(t.when("nd.path")[-1])
    (nd,) = (box for key, box in graph.boxes.items() if key.startswith("Nameidata"))
    (row,) = (row for row in nd.rows if row.name == "path.mnt")
    assert row.value.startswith("Vfsmount#") and row.to.startswith("Mount#") and row.to in graph.boxes


def test_a_view_with_a_member_that_is_not_there_says_what_there_is(booted):
    _, p = booted
    with pytest.raises(ValueError, match="shows TaskStruct.name, but TaskStruct has only: pid, comm"):
        draw(p.task, view={"TaskStruct": ("name",)})
    with pytest.raises(TypeError, match="takes structures of a kernel, such as p.task, not str"):
        draw("p.task")
    with pytest.raises(TypeError, match=r"takes a machine, `with trace\(k\) as t:`, or a method"):
        trace(len, "x")


def test_each_named_view_names_members_that_exist(booted):
    from vfslab.kernel.snapshot import names_of
    from vfslab.lib.kstruct import KObject

    classes = {cls.__name__: cls for cls in KObject.__subclasses__() if cls._annotations}
    for name, view in vars(views).items():
        if name.isupper():
            for cls, members in view.items():
                assert names_of(classes[cls], members), (name, cls)


def test_details_of_a_folio_are_the_bytes_it_held_at_that_step(booted):
    k, p = booted
    fd = p.open(PATH, 0)
    with trace(k, view=views.PAGE_CACHE) as t:
        data = p.read(fd, 100)
    held = {key: r.members["mem"].head for step in t.steps for key, r in step.frame.items() if "mem" in r.names}
    (read,) = (key for key, head in held.items() if head[:100] == data)
    filled = t.when(f"{read}.mem")
    assert filled, "the read fills the folio, and that is a change"
    told = t.answer("details", step=filled[-1], key=read)
    assert told["bytes"][0]["lines"][0].startswith("0000  " + data[:16].hex(" "))
    assert told["bytes"][0]["lines"][-1] == "... and 3840 bytes more" and "page cache" in told["about"]
