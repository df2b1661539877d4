"""F7, F8 and F10: what they show is what the objects of the walk hold; they step forward and back."""

import re
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import needs_program
from vfslab import cli
from vfslab.teach.figures import FIGURES, draw, listing, steps, walk
from vfslab.viz.dot import to_dot
from vfslab.viz.text import to_text

NAMES = ("F7", "F8", "F10")
TWINS = Path(__file__).parent / "walk"
# Numbers of ramfs inodes depend on how many devices a kernel boots with; 1 is its root, and ext4 has 2 and 12 here.
COUNTED = re.compile(r"(?<=ino )(?!1\b|2\b|12\b)\d+|(?<=ino = )(?!1\b|2\b|12\b)\d+")


def twin(name):
    return COUNTED.sub("n", to_text(draw(name)))


@pytest.fixture
def changed(monkeypatch):
    """Return a function: from then on, figures are played on a scene that `change` has had its hands on."""

    def play(change):
        @contextmanager
        def tree(image=None):
            with original(image) as scene:
                change(scene)
                yield scene

        monkeypatch.setattr(walk, "tree", tree)
        monkeypatch.setattr(listing, "tree", tree)

    original = walk.tree
    return play


def dentry_of(scene, path):
    """Return the live dentry that a path leads to."""
    fd = scene.process.open(path, scene.process.O_PATH)
    try:
        return scene.process.task.files.fdt[fd].f_path.dentry
    finally:
        scene.process.close(fd)


# --- what they show -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_text_twin_is_the_one_that_was_read_and_approved(name):
    held = (TWINS / f"{name}.txt").read_text(encoding="utf-8")
    assert twin(name) == held


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_has_an_alternative_text_and_dot(name):
    graph = draw(name)
    assert len(graph.alt) > 100 and to_dot(graph).startswith("digraph")


def test_F7_name_and_argument_are_one_and_the_inode_fills_struct_stat():
    boxes = {box.title: box for box in draw("F7").boxes.values()}
    (name,) = (box for title, box in boxes.items() if title.startswith("Filename"))
    (uptr,) = (row for row in name.rows if row.name == "uptr")
    assert uptr.to == "user 1"
    nd, stat = boxes["Nameidata#1"], boxes["user memory: struct stat"]
    assert next(row.to for row in nd.rows if row.name == "inode") == stat.rows[0].to


def test_F8_has_a_round_for_each_name_and_each_begins_where_the_one_before_ended():
    graph = draw("F8")
    parts = [box for key, box in graph.boxes.items() if key.startswith("1.")]
    rows = [{row.name: row for row in box.rows} for box in parts]
    assert [part["nd.last"].value for part in rows[1:]] == [
        '"adrian", len 6', '"img", len 3', '"src.img", len 7', '"src.img", len 7',
    ]  # fmt: skip
    assert [part["remaining"].value for part in rows[1:4]] == ['"img/src.img"', '"src.img"', '""']
    assert rows[1]["lookup_fast()"].to == rows[2]["nd.path.dentry"].to
    assert rows[2]["lookup_fast()"].to == rows[3]["nd.path.dentry"].to == rows[4]["nd.path.dentry"].to
    assert "lookup_fast()" not in rows[3], "the last name is left to lookup_last()"
    cold = {row.name: row.value for row in graph.boxes["2.0 round"].rows}
    assert cold["lookup_slow()"] == "ext4_lookup()" and cold["lookup_fast()"] == 'no d_children["a123"]'


def test_F10_leads_from_the_covered_dentry_through_the_mount_to_the_mounted_root():
    graph = draw("F10")
    before, after = ({row.name: row for row in graph.boxes[key].rows} for key in ("2 covered", "4 mounted"))
    (found,) = graph.boxes["3 looked up"].rows
    mount = {row.name: row for row in graph.boxes[found.to].rows}
    assert mount["mnt_mountpoint"].to == before["dentry"].to
    assert mount["mnt"].to == after["nd.path.mnt"].to != before["nd.path.mnt"].to
    root = {row.name: row for row in graph.boxes[after["nd.path.mnt"].to].rows}
    assert root["mnt_root"].to == after["nd.path.dentry"].to
    assert graph.boxes[root["mnt_sb"].to].rows[2].value == "ext4_sops"


# --- truth ----------------------------------------------------------------------------------------


def test_F7_shows_what_the_task_and_its_inode_hold_now(changed):
    def change(scene):
        scene.process.task.comm = b"another"
        dentry_of(scene, walk.IMAGE_FILE).d_inode.i_nlink = 77

    changed(change)
    text = twin("F7")
    assert 'comm = "another"' in text and "i_nlink = 77" in text and "st_nlink = 77" in text


def test_F8_shows_the_names_and_inodes_of_the_walk_itself(changed):
    def change(scene):
        scene.process.rename("/adrian/img", "/adrian/other")
        scene.process.symlink("other", "/adrian/img")
        dentry_of(scene, "/adrian/other").d_inode.i_mode = 0o040711

    changed(change)
    graph = draw("F8")
    text = to_text(graph)
    assert 'nd.last = "other", len 5' in text and "i_mode = 040711" in text
    assert [box.title for key, box in graph.boxes.items() if key.startswith("1.")].count(
        "round 3: link_path_walk()"
    ) == 1


def test_F10_shows_the_mount_that_is_there(changed):
    def change(scene):
        for mount in scene.machine.kernel.mount_hashtable.values():
            if mount.mnt_devname == b"/dev/loop0":
                mount.mnt_devname = b"changed"
                mount.mnt.mnt_sb.s_id = b"other0"

    changed(change)
    text = twin("F10")
    assert 'mnt_devname = "changed"' in text and 's_id = "other0"' in text


@pytest.mark.parametrize("name", ("F7", "F8"))
def test_without_the_file_there_is_no_walk_to_draw(changed, name):
    changed(lambda scene: scene.process.unlink(walk.IMAGE_FILE))
    with pytest.raises(FileNotFoundError, match=r"src\.img"):
        draw(name)


def test_without_the_mount_F10_says_that_nothing_covers_the_directory(changed):
    changed(lambda scene: scene.process.umount(walk.MOUNTPOINT))
    with pytest.raises(LookupError, match="no dentry that something is mounted on"):
        draw("F10")


def test_F8_tells_dots_symlinks_and_what_a_walk_has_brought_into_the_cache_itself(monkeypatch):
    original = walk.tree

    @contextmanager
    def tree(image=None):
        with original(image) as scene:
            scene.process.symlink("mnt/a123/../a123/hello.c", "/adrian/link")
            yield scene._replace(path="./link")

    monkeypatch.setattr(walk, "tree", tree)
    graph = draw("F8")
    parts = [box for key, box in graph.boxes.items() if key.startswith("1.")]
    assert [box.title.partition(":")[0] for box in parts[1:]] == [
        "round 1", "round 2", "lookup_last()", "round 3", "round 4", "round 5", "round 6", "round 7", "lookup_last()",
    ]  # fmt: skip
    told = [{row.name: row.value for row in box.rows} for box in parts]
    assert "handle_dots()" in told[1] and "lookup_fast()" not in told[1]
    assert told[3]["pick_link()"] == "a symlink to 'mnt/a123/../a123/hello.c'" and "step_into()" not in told[3]
    assert "lookup_slow()" in told[5], "a123 is asked for once ..."
    assert "lookup_slow()" not in told[7] and told[7]["lookup_fast()"] == 'd_children["a123"]', "... and then cached"
    assert graph.boxes["2.0 round"].title == "lookup_last() of a cached name"


# --- steps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NAMES if FIGURES[name].moving])
def test_a_step_is_the_same_picture_whichever_way_one_comes_to_it(name):
    timeline = steps(name)
    forward = []
    for _ in range(len(timeline)):
        forward.append(timeline.text())
        timeline.next()
    assert timeline.step == len(timeline) - 1 and len(set(forward)) == len(timeline) > 15
    back = []
    for _ in range(len(timeline)):
        back.append(timeline.text())
        timeline.back()
    assert timeline.step == 0 and back == forward[::-1]
    boxes = [box for number in range(len(timeline)) for box in timeline.graph(number).boxes.values()]
    assert not [box.title for box in boxes for row in box.rows if row.to == box.key], "arrows round their own box"


def test_the_steps_of_F8_are_few_enough_for_a_static_stepper_and_know_when_the_walk_moved():
    timeline = steps("F8")
    assert timeline.key_frames(24) == list(range(len(timeline)))
    moved = [timeline.steps[number].call.function for number in timeline.when("nd.path")]
    assert moved == ["path_init", "step_into", "step_into", "step_into"]
    names = [re.search(r"^[* ] +last = (.*)$", timeline.text(n), re.M) for n in timeline.when("nd.last")]
    assert [found[1] for found in names] == ['"adrian", len 6', '"img", len 3', '"src.img", len 7']


def test_the_steps_of_F10_end_on_the_mounted_root():
    timeline = steps("F10")
    opened = next(step for step in timeline.steps if step.call.function == "sys_openat" and step.what == "return")
    (file,) = (record.members for record in opened.frame.values() if record.cls.__name__ == "File")
    assert opened.frame[file["f_path.dentry"]].members["d_name"] == b"/"
    assert opened.frame[opened.frame[file["f_path.mnt"]].members["mnt_sb"]].members["s_id"] == b"loop0"


def test_a_figure_that_does_not_move_says_which_do():
    with pytest.raises(ValueError, match="F8, F10"):
        steps("F7")


def test_the_command_gives_one_step_and_refuses_one_that_is_not_there(capsys):
    assert cli.main(["figure", "F8", "--step", "1"]) == 0
    assert "step 1 of " in capsys.readouterr().out
    assert cli.main(["figure", "F8", "--step", "0"]) == 2
    assert capsys.readouterr().err.startswith("vfslab: F8 --step 0: there are steps 1 to ")
    assert cli.main(["figure", "F7", "--step", "1"]) == 2


# --- strace ---------------------------------------------------------------------------------------


def test_strace_sees_results_and_errors_and_leaves_the_kernel_as_it_was():
    with walk.tree() as scene:
        table = scene.machine.kernel.sys_call_table
        with listing.strace(scene.machine) as calls:
            fd = scene.process.open("new", scene.process.O_RDWR | scene.process.O_CREAT)
            scene.process.close(fd)
            with pytest.raises(FileNotFoundError):
                scene.process.stat("absent")
        assert scene.machine.kernel.sys_call_table is table
    assert [call.text() for call in calls] == [
        ('openat(AT_FDCWD, "new", …)', "0"), ("close(0)", "0"), ('newfstatat(AT_FDCWD, "absent", 0)', "-ENOENT"),
    ]  # fmt: skip


# --- images of one's own ----------------------------------------------------------------------------


@needs_program("mke2fs")
def test_an_own_image_is_walked_into_deeply_from_where_nothing_is_cached(tmp_path):
    (tmp_path / "src" / "home" / "user").mkdir(parents=True)
    (tmp_path / "src" / "home" / "user" / "letter").write_bytes(b"x")
    for number in range(30):
        (tmp_path / "src" / f"file{number}").touch()
    image = str(tmp_path / "own.img")
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", "-b", "1024", "-d", tmp_path / "src", image, "8M"],
        check=True,
        capture_output=True,
    )
    text = to_text(draw("F8", image))
    assert 'nd.name.name = "mnt/home/user/letter"' in text and text.count("lookup_slow() = ext4_lookup()") == 3
    assert "step_into() = nd.path = Vfsmount#2" in text, "the mountpoint is passed on the way"
    assert 'char *path = "mnt/home/user/letter"' in to_text(draw("F7", image))
    text = to_text(draw("F10", image))
    assert "34 entries" in text and "more calls" in text and "ext4_sops" in text
    assert "Mount#" in steps("F10", image).text(24)


@needs_program("mke2fs")
def test_an_empty_image_will_do(tmp_path):
    image = str(tmp_path / "empty.img")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", image, "4M"], check=True, capture_output=True)
    assert "mnt/lost+found" in to_text(draw("F8", image))
    assert all(draw(name, image).boxes for name in NAMES)
