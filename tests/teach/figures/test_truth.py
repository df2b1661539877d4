"""No figure is a drawing: without live objects there is none, and what changes in them changes in the picture.

F7, F8 and F10 have theirs in test_walk.py.
"""

import subprocess
from contextlib import contextmanager

import pytest

import vfslab
from tests.conftest import needs_program
from tests.teach.figures.twins import HELD
from vfslab.data import small_image
from vfslab.init import machine
from vfslab.kernel.snapshot import Camera, Frame
from vfslab.kernel.trace import Trace
from vfslab.teach.figures import FIGURES, block, cache, draw, mounts, request, vfs
from vfslab.teach.figures.parts import NUMBERED
from vfslab.tools.raw import RawExt4
from vfslab.viz.text import to_text

CONTENT = b"".join(b"line %6d\n" % number for number in range(5000))


@pytest.fixture
def own(tmp_path):
    """Return the path of a fresh image of mke2fs: blocks of 1 KiB, a long file under two names, a short one, a soft link."""
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "long").write_bytes(CONTENT)
    (tree / "again").hardlink_to(tree / "sub" / "long")
    (tree / "short").write_bytes(b"a few words\n")
    (tree / "soft").symlink_to("short")
    image = tmp_path / "own.img"
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", "-b", "1024", "-d", tree, image, "8M"], check=True, capture_output=True
    )
    return image


@pytest.fixture
def shipped(tmp_path):
    """Return a function: the path of a copy of the image that a figure is played on by default."""

    def copy(name):
        path = tmp_path / "shipped.img"
        path.write_bytes(small_image() if name == "F19" else vfslab.deck_image())
        return path

    return copy


# --- without live objects there is no figure ------------------------------------------------------------


@pytest.fixture
def dead(monkeypatch):
    """From now on, every kernel is shut down as soon as it has given its first process."""

    def boot(*arguments, **choice):
        made = original(*arguments, **choice)
        process = made.process

        def last_process(*args, **kwargs):
            given = process(*args, **kwargs)
            made.shutdown()
            return given

        made.process = last_process
        return made

    original = machine.boot
    monkeypatch.setattr(machine, "boot", boot)


@pytest.mark.parametrize("name", FIGURES)
def test_no_figure_without_a_running_kernel(name, dead):
    with pytest.raises(Exception):  # noqa: B017 - how it fails is the kernel's affair; that it does is the figure's
        draw(name)


@needs_program("mke2fs")
@pytest.mark.parametrize("name", HELD)
def test_no_figure_of_an_own_image_without_a_running_kernel(name, own, dead):
    with pytest.raises(Exception):  # noqa: B017
        draw(name, str(own))


@pytest.mark.parametrize("name", ["F2", "F9", "F12", "F15", "F17", "F19"])
def test_what_no_snapshot_has_seen_is_not_drawn(name, monkeypatch):
    monkeypatch.setattr(Camera, "take", lambda *arguments, **choice: Frame())
    try:
        graph = draw(name)
    except (KeyError, StopIteration, IndexError):
        return
    assert not [key for key in graph.boxes if NUMBERED.search(key) and "cache" not in key and "driver" not in key]


@pytest.mark.parametrize("name", ["F3", "F4", "F5", "F6"])
def test_what_is_not_on_the_disk_is_not_drawn(name, monkeypatch):
    whole = to_text(draw(name))
    monkeypatch.setattr(RawExt4, "inode", lambda raw, ino: type(original(raw, ino))(bytes(raw.inode_size)))
    assert whole != (blank := to_text(draw(name)))
    assert "16384" not in blank and "ee_start" not in blank and "test.c" not in blank


@pytest.mark.parametrize("name", ["F1", "F19"])
def test_what_did_not_run_is_not_drawn(name, monkeypatch):
    @contextmanager
    def nothing(kernel, **choice):
        yield Trace(kernel)

    for module in (request, cache):
        monkeypatch.setattr(module, "function_graph", nothing)
    try:
        text = to_text(draw(name))
    except KeyError:
        return
    assert "read_iter" not in text and "submit_bio" not in text and "request to the disk" not in text


original = RawExt4.inode


# --- what changes on the disk changes the picture ----------------------------------------------------


def debugfs(image, *requests):
    """Edit an image as a filesystem's surgeon does: checksums are set right."""
    done = subprocess.run(
        ["debugfs", "-w", "-f", "-", image], input="\n".join(requests), text=True, capture_output=True, check=True
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("debugfs 1.")]
    assert not said, said


def fields(field):
    """Return an edit that sets a field of all files that a figure may choose."""

    def edit(image, files):
        debugfs(image, *(f"set_inode_field {file} {field}" for file in files))

    return edit


def longer(image, files):
    with open(image, "ab") as file:
        file.write(bytes(4096))


def a_byte(image, files):
    """Change the byte at 0x1007 of the long file, wherever on the disk it lies."""
    data = bytearray(image.read_bytes())
    for start in (CONTENT[0x1000:0x1200], b"0x01000 abcdefg\n0x01010"):
        if data.count(start) == 1:
            data[data.index(start) + 7] ^= 0x20
    image.write_bytes(data)


CHANGED = CONTENT[0x1006:0x1007] + bytes([CONTENT[0x1007] ^ 0x20]) + CONTENT[0x1008:0x100A]
EDITS = {
    "F1": (fields("size 10"), "returned = 10 bytes"),
    "F2": (fields("links_count 7"), "i_nlink = 7"),
    "F3": (fields("mtime @1000000000"), "i_mtime = 1000000000"),
    "F4": (lambda image, files: debugfs(image, "set_inode_field <9> mode 0100640"), "for snapshots = -rw-r-----"),
    "F5": (lambda image, files: debugfs(image, "set_inode_field <2> mtime @1000000000"), "i_mtime = 1000000000"),
    "F6": (fields("links_count 7"), "i_links_count = 7"),
    "F9": (longer, {"own.img": "bd_nr_sectors = 16392", "shipped.img": "bd_nr_sectors = 32776"}),
    "F12": (longer, {"own.img": "i_size = 8392704", "shipped.img": "i_size = 16781312"}),
    "F15": (fields("links_count 7"), "i_nlink = 7"),
    "F17": (fields("links_count 7"), "i_nlink = 7"),
    "F19": (a_byte, {"own.img": CHANGED.hex(" "), "shipped.img": "30 00 61 62"}),
}


def change_shows(name, image, files):
    edit, expected = EDITS[name]
    if isinstance(expected, dict):
        expected = expected[image.name]
    before = to_text(draw(name, str(image)))
    edit(image, files)
    after = to_text(draw(name, str(image)))
    assert expected in after and expected not in before


@needs_program("debugfs")
@pytest.mark.parametrize("name", HELD)
def test_a_changed_field_on_the_disk_changes_the_picture(name, shipped):
    change_shows(name, shipped(name), ["<12>", "<13>"] if name == "F19" else ["<15>", "<16>"])


@needs_program("mke2fs", "debugfs")
@pytest.mark.parametrize("name", HELD)
def test_a_changed_field_on_a_fresh_image_changes_the_picture(name, own):
    change_shows(name, own, ["/sub/long", "/short"])


# --- what changes in memory changes the picture ----------------------------------------------------------


def inode_of(file):
    return file.f_path.dentry.d_inode


def write_over(mapping):
    """Change a byte of a cached page."""
    mapping.i_pages[1].mem[0x1006 - mapping.i_pages[1].index * 4096] = 0x21


LIVE = {
    "F1": (request, "add_disk", lambda _g, _t, disk: setattr(disk.part0, "bd_nr_sectors", 99), "sectors = 99"),
    "F2": (vfs, "graph_of", lambda tasks, _v: setattr(inode_of(tasks[0].files.fdt[0]), "i_nlink", 77), "i_nlink = 77"),
    "F9": (
        mounts,
        "take",
        lambda roots, _f: setattr(roots[1], "mnt_devname", b"elsewhere"),
        'mnt_devname = "elsewhere"',
    ),
    "F12": (block, "take", lambda roots, _f: setattr(roots[-1].part0, "bd_start_sect", 99), "bd_start_sect = 99"),
    "F15": (vfs, "graph_of", lambda files, _v: setattr(files[0].fdt[0], "f_pos", 4711), "f_pos = 4711"),
    "F17": (cache, "graph_of", lambda files, _v: setattr(inode_of(files[0]), "i_nlink", 77), "i_nlink = 77"),
    "F19": (cache, "graph_of", lambda files, _v: write_over(files[0].f_mapping), "mem[0x006:0x00a] = 21"),
}


@needs_program("mke2fs")
@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize("image", ["shipped", "own"])
def test_a_changed_member_of_a_live_object_changes_the_picture(name, image, own, monkeypatch):
    module, function, change, expected = LIVE[name]
    path = str(own) if image == "own" else None
    before = to_text(draw(name, path))
    drawing = getattr(module, function)

    def after_the_change(*arguments, **choice):
        change(*arguments)
        return drawing(*arguments, **choice)

    monkeypatch.setattr(module, function, after_the_change)
    after = to_text(draw(name, path))
    assert expected in after and expected not in before
