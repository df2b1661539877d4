"""Pictures: the graph, its DOT, its SVG and its text twin say the same."""

import re
import shutil
import subprocess

import pytest

import vfslab
from vfslab.kernel.snapshot import LONGEST, More
from vfslab.viz.colors import GROUPS
from vfslab.viz.dot import to_dot
from vfslab.viz.model import Graph, Row
from vfslab.viz.objects import graph_of, show
from vfslab.viz.render import NoEngine, engine_name, to_svg
from vfslab.viz.text import to_text

VIEW = {"Dentry": ("d_name", "d_inode", "d_parent"), "Inode": ("i_ino", "i_nlink", "i_mode")}


@pytest.fixture
def scene():
    with vfslab.boot() as kernel:
        p = kernel.process()
        p.mkdir("/a")
        fd = p.open("/a/f", p.O_CREAT | p.O_WRONLY)
        p.link("/a/f", "/a/g")
        dentry = p.task.files.fdt[fd].f_path.dentry
        yield p, dentry
        p.close(fd)


def test_a_box_shows_the_members_of_the_view_and_no_others(scene):
    _, dentry = scene
    graph = graph_of([dentry], VIEW, "one file")
    titles = {box.title.split("#")[0] for box in graph.boxes.values()}
    assert titles == {"Dentry", "Inode"}
    for box in graph.boxes.values():
        assert {row.name for row in box.rows} <= {name for names in VIEW.values() for name in names}


def test_a_changed_field_changes_the_picture(scene):
    p, dentry = scene
    before = to_text(graph_of([dentry], VIEW))
    p.chmod("/a/f", 0o600)
    after = to_text(graph_of([dentry], VIEW))
    assert before != after and "i_mode = 0100600" in after


def test_the_text_twin_is_sorted_and_does_not_depend_on_where_one_begins(scene):
    _, dentry = scene
    parent = dentry.d_parent
    view = VIEW | {"Dentry": ("d_name", "d_inode", "d_parent", "d_children")}
    assert to_text(graph_of([dentry, parent], view, "t")) == to_text(graph_of([parent, dentry], view, "t"))


def test_every_arrow_of_the_dot_text_begins_and_ends_at_a_box(scene):
    _, dentry = scene
    dot = to_dot(graph_of([dentry], VIEW, "t"))
    boxes = set(re.findall(r'^\s*"([^"]+)" \[label=', dot, re.M))
    ends = re.findall(r'^\s*"([^"]+)"(?::\w+)*(?::e)? -> "([^"]+)"', dot, re.M)
    assert ends and {end for pair in ends for end in pair} <= boxes


def test_hostile_names_cannot_break_out_of_dot_or_svg():
    graph = Graph('t"]; evil [label="x')
    graph.box('k"]', '<script>alert(1)</script>&"\\\x1b[31m', [Row("a<b", "\x00\n\u202e>", None)])
    dot = to_dot(graph)
    assert "\x1b" not in dot and "\x00" not in dot and dot.count("label=<") == 1
    if engine_name():
        svg = to_svg(dot, "alt <x>", "title & more")
        assert "<script>" not in svg and "<desc>alt &lt;x&gt;</desc>" in svg


@pytest.mark.skipif(engine_name() is None, reason="no Graphviz: neither the pygraphviz wheel nor the program dot")
def test_the_svg_has_a_role_a_title_and_a_description(scene):
    _, dentry = scene
    graph = graph_of([dentry], VIEW, "a file and its inode")
    svg = to_svg(to_dot(graph), graph.description(), graph.title)
    assert svg.startswith('<svg role="img"') and "<title>a file and its inode</title>" in svg
    assert "<desc>a file and its inode: " in svg


def test_without_an_engine_the_hint_says_what_to_install(monkeypatch):
    from vfslab.viz import render

    monkeypatch.setattr(render, "_pygraphviz", lambda dot, form: None)
    monkeypatch.setattr(render, "_program", lambda dot, form: None)
    with pytest.raises(NoEngine, match="pip install pygraphviz"):
        render.to_svg("digraph g {}")


@pytest.mark.skipif(shutil.which("dot") is None, reason="the program dot is not installed")
def test_dot_accepts_the_text_without_a_warning(scene):
    _, dentry = scene
    done = subprocess.run(
        ["dot", "-Tsvg"], input=to_dot(graph_of([dentry], VIEW, "t")).encode(), capture_output=True, timeout=60
    )
    assert done.returncode == 0 and done.stderr == b""


def luminance(colour):
    """Relative luminance of #rrggbb, as WCAG 2.1 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("group", GROUPS)
def test_black_text_on_every_tint_has_a_contrast_of_at_least_seven(group):
    fill, border, _ = GROUPS[group]
    assert (luminance(fill) + 0.05) / 0.05 >= 7
    assert (luminance("#FFFFFF") + 0.05) / (luminance(border) + 0.05) >= 3


def test_a_long_list_says_how_many_members_it_had_not_how_many_were_kept():
    kept = tuple(range(LONGEST))
    assert show("runs", (*kept, More(72))) == f"{LONGEST + 72} entries"
    assert show("table", {**dict.fromkeys(kept, 0), More(72): None}) == f"{LONGEST + 72} entries"
    assert show("runs", kept) == f"{LONGEST} entries"
