"""Superblocks: shared by mounts, torn down whole, also when they fail to be born."""

import os

import pytest

from tests.fs.testfs import Disk, register
from vfslab.fs.super import super_cache_count, super_cache_scan
from vfslab.include.dcache import Dentry
from vfslab.include.fs import SB_ACTIVE, SB_BORN, SB_RDONLY, Inode, SuperBlock
from vfslab.kernel.errno import EIO


def add_disk(world, **kinds):
    """Make the make-believe filesystem known, on a device; return its disk."""
    disk = Disk({b"d": {b"f": b"x"}})
    with world.inside() as kernel:
        register(kernel, disk, on_device=True, **kinds)
    world.machine.attach("vda", bytearray(1 << 20))
    for name in ("/m1", "/m2"):
        world.p.mkdir(name)
    return disk


def error(function, *args):
    """Return the errno name of what a call raises."""
    import errno

    with pytest.raises(OSError) as caught:
        function(*args)
    return errno.errorcode[caught.value.errno]


def test_S1_a_device_mounted_twice_has_one_superblock(world):
    disk, p = add_disk(world), world.p
    p.mount("/dev/vda", "/m1", "testfs", "rw")
    p.mount("/dev/vda", "/m2", "testfs", "rw")
    assert world.dentry(b"/m1/d/f") is world.dentry(b"/m2/d/f")
    sb = world.dentry(b"/m1/d").d_sb
    assert sb.s_active == 2 and len(sb.s_mounts) == 2 and sb.s_flags & SB_ACTIVE and sb.s_flags & SB_BORN
    assert disk.read.count(disk.root) == 1
    p.umount("/m1")
    assert p.stat("/m2/d/f").st_size == 1 and sb.s_active == 1
    p.umount("/m2")
    assert all(other.s_bdev is None for other in world.kernel.super_blocks)


def test_S4_read_only_and_writable_of_one_device_is_EBUSY(world):
    add_disk(world)
    p = world.p
    p.mount("/dev/vda", "/m1", "testfs", "ro")
    assert error(p.mount, "/dev/vda", "/m2", "testfs", "rw") == "EBUSY"
    p.mount("/dev/vda", "/m2", "testfs", "ro")
    sb = world.dentry(b"/m1").d_sb
    assert sb.s_active == 2 and sb.s_flags & SB_RDONLY


def test_mounting_the_same_device_on_the_same_place_is_EBUSY(world):
    add_disk(world)
    world.p.mount("/dev/vda", "/m1", "testfs", "ro")
    assert error(world.p.mount, "/dev/vda", "/m1", "testfs", "ro") == "EBUSY"
    assert world.dentry(b"/m1").d_sb.s_active == 1


def test_what_is_no_block_device_cannot_be_mounted_as_one(world):
    add_disk(world)
    assert error(world.p.mount, "/m2", "/m1", "testfs") == "ENOTBLK"
    assert error(world.p.mount, "/dev/nothing", "/m1", "testfs") == "ENOENT"
    assert error(world.p.mount, "/dev/vda", "/m1", "nofs") == "ENODEV"
    assert error(world.p.mount, "/dev/vda", "/m1", "testfs", "ro,nosuch") == "EINVAL"
    assert "Unknown parameter 'nosuch'" in "\n".join(world.machine.dmesg())


@pytest.mark.parametrize("when", ["reading the root", "after the root is made"])
@pytest.mark.parametrize("on_device", [False, True])
def test_S3_a_mount_that_fails_leaves_nothing(world, when, on_device):
    def fail(sb):
        raise EIO(b"after the root")

    disk = Disk({b"f": b"x"})
    if when == "reading the root":
        disk.bad.add(disk.root)
    with world.inside() as kernel:
        register(kernel, disk, on_device=on_device, fill=fail if when != "reading the root" else None)
    world.machine.attach("vda", bytearray(1 << 20))
    world.p.mkdir("/m1")
    world.p.close(world.p.open("/dev/vda", os.O_RDONLY))  # the device's own inode stays from now on
    before = [world.alive(cls) for cls in (SuperBlock, Inode)], len(world.kernel.node.shrinkers)
    assert error(world.p.mount, "/dev/vda", "/m1", "testfs", "ro") == "EIO"
    assert ([world.alive(cls) for cls in (SuperBlock, Inode)], len(world.kernel.node.shrinkers)) == before
    if on_device:  # the device is free again
        disk.bad.clear()
        fd = world.p.open("/dev/vda", os.O_RDONLY | os.O_EXCL)
        world.p.close(fd)


def test_each_filesystem_has_a_device_number_of_its_own(world):
    p = world.p
    p.mkdir("/m1"), p.mkdir("/m2")
    p.mount("none", "/m1", "ramfs")
    p.mount("none", "/m2", "ramfs")
    assert len({p.stat(path).st_dev for path in ("/", "/dev", "/m1", "/m2")}) == 4


def test_S2_a_busy_filesystem_stays_until_its_last_user_goes(world):
    add_disk(world)
    p = world.p
    p.mount("/dev/vda", "/m1", "testfs", "ro")
    sb = world.dentry(b"/m1").d_sb
    p.chdir("/m1/d")
    assert error(p.umount, "/m1") == "EBUSY"
    p.umount("/m1", 2)  # MNT_DETACH
    assert sb in world.kernel.super_blocks and p.stat("f").st_size == 1
    p.chdir("/")
    assert sb not in world.kernel.super_blocks


def test_the_shrinker_frees_dentries_first_and_the_inodes_they_pinned(world):
    disk = Disk({b"%d" % i: b"" for i in range(100)})
    with world.inside() as kernel:
        register(kernel, disk)
    world.p.mkdir("/m1")
    world.p.mount("none", "/m1", "testfs")
    for i in range(100):
        world.p.stat(f"/m1/{i}")
    sb = world.dentry(b"/m1").d_sb
    dentries, inodes = world.alive(Dentry), world.alive(Inode)
    with world.inside():
        assert super_cache_count(sb.s_shrink) == 100  # the inodes are in use, by the dentries
        freed = super_cache_scan(sb.s_shrink, 50)
        assert freed == 50 and dentries - world.alive(Dentry) == 50 and world.alive(Inode) == inodes
        while super_cache_count(sb.s_shrink):
            super_cache_scan(sb.s_shrink, 128)
    assert dentries - world.alive(Dentry) == 100 and inodes - world.alive(Inode) == 100


def test_remount_changes_flags_and_refuses_while_something_is_written(world):
    p = world.p
    p.mkdir("/m1")
    p.mount("none", "/m1", "ramfs")
    fd = p.open("/m1/f", os.O_CREAT | os.O_WRONLY)
    assert error(p.mount, "none", "/m1", "", "remount,ro") == "EBUSY"
    p.close(fd)
    p.mount("none", "/m1", "", "remount,ro")
    assert error(p.open, "/m1/f", os.O_WRONLY) == "EROFS"
    assert error(p.mkdir, "/m1/d") == "EROFS" and error(p.mkdir, "/m1/f") == "EEXIST"
    p.mount("none", "/m1", "", "remount,rw")
    p.mkdir("/m1/d")
