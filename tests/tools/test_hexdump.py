"""hexdump: the bytes shown are the image's, at the addresses shown, under the names of the declarations."""

import os
import re

import pytest

from tests.images import e2fs
from vfslab.tools.hexdump import hexdump
from vfslab.tools.image import ImageError

pytestmark = pytest.mark.needs_program("mke2fs", "debugfs")
LINE = re.compile(r"(0x[0-9a-f]{8,})  ((?:[0-9a-f]{2} ?)+?)(?: \.\. \d+ bytes)? {2,}(?:(\w+) +(.*)|\|.*\|)$")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """An image with a long directory name, attributes, and an extent tree that needs a block."""
    work = tmp_path_factory.mktemp("hexdump")
    (work / "tree" / "dir").mkdir(parents=True)
    (work / "tree" / "dir" / "esc\x1b[31m").write_bytes(b"x" * 3000)
    with open(work / "tree" / "pieces", "wb") as file:
        for number in range(40):
            file.seek(number * 2048)
            file.write(b"p" * 1024)
    path = work / "i.img"
    e2fs.mke2fs(path, "8M", "-t", "ext4", "-b", "1024", "-d", work / "tree")
    e2fs.debugfs(path, f"ea_set /pieces user.long {'v' * 600}\nea_set /dir user.short yes")
    return path


def checked(image, **what):
    """Return {name: shown} and all lines, after holding every byte shown against the image."""
    data, named = image.read_bytes(), {}
    lines = list(hexdump(os, os.fspath(image), **what))
    bytes_shown = 0
    for line in lines:
        if found := LINE.match(line):
            at, shown = int(found[1], 16), bytes.fromhex(found[2])
            assert data[at : at + len(shown)] == shown, line
            bytes_shown += len(shown)
            if found[3]:
                named.setdefault(found[3], found[4])
    assert bytes_shown
    return named, lines


def test_superblock(image):
    named, lines = checked(image, super=True)
    assert lines[0] == "superblock at byte 0x400"
    assert named["s_magic"].startswith("0xef53") and named["s_blocks_count_lo"].startswith("8192")
    assert "metadata_csum" in named["s_feature_ro_compat"]


def test_group(image):
    named, _ = checked(image, group=0)
    table = re.search(r"at block (\d+)", e2fs.ask(image, "imap <1>"))[1]  # inode 1 is the first of the table
    assert named["bg_inode_table_lo"].split()[0] == table


def test_inode_with_its_address_and_extent_tree(image):
    ino = int(re.search(r"Inode: (\d+)", e2fs.ask(image, "stat /pieces"))[1])
    named, lines = checked(image, inode=ino)
    where = re.search(r"located at block (\d+), offset (0x\w+)", e2fs.ask(image, f"imap <{ino}>"))
    assert f"= {int(where[1]) * 1024 + int(where[2], 16)} (" in lines[2]
    assert "100644" in named["i_mode"] and named["eh_depth"].startswith("1")
    assert "ei_leaf_lo" in named and "e_name_len" not in named


def test_extent_block_directory_block_and_attribute_block(image):
    leaf = int(
        checked(image, inode=int(re.search(r"Inode: (\d+)", e2fs.ask(image, "stat /pieces"))[1]))[0][
            "ei_leaf_lo"
        ].split()[0]
    )
    named, lines = checked(image, block=leaf)
    assert lines[0].endswith("node of an extent tree") and named["eh_entries"].startswith("40")
    named, lines = checked(image, block=int(e2fs.ask(image, "bmap /dir 0")))
    assert lines[0].endswith(": directory")
    assert "det_checksum" in named
    assert any("esc\\x1b[31m" in line for line in lines) and not any("\x1b" in line for line in lines)
    acl = int(re.search(r"File ACL: (\d+)", e2fs.ask(image, "stat /pieces"))[1])
    named, lines = checked(image, block=acl)
    assert lines[0].endswith("extended attributes") and named["h_refcount"].startswith("1")
    assert any(line.strip() == "ext4_xattr_entry  long" for line in lines)


def test_super_and_descriptor_blocks_are_recognised(image):
    assert "superblock" in checked(image, block=1)[1][0]
    assert "group descriptors" in checked(image, block=2)[1][0]
    assert "nothing that is recognised" in checked(image, block=0)[1][0]


def test_equal_lines_are_shown_once(image):
    lines = list(hexdump(os, os.fspath(image), block=0))
    assert lines[1].startswith("0x00000000") and lines[2] == "*" and len(lines) == 4


@pytest.mark.parametrize(
    "what", [{"inode": 0}, {"inode": 99999}, {"inode": -3}, {"block": -1}, {"block": 8192}, {"group": -1}, {"group": 1}]
)
def test_what_there_is_not_is_one_error(image, what):
    with pytest.raises(ImageError, match="there are 1|they are numbered"):
        list(hexdump(os, os.fspath(image), **what))
