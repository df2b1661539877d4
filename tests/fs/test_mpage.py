"""From runs of file blocks to bios: as few as the file has pieces, and every byte at its place."""

import pytest

from tests.mm.world import World
from vfslab.include.mm_types import PG_LOCKED, PG_UPTODATE
from vfslab.kernel.errno import EFSCORRUPTED, EIO
from vfslab.mm.filemap import filemap_add_folio
from vfslab.mm.page_alloc import filemap_alloc_folio

PAGE, MIB = 4096, 1 << 20


def test_one_extent_is_one_question_and_one_bio_over_many_folios():
    world = World()
    file = world.file(MIB, extents=[(0, 100, 256)])
    world.pread(file, PAGE, PAGE * 3)
    world.disk.log.clear()
    world.asked.clear()
    world.pread(file, 100 * PAGE, PAGE * 5)
    assert len(set(file.f_mapping.i_pages.values())) > 3
    assert world.asked == [5] and world.disk.log == [(105 * PAGE, 100 * PAGE)]


def test_each_extent_is_one_bio_and_a_hole_is_none(rng):
    world = World(rng=rng)
    extents = [(0, 50, 10), (10, 20, 3), (40, 23, 5), (45, 300, 211)]
    file = world.file(MIB, extents=extents)
    assert world.pread(file, MIB, 0) == world.expected(MIB, extents)
    sizes = [(disk * PAGE, count * PAGE) for _first, disk, count in extents]
    assert [entry for entry in world.disk.log] == sizes
    assert world.asked == [0, 10, 13, 40, 45]


def test_M2_only_the_folio_with_the_bad_piece_is_not_up_to_date(rng):
    world = World(rng=rng)
    extents = [(block, block * 2, 1) for block in range(64)]
    inode = world.inode(64 * PAGE, extents)
    world.disk.bad = {8 * 2 * 20}
    mapping = inode.i_data
    file = world.open(inode)
    world.pread(file, PAGE, 0)
    world.pread(file, PAGE, PAGE)
    world.pread(file, PAGE, 4 * PAGE)
    world.pread(file, PAGE, 12 * PAGE)
    states = {page: bool(folio.flags & PG_UPTODATE) for page, folio in mapping.i_pages.items()}
    assert not states[20] and states[11] and states[12] and states[32]
    assert not any(folio.flags & PG_LOCKED for folio in mapping.i_pages.values())
    want = world.expected(64 * PAGE, extents)
    assert world.pread(file, MIB, 0) == want[: 20 * PAGE]
    with pytest.raises(EIO):
        world.pread(file, 1, 20 * PAGE)
    assert world.pread(file, MIB, 21 * PAGE) == want[21 * PAGE :]
    world.disk.bad.clear()
    assert world.pread(file, MIB, 0) == want


def test_M3_beyond_the_end_is_zero_even_in_memory_used_before(rng):
    world = World(memory=MIB, rng=rng)
    dirty = world.file(8 * MIB)
    for page in range(400):
        world.pread(dirty, PAGE, page * PAGE * 3)
    for size in (1, 511, 513, 4095, 4097, 70_001):
        inode = world.inode(size, [(0, 7, 100)])
        assert world.pread(world.open(inode), MIB, 0) == world.disk.content[7 * PAGE : 7 * PAGE + size]
        last = inode.i_data.i_pages[(size - 1) >> 12]
        tail = bytes(last.mem[size - last.index * PAGE :])
        assert tail == bytes(len(tail))


@pytest.mark.parametrize("blkbits", [9, 10, 12, 14, 16])
def test_blocks_shorter_and_longer_than_a_page(rng, blkbits):
    world = World(memory=2 * MIB, rng=rng, blkbits=blkbits)
    unit = 1 << blkbits
    size = 40 * max(unit, PAGE) + 700
    blocks = -(-size // unit)
    extents, at = [], 0
    while at < blocks:
        count = min(rng.randrange(1, 9), blocks - at)
        if rng.random() < 0.7:
            extents.append((at, rng.randrange((8 * MIB >> blkbits) - count), count))
        at += count
    inode, want = world.inode(size, extents), world.expected(size, extents)
    for _ in range(60):
        pos, count = rng.randrange(size), rng.choice([1, 3000, 100_000])
        assert world.pread(world.open(inode), count, pos) == want[pos : pos + count]
    world.check(inode.i_data)


def test_a_hole_longer_than_the_window_is_asked_for_once():
    world = World()
    file = world.file(1 << 40, extents=[])
    assert world.pread(file, MIB, 123 << 20) == bytes(MIB)
    assert len(world.asked) == 1


def test_a_corrupt_extent_leaves_what_came_before_it(rng):
    world = World(rng=rng)
    file = world.file(64 * PAGE, extents=[(0, 8, 5), (5, 99, 5)], corrupt=10)
    world.pread(file, PAGE, 0)
    assert world.pread(file, MIB, 0) == world.expected(10 * PAGE, [(0, 8, 5), (5, 99, 5)])
    with pytest.raises(EFSCORRUPTED):
        world.pread(file, 10, 10 * PAGE)
    assert not any(folio.flags & PG_LOCKED for folio in file.f_mapping.i_pages.values())


def test_a_folio_that_lies_beyond_the_end_is_zeros():
    world = World()
    file = world.file(2 * PAGE)
    mapping = file.f_mapping
    folio = filemap_alloc_folio(mapping, 5, 2)
    filemap_add_folio(mapping, folio)
    folio.mem[:] = b"x" * 2 * PAGE
    mapping.a_ops.read_folio(file, folio)
    assert folio.flags & PG_UPTODATE and folio.mem == bytes(2 * PAGE) and not world.disk.log


def test_the_device_may_end_within_the_last_block(rng):
    world = World(disk=MIB + 1024, rng=rng)
    for pos in (MIB, MIB - PAGE, MIB + 1000):
        device = world.open(world.disk.bdev.bd_mapping.host)
        assert world.pread(device, 9999, pos) == world.disk.content[pos:]
        world.disk.bdev.bd_mapping.i_pages.clear()
