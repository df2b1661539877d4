"""/dev: nodes come and go with devices."""

import errno
import os
import stat
import struct

import pytest

import vfslab


@pytest.fixture
def k():
    with vfslab.boot() as kernel:
        yield kernel


@pytest.fixture
def p(k):
    return k.process()


def image(*partitions):
    """Return a disk of 64 KiB with these partitions (start, sectors)."""
    disk = bytearray(1 << 16)
    for slot, (start, count) in enumerate(partitions):
        struct.pack_into("<B3xB3xII", disk, 446 + 16 * slot, 0, 0x83, start, count)
    disk[510:512] = b"\x55\xaa"
    return disk


def test_D1_there_is_a_node_for_each_device(k, p):
    k.attach("vda", image((8, 8), (16, 8)))
    numbers = {p.stat(f"/dev/{name}").st_rdev for name in p.listdir("/dev")}
    assert numbers == set(k.kernel.bdev_map) | set(k.kernel.chrdev_map)
    node = p.stat("/dev/vda2")
    assert stat.S_ISBLK(node.st_mode) and node.st_mode & 0o777 == 0o600 and node.st_uid == 0
    assert node.st_rdev == k.kernel.disks[b"vda"].part_tbl[2].bd_dev
    assert os.minor(node.st_rdev) == os.minor(p.stat("/dev/vda").st_rdev) + 2
    null = p.stat("/dev/null")
    assert stat.S_ISCHR(null.st_mode) and null.st_mode & 0o777 == 0o666


def test_nodes_go_with_the_device(k, p):
    before = sorted(p.listdir("/dev"))
    k.attach("vda", image((8, 8)))
    assert sorted({*p.listdir("/dev")} - {*before}) == ["vda", "vda1"]
    k.detach("vda")
    assert sorted(p.listdir("/dev")) == before
    with pytest.raises(FileNotFoundError):
        p.stat("/dev/vda")
    k.attach("vda", image())
    assert sorted({*p.listdir("/dev")} - {*before}) == ["vda"]


def test_D2_what_a_program_put_there_the_kernel_leaves_alone(k, p):
    fd = p.open("/dev/vda", os.O_CREAT | os.O_WRONLY)
    p.write(fd, b"mine")
    k.attach("vda", image())
    assert stat.S_ISREG(p.stat("/dev/vda").st_mode)
    k.detach("vda")
    assert p.stat("/dev/vda").st_size == 4


def test_D2_a_node_that_was_replaced_stays(k, p):
    k.attach("vda", image())
    p.unlink("/dev/vda")
    p.mknod("/dev/vda", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    k.detach("vda")
    assert stat.S_ISCHR(p.stat("/dev/vda").st_mode)


def test_programs_can_make_things_there(p):
    p.mkdir("/dev/disk")
    p.symlink("../loop0", "/dev/disk/first")
    assert p.stat("/dev/disk/first").st_rdev == p.stat("/dev/loop0").st_rdev
    p.rename("/dev/disk/first", "/dev/disk/second")
    p.link("/dev/null", "/dev/void")
    assert p.stat("/dev/void").st_nlink == 2
    with pytest.raises(OSError, match=rf"\[Errno {errno.ENOTEMPTY}\]"):
        p.rmdir("/dev/disk")
    p.unlink("/dev/disk/second")
    p.rmdir("/dev/disk")


def test_it_is_one_filesystem_however_often_it_is_mounted(k, p):
    p.mkdir("/other")
    p.mount("devtmpfs", "/other", "devtmpfs")
    k.attach("vda", image())
    assert "vda" in p.listdir("/other") and p.stat("/other").st_dev == p.stat("/dev").st_dev


def test_after_the_last_umount_and_a_new_mount_the_devices_are_there_again(k, p):
    p.umount("/dev")
    assert p.listdir("/dev") == []
    k.attach("vda", image((8, 8)))
    p.mount("devtmpfs", "/dev", "devtmpfs")
    assert {"vda", "vda1", "null", "loop0"} <= set(p.listdir("/dev"))


def test_an_open_device_outlives_its_node(k, p):
    k.attach("vda", image())
    fd = p.open("/dev/vda", os.O_RDONLY)
    p.unlink("/dev/vda")
    assert p.pread(fd, 2, 510) == b"\x55\xaa"


def test_two_kernels_have_their_own(k, p):
    with vfslab.boot() as other:
        other.attach("vdb", image())
        assert "vdb" in other.process().listdir("/dev") and "vdb" not in p.listdir("/dev")
