"""The figures: each is played on a live kernel, and shows what its objects hold."""

import re
import subprocess

import pytest

import vfslab
from tests.conftest import needs_program
from vfslab.teach.figures import FIGURES, draw
from vfslab.tools.image import ImageError
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
    for lane in ("VFS", "Page cache", "Disk filesystem", "Block device as a file", "Mapping layer", "I/O scheduler"):
        assert f"{lane} (" in text
    for lane in ("Generic block layer (", "Block device driver (", "Disk vda"):
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
    assert {"Mount", "SuperBlock", "Dentry", "BlockDevice"} <= new
    assert "* " + "Dentry#5 mnt" not in to_text(graph), "the covered dentry was there before"
    tables = {
        box.cluster[0]: sum(row.name.startswith("mount_hashtable") for row in box.rows)
        for box in graph.boxes.values()
        if box.title == "Kernel#1"
    }
    assert tables["2"] == tables["1"] + 1
    text = to_text(graph)
    assert 'mnt_devname = "/dev/loop0"' in text and "s_op = ext4_sops" in text and "(DCACHE_MOUNTED)" in text


def test_F15_dup_shares_the_file_and_a_hard_link_the_inode():
    graph = draw("F15")
    kinds = [box.title.split("#")[0].split(" ")[0] for box in graph.boxes.values()]
    assert kinds.count("File") == 2 and kinds.count("Dentry") == 2 and kinds.count("Inode") == 1
    (table,) = (box for box in graph.boxes.values() if box.title.startswith("FilesStruct"))
    assert len(table.rows) == 3 and len({row.to for row in table.rows}) == 2


def test_F3_shows_the_deck_s_group_and_an_index_node_between_root_and_leaves():
    text = to_text(draw("F3"))
    assert "inode bitmap = block 19, byte 0x13000" in text and "inode table = block 35-162, byte 0x23000" in text
    depths = re.findall(r"eh_depth = (\d)", text)
    assert set(depths) == {"0", "1", "2"} and "ei_leaf_lo = " in text and "ei_unused = 0" in text


def test_F12_all_parts_point_to_one_disk_and_this_to_the_driver():
    graph = draw("F12")
    text = to_text(graph)
    parts = [box for box in graph.boxes.values() if box.title.startswith("BlockDevice")]
    assert sorted(box.title.split()[1] for box in parts) == ["vda", "vda1", "vda2"]
    assert {row.to for box in parts for row in box.rows if row.name == "bd_disk"} == {"Gendisk#1"}
    assert "bd_start_sect = 2048" in text and "part_tbl[2] = BlockDevice#3" in text
    for arrow in (
        "i_rdev = 254, 1 -> Kernel#1.bdev_map[254, 1]",
        "bdev_map[254, 1] -> BlockDevice#2 vda1",
        "mq_ops = hostdisk_mq_ops -> hostdisk_mq_ops",
        "private_data = HostDisk#1 -> HostDisk#1",
        "f_op = def_blk_fops -> def_blk_fops",
    ):
        assert arrow in text


@needs_program("sfdisk")
def test_F12_takes_a_partitioned_image_as_it_is_and_opens_the_part_that_is_named(tmp_path):
    image = tmp_path / "disk.img"
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    script = "label: gpt\n,10M\nstart=40960,size=5M,name=boot\n"
    subprocess.run(["sfdisk", "-q", image], input=script, text=True, check=True, capture_output=True)
    text = to_text(draw("F12", f"{image}#2"))
    assert "/dev/vda2" in text and "bd_start_sect = 40960" in text
    with pytest.raises(ImageError, match="no such partition"):
        draw("F12", f"{image}#7")


def test_F17_asks_the_driver_for_what_no_cache_holds_and_not_again():
    text = to_text(draw("F17"))
    for member, function in (
        ("i_op.lookup", "ext4_lookup"),
        ("s_op.alloc_inode", "ext4_alloc_inode"),
        ("a_ops.readahead", "ext4_readahead"),
    ):
        assert re.search(rf"{member} = {function}: \d+, again 0", text)
        assert f"if missing = {function} -> ext4" in text
    assert "f_mapping = AddressSpace#2 -> page cache: AddressSpace#2" in text
    assert "i_mapping = AddressSpace#2 -> page cache: AddressSpace#2" in text


def test_F19_four_bytes_bring_a_page_and_the_next_four_ask_no_filesystem():
    graph = draw("F19")
    text = to_text(graph)
    first, second = text.split("[2. ")
    assert "bytes of the file = 0x1000 to 0x1fff" in first and "bytes = 4096" in first
    assert "ext4_read_folio" in first and "submit_bio" in first
    assert "ext4_" not in second.split("functions that ran")[1] and "request" not in second
    assert "filesystem and below = not called" in second
    assert "mem[0x006:0x00a] = 30 20 61 62" in first and "mem[0x00a:0x00e] = 63 64 65 66" in second


def test_objects_are_counted_from_1_whatever_was_made_before():
    text = to_text(draw("F2"))
    for cls in ("TaskStruct", "File", "Dentry", "Inode"):
        assert sorted(set(re.findall(rf"{cls}#(\d+)", text)))[0] == "1"


def test_F5_a_changed_byte_of_the_image_changes_the_picture(tmp_path):
    image = bytearray(vfslab.deck_image())
    path = tmp_path / "disk.img"
    path.write_bytes(image)
    before = to_text(draw("F4", str(path)))
    image[0x23380 + 0x1C] += 0x10  # i_blocks_lo of inode 8, the journal
    image[0x23380 + 0x04 + 1] ^= 0x10  # its i_size_lo: 4 KiB more; nobody reads the journal of a clean image
    path.write_bytes(image)
    after = to_text(draw("F4", str(path)))
    assert "8 journal = -rw-------, 4194304 bytes" in before
    assert "8 journal = -rw-------, 4198400 bytes" in after


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


@needs_program("mke2fs", "sfdisk")
def test_F9_mounts_a_partition_that_is_named(tmp_path):
    whole, part = tmp_path / "disk.img", tmp_path / "part.img"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", part, "8M"], check=True, capture_output=True)
    whole.write_bytes(bytes(1 << 20) + part.read_bytes())
    subprocess.run(["sfdisk", "-q", whole], input="label: dos\n2048,\n", text=True, check=True, capture_output=True)
    assert "bd_nr_sectors = 16384" in to_text(draw("F9", f"{whole}#1"))
    with pytest.raises(ImageError, match="no such partition"):
        draw("F9", f"{whole}#2")


def test_a_notebook_gets_a_picture_that_fits_the_page_and_its_text_twin():
    from vfslab.teach.notebook import show
    from vfslab.viz.render import engine_name

    bundle = show("F4")._repr_mimebundle_()
    assert bundle["text/plain"].startswith("F4: ")
    if engine_name():
        assert "max-width: 100%" in bundle["text/html"] and bundle["image/svg+xml"] in bundle["text/html"]
    else:
        assert "pip install pygraphviz" in bundle["text/plain"]
