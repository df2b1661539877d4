"""The figures: each is played on a live kernel, and shows what its objects hold."""

import subprocess

import pytest

import vfslab
from tests.conftest import needs_program
from vfslab.teach.figures import FIGURES, draw
from vfslab.viz.dot import to_dot
from vfslab.viz.text import to_text


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_has_a_text_twin_an_alternative_text_and_dot(name):
    graph = draw(name)
    assert graph.title.startswith(f"{name}: ") and len(graph.description()) > 40
    assert graph.boxes and to_text(graph).count("\n") > 5 and to_dot(graph).startswith("digraph")
    drawn = {row.to for box in graph.boxes.values() for row in box.rows if row.to in graph.boxes}
    assert drawn or name == "F4", "a figure of several boxes has arrows"


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_each_time(name):
    assert to_text(draw(name)) == to_text(draw(name))


def test_F1_goes_down_through_all_layers_and_comes_back():
    text = to_text(draw("F1"))
    for lane in ("VFS", "Page cache", "Disk filesystem", "Mapping layer", "Generic block layer", "Block device driver"):
        assert lane in text
    assert (
        text.index("VFS") < text.index("Page cache") < text.index("Generic block") < text.index("Block device driver")
    )
    for function in ("vfs_read", "filemap_read", "ext4_map_blocks", "submit_bio", "hostdisk_queue_rq", "bio_endio"):
        assert f" {function}" in text


def test_F2_shows_two_processes_three_open_files_two_inodes_and_their_entries_on_the_disk():
    graph = draw("F2")
    kinds = [box.title.split("#")[0].split(" ")[0] for box in graph.boxes.values()]
    assert kinds.count("TaskStruct") == 2 and kinds.count("File") == 3
    assert kinds.count("Dentry") == 2 and kinds.count("Inode") == 2
    assert kinds.count("ext4_inode") == 2 and kinds.count("ext4_dir_entry_2") >= 2


def test_F5_says_where_inode_2_lies():
    text = to_text(draw("F5"))
    assert "35 * 4096 + 128 * (2 - 1) = 0x23080" in text
    assert "19 * 4096 = 77824 (0x13000)" in text and "inodes 1-17" in text


def test_F6_names_of_one_inode_point_to_the_same_box():
    graph = draw("F6")
    targets = {row.name: row.to for box in graph.boxes.values() if box.group == "dentry" for row in box.rows}
    assert targets["test.c"] == targets["test-hard-link.c"] == "inode16"
    assert targets["test-soft-link.c"] == "inode14"
    assert any(row.value == '"test.c" (the target itself)' for row in graph.boxes["inode14"].rows)


def test_F9_marks_what_the_mount_has_added():
    graph = draw("F9")
    new = {box.title.split("#")[0] for box in graph.boxes.values() if box.mark and box.cluster.startswith("2")}
    assert {"Mount", "Vfsmount", "SuperBlock", "Dentry", "BlockDevice"} <= new
    tables = {
        box.cluster: sum(row.name.startswith("mount_hashtable") for row in box.rows)
        for box in graph.boxes.values()
        if box.title == "Kernel#1"
    }
    assert tables["2 after"] == tables["1 before"] + 1
    text = to_text(graph)
    assert 'mnt_devname = "/dev/loop0"' in text and "s_op = ext4_sops" in text


def test_F15_dup_shares_the_file_and_a_hard_link_the_inode():
    graph = draw("F15")
    kinds = [box.title.split("#")[0].split(" ")[0] for box in graph.boxes.values()]
    assert kinds.count("File") == 2 and kinds.count("Dentry") == 2 and kinds.count("Inode") == 1
    (table,) = (box for box in graph.boxes.values() if box.title.startswith("FilesStruct"))
    assert len(table.rows) == 3 and len({row.to for row in table.rows}) == 2


def test_F5_a_changed_byte_of_the_image_changes_the_picture(tmp_path):
    image = bytearray(vfslab.deck_image())
    path = tmp_path / "disk.img"
    path.write_bytes(image)
    before = to_text(draw("F4", str(path)))
    image[0x23380 + 0x1C] += 0x10  # i_blocks_lo of inode 8, the journal
    image[0x23380 + 0x04 + 1] ^= 0x10  # its i_size_lo: 4 KiB more; nobody reads the journal of a clean image
    path.write_bytes(image)
    after = to_text(draw("F4", str(path)))
    assert "8 = journal: -rw-------, 4194304 bytes" in before
    assert "8 = journal: -rw-------, 4198400 bytes" in after


@needs_program("mke2fs")
def test_figures_are_drawn_of_any_image(tmp_path):
    source = tmp_path / "src"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_bytes(b"x" * 70000)
    (source / "other").write_bytes(b"y")
    image = tmp_path / "own.img"
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", "-b", "1024", "-d", source, image, "8M"], check=True, capture_output=True
    )
    for name in FIGURES:
        assert draw(name, str(image)).boxes, name


def test_a_notebook_gets_a_picture_that_fits_the_page_and_its_text_twin():
    from vfslab.teach.notebook import show
    from vfslab.viz.render import engine_name

    bundle = show("F4")._repr_mimebundle_()
    assert bundle["text/plain"].startswith("F4: ")
    if engine_name():
        assert "max-width: 100%" in bundle["text/html"] and bundle["image/svg+xml"] in bundle["text/html"]
    else:
        assert "pip install pygraphviz" in bundle["text/plain"]
