"""mount and umount as programs use them."""

import errno

import pytest

import vfslab
from tests.conformance.conftest import fails
from vfslab.include.uapi import mount as ms
from vfslab.user.mounting import parse_options


@pytest.fixture
def kernel():
    with vfslab.boot() as kernel:
        yield kernel


@pytest.fixture
def p(kernel):
    p = kernel.process()
    p.mkdir("/mnt")
    return p


@pytest.mark.parametrize(
    ("text", "flags", "rest"),
    [
        ("", 0, ""),
        ("ro", ms.MS_RDONLY, ""),
        ("ro,rw", 0, ""),
        ("defaults,noatime,nodev", ms.MS_NOATIME | ms.MS_NODEV, ""),
        ("data=journal,ro,commit=5", ms.MS_RDONLY, "data=journal,commit=5"),
        ("rbind", ms.MS_BIND | ms.MS_REC, ""),
        ('x-gvfs-show,nofail,context="a,b"', 0, 'context="a,b"'),
    ],
)
def test_options_become_flags_and_the_rest_goes_to_the_filesystem(text, flags, rest):
    assert parse_options(text)[:2] == (flags, rest)


def test_loop_and_its_offset_are_mounts_own():
    assert parse_options("ro,loop=/dev/loop3,offset=512")[2] == {"loop": "/dev/loop3", "offset": "512"}


def test_a_mount_hides_and_umount_shows_again(p):
    p.mkdir("/mnt/below")
    p.mount("none", "/mnt", "ramfs")
    assert p.listdir("/mnt") == [] and p.path.ismount("/mnt")
    p.mkdir("/mnt/above")
    p.umount("/mnt")
    assert p.listdir("/mnt") == ["below"] and not p.path.ismount("/mnt")


def test_umount_of_a_busy_mount_is_EBUSY_unless_detached(p):
    p.mount("none", "/mnt", "ramfs")
    fd = p.open("/mnt/f", p.O_RDWR | p.O_CREAT)
    with fails(errno.EBUSY):
        p.umount("/mnt")
    p.umount("/mnt", p.MNT_DETACH)
    assert not p.path.exists("/mnt/f")
    assert p.write(fd, b"still here") == 10
    p.close(fd)


def test_a_working_directory_keeps_a_mount_busy(p):
    p.mount("none", "/mnt", "ramfs")
    p.chdir("/mnt")
    with fails(errno.EBUSY):
        p.umount("/mnt")
    p.chdir("/")
    p.umount("/mnt")


def test_umount_of_what_is_no_mount_is_EINVAL(p):
    with fails(errno.EINVAL):
        p.umount("/mnt")


def test_a_read_only_mount_is_EROFS(p):
    p.mount("none", "/mnt", "ramfs")
    fd = p.open("/mnt/f", p.O_WRONLY | p.O_CREAT)
    with fails(errno.EBUSY):
        p.mount("none", "/mnt", options="remount,ro")
    p.close(fd)
    p.mount("none", "/mnt", options="remount,ro")
    for call in (
        lambda: p.mkdir("/mnt/d"),
        lambda: p.open("/mnt/f", p.O_WRONLY),
        lambda: p.open("/mnt/g", p.O_WRONLY | p.O_CREAT),
        lambda: p.unlink("/mnt/f"),
        lambda: p.chmod("/mnt/f", 0o600),
        lambda: p.utime("/mnt/f"),
        lambda: p.truncate("/mnt/f", 0),
        lambda: p.setxattr("/mnt/f", "user.a", b""),
        lambda: p.rename("/mnt/f", "/mnt/h"),
    ):
        with fails(errno.EROFS):
            call()
    assert not p.access("/mnt/f", p.W_OK) and p.access("/mnt/f", p.R_OK)
    assert p.statvfs("/mnt").f_flag & p.ST_RDONLY
    p.mount("none", "/mnt", options="remount,rw")
    p.unlink("/mnt/f")


def test_a_bind_mount_shows_the_same_files(p):
    p.makedirs("/a/b")
    p.mount("/a", "/mnt", options="bind")
    assert p.stat("/mnt/b").st_ino == p.stat("/a/b").st_ino
    with fails(errno.EXDEV):
        p.rename("/mnt/b", "/a/c")
    with fails(errno.EBUSY):
        p.rmdir("/mnt")


def test_mounting_is_for_root(kernel, p):
    user = kernel.process(uid=1000)
    with fails(errno.EPERM):
        user.mount("none", "/mnt", "ramfs")
    p.mount("none", "/mnt", "ramfs")
    with fails(errno.EPERM):
        user.umount("/mnt")


def test_an_unknown_type_is_ENODEV(p):
    with fails(errno.ENODEV):
        p.mount("none", "/mnt", "nofs")


def test_unshare_gives_a_namespace_of_its_own(p):
    child = p.fork()
    child.unshare(p.CLONE_NEWNS)
    child.mount("none", "/mnt", "ramfs")
    child.mkdir("/mnt/mine")
    assert p.listdir("/mnt") == [] and child.listdir("/mnt") == ["mine"]


@pytest.fixture
def deck(kernel):
    kernel.attach("vda", vfslab.deck_image(), read_only=True)


def test_a_type_is_guessed_and_a_read_only_disk_mounted_read_only(p, deck):
    p.mount("/dev/vda", "/mnt")
    assert "a123" in p.listdir("/mnt")
    with fails(errno.EROFS):
        p.mkdir("/mnt/d")


def test_a_device_without_a_filesystem_is_EINVAL(p):
    with fails(errno.EINVAL):
        p.mount("/dev/ram0", "/mnt")


def test_loop_makes_a_disk_of_a_file_and_takes_it_away_again(p):
    fd = p.open("/deck.img", p.O_WRONLY | p.O_CREAT)
    p.write(fd, vfslab.deck_image())
    p.close(fd)
    p.mount("/deck.img", "/mnt", "ext4", "loop,ro")
    fd = p.open("/mnt/a123/b456/test.c", p.O_RDONLY)
    assert len(p.read(fd, 1000)) == 100
    p.close(fd)
    disk = p.open("/dev/loop0", p.O_RDONLY)
    assert p.pread(disk, 2, 1080) == b"\x53\xef"
    p.close(disk)
    p.umount("/mnt")
    p.unlink("/deck.img")
    disk = p.open("/dev/loop0", p.O_RDONLY)
    assert p.read(disk, 10) == b""
    p.close(disk)


def test_shutdown_with_everything_in_use_leaves_nothing():
    kernel = vfslab.boot()
    p = kernel.process()
    kernel.attach("vda", vfslab.deck_image(), read_only=True)
    p.mkdir("/mnt")
    p.mount("/dev/vda", "/mnt", "ext4", "ro")
    p.chdir("/mnt/a123")
    p.open("hello.c", p.O_RDONLY)
    p.fork().unshare(p.CLONE_NEWNS)
    kernel.shutdown()
    kernel.shutdown()
    assert not kernel.kernel.super_blocks and not kernel.kernel.disks
    with pytest.raises(RuntimeError):
        kernel.process()


def test_shutdown_closes_files_of_the_host(tmp_path):
    import os

    image = tmp_path / "deck.img"
    image.write_bytes(vfslab.deck_image())
    before = set(os.listdir("/proc/self/fd"))
    with vfslab.boot() as kernel:
        kernel.attach("vda", str(image), read_only=True)
        p = kernel.process()
        p.mkdir("/mnt")
        p.mount("/dev/vda", "/mnt", "ext4", "ro")
        assert len(os.listdir("/proc/self/fd")) > len(before)
    assert set(os.listdir("/proc/self/fd")) == before
