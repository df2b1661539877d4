"""The page cache gives the bytes of the file, whatever is asked in whatever order, and says so when it cannot."""

import pytest

from tests.mm.world import World
from vfslab.include.mm_types import PG_ACTIVE, PG_UPTODATE
from vfslab.include.uio import IOCB_NOWAIT, Kiocb
from vfslab.kernel.errno import EAGAIN, EFSCORRUPTED, EIO
from vfslab.kernel.iov_iter import iov_iter_bytes, iov_iter_dest
from vfslab.mm.filemap import filemap_get_folio, filemap_read, folio_put, read_mapping_folio
from vfslab.mm.truncate import invalidate_mapping_pages, truncate_inode_pages, truncate_setsize

PAGE = 4096


def in_pieces(rng, blocks, disk_blocks):
    """Return extents for a file of `blocks` blocks: runs and holes of random lengths, anywhere on the disk."""
    extents, block = [], 0
    while block < blocks:
        count = min(rng.choice([1, 1, 2, 3, 7, 40]), blocks - block)
        if rng.random() < 0.8:
            extents.append((block, rng.randrange(disk_blocks - count), count))
        block += count
    return extents


@pytest.mark.parametrize("blkbits", [10, 11, 12, 16])
@pytest.mark.parametrize("memory", [1 << 20, 64 << 20])
def test_random_reads_equal_the_file(rng, blkbits, memory):
    world = World(memory=memory, disk=4 << 20, blkbits=blkbits, rng=rng)
    size = rng.randrange(1 << 20, 3 << 20)
    blocks = -(-size >> blkbits)
    extents = in_pieces(rng, blocks, 4 << 20 >> blkbits)
    unwritten = {first for first, _disk, _count in extents if rng.random() < 0.2}
    inode = world.inode(size, extents, unwritten)
    content = world.expected(size, extents, unwritten)
    file = world.open(inode)
    for turn in range(400):
        if turn % 50 == 0:
            file = world.open(inode)
            file.f_mode |= rng.choice([0, 0x1000])
        pos = rng.randrange(size + 10000)
        count = rng.choice([1, 100, PAGE, 3 * PAGE, 65536, 1 << 20])
        if rng.random() < 0.4:
            pos &= -PAGE
        assert world.pread(file, count, pos) == content[pos : pos + count], (turn, pos, count)
        assert world.charged() <= memory
    world.check(inode.i_data)


def test_sequential_reads_equal_the_file(rng):
    world = World(memory=1 << 20, disk=8 << 20, rng=rng)
    size = (5 << 20) + 777
    inode = world.inode(size, [(0, 0, 2000)])
    for count in (1000, PAGE, 5000, 65536, 131072, 1 << 20, 3 << 20):
        file, pos, got = world.open(inode), 0, []
        while piece := world.pread(file, count, pos):
            got.append(piece)
            pos += len(piece)
        assert b"".join(got) == world.disk.content[:size], count
        assert world.charged() <= 1 << 20
    world.check(inode.i_data)


def test_F2_the_last_page_ends_in_zeros(rng):
    world = World(rng=rng)
    file = world.file(5000)
    assert world.pread(file, 99999, 0) == world.disk.content[:5000]
    folio = file.f_mapping.i_pages[1]
    assert folio.nr_pages == 2 and bytes(folio.mem[5000:]) == bytes(2 * PAGE - 5000)
    truncate_setsize(file.f_inode, 6000)
    assert world.pread(file, 99999, 4000) == world.disk.content[4000:5000] + bytes(1000)


def test_F3_nothing_comes_from_beyond_the_end(rng):
    world = World(rng=rng)
    file = world.file(PAGE)
    assert world.pread(file, 10, PAGE) == b"" == world.pread(file, 10, 1 << 60)
    assert not world.disk.log


def test_a_whole_small_file_is_one_folio_and_one_bio():
    world = World()
    for size in (1, PAGE, 5000, 30000, 128 << 10):
        file = world.file(size)
        world.disk.log.clear()
        assert len(world.pread(file, 1 << 20, 0)) == size
        pages = -(-size // PAGE)
        assert world.disk.log == [(0, pages * PAGE)]
        assert [folio.nr_pages for folio in set(file.f_mapping.i_pages.values())] == [pages]


def test_a_MiB_at_a_time_is_one_folio_and_one_bio_each():
    world = World(memory=64 << 20)
    file = world.file(8 << 20)
    for turn in range(8):
        world.pread(file, 1 << 20, turn << 20)
    assert world.disk.log == [(turn << 20, 1 << 20) for turn in range(8)]
    assert {folio.nr_pages for folio in file.f_mapping.i_pages.values()} == {256}


def test_F4_a_bad_sector_ends_the_read_before_it(rng):
    world = World(rng=rng)
    file = world.file(1 << 20)
    bad = 300 << 10
    world.disk.bad = {(bad >> 9) + 3}
    assert world.pread(file, 1 << 20, 0) == world.disk.content[:bad]
    with pytest.raises(EIO):
        world.pread(file, 1 << 20, bad)
    with pytest.raises(EIO):
        world.pread(file, 1, bad + 4000)
    assert world.pread(file, 1 << 20, bad + PAGE) == world.disk.content[bad + PAGE : 1 << 20]
    world.disk.bad.clear()
    assert world.pread(file, 1 << 20, 0) == world.disk.content[: 1 << 20]
    world.check(file.f_mapping)


def test_what_the_filesystem_raises_is_told_at_its_place(rng):
    world = World(rng=rng)
    file = world.file(1 << 20, extents=[(0, 0, 100)], corrupt=100)
    assert world.pread(file, 1 << 20, 0) == world.disk.content[: 100 * PAGE]
    with pytest.raises(EFSCORRUPTED):
        world.pread(file, 1, 100 * PAGE)
    world.check(file.f_mapping)


def test_a_hole_costs_no_io(rng):
    world = World(rng=rng)
    extents = [(300, 7, 1)]
    file = world.file(301 * PAGE, extents=extents)
    assert world.pread(file, 1 << 20, 0) == bytes(1 << 20)
    assert not world.disk.log and world.asked == [0]


def test_unwritten_extents_hide_what_the_disk_holds(rng):
    world = World(rng=rng)
    file = world.file(8 * PAGE, extents=[(0, 0, 4), (4, 4, 4)], unwritten={4})
    assert world.pread(file, 1 << 20, 0) == world.disk.content[: 4 * PAGE] + bytes(4 * PAGE)


def test_readv_fills_the_callers_buffers(rng):
    world = World(rng=rng)
    file = world.file(1 << 20)
    buffers = [bytearray(10), bytearray(5000), bytearray(100000)]
    assert filemap_read(Kiocb(file, 123), iov_iter_dest(buffers)) == 105010
    assert b"".join(buffers) == world.disk.content[123 : 123 + 105010]


def test_nowait_does_not_read_from_the_disk():
    world = World()
    file = world.file(1 << 20)
    with pytest.raises(EAGAIN):
        filemap_read(Kiocb(file, 0, IOCB_NOWAIT), iov_iter_bytes(PAGE))
    world.pread(file, PAGE, 0)
    assert filemap_read(Kiocb(file, 0, IOCB_NOWAIT), iov_iter_bytes(PAGE)) == PAGE
    file.f_mapping.i_pages[0].flags &= ~PG_UPTODATE  # as after a read that failed: there, but not to be trusted
    with pytest.raises(EAGAIN):
        filemap_read(Kiocb(file, 0, IOCB_NOWAIT), iov_iter_bytes(PAGE))
    assert world.pread(file, PAGE, 0) == world.disk.content[:PAGE]


def test_a_second_use_makes_a_folio_active_and_going_on_within_it_does_not():
    world = World()
    file = world.file(64 * PAGE)
    for pos in range(0, 65536, 1000):
        world.pread(file, 1000, pos)
    folio = file.f_mapping.i_pages[0]
    assert not any(folio.flags & PG_ACTIVE for folio in file.f_mapping.i_pages.values())
    world.pread(file, 1, 40 * PAGE)
    world.pread(file, 1, 0)
    assert folio.flags & PG_ACTIVE and folio in world.node.active
    world.check(file.f_mapping)


def test_read_mapping_folio_refers_to_it(rng):
    world = World(rng=rng)
    mapping = world.file(PAGE * 3).f_mapping
    folio = read_mapping_folio(mapping, 2)
    assert folio.flags & PG_UPTODATE and folio._refcount == 2 and folio.mem == world.disk.content[8192:12288]
    assert invalidate_mapping_pages(mapping, 0, 99) == 0
    assert filemap_get_folio(mapping, 2) is folio and filemap_get_folio(mapping, 1) is None
    folio_put(folio)
    folio_put(folio)
    assert invalidate_mapping_pages(mapping, 0, 99) == 1
    world.check(mapping)
    assert world.node.nr_pages == 0


def test_T1_truncation_cuts_the_folio_across_the_end(rng):
    world = World(rng=rng)
    file = world.file(1 << 20)
    mapping = file.f_mapping
    world.pread(file, 1 << 20, 0)
    world.pread(file, 1, 0)
    truncate_setsize(file.f_inode, 100_000)
    assert mapping.nrpages == 25 and world.node.nr_pages == 25
    world.check(mapping)
    truncate_setsize(file.f_inode, 200_000)
    assert world.pread(file, 1 << 20, 90_000)[:12400] == bytes(world.disk.content[90_000:100_000]) + bytes(2400)
    truncate_inode_pages(mapping, 0)
    assert not mapping.i_pages and world.check(mapping).in_files == 0
