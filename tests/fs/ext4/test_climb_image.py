"""The image that chapter 3 climbs on holds the shapes that its maker says, as debugfs sees them."""

import re
import subprocess

import pytest

from tests.images import e2fs
from vfslab.data import climb_image
from vfslab.data.make_climb_image import make_climb_image

pytestmark = [pytest.mark.needs_program("mke2fs", "debugfs", "e2fsck")]
EXTENT = re.compile(r"^ *\d+/ *(\d+) +\d+/ *\d+ +(\d+) - +\d+ +\d+ - +\d+ +\d+ *(Uninit)?", re.M)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """An image made now."""
    path = tmp_path_factory.mktemp("climb") / "climb.img"
    make_climb_image(path)
    return path


def extents(image, path):
    """Return (depth, [(first file block, is unwritten)]) of a file as debugfs lists it."""
    done = subprocess.run(["debugfs", "-R", f"ex {path}", image], capture_output=True, text=True, check=True)
    found = EXTENT.findall(done.stdout)
    return int(found[0][0]), [(int(first), bool(unwritten)) for _, first, unwritten in found]


def test_made_again_it_is_the_same_and_whole(fresh, tmp_path):
    make_climb_image(tmp_path / "again.img")
    assert (tmp_path / "again.img").read_bytes() == fresh.read_bytes()
    assert e2fs.e2fsck(fresh)[0] == 0


@pytest.mark.parametrize("which", ["fresh", "shipped"])
def test_there_is_a_file_for_each_rung(fresh, tmp_path, which):
    image = fresh
    if which == "shipped":
        image = tmp_path / "shipped.img"
        image.write_bytes(climb_image())
    assert extents(image, "/hello.txt") == (0, [(0, False)])
    assert extents(image, "/poem.txt") == (0, [(0, False), (1, False), (2, False), (3, False)])
    assert extents(image, "/holes.txt") == (0, [(0, False), (5, False)])
    assert extents(image, "/unwritten.txt") == (0, [(0, False), (1, True)])
    assert extents(image, "/deep.txt")[0] == 1
    assert extents(image, "/deeper.txt")[0] == 2


def test_old_bytes_lie_where_chapter_3_looks_for_them():
    disk = climb_image()
    assert disk.count(b"An old letter.") >= 4 * 15, "behind the unwritten extent"
    assert re.search(rb"\x11\0\0\0..\x07\x01removed", disk, re.S), "the removed name, which still says inode 17"
