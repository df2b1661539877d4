"""The numbers that the slides print, on an image made freshly by mke2fs and debugfs."""

import os
import struct

import pytest

from tests import oracle
from tests.images import e2fs
from vfslab.data import deck_image
from vfslab.data.make_deck_image import HELLO_C, TEST_C, make_deck_image

pytestmark = [pytest.mark.needs_program("mke2fs", "debugfs", "e2fsck")]
INODE_BITMAP, INODE_TABLE, ROOT_BLOCK = 19, 35, 4
# path: (inode number, link count, size), as on the slides
TREE = {
    "/": (2, 5, 4096),
    "/lost+found": (11, 2, 16384),
    "/a123": (12, 3, 4096),
    "/a123/b456": (13, 2, 4096),
    "/a123/b456/test-soft-link.c": (14, 1, 6),
    "/a123/hello.c": (15, 2, len(HELLO_C)),
    "/a123/hello-hard-link.c": (15, 2, len(HELLO_C)),
    "/a123/b456/test.c": (16, 2, 100),
    "/a123/b456/test-hard-link.c": (16, 2, 100),
    "/a789": (17, 2, 4096),
}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """An image made now."""
    path = tmp_path_factory.mktemp("deck") / "deck.img"
    make_deck_image(path)
    return path


def test_e2fsck_finds_nothing(fresh):
    assert e2fs.e2fsck(fresh)[0] == 0


def test_made_again_it_is_the_same(fresh, tmp_path):
    make_deck_image(tmp_path / "again.img")
    assert (tmp_path / "again.img").read_bytes() == fresh.read_bytes()


@pytest.mark.parametrize("which", ["fresh", "shipped"])
def test_the_bytes_stand_where_the_slides_say(fresh, which):
    disk = fresh.read_bytes() if which == "fresh" else deck_image()
    group = struct.unpack_from("<III", disk, 4096)
    assert group == (3, INODE_BITMAP, INODE_TABLE)
    assert (INODE_BITMAP * 4096, INODE_TABLE * 4096 + 128) == (0x13000, 0x23080)
    assert disk[0x13000:0x13004] == b"\xff\xff\x01\x00"  # inodes 1 to 17
    for inode, at, links in ((2, 0x23080, 5), (14, 0x23680, 1), (16, 0x23780, 2)):
        assert at == INODE_TABLE * 4096 + 128 * (inode - 1)
        assert struct.unpack_from("<H", disk, at + 26)[0] == links
    # the root's extent: magic, entries, max, depth, generation; block, length, start hi and lo
    assert struct.unpack_from("<HHHHIIHHI", disk, 0x23080 + 40) == (0xF30A, 1, 4, 0, 0, 0, 1, 0, ROOT_BLOCK)
    assert disk[0x23680 + 40 :][:7] == b"test.c\0"
    assert struct.unpack_from("<IHBB", disk, ROOT_BLOCK * 4096) == (2, 12, 1, 2)


def test_vfslab_shows_the_tree_of_the_slides(fresh):
    with oracle.vfslab_process(fresh) as (p, root):
        for path, expected in TREE.items():
            status = p.lstat(root + path)
            assert (status.st_ino, status.st_nlink, status.st_size) == expected, path
        assert set(p.listdir(root)) == {"lost+found", "a123", "a789"}
        assert p.readlink(f"{root}/a123/b456/test-soft-link.c") == "test.c"
        for path, text in (("a123/hello.c", HELLO_C), ("a123/b456/test-soft-link.c", TEST_C)):
            fd = p.open(f"{root}/{path}", os.O_RDONLY)
            assert p.read(fd, 4096) == text
            p.close(fd)


def test_the_image_that_ships_is_what_the_script_makes(fresh):
    """Byte for byte with the e2fsprogs it was made by; another version may write a field more."""
    shipped, made = deck_image(), fresh.read_bytes()
    assert len(shipped) == len(made)
    if "1.47.0" in e2fs.run("sh", "-c", "mke2fs -V 2>&1"):
        assert shipped == made
