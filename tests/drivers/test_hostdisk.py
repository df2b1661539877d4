"""hostdisk: files, bytes and file objects of the host as disks."""

import errno
import fcntl
import gc
import io
import os
import random
import subprocess
import weakref

import pytest

from tests.block.world import World, submit
from tests.conftest import needs_loop
from vfslab.block.blk_core import blkdev_issue_flush
from vfslab.drivers.hostdisk import Source
from vfslab.fs.block_dev import bdev_file_open_by_dev, bdev_fput
from vfslab.include.blk_types import REQ_FUA, REQ_OP_DISCARD, REQ_OP_READ, BlockDevice
from vfslab.include.blkdev import Gendisk, Request
from vfslab.include.fs import FMODE_READ
from vfslab.kernel.errno import EBUSY, EIO, ENOSPC, ENXIO, EOPNOTSUPP

CONTENT = random.Random(1).randbytes(1 << 16)
SECTORS = len(CONTENT) // 512


@pytest.fixture
def world():
    return World()


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "disk.img"
    place.write_bytes(CONTENT)
    return place


def sources(path, monkeypatch, kind):
    """Return a source of that kind with CONTENT in it, and a function that tells what it holds now."""
    if kind == "without preadv":
        monkeypatch.delattr(os, "preadv")
    if kind in ("path", "without preadv"):
        return path, path.read_bytes
    if kind == "str":
        return str(path), path.read_bytes
    if kind == "bytearray":
        memory = bytearray(CONTENT)
        return memory, lambda: bytes(memory)
    if kind == "BytesIO":
        stream = io.BytesIO(CONTENT)
        return stream, stream.getvalue
    file = open(path, "r+b")  # noqa: SIM115
    return file, lambda: (file.flush(), path.read_bytes())[1]


@pytest.mark.parametrize("kind", ["path", "str", "bytearray", "BytesIO", "file", "without preadv"])
def test_reads_and_writes_of_any_source(world, path, monkeypatch, rng, kind):
    source, now = sources(path, monkeypatch, kind)
    disk = world.attach("vda", source)
    model = bytearray(CONTENT)
    for _ in range(100):
        at = rng.randrange(SECTORS)
        count = rng.randrange(1, min(20, SECTORS - at) + 1)
        if rng.random() < 0.5:
            data = rng.randbytes(count * 512)
            world.write(disk.part0, at, data, rng.choice([0, REQ_FUA]))
            model[at * 512 : (at + count) * 512] = data
        assert world.read(disk.part0, at, count) == model[at * 512 : (at + count) * 512]
    blkdev_issue_flush(disk.part0)
    assert now() == model
    world.detach(disk)


def test_many_segments_go_in_one_call(world, path):
    disk = world.attach("vda", path)
    calls = []

    def preadv(fd, views, at):
        calls.append((len(views), at))
        return os.preadv(fd, views, at)

    disk.private_data.source = Source(readv=preadv, writev=os.pwritev, flush=os.fsync)
    views = [memoryview(bytearray(512 * (1 + i))) for i in range(5)]
    submit(disk.part0, REQ_OP_READ, 3, *views)
    assert b"".join(views) == CONTENT[1536 : 1536 + 512 * 15] and calls == [(5, 1536)]


def test_short_answers_of_the_host_are_completed(world, path):
    disk = world.attach("vda", path)
    disk.private_data.source = Source(
        readv=lambda fd, views, at: os.preadv(fd, [views[0][:100]], at),
        writev=lambda fd, views, at: os.pwritev(fd, [views[0][:77]], at),
        flush=os.fsync,
    )
    assert world.read(disk.part0, 2, 8) == CONTENT[1024 : 1024 + 4096]
    world.write(disk.part0, 4, b"p" * 1024)
    assert path.read_bytes() == CONTENT[:2048] + b"p" * 1024 + CONTENT[3072:]


@needs_loop
@pytest.mark.parametrize("protected", [False, True])
def test_a_block_device_of_the_host(world, path, protected):
    options = ["--read-only"] if protected else []
    done = subprocess.run(["losetup", "--find", "--show", *options, path], capture_output=True, text=True, check=True)
    device = done.stdout.strip()
    try:
        disk = world.attach("vda", device, read_only=protected)
        assert disk.part0.bd_nr_sectors == SECTORS and world.read(disk.part0, 5, 3) == CONTENT[2560:4096]
        if not protected:
            world.write(disk.part0, 5, b"h" * 512)
            blkdev_issue_flush(disk.part0)
            assert path.read_bytes()[2560:3072] == b"h" * 512
        world.detach(disk)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


# --- read-only ------------------------------------------------------------------------------------


def test_H1_read_only_opens_the_file_for_reading_alone(world, path):
    disk = world.attach("vda", path, read_only=True)
    assert fcntl.fcntl(disk.private_data.where, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    with pytest.raises(EIO):
        world.write(disk.part0, 0, bytes(512))
    assert path.read_bytes() == CONTENT and disk.part0.bd_read_only


def test_bytes_are_read_only(world):
    disk = world.attach("vda", CONTENT)
    assert disk.part0.bd_read_only and world.read(disk.part0, 1) == CONTENT[512:1024]


def test_a_file_that_may_not_be_written_gives_a_read_only_disk(world, path, monkeypatch):
    real = os.open

    def refuse(name, flags, *more):
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise OSError(errno.EROFS, "Read-only file system", name)
        return real(name, flags, *more)

    monkeypatch.setattr(os, "open", refuse)
    disk = world.attach("vda", path)
    assert disk.part0.bd_read_only and "Read-only file system" in world.log[0]
    assert world.read(disk.part0, 0) == CONTENT[:512]


# --- odd sizes, changed files ---------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 511, 513, 5000])
@pytest.mark.parametrize("kind", ["path", "bytes", "stream"])
def test_H3_the_last_sector_is_filled_up_with_zeros(world, tmp_path, size, kind):
    (tmp_path / "odd").write_bytes(CONTENT[:size])
    source = {"path": tmp_path / "odd", "bytes": CONTENT[:size], "stream": io.BytesIO(CONTENT[:size])}[kind]
    disk = world.attach("vda", source)
    sectors = -(-size // 512)
    assert disk.part0.bd_nr_sectors == sectors
    assert world.read(disk.part0, 0, sectors) == CONTENT[:size] + bytes(sectors * 512 - size)


def test_H3_a_write_to_the_last_sector_makes_the_file_longer(world, tmp_path):
    (tmp_path / "odd").write_bytes(bytes(700))
    disk = world.attach("vda", tmp_path / "odd")
    world.write(disk.part0, 1, b"e" * 512)
    assert (tmp_path / "odd").read_bytes() == bytes(512) + b"e" * 512


def test_H2_a_file_that_became_shorter_is_an_error_and_no_crash(world, path):
    disk = world.attach("vda", path)
    os.truncate(path, 1024)
    assert world.read(disk.part0, 0, 2) == CONTENT[:1024]
    with pytest.raises(EIO):
        world.read(disk.part0, 1, 2)
    assert any("shorter than the 65536 bytes" in line for line in world.log)
    os.truncate(path, 1100)
    with pytest.raises(EIO):
        world.read(disk.part0, 2)  # 76 of its bytes are there, but the file once went on


def test_a_file_of_a_terabyte_costs_nothing(world, tmp_path):
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(1 << 40)
        file.seek((1 << 40) - 512)
        file.write(b"z" * 512)
    disk = world.attach("vda", tmp_path / "huge")
    assert world.read(disk.part0, (1 << 31) - 1) == b"z" * 512


# --- errors of the host ---------------------------------------------------------------------------


class Broken(io.BytesIO):
    error = OSError(errno.EIO, "broken")

    def readinto(self, buffer):
        raise self.error

    def write(self, data):
        raise self.error


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), ValueError("closed"), EOFError("compressed")])
def test_H2_whatever_a_file_object_raises_is_an_io_error_with_a_line(world, error):
    stream = Broken(bytes(4096))
    stream.error = error
    disk = world.attach("vda", stream)
    world.kernel.log.clear()
    with pytest.raises(EIO):
        world.read(disk.part0, 0)
    with pytest.raises(EIO):
        world.write(disk.part0, 0, bytes(512))
    assert sum(f"vda: sector 0: {error}" in line for line in world.log) == 2


def test_a_full_host_disk_is_enospc(world):
    stream = Broken(bytes(4096))
    stream.error = OSError(errno.ENOSPC, "full")
    disk = world.attach("vda", stream)
    with pytest.raises(ENOSPC):
        world.write(disk.part0, 0, bytes(512))


def test_what_it_cannot_do_it_says(world):
    disk = world.attach("vda", bytearray(4096))
    with pytest.raises(EOPNOTSUPP):
        submit(disk.part0, REQ_OP_DISCARD, 0)


def test_what_is_no_disk_is_refused_and_leaves_nothing(world, tmp_path):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    os.mkfifo(tmp_path / "fifo")
    for place, error in (("absent", FileNotFoundError), (".", IsADirectoryError), ("fifo", OSError)):
        for read_only in (False, True):
            with pytest.raises(error):
                world.attach("vda", tmp_path / place, read_only)
    assert world.kernel.disks == {} and world.kernel.bdev_map == {}
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


def test_two_disks_cannot_have_one_name(world, path):
    world.attach("vda", path)
    with pytest.raises(EBUSY):
        world.attach("vda", path)
    world.attach("vdb", path)
    assert sorted(world.kernel.disks) == [b"vda", b"vdb"]


# --- coming and going -----------------------------------------------------------------------------


def test_a_disk_that_nobody_uses_is_freed_when_it_goes(world, path):
    disk = world.attach("vda", path)
    world.read(disk.part0, 0)
    fd = disk.private_data.where
    world.detach(disk)
    with pytest.raises(OSError):
        os.fstat(fd)
    slab = world.kernel._slab
    assert [slab.alive(cls) for cls in (Gendisk, BlockDevice, Request)] == [0, 0, 0]
    assert world.kernel.disks == {} and world.kernel.bdev_map == {}
    assert world.attach("vda", path).first_minor == 0  # number and name are free again


def test_a_disk_that_is_open_stays_as_an_object_and_only_its_io_fails(world, path):
    disk = world.attach("vda", path)
    bdev = disk.part0
    file = bdev_file_open_by_dev(bdev.bd_dev, FMODE_READ)
    world.detach(disk)
    assert bdev.bd_disk is disk and disk.queue.disk is disk and bdev.bd_openers == 1
    with pytest.raises(EIO):
        world.read(bdev, 0)
    with pytest.raises(ENXIO):
        bdev_file_open_by_dev(bdev.bd_dev, FMODE_READ)
    bdev_fput(file)
    assert world.kernel._slab.alive(Gendisk) == world.kernel._slab.alive(BlockDevice) == 0


def test_two_kernels_can_have_one_file(path):
    one, two = World(), World()
    first = one.attach("vda", path)
    second = two.attach("vda", path)
    two.write(second.part0, 0, b"2" * 512)
    one.enter()
    assert one.read(first.part0, 0) == b"2" * 512 and one.kernel.disks == {b"vda": first}


def test_a_kernel_that_nobody_holds_leaves_no_file_open(path):
    opened = weakref.ref(World().attach("vda", path).private_data.file)
    World().enter()  # the processor is on another kernel now
    gc.collect()
    assert opened() is None


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b"])
def test_what_cannot_be_a_name_in_dev_is_no_name_for_a_disk(world, name):
    with pytest.raises(ValueError):
        world.attach(name, b"")
