"""The blank image that ships: what mke2fs makes of it, and what the lab on extents needs of it."""

import subprocess

import vfslab
from tests.conftest import needs_program
from vfslab.data import blank_image
from vfslab.data.make_blank_image import NAMES, make_blank_image
from vfslab.fs.ext4.format import EXT4_EXTENTS_FL


@needs_program("mke2fs", "debugfs", "e2fsck")
def test_made_again_the_blank_image_is_the_same(tmp_path):
    for name in ("one", "two"):
        make_blank_image(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@needs_program("e2fsck")
def test_e2fsck_finds_the_blank_image_clean(tmp_path):
    path = tmp_path / "blank.img"
    path.write_bytes(blank_image())
    assert subprocess.run(["e2fsck", "-fn", path], capture_output=True).returncode == 0


def test_the_root_of_the_blank_image_is_found_without_an_extent_and_its_files_are_empty():
    with vfslab.boot(stub="fs/ext4/extents.py") as k:
        k.attach("vda", blank_image(), read_only=True)
        p = k.process()
        p.mkdir("/mnt")
        p.mount("/dev/vda", "/mnt", "ext4", "ro")
        assert sorted(p.listdir("/mnt")) == sorted([*NAMES, "lost+found"])
    with vfslab.boot() as k:
        k.attach("vda", blank_image(), read_only=True)
        p = k.process()
        p.mkdir("/mnt")
        p.mount("/dev/vda", "/mnt", "ext4", "ro")
        file = p.open("/mnt/a", p.O_RDONLY)
        inode = p.task.files.fdt[file].f_inode
        assert inode._container.i_flags & EXT4_EXTENTS_FL and inode._container.i_extents == ()
        p.close(file)
