"""loop: a disk over a file of the guest, through system calls. Other small drivers below."""

import errno
import os
import random
import shutil
import subprocess

import pytest

import vfslab
from tests.conftest import needs_program
from vfslab.include.uapi.fs import BLKGETSIZE64, BLKROGET, BLKRRPART, BLKSSZGET
from vfslab.include.uapi.loop import (
    LO_FLAGS_AUTOCLEAR,
    LO_FLAGS_PARTSCAN,
    LO_FLAGS_READ_ONLY,
    LOOP_CLR_FD,
    LOOP_CONFIGURE,
    LOOP_CTL_ADD,
    LOOP_CTL_GET_FREE,
    LOOP_CTL_REMOVE,
    LOOP_GET_STATUS64,
    LOOP_SET_CAPACITY,
    LOOP_SET_FD,
    LOOP_SET_STATUS64,
    loop_config,
    loop_info64,
)

CONTENT = random.Random(2).randbytes(64 << 10)


@pytest.fixture
def k():
    with vfslab.boot() as kernel:
        yield kernel


@pytest.fixture
def p(k):
    return k.process()


@pytest.fixture
def image(p):
    fd = p.open("/img", os.O_RDWR | os.O_CREAT)
    p.write(fd, CONTENT)
    yield fd
    p.close(fd)


def configure(fd, block_size=0, **info):
    config = loop_config(bytearray(loop_config.size))
    config.fd, config.block_size = fd, block_size
    for name, value in info.items():
        setattr(config.info, name, value)
    return bytes(config)


def fails(number):
    return pytest.raises(OSError, match=rf"\[Errno {number}\]")


def test_the_device_shows_the_bytes_of_the_file(p, image):
    loop = p.open("/dev/loop0", os.O_RDWR)
    p.ioctl(loop, LOOP_SET_FD, image)
    assert p.ioctl(loop, BLKGETSIZE64) == len(CONTENT)
    assert p.pread(loop, 1000, 12345) == CONTENT[12345:13345]
    assert p.read(loop, 1 << 20) == CONTENT


def test_a_write_to_the_device_is_a_write_to_the_file(p, image):
    loop = p.open("/dev/loop0", os.O_RDWR)
    p.ioctl(loop, LOOP_SET_FD, image)
    p.pwrite(loop, b"through the loop", 5000)
    p.fsync(loop)
    assert p.pread(image, 16, 5000) == b"through the loop"
    assert p.pread(image, 5000, 0) == CONTENT[:5000] and p.pread(image, 100, 5016) == CONTENT[5016:5116]


def test_offset_and_size_limit(p, image):
    loop = p.open("/dev/loop1", os.O_RDONLY)
    p.ioctl(loop, LOOP_CONFIGURE, configure(image, lo_offset=1536, lo_sizelimit=5000))
    assert p.ioctl(loop, BLKGETSIZE64) == 4608  # whole sectors
    assert p.read(loop, 9999) == CONTENT[1536 : 1536 + 4608]


def test_block_size(p, image):
    loop = p.open("/dev/loop0", os.O_RDONLY)
    with fails(errno.EINVAL):
        p.ioctl(loop, LOOP_CONFIGURE, configure(image, block_size=777))
    p.ioctl(loop, LOOP_CONFIGURE, configure(image, block_size=4096))
    assert p.ioctl(loop, BLKSSZGET) == 4096


@pytest.mark.parametrize("how", ["flag", "device opened read-only", "file opened read-only"])
def test_read_only(p, image, how):
    loop = p.open("/dev/loop0", os.O_RDONLY if how == "device opened read-only" else os.O_RDWR)
    fd = p.open("/img", os.O_RDONLY) if how == "file opened read-only" else image
    p.ioctl(loop, LOOP_CONFIGURE, configure(fd, lo_flags=LO_FLAGS_READ_ONLY if how == "flag" else 0))
    assert p.ioctl(loop, BLKROGET) == 1
    if how != "device opened read-only":
        with fails(errno.EPERM):  # as Linux 6.18 answers
            p.pwrite(loop, b"x", 0)
    assert loop_info64(p.ioctl(loop, LOOP_GET_STATUS64)).lo_flags == LO_FLAGS_READ_ONLY


def test_status_tells_how_it_was_set_up(p, image):
    loop = p.open("/dev/loop3", os.O_RDWR)
    p.ioctl(loop, LOOP_CONFIGURE, configure(image, lo_offset=512, lo_flags=LO_FLAGS_AUTOCLEAR, lo_file_name=b"/img"))
    info = loop_info64(p.ioctl(loop, LOOP_GET_STATUS64))
    inode = p.stat("/img")
    assert (info.lo_device, info.lo_inode) == (inode.st_dev, inode.st_ino)
    assert (info.lo_number, info.lo_offset, info.lo_flags) == (3, 512, LO_FLAGS_AUTOCLEAR)
    assert info.lo_file_name.rstrip(b"\0") == b"/img"
    p.ioctl(loop, LOOP_SET_STATUS64, bytes(loop_info64.pack(lo_offset=1024)))
    assert p.pread(loop, 512, 0) == CONTENT[1024:1536]
    assert loop_info64(p.ioctl(loop, LOOP_GET_STATUS64)).lo_flags == 0


def test_a_file_that_grew(p, image):
    loop = p.open("/dev/loop0", os.O_RDONLY)
    p.ioctl(loop, LOOP_SET_FD, image)
    p.pwrite(image, b"more" * 128, len(CONTENT))
    assert p.ioctl(loop, BLKGETSIZE64) == len(CONTENT)
    p.ioctl(loop, LOOP_SET_CAPACITY)
    assert p.pread(loop, 4, len(CONTENT)) == b"more"


def test_a_file_that_shrank_reads_as_zeros(p, image):
    loop = p.open("/dev/loop0", os.O_RDONLY)
    p.ioctl(loop, LOOP_SET_FD, image)
    p.ftruncate(image, 1000)
    assert p.pread(loop, 4096, 0) == CONTENT[:1000] + bytes(3096)


# --- life -----------------------------------------------------------------------------------------


def test_L1_the_device_holds_the_file(k, p, image):
    file = k.kernel.tasks[p.getpid()].files.fdt[image] if hasattr(p, "getpid") else None
    loop = p.open("/dev/loop0", os.O_RDONLY)
    p.ioctl(loop, LOOP_SET_FD, image)
    lo = k.kernel.state["loop"][0]
    assert lo.lo_backing_file.f_count == 2 and (file is None or lo.lo_backing_file is file)
    p.ioctl(loop, LOOP_CLR_FD)
    assert p.pread(loop, 512, 0) == CONTENT[:512]  # still open, so still there
    p.close(loop)
    assert lo.lo_backing_file is None and lo.lo_state == "unbound"
    loop = p.open("/dev/loop0", os.O_RDONLY)
    assert p.ioctl(loop, BLKGETSIZE64) == 0 and p.read(loop, 10) == b""
    with fails(errno.ENXIO):
        p.ioctl(loop, LOOP_CLR_FD)
    with fails(errno.ENXIO):
        p.ioctl(loop, LOOP_GET_STATUS64)


def test_without_autoclear_it_stays_after_the_last_close(p, image):
    loop = p.open("/dev/loop0", os.O_RDONLY)
    p.ioctl(loop, LOOP_SET_FD, image)
    p.close(loop)
    loop = p.open("/dev/loop0", os.O_RDONLY)
    assert p.ioctl(loop, BLKGETSIZE64) == len(CONTENT)


def test_autoclear_waits_for_the_last_of_several(p, image):
    first = p.open("/dev/loop0", os.O_RDONLY)
    second = p.open("/dev/loop0", os.O_RDONLY)
    p.ioctl(first, LOOP_CONFIGURE, configure(image, lo_flags=LO_FLAGS_AUTOCLEAR))
    p.close(first)
    assert p.ioctl(second, BLKGETSIZE64) == len(CONTENT)
    p.close(second)
    third = p.open("/dev/loop0", os.O_RDONLY)
    assert p.ioctl(third, BLKGETSIZE64) == 0


def test_what_cannot_be_bound(p, image):
    loop = p.open("/dev/loop0", os.O_RDWR)
    with fails(errno.EBADF):
        p.ioctl(loop, LOOP_SET_FD, 99)
    directory = p.open("/dev", os.O_RDONLY)
    with fails(errno.EINVAL):
        p.ioctl(loop, LOOP_SET_FD, directory)
    null = p.open("/dev/null", os.O_RDONLY)
    with fails(errno.EINVAL):
        p.ioctl(loop, LOOP_SET_FD, null)
    with fails(errno.EINVAL):
        p.ioctl(loop, LOOP_CONFIGURE, b"too short")
    with fails(errno.EINVAL):
        p.ioctl(loop, 0x4CFF)
    p.ioctl(loop, LOOP_SET_FD, image)
    with fails(errno.EBUSY):
        p.ioctl(loop, LOOP_SET_FD, image)


def test_L2_no_loop_device_lies_on_itself(p, image):
    first, second = p.open("/dev/loop0", os.O_RDWR), p.open("/dev/loop1", os.O_RDWR)
    with fails(errno.EBADF):
        p.ioctl(first, LOOP_SET_FD, first)
    p.ioctl(first, LOOP_SET_FD, image)
    p.ioctl(second, LOOP_SET_FD, first)
    p.ioctl(first, LOOP_CLR_FD)
    p.pwrite(second, b"two loops down", 100)
    assert p.pread(image, 14, 100) == b"two loops down"


def test_L2_a_tower_of_loop_devices_ends(p, image):
    below, height = image, 0
    with fails(errno.EINVAL):
        for _ in range(20):
            control = p.open("/dev/loop-control", os.O_RDWR)
            number = p.ioctl(control, LOOP_CTL_GET_FREE)
            p.close(control)
            loop = p.open(f"/dev/loop{number}", os.O_RDONLY)
            p.ioctl(loop, LOOP_SET_FD, below)
            below, height = loop, height + 1
    assert height == 8 and p.pread(below, 100, 50) == CONTENT[50:150]


def test_loop_control(p, image):
    control = p.open("/dev/loop-control", os.O_RDWR)
    assert p.ioctl(control, LOOP_CTL_GET_FREE) == 0
    for number in range(8):
        assert p.ioctl(control, LOOP_CTL_GET_FREE) == number
        loop = p.open(f"/dev/loop{number}", os.O_RDONLY)
        p.ioctl(loop, LOOP_SET_FD, image)
    assert p.ioctl(control, LOOP_CTL_GET_FREE) == 8 and "loop8" in p.listdir("/dev")
    p.ioctl(control, LOOP_CTL_REMOVE, 8)
    assert "loop8" not in p.listdir("/dev")
    with fails(errno.EBUSY):
        p.ioctl(control, LOOP_CTL_REMOVE, 0)
    with fails(errno.ENODEV):
        p.ioctl(control, LOOP_CTL_REMOVE, 77)
    assert p.ioctl(control, LOOP_CTL_ADD, 42) == 42 and "loop42" in p.listdir("/dev")


@needs_program("sfdisk")
def test_partitions_come_with_partscan_and_go_with_the_file(k, p, tmp_path):
    script = "label: dos\nstart=8,size=8\nstart=32,size=16\n"
    with open(tmp_path / "img", "wb") as file:
        file.write(CONTENT)
    subprocess.run([shutil.which("sfdisk"), "-q", tmp_path / "img"], input=script, text=True, check=True)
    fd = p.open("/img", os.O_RDWR | os.O_CREAT)
    p.write(fd, (tmp_path / "img").read_bytes())
    loop = p.open("/dev/loop0", os.O_RDWR)
    p.ioctl(loop, LOOP_SET_FD, fd)
    assert "loop0p1" not in p.listdir("/dev")
    with fails(errno.EINVAL):  # as Linux: this disk has no partitions
        p.ioctl(loop, BLKRRPART)
    p.ioctl(loop, LOOP_SET_STATUS64, bytes(loop_info64.pack(lo_flags=LO_FLAGS_PARTSCAN)))
    assert {"loop0p1", "loop0p2"} <= set(p.listdir("/dev"))
    part = p.open("/dev/loop0p2", os.O_RDONLY)
    assert p.read(part, 1 << 20) == CONTENT[32 * 512 : 48 * 512]
    with fails(errno.EBUSY):
        p.ioctl(loop, BLKRRPART)
    p.close(part)
    p.ioctl(loop, BLKRRPART)
    p.ioctl(loop, LOOP_CLR_FD)
    p.close(loop)
    assert not {"loop0p1", "loop0p2"} & set(p.listdir("/dev"))


def test_an_error_of_the_file_is_an_io_error_of_the_device(k, p, tmp_path):
    """A loop device over a disk that is pulled out."""
    (tmp_path / "img").write_bytes(CONTENT)
    k.attach("vda", tmp_path / "img")
    disk = p.open("/dev/vda", os.O_RDWR)
    loop = p.open("/dev/loop0", os.O_RDWR)
    p.ioctl(loop, LOOP_SET_FD, disk)
    assert p.pread(loop, 10, 0) == CONTENT[:10]
    k.detach("vda")
    with fails(errno.EIO):
        p.pread(loop, 10, 40000)
    assert any(line.startswith("loop0: sector") for line in k.dmesg())


def test_mount_with_the_option_loop_has_the_device_until_umount(k, p):
    """LO_FLAGS_AUTOCLEAR: nobody has to clean up."""
    fd = p.open("/img", os.O_RDWR | os.O_CREAT)
    p.write(fd, vfslab.deck_image())
    p.close(fd)
    p.mkdir("/mnt")
    p.mount("/img", "/mnt", "ext4", "loop,ro")
    lo = k.kernel.state["loop"][0]
    assert lo.lo_flags & LO_FLAGS_AUTOCLEAR and lo.lo_disk.part0.bd_openers == 1
    inner = p.open("/mnt/a123/hello.c", os.O_RDONLY)
    loop = p.open("/dev/loop0", os.O_RDONLY)
    with fails(errno.EBUSY):
        p.ioctl(loop, LOOP_SET_FD, inner)
    second = p.open("/dev/loop1", os.O_RDONLY)
    p.ioctl(second, LOOP_SET_FD, inner)
    with fails(errno.EBUSY):
        p.umount("/mnt")
    for descriptor in (inner, loop):
        p.close(descriptor)
    p.ioctl(second, LOOP_CLR_FD)
    p.close(second)
    p.umount("/mnt")
    assert lo.lo_state == "unbound" and lo.lo_backing_file is None


# --- RAM disk, /dev/null and its family -----------------------------------------------------------


def test_the_ram_disk_keeps_what_is_written(k, p, rng):
    disk = p.open("/dev/ram0", os.O_RDWR)
    size = p.ioctl(disk, BLKGETSIZE64)
    model = bytearray(1 << 16)
    for _ in range(60):
        at = rng.randrange(1 << 15)
        data = rng.randbytes(rng.randrange(1, 9000))
        p.pwrite(disk, data, at)
        model[at : at + len(data)] = data
    p.close(disk)  # the page cache goes, the sectors stay
    disk = p.open("/dev/ram0", os.O_RDONLY)
    assert p.pread(disk, 1 << 16, 0) == model
    assert p.pread(disk, 100, size - 100) == bytes(100)
    assert len(k.kernel.disks[b"ram0"].private_data.brd_pages) <= 16


def test_null_zero_full_random(p):
    null, zero, full = (p.open(f"/dev/{name}", os.O_RDWR) for name in ("null", "zero", "full"))
    assert (p.read(null, 10), p.write(null, b"away")) == (b"", 4)
    assert (p.read(zero, 5), p.write(zero, b"away")) == (bytes(5), 4)
    assert p.read(full, 3) == bytes(3)
    with fails(errno.ENOSPC):
        p.write(full, b"x")
    for name in ("random", "urandom"):
        fd = p.open(f"/dev/{name}", os.O_RDONLY)
        assert len(p.read(fd, 32)) == 32 and p.read(fd, 32) != p.read(fd, 32)
    with fails(errno.ENXIO):
        p.mknod("/dev/nothing", 0o20600, os.makedev(99, 9))
        p.open("/dev/nothing", os.O_RDONLY)
    assert os.major(p.stat("/dev/null").st_rdev) == 1 and os.minor(p.stat("/dev/null").st_rdev) == 3
