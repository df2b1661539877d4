"""The small image that ships: what mke2fs makes of it, and what the figures need of it."""

import subprocess

import vfslab
from tests.conftest import needs_program
from vfslab.data import small_image
from vfslab.data.make_small_image import make_small_image, numbered


@needs_program("mke2fs", "debugfs")
def test_made_again_the_small_image_is_the_same(tmp_path):
    for name in ("one", "two"):
        make_small_image(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@needs_program("e2fsck")
def test_e2fsck_finds_the_small_image_clean(tmp_path):
    path = tmp_path / "small.img"
    path.write_bytes(small_image())
    assert subprocess.run(["e2fsck", "-fn", path], capture_output=True).returncode == 0


def test_the_small_image_holds_a_long_file_and_one_of_400_extents():
    with vfslab.boot() as k:
        k.attach("vda", small_image(), read_only=True)
        p = k.process()
        p.mkdir("/mnt")
        p.mount("/dev/vda", "/mnt", "ext4", "ro")
        fd = p.open("/mnt/long.txt", p.O_RDONLY)
        assert p.read(fd, 1 << 20) == numbered(20 << 10)
        p.close(fd)
        fd = p.open("/mnt/holes.txt", p.O_RDONLY)
        data = p.read(fd, 1 << 20)
        p.close(fd)
    assert len(data) == 799 << 10
    assert data[798 << 10 :] == numbered(1024) and data[797 << 10 : 798 << 10] == bytes(1024)
