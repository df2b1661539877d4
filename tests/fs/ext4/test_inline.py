"""Inline data: sizes around 60 bytes, directories, and inodes without the attribute."""

import errno
import os

import pytest

from tests.fs.ext4 import small
from tests.images import e2fs
from vfslab.fs.ext4.format import I_BLOCK_OFFSET

pytestmark = pytest.mark.needs_program("mke2fs", "debugfs")
INLINE = "-t ext4 -b 1024 -I 256 -O inline_data,^metadata_csum,^has_journal"
SIZES = (0, 1, 59, 60, 61, 100, 120)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An image with one file of each size, /f0 ..., inodes 12 and up, and its truth."""
    folder = tmp_path_factory.mktemp("inline")
    requests, truth = [], {}
    for size in SIZES:
        truth[size] = bytes((n * 7 + size) & 255 for n in range(size))
        (folder / f"f{size}").write_bytes(truth[size])
        requests.append(f"write {folder}/f{size} f{size}")
    requests += ["mkdir d", *(f"write /dev/null d/n{n}" for n in range(3))]
    return small.made(INLINE, "\n".join(requests)), truth


def test_files_of_every_size(files):
    data, truth = files
    with small.mounted(data) as (p, _):
        for size in SIZES:
            assert small.read(p, f"/mnt/f{size}") == truth[size]
            assert p.stat(f"/mnt/f{size}").st_blocks == (size + 511) // 512


def test_one_piece_of_data_for_lseek(files):
    with small.mounted(files[0]) as (p, _):
        fd = p.open("/mnt/f100", os.O_RDONLY)
        assert (p.lseek(fd, 10, os.SEEK_DATA), p.lseek(fd, 10, os.SEEK_HOLE)) == (10, 100)
        with pytest.raises(OSError) as caught:
            p.lseek(fd, 100, os.SEEK_DATA)
        assert caught.value.errno == errno.ENXIO
        p.close(fd)


def test_a_directory(files):
    with small.mounted(files[0]) as (p, _):
        assert sorted(p.listdir("/mnt/d")) == [f"n{n}" for n in range(3)]
        assert p.stat("/mnt/d/n2").st_size == 0
        with pytest.raises(FileNotFoundError):
            p.stat("/mnt/d/n9")


def test_N1_an_inode_without_the_attribute_is_damaged(files):
    data = bytearray(files[0])
    ino = 12 + SIZES.index(100)
    inode = small.inode(data, ino)
    behind = inode.offset + 128 + inode.i_extra_isize
    data[behind : behind + 8] = bytes(8)
    with small.mounted(data) as (p, log):
        with pytest.raises(OSError) as caught:
            small.read(p, "/mnt/f100")
        assert caught.value.errno in (errno.EUCLEAN, errno.EIO)
        assert f"inode #{ino}" in log


def test_N2_behind_the_data_that_is_kept_are_zeros(files, tmp_path):
    data = bytearray(files[0])
    small.inode(data, 12 + SIZES.index(60)).i_size_lo = 5000
    with small.mounted(data) as (p, _):
        assert small.read(p, "/mnt/f60") == files[1][60] + bytes(4940)


def test_N2_mke2fs_keeps_nothing_of_a_file_of_zeros(tmp_path):
    tree, image = tmp_path / "tree", tmp_path / "image"
    tree.mkdir()
    for size in (150, 5000):
        (tree / f"zeros{size}").write_bytes(bytes(size))
    e2fs.run("mke2fs", "-q", "-t", "ext4", "-I", "256", "-O", "inline_data", "-d", tree, image, "4M")
    assert "inline data: 60" in e2fs.run("debugfs", "-R", "stat zeros5000", image)
    with small.mounted(image.read_bytes()) as (p, _):
        assert [small.read(p, f"/mnt/zeros{size}") for size in (150, 5000)] == [bytes(150), bytes(5000)]


@pytest.mark.parametrize("byte, value", [(4 + 4, 0), (4 + 4, 3), (4 + 5, 200), (4 + 6, 255)])
def test_bad_entries_in_an_inline_directory(files, byte, value):
    data = bytearray(files[0])
    data[small.inode_at(data, 12 + len(SIZES)) + I_BLOCK_OFFSET + byte] = value
    with small.mounted(data) as (p, _):
        with pytest.raises(OSError) as caught:
            p.listdir("/mnt/d")
        assert caught.value.errno == errno.EUCLEAN
        with pytest.raises(OSError):
            p.stat("/mnt/d/nobody")


def test_inline_data_and_extents_exclude_each_other(files):
    data = bytearray(files[0])
    small.inode(data, 13).i_flags |= 0x80000
    with small.mounted(data) as (p, _):
        with pytest.raises(OSError) as caught:
            p.stat("/mnt/f1")
        assert caught.value.errno == errno.EUCLEAN
