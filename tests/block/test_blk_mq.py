"""bio, request queue, merging, splitting, flushes."""

import pytest

from tests.block.world import World, make_bio, submit
from vfslab.block.bio import bio_put
from vfslab.block.blk_core import blk_finish_plug, blk_start_plug, blkdev_issue_flush, submit_bio
from vfslab.block.blk_flush import blk_flush_policy
from vfslab.block.genhd import del_gendisk
from vfslab.block.partitions.core import add_partition
from vfslab.include.blk_types import (
    BLK_STS_IOERR,
    BLK_STS_MEDIUM,
    REQ_FUA,
    REQ_OP_FLUSH,
    REQ_OP_READ,
    REQ_OP_WRITE,
    REQ_PREFLUSH,
    REQ_RAHEAD,
)
from vfslab.include.blkdev import BLK_FEAT_FUA, BLK_FEAT_WRITE_CACHE, BlkPlug, Request
from vfslab.kernel.errno import EIO, ENODATA, EOPNOTSUPP
from vfslab.lib.kstruct import KernelBug


@pytest.fixture
def world():
    return World()


def sectors(count):
    return memoryview(bytearray(count * 512))


def plugged(bios):
    """Submit bios inside one plug; return the list of those that ended, in order."""
    ended, plug = [], BlkPlug()
    blk_start_plug(plug)
    for bio in bios:
        bio.bi_end_io = ended.append
        submit_bio(bio)
    assert not ended
    blk_finish_plug(plug)
    return ended


# --- bios and partitions --------------------------------------------------------------------------


def test_what_is_written_is_read(world):
    disk = world.scripted()
    world.write(disk.bdev, 8, b"a" * 512 + b"b" * 512)
    assert world.read(disk.bdev, 9) == b"b" * 512
    assert disk.log == [("write", 8, 2, 1), ("read", 9, 1, 1)]


def test_a_partition_starts_where_its_disk_says(world):
    disk = world.scripted()
    part = add_partition(disk.disk, 1, 100, 50)
    world.write(part, 3, b"x" * 512)
    assert disk.log == [("write", 103, 1, 1)]
    assert world.read(disk.bdev, 103) == b"x" * 512


def test_C1_nothing_leaves_a_partition_although_the_disk_goes_on(world):
    disk = world.scripted()
    part = add_partition(disk.disk, 1, 100, 50)
    with pytest.raises(EIO):
        world.read(part, 50)
    with pytest.raises(EIO):
        world.write(part, 49, bytes(1024))
    with pytest.raises(EIO):
        submit(part, REQ_OP_READ, -1, sectors(1))
    assert disk.log == []
    assert sum("beyond end of device" in line for line in world.log) == 3


def test_a_read_over_the_end_of_the_device_gets_zeros_behind_it(world):
    disk = world.scripted(sectors=10)
    disk.content[:] = b"d" * 5120
    assert world.read(disk.bdev, 8, 4) == b"d" * 1024 + bytes(1024)
    assert disk.log == [("read", 8, 2, 1)]


def test_a_bio_that_is_no_whole_sectors_is_a_bug(world):
    with pytest.raises(KernelBug):
        submit(world.scripted().bdev, REQ_OP_READ, 0, memoryview(bytearray(100)))


def test_C2_a_removed_disk_takes_no_bio(world):
    disk = world.scripted()
    bdev = disk.bdev
    del_gendisk(disk.disk)
    with pytest.raises(EIO):
        world.read(bdev, 0)
    assert disk.log == []


def test_requests_of_a_plug_end_with_an_error_if_the_disk_goes_meanwhile(world):
    disk = world.scripted()
    bio, ended, plug = make_bio(disk.bdev, REQ_OP_READ, 0, sectors(1)), [], BlkPlug()
    bio.bi_end_io = ended.append
    blk_start_plug(plug)
    submit_bio(bio)
    del_gendisk(disk.disk)
    blk_finish_plug(plug)
    assert ended == [bio] and bio.bi_status == BLK_STS_IOERR and disk.log == []


def test_an_error_of_the_driver_is_told_and_logged(world):
    disk = world.scripted()
    disk.fail = {1: BLK_STS_MEDIUM}
    with pytest.raises(ENODATA):
        world.read(disk.bdev, 40)
    assert any("I/O error, dev scripted, sector 40 op 0x0:(READ)" in line for line in world.log)


def test_bios_and_requests_are_used_over_and_over(world):
    disk = world.scripted()
    for _ in range(50):
        world.read(disk.bdev, 0)
    assert world.kernel._slab.alive(Request) == 1
    assert len(world.kernel.fs_bio_set) == 1


def test_a_bio_given_back_twice_is_a_bug(world):
    bio = make_bio(world.scripted().bdev, REQ_OP_READ, 0, sectors(1))
    bio_put(bio)
    with pytest.raises(KernelBug):
        bio_put(bio)


# --- merging --------------------------------------------------------------------------------------


def test_neighbours_in_a_plug_become_one_request(world):
    disk = world.scripted()
    disk.content[:] = bytes(range(256)) * (2048 * 2)
    views = [sectors(8) for _ in range(4)]
    bios = [make_bio(disk.bdev, REQ_OP_READ, 8 * i, view) for i, view in enumerate(views)]
    assert plugged(bios) == bios
    assert disk.log == [("read", 0, 32, 4)]
    assert b"".join(views) == disk.content[: 32 * 512]


def test_a_bio_that_ends_where_the_request_begins_is_joined_in_front(world):
    disk = world.scripted()
    bios = [make_bio(disk.bdev, REQ_OP_WRITE, at, memoryview(bytearray([at] * 512))) for at in (12, 11, 10, 13)]
    plugged(bios)
    assert disk.log == [("write", 10, 4, 4)]
    assert disk.content[10 * 512 : 14 * 512 : 512] == bytes([10, 11, 12, 13])


def test_M1_a_request_keeps_to_the_limits(world):
    disk = world.scripted(max_sectors=8)
    plugged([make_bio(disk.bdev, REQ_OP_READ, 2 * i, sectors(2)) for i in range(6)])
    assert disk.log == [("read", 0, 8, 4), ("read", 8, 4, 2)]
    few = World().scripted(max_segments=3)
    plugged([make_bio(few.bdev, REQ_OP_READ, i, sectors(1)) for i in range(7)])
    assert few.log == [("read", 0, 3, 3), ("read", 3, 3, 3), ("read", 6, 1, 1)]


@pytest.mark.parametrize("other", [REQ_OP_WRITE, REQ_OP_READ | REQ_RAHEAD])
def test_different_kinds_do_not_join(world, other):
    disk = world.scripted()
    plugged([make_bio(disk.bdev, REQ_OP_READ, 0, sectors(1)), make_bio(disk.bdev, other, 1, sectors(1))])
    assert len(disk.log) == 2


def test_M3_a_write_with_a_place_in_time_is_not_joined(world):
    disk = world.scripted(features=BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA)
    ended, plug = [], BlkPlug()
    blk_start_plug(plug)
    for at, flags in ((0, 0), (1, REQ_FUA), (2, 0)):
        bio = make_bio(disk.bdev, REQ_OP_WRITE | flags, at, sectors(1))
        bio.bi_end_io = ended.append
        submit_bio(bio)
    blk_finish_plug(plug)
    assert ("write+fua", 1, 1, 1) in disk.log and sum(entry[2] for entry in disk.log) == 3


def test_a_full_plug_is_pulled(world):
    disk = world.scripted()
    ended, plug = [], BlkPlug()
    blk_start_plug(plug)
    for i in range(33):
        bio = make_bio(disk.bdev, REQ_OP_READ, 4 * i, sectors(1))
        bio.bi_end_io = ended.append
        submit_bio(bio)
    assert len(ended) == 32
    blk_finish_plug(plug)
    assert len(ended) == 33


def test_an_inner_plug_leaves_the_outer_one_alone(world):
    disk = world.scripted()
    outer, inner = BlkPlug(), BlkPlug()
    bio = make_bio(disk.bdev, REQ_OP_READ, 0, sectors(1))
    blk_start_plug(outer)
    blk_start_plug(inner)
    submit_bio(bio)
    blk_finish_plug(inner)
    assert disk.log == []
    blk_finish_plug(outer)
    assert len(disk.log) == 1


def test_who_waits_pulls_his_own_plug(world):
    disk = world.scripted()
    plug = BlkPlug()
    blk_start_plug(plug)
    world.write(disk.bdev, 0, b"w" * 512)
    assert disk.content[:512] == b"w" * 512
    blk_finish_plug(plug)


# --- splitting ------------------------------------------------------------------------------------


def test_a_large_bio_goes_in_pieces_and_ends_once(world):
    disk = world.scripted(max_sectors=16)
    disk.content[:] = bytes(range(256)) * 4096
    view, ended = sectors(50), []
    bio = make_bio(disk.bdev, REQ_OP_READ, 3, view)
    bio.bi_end_io = ended.append
    submit_bio(bio)
    assert ended == [bio] and bytes(view) == disk.content[3 * 512 : 53 * 512]
    assert disk.log == [("read", 3, 16, 1), ("read", 19, 16, 1), ("read", 35, 16, 1), ("read", 51, 2, 1)]


def test_many_segments_go_in_pieces(world):
    disk = world.scripted(max_segments=2)
    disk.content[:] = bytes(range(256)) * 4096
    views = [sectors(1 + i % 3) for i in range(7)]
    submit(disk.bdev, REQ_OP_READ, 0, *views)
    assert b"".join(views) == disk.content[: sum(map(len, views))]
    assert max(entry[3] for entry in disk.log) == 2


def test_B3_the_error_of_one_piece_is_the_error_of_the_bio(world):
    disk = world.scripted(max_sectors=4)
    disk.fail = {2: BLK_STS_MEDIUM}
    with pytest.raises(ENODATA):
        world.read(disk.bdev, 0, 16)
    assert len(disk.log) == 4


def test_pieces_that_end_late_are_waited_for(world):
    disk = world.scripted(max_sectors=4)
    disk.deferred = True
    disk.content[:8192] = b"z" * 8192
    assert world.read(disk.bdev, 0, 16) == b"z" * 8192


# --- busy and slow drivers ------------------------------------------------------------------------


def test_Q3_requests_keep_their_order_when_the_driver_is_busy(world):
    disk = world.scripted()
    disk.deferred, disk.busy = True, 2
    ended = []
    for at in (1, 2, 3, 4):
        bio = make_bio(disk.bdev, REQ_OP_READ, at, sectors(1))
        bio.bi_end_io = ended.append
        submit_bio(bio)
    assert [entry[1] for entry in disk.log] == [1, 2, 3, 4]
    assert not ended
    disk.poll(None)
    assert [bio.bi_sector for bio in ended] == [1, 2, 3, 4]


def test_when_all_tags_are_out_the_driver_is_waited_for(world):
    disk = world.scripted()
    disk.deferred, disk.disk.queue.nr_requests = True, 4
    ended = []
    for at in range(10):
        bio = make_bio(disk.bdev, REQ_OP_READ, at, sectors(1))
        bio.bi_end_io = ended.append
        submit_bio(bio)
    disk.poll(None)
    assert len(ended) == 10 and world.kernel._slab.alive(Request) <= 5


def test_a_request_that_never_ends_is_noticed(world):
    disk = world.scripted()
    disk.deferred = True
    disk.poll = None
    bio = make_bio(disk.bdev, REQ_OP_READ, 0, sectors(1))
    with pytest.raises(KernelBug):
        world.kernel.init_task.plug = None
        disk.disk.queue.mq_ops = type(disk.disk.queue.mq_ops)(queue_rq=disk.queue_rq)
        from vfslab.block.blk_core import submit_bio_wait

        submit_bio_wait(bio)


# --- flushes --------------------------------------------------------------------------------------

CACHE, THROUGH = BLK_FEAT_WRITE_CACHE, BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA


@pytest.mark.parametrize(
    "features, flags, expected",
    [
        (0, REQ_PREFLUSH | REQ_FUA, ["write"]),
        (CACHE, REQ_PREFLUSH, ["flush", "write"]),
        (CACHE, REQ_FUA, ["write", "flush"]),
        (CACHE, REQ_PREFLUSH | REQ_FUA, ["flush", "write", "flush"]),
        (THROUGH, REQ_FUA, ["write+fua"]),
        (THROUGH, REQ_PREFLUSH | REQ_FUA, ["flush", "write+fua"]),
    ],
)
@pytest.mark.parametrize("deferred", [False, True])
def test_a_durable_write_takes_the_steps_its_device_needs(world, features, flags, expected, deferred):
    disk = world.scripted(features=features)
    disk.deferred = deferred
    world.write(disk.bdev, 5, b"j" * 512, flags)
    assert [entry[0] for entry in disk.log] == expected
    assert disk.content[5 * 512 : 6 * 512] == b"j" * 512


def test_an_empty_flush_reaches_only_devices_with_a_cache(world):
    blkdev_issue_flush(world.scripted().bdev)
    cached = World().scripted(features=CACHE)
    blkdev_issue_flush(cached.bdev)
    assert [entry[0] for entry in cached.log] == ["flush"]


def test_F2_after_a_failed_flush_the_data_is_not_written(world):
    disk = world.scripted(features=CACHE)
    disk.fail = {1: BLK_STS_IOERR}
    with pytest.raises(EIO):
        world.write(disk.bdev, 0, b"n" * 512, REQ_PREFLUSH)
    assert [entry[0] for entry in disk.log] == ["flush"] and not any(disk.content)


def test_policy_names_the_steps(world):
    disk = world.scripted(features=CACHE)
    bio = make_bio(disk.bdev, REQ_OP_WRITE | REQ_PREFLUSH | REQ_FUA, 0, sectors(1))
    assert blk_flush_policy(bio) == 1 | 2 | 4
    bio_put(bio)


def test_a_flush_is_asked_for_with_an_empty_write_not_as_an_operation(world):
    with pytest.raises(EOPNOTSUPP):
        submit(world.scripted(features=CACHE).bdev, REQ_OP_FLUSH | REQ_PREFLUSH, 0)


# --- everything at once ---------------------------------------------------------------------------


def test_random_bios_do_what_a_bytearray_does(rng):
    """Whatever the limits, plugs, delays: the disk ends as the model, and each bio ends once."""
    for _ in range(40):
        disk = World().scripted(
            sectors=64, max_sectors=rng.choice([1, 3, 8, 2560]), max_segments=rng.choice([1, 2, 5, 128]), features=CACHE
        )
        disk.deferred = rng.random() < 0.3
        model, ended, sent = bytearray(64 * 512), [], 0
        for _ in range(rng.randrange(1, 8)):
            plug = BlkPlug()
            if rng.random() < 0.7:
                blk_start_plug(plug)
            free = list(range(64))  # no overlap among bios that are under way together
            for _ in range(rng.randrange(1, 12)):
                at, count = rng.randrange(64), rng.randrange(1, 9)
                span = range(at, min(at + count, 64))
                if not all(sector in free for sector in span):
                    continue
                free = [sector for sector in free if sector not in span]
                data = rng.randbytes(512 * len(span))
                cut = 512 * rng.randrange(len(span) + 1)
                write = rng.random() < 0.5
                buffer = memoryview(bytearray(data))
                flags = REQ_OP_WRITE | rng.choice([0, 0, REQ_FUA, REQ_PREFLUSH]) if write else REQ_OP_READ
                bio = make_bio(disk.bdev, flags, at, buffer[:cut], buffer[cut:])
                bio.bi_private = (buffer, write, bytes(model[at * 512 : at * 512 + len(data)]))
                if write:
                    model[at * 512 : at * 512 + len(data)] = data
                bio.bi_end_io = ended.append
                submit_bio(bio)
                sent += 1
            blk_finish_plug(plug)
            while disk.begun:
                disk.poll(None)
            assert len(ended) == sent
            for bio in ended:
                buffer, write, before = bio.bi_private
                assert not bio.bi_status and (write or bytes(buffer) == before)
            ended, sent = [], 0
        assert disk.content == model


def test_tracepoints_tell_of_each_bio_and_request(world):
    from vfslab.kernel.trace import function_graph

    disk = world.scripted()
    with function_graph(world.kernel) as trace:
        plugged([make_bio(disk.bdev, REQ_OP_READ, at, sectors(1)) for at in (0, 1)])
    assert [name for name, _values, _call in trace.points] == [
        "block_bio_queue",
        "block_bio_queue",
        "block_rq_issue",
        "block_rq_complete",
    ]
