"""Block devices as files: page cache, claims, questions, unplugging."""

import errno
import os
import random
import struct

import pytest

import vfslab
from vfslab.fs.block_dev import (
    bdev_file_open_by_dev,
    bdev_fput,
    file_bdev,
    lookup_bdev,
    sb_min_blocksize,
    sb_set_blocksize,
    set_blocksize,
)
from vfslab.fs.buffer import __bread, brelse
from vfslab.include.blk_types import BlockDevice
from vfslab.include.blkdev import Gendisk
from vfslab.include.fs import FMODE_READ, FMODE_WRITE, SuperBlock
from vfslab.include.uapi.fs import (
    BLKBSZGET,
    BLKBSZSET,
    BLKFLSBUF,
    BLKGETSIZE,
    BLKGETSIZE64,
    BLKPBSZGET,
    BLKROGET,
    BLKROSET,
    BLKRRPART,
    BLKSSZGET,
)
from vfslab.init.main import running
from vfslab.kernel.errno import EACCES, EBUSY, EINVAL, EIO, ENOENT, ENOTBLK, ENXIO

SIZE = 1 << 20
CONTENT = bytearray(random.Random(3).randbytes(SIZE))
CONTENT[446:478] = struct.pack("<B3xB3xII", 0, 0x83, 64, 100) + struct.pack("<B3xB3xII", 0, 0x83, 200, 33)
CONTENT[478:512] = bytes(32) + b"\x55\xaa"
PART1, PART2 = CONTENT[64 * 512 : 164 * 512], CONTENT[200 * 512 : 233 * 512]


@pytest.fixture
def disk():
    return bytearray(CONTENT)


@pytest.fixture
def k(disk):
    with vfslab.boot() as kernel:
        kernel.attach("vda", disk)
        yield kernel


@pytest.fixture
def p(k):
    return k.process()


@pytest.fixture
def inside(k):
    """Run the test inside the kernel, as its first task."""
    with running(k.kernel):
        yield k.kernel


def fails(number):
    return pytest.raises(OSError, match=rf"\[Errno {number}\]")


def number(kernel, name):
    return next(bdev.bd_dev for bdev in kernel.bdev_map.values() if bdev.bd_device == name)


# --- reading and writing --------------------------------------------------------------------------


def test_devices_read_like_files(p):
    for name, content in (("vda", CONTENT), ("vda1", PART1), ("vda2", PART2)):
        fd = p.open(f"/dev/{name}", os.O_RDONLY)
        assert p.lseek(fd, 0, os.SEEK_END) == len(content)
        assert p.pread(fd, 2 * SIZE, 0) == content
        assert p.pread(fd, 100, len(content) - 50) == content[-50:]
        assert p.pread(fd, 100, len(content)) == b""


def test_a_second_read_does_not_go_to_the_disk(k, p, disk):
    fd = p.open("/dev/vda", os.O_RDONLY)
    p.pread(fd, 4096, 8192)
    disk[8192:8196] = b"new!"
    assert p.pread(fd, 4, 8192) == CONTENT[8192:8196]
    p.ioctl(fd, BLKFLSBUF)
    assert p.pread(fd, 4, 8192) == b"new!"


def test_V3_after_the_last_close_the_cache_is_empty(p, disk):
    fd = p.open("/dev/vda", os.O_RDONLY)
    p.pread(fd, 4096, 0)
    p.close(fd)
    disk[0:4] = b"new!"
    fd = p.open("/dev/vda", os.O_RDONLY)
    assert p.read(fd, 4) == b"new!"


def test_writes_go_through(p, disk, rng):
    fd = p.open("/dev/vda1", os.O_RDWR)
    model = bytearray(PART1)
    for _ in range(50):
        at = rng.randrange(len(model))
        data = rng.randbytes(min(rng.randrange(1, 9000), len(model) - at))
        assert p.pwrite(fd, data, at) == len(data)
        model[at : at + len(data)] = data
    assert disk[64 * 512 : 164 * 512] == model and p.pread(fd, 1 << 20, 0) == model
    assert disk[: 64 * 512] == CONTENT[: 64 * 512] and disk[164 * 512 :] == CONTENT[164 * 512 :]


def test_a_device_does_not_grow(p):
    """As Linux 6.18 answers: short at the end, ENOSPC behind it."""
    fd = p.open("/dev/vda", os.O_RDWR)
    assert p.pwrite(fd, b"x" * 512, SIZE - 100) == 100
    with fails(errno.ENOSPC):
        p.pwrite(fd, b"x" * 512, SIZE)
    assert p.pwrite(fd, b"", SIZE + 5) == 0
    for offset, whence in ((1, os.SEEK_END), (-1, os.SEEK_SET), (0, os.SEEK_DATA)):
        with fails(errno.EINVAL):
            p.lseek(fd, offset, whence)
    with fails(errno.EINVAL):
        p.ftruncate(fd, 5)


def test_a_size_that_is_no_whole_page(k, p):
    k.attach("odd", CONTENT[: 4096 * 3 + 1536])
    fd = p.open("/dev/odd", os.O_RDONLY)
    assert p.ioctl(fd, BLKBSZGET) == 512
    assert p.pread(fd, SIZE, 0) == CONTENT[: 4096 * 3 + 1536]
    p.ioctl(fd, BLKBSZSET, 4096)
    assert p.pread(fd, SIZE, 4000) == CONTENT[4000 : 4096 * 3 + 1536]


def test_a_buffer_and_a_read_see_the_same_bytes(inside):
    file = bdev_file_open_by_dev(number(inside, b"vda"), FMODE_READ)
    bdev = file_bdev(file)
    for size in (1024, 4096, 65536):
        set_blocksize(bdev, size)
        bh = __bread(bdev, 3, size)
        assert bytes(bh.b_data) == CONTENT[3 * size : 4 * size]
        brelse(bh)
    bdev_fput(file)


# --- who may have it ------------------------------------------------------------------------------


def test_V1_openers_of_partitions_count_for_the_disk(k, p):
    whole = k.kernel.disks[b"vda"].part0
    first, second = p.open("/dev/vda1", os.O_RDONLY), p.open("/dev/vda1", os.O_RDONLY)
    assert (whole.bd_openers, whole.bd_disk.part_tbl[1].bd_openers, whole.bd_disk.open_partitions) == (2, 2, 1)
    p.close(first)
    p.close(second)
    assert (whole.bd_openers, whole.bd_disk.part_tbl[1].bd_openers, whole.bd_disk.open_partitions) == (0, 0, 0)


def test_V2_one_holder_at_a_time(inside):
    disk, part1, part2 = (number(inside, name) for name in (b"vda", b"vda1", b"vda2"))
    one, two = object(), object()
    held = bdev_file_open_by_dev(part1, FMODE_READ, one)
    again = bdev_file_open_by_dev(part1, FMODE_READ, one)
    for dev in (part1, disk):
        with pytest.raises(EBUSY):
            bdev_file_open_by_dev(dev, FMODE_READ, two)
    other = bdev_file_open_by_dev(part2, FMODE_READ, two)  # another partition is free
    bdev_fput(bdev_file_open_by_dev(disk, FMODE_READ))  # without a claim anybody may
    for file in (held, again, other):
        bdev_fput(file)
    whole = bdev_file_open_by_dev(disk, FMODE_READ, one)
    with pytest.raises(EBUSY):
        bdev_file_open_by_dev(part1, FMODE_READ, two)
    bdev_fput(whole)
    bdev_fput(bdev_file_open_by_dev(part1, FMODE_READ, two))


def test_o_excl_is_a_claim(p):
    fd = p.open("/dev/vda", os.O_RDONLY | os.O_EXCL)
    with fails(errno.EBUSY):
        p.open("/dev/vda", os.O_RDONLY | os.O_EXCL)
    p.close(p.open("/dev/vda", os.O_RDONLY))
    p.close(fd)
    p.close(p.open("/dev/vda", os.O_RDONLY | os.O_EXCL))


def test_V4_read_only_devices(k, p):
    k.attach("rom", bytes(SIZE))
    fd = p.open("/dev/rom", os.O_RDWR)
    with fails(errno.EPERM):
        p.write(fd, b"x" * 512)
    assert p.ioctl(fd, BLKROGET) == 1
    with running(k.kernel):
        dev = number(k.kernel, b"rom")
        with pytest.raises(EACCES):
            bdev_file_open_by_dev(dev, FMODE_READ | FMODE_WRITE, "holder")
        bdev_fput(bdev_file_open_by_dev(dev, FMODE_READ, "holder"))


def test_protection_can_be_set(p, disk):
    whole, part = p.open("/dev/vda", os.O_RDWR), p.open("/dev/vda1", os.O_RDWR)
    p.ioctl(part, BLKROSET, 1)
    assert (p.ioctl(whole, BLKROGET), p.ioctl(part, BLKROGET)) == (0, 1)
    p.ioctl(whole, BLKROSET, 1)
    with fails(errno.EPERM):
        p.write(whole, b"x")
    p.ioctl(whole, BLKROSET, 0)
    p.write(part, b"x")
    assert disk[64 * 512] == ord("x")


def test_lookup_bdev(inside, p):
    assert lookup_bdev(b"/dev/vda2") == number(inside, b"vda2")
    with pytest.raises(ENOENT):
        lookup_bdev(b"/dev/vdz")
    for path in (b"/dev", b"/dev/null"):
        with pytest.raises(ENOTBLK):
            lookup_bdev(path)
    with pytest.raises(ENXIO):
        bdev_file_open_by_dev(12345, FMODE_READ)


def test_only_root_may_change_a_device(k, p):
    p.chmod("/dev/vda", 0o666)
    user = k.process(uid=1000, gid=1000)
    fd = user.open("/dev/vda", os.O_RDWR)
    assert user.ioctl(fd, BLKGETSIZE64) == SIZE
    for cmd in (BLKROSET, BLKRRPART, BLKFLSBUF, BLKBSZSET):
        with fails(errno.EACCES):
            user.ioctl(fd, cmd, 1)


# --- questions ------------------------------------------------------------------------------------


def test_sizes(p):
    fd = p.open("/dev/vda1", os.O_RDONLY)
    answers = [p.ioctl(fd, cmd) for cmd in (BLKGETSIZE64, BLKGETSIZE, BLKSSZGET, BLKPBSZGET, BLKBSZGET)]
    assert answers == [51200, 100, 512, 512, 2048]
    with fails(errno.ENOTTY):
        p.ioctl(fd, 0x9999)
    with fails(errno.EINVAL):
        p.ioctl(fd, BLKRRPART)  # not of a partition


def test_a_new_table_is_read_on_demand(p, disk):
    fd = p.open("/dev/vda", os.O_RDWR)
    p.pwrite(fd, struct.pack("<B3xB3xII", 0, 0x83, 8, 8), 446)
    p.ioctl(fd, BLKRRPART)
    part = p.open("/dev/vda1", os.O_RDONLY)
    assert p.read(part, SIZE) == CONTENT[8 * 512 : 16 * 512]
    p.pwrite(fd, bytes(2), 510)
    with fails(errno.EBUSY):
        p.ioctl(fd, BLKRRPART)
    p.close(part)
    p.ioctl(fd, BLKRRPART)
    assert [name for name in p.listdir("/dev") if name.startswith("vda")] == ["vda"]


def test_block_sizes(inside):
    file = bdev_file_open_by_dev(number(inside, b"vda"), FMODE_READ)
    sb = SuperBlock(s_bdev=file_bdev(file))
    assert [sb_set_blocksize(sb, size) for size in (512, 1024, 65536)] == [512, 1024, 65536]
    assert (sb.s_blocksize, sb.s_blocksize_bits, sb.s_bdev.bd_block_size) == (65536, 16, 65536)
    assert [sb_set_blocksize(sb, size) for size in (0, 256, 1000, 131072)] == [0, 0, 0, 0]
    assert sb_min_blocksize(sb, 512) == 512
    sb.s_bdev.bd_queue.limits.logical_block_size = 4096
    assert sb_min_blocksize(sb, 512) == 4096
    with pytest.raises(EINVAL):
        set_blocksize(sb.s_bdev, 1024)
    bdev_fput(file)


# --- unplugged ------------------------------------------------------------------------------------


def test_a_disk_pulled_out_while_it_is_open(k, p):
    whole, part = p.open("/dev/vda", os.O_RDWR), p.open("/dev/vda1", os.O_RDONLY)
    p.pread(part, 512, 0)
    disk = k.kernel.disks[b"vda"]
    bdev = disk.part_tbl[1]
    k.detach("vda")
    assert [name for name in p.listdir("/dev") if name.startswith("vda")] == []
    for fd in (whole, part):
        with fails(errno.EIO):
            p.pread(fd, 512, 4096)
    with fails(errno.EIO):
        p.pwrite(whole, b"x" * 512, 4096)
    assert bdev.bd_disk is disk and disk.part0.bd_openers == 2  # the objects stay while they are held
    p.close(part)
    p.close(whole)
    slab = k.kernel._slab
    kept = len(k.kernel.disks)
    assert slab.alive(Gendisk) == kept and slab.alive(BlockDevice) == len(k.kernel.bdev_map)


def test_a_disk_pulled_out_under_a_mounted_filesystem(tmp_path):
    """The names and files that are cached are still there; everything else is EIO; umount works."""
    (tmp_path / "deck").write_bytes(vfslab.deck_image())
    with vfslab.boot() as k:
        k.attach("vda", tmp_path / "deck")
        p = k.process()
        p.mkdir("/mnt")
        p.mount("/dev/vda", "/mnt", "ext4", "ro")
        fd = p.open("/mnt/a123/hello.c", os.O_RDONLY)
        text = p.read(fd, 100)
        disk = k.kernel.disks[b"vda"]
        k.detach("vda")
        assert p.pread(fd, 100, 0) == text and p.stat("/mnt/a123").st_ino
        other = p.open("/mnt/a123/b456/test.c", os.O_RDONLY)
        with fails(errno.EIO):
            p.read(other, 100)
        p.close(other)
        assert disk.part0.bd_openers == 1 and disk.part0.bd_holder is not None
        p.close(fd)
        p.umount("/mnt")
        assert k.kernel._slab.alive(Gendisk) == len(k.kernel.disks)


def test_a_node_whose_device_is_gone_is_enxio(k, p):
    rdev = p.stat("/dev/vda").st_rdev
    p.mknod("/vda", 0o60600, rdev)
    p.close(p.open("/vda", os.O_RDONLY))
    k.detach("vda")
    with fails(errno.ENXIO):
        p.open("/vda", os.O_RDONLY)


def test_the_raw_error_of_a_dead_device(inside, k):
    file = bdev_file_open_by_dev(number(inside, b"vda"), FMODE_READ)
    k.detach("vda")
    with pytest.raises(EIO):
        brelse(__bread(file_bdev(file), 5, 4096))
    bdev_fput(file)
