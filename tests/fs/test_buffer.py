"""Blocks of a device: found, read together, kept while they are used, hidden by an overlay, written back."""

import pytest

from tests.mm.world import World
from vfslab.fs.buffer import (
    __bread,
    bdev_drop_overlay,
    bdev_getblk,
    bdev_overlay,
    brelse,
    mark_buffer_dirty,
    sb_bread,
    sb_breadahead,
    sb_find_get_block,
    sb_getblk,
    sync_dirty_buffer,
    sync_dirty_buffers,
)
from vfslab.include.buffer_head import BH_DIRTY, BH_UPTODATE, BH_VERIFIED
from vfslab.include.mm_types import PG_DIRTY
from vfslab.kernel.errno import EIO
from vfslab.lib.kstruct import UseAfterFree
from vfslab.mm.truncate import truncate_inode_pages

PAGE = 4096


@pytest.mark.parametrize("blkbits", [10, 11, 12, 16])
def test_B1_a_block_has_one_buffer_with_the_bytes_of_the_device(rng, blkbits):
    world = World(rng=rng, blkbits=blkbits)
    size, blocks = 1 << blkbits, (8 << 20) >> blkbits
    for _ in range(200):
        block = rng.randrange(blocks)
        bh = sb_bread(world.sb, block)
        assert bh.b_data == world.disk.content[block * size : (block + 1) * size]
        assert bh is sb_bread(world.sb, block) is sb_getblk(world.sb, block) is sb_find_get_block(world.sb, block)
        assert bh.b_count == 4
        for _ in range(4):
            brelse(bh)
    world.check(world.disk.bdev.bd_mapping)
    assert world.charged() <= 4 << 20


def test_a_single_block_reads_its_page_and_no_more():
    world = World(blkbits=10)
    brelse(sb_bread(world.sb, 9))
    assert world.disk.log == [(8192, PAGE)]
    brelse(sb_bread(world.sb, 10))
    assert world.disk.log == [(8192, PAGE)]


def test_breadahead_reads_a_run_with_one_bio(rng):
    world = World(rng=rng)
    brelse(sb_bread(world.sb, 105))
    world.disk.log.clear()
    sb_breadahead(world.sb, 100, 40)
    assert world.disk.log == [(100 * PAGE, 5 * PAGE), (106 * PAGE, 32 * PAGE), (138 * PAGE, 2 * PAGE)]
    for block in range(100, 140):
        bh = sb_bread(world.sb, block)
        assert bh.b_data == world.disk.content[block * PAGE : (block + 1) * PAGE]
        brelse(bh)
    assert len(world.disk.log) == 3


def test_breadahead_leaves_out_what_cannot_be_read():
    world = World(disk=1 << 20)
    world.disk.bad = {8 * 20}
    sb_breadahead(world.sb, 0, 1 << 20)
    assert sb_find_get_block(world.sb, 20) is None
    with pytest.raises(EIO):
        sb_bread(world.sb, 20)
    brelse(sb_bread(world.sb, 21))
    assert world.disk.bdev.bd_buffers[20, PAGE].b_count == 0
    assert max(at + length for at, length in world.disk.log) == 1 << 20


def test_a_bad_sector_spoils_its_block_and_not_its_page(rng):
    world = World(blkbits=10, rng=rng)
    world.disk.bad = {18, 19}
    with pytest.raises(EIO):
        sb_bread(world.sb, 9)
    bh = sb_bread(world.sb, 10)
    assert bh.b_data == world.disk.content[10240:11264]
    with pytest.raises(EIO):
        sb_bread(world.sb, 9)


def test_beyond_the_end_is_EIO_and_the_last_part_of_a_page_is_read(rng):
    world = World(disk=(1 << 20) + 1024, blkbits=10, rng=rng)
    assert sb_bread(world.sb, 1024).b_data == world.disk.content[1 << 20 :]
    for block in (1025, 1 << 40, -1):
        with pytest.raises(EIO):
            sb_bread(world.sb, block)
    device = world.open(world.disk.bdev.bd_mapping.host)
    assert world.pread(device, 9999, (1 << 20) - 100) == world.disk.content[(1 << 20) - 100 :]


def test_B3_reclaim_takes_buffers_with_their_folio_but_none_in_use():
    world = World(memory=1 << 20)
    held, dirty = sb_bread(world.sb, 3), sb_bread(world.sb, 5)
    marked = sb_bread(world.sb, 7)
    marked.b_state |= BH_VERIFIED
    brelse(marked)
    mark_buffer_dirty(dirty)
    brelse(dirty)
    for block in range(100, 1100):
        brelse(sb_bread(world.sb, block))
        assert world.charged() <= 1 << 20
    assert held is sb_bread(world.sb, 3) and dirty is sb_bread(world.sb, 5)
    with pytest.raises(UseAfterFree):
        marked.b_state  # noqa: B018
    assert not sb_bread(world.sb, 7).b_state & BH_VERIFIED
    assert len(world.disk.bdev.bd_buffers) <= 256


def test_everything_in_use_may_pass_the_limit_and_comes_back():
    world = World(memory=1 << 20)
    held = [sb_bread(world.sb, block) for block in range(400)]
    assert world.node.nr_pages == 400
    for bh in held:
        brelse(bh)
    brelse(sb_bread(world.sb, 1000))
    assert world.charged() <= 1 << 20


def test_the_device_read_as_a_file_and_its_buffers_are_the_same_bytes(rng):
    world = World(blkbits=10, rng=rng)
    device = world.open(world.disk.bdev.bd_mapping.host)
    bh = sb_bread(world.sb, 9)
    bh.b_data[:4] = b"news"
    mark_buffer_dirty(bh)
    other = sb_getblk(world.sb, 10)
    other.b_data[:] = b"z" * 1024
    mark_buffer_dirty(other)
    got = world.pread(device, 100_000, 0)
    want = bytearray(world.disk.content[:100_000])
    want[9216:9220], want[10240:11264] = b"news", b"z" * 1024
    assert got == want
    sync_dirty_buffer(bh)
    assert world.disk.written == [(9216, 1024)] and bh.b_folio.flags & PG_DIRTY and not bh.b_state & BH_DIRTY
    sync_dirty_buffers(world.disk.bdev)
    assert world.disk.written == [(9216, 1024), (10240, 1024)] and not bh.b_folio.flags & PG_DIRTY
    assert world.disk.content[:100_000] == want


def test_B4_a_full_read_leaves_newer_buffers_alone(rng):
    world = World(blkbits=10, rng=rng)
    new = sb_getblk(world.sb, 2)
    new.b_data[:] = b"n" * 1024
    mark_buffer_dirty(new)
    assert sb_bread(world.sb, 3).b_data == world.disk.content[3072:4096]
    assert world.disk.log == [(3072, 1024)]
    device = world.open(world.disk.bdev.bd_mapping.host)
    assert world.pread(device, PAGE, 0) == world.disk.content[:2048] + b"n" * 1024 + world.disk.content[3072:4096]


@pytest.mark.parametrize("blkbits", [10, 12, 16])
def test_an_overlay_wins_for_buffers_data_and_the_raw_device(rng, blkbits):
    world = World(memory=64 << 20, rng=rng, blkbits=blkbits)
    size, bdev = 1 << blkbits, world.disk.bdev
    blocks = (4 << 20) >> blkbits
    replayed = {block: rng.randbytes(size) for block in rng.sample(range(blocks), blocks // 8)}
    before = bytes(world.disk.content)
    bdev_overlay(bdev, replayed, size)
    seen = bytearray(before)
    for block, content in replayed.items():
        seen[block * size : (block + 1) * size] = content
    for block in replayed:
        bh = sb_bread(world.sb, block)
        assert bh.b_data == replayed[block] and bh.b_count == 2
        brelse(bh)
    extents = [(0, 1, blocks // 2 - 1), (blocks // 2, blocks // 2 + 1, blocks // 2 - 2)]
    length = (blocks - 2) * size - 300
    inode = world.inode(length, extents)
    want = bytearray(length)
    for first, disk, count in extents:
        want[first * size : (first + count) * size] = seen[disk * size : (disk + count) * size]
    want = bytes(want[:length])
    assert world.pread(world.open(inode), length, 0) == want
    again = world.open(world.inode(length, extents))
    for _ in range(100):
        pos = rng.randrange(length)
        assert world.pread(again, 3 * PAGE, pos) == want[pos : pos + 3 * PAGE]
    device = world.open(bdev.bd_mapping.host)
    assert world.pread(device, 8 << 20, 0) == seen
    assert world.disk.content == before and not world.disk.written
    bdev_drop_overlay(bdev)
    for block in replayed:
        bh = sb_bread(world.sb, block)
        assert bh.b_data == before[block * size : (block + 1) * size] and bh.b_count == 1
        brelse(bh)


def test_forgetting_the_device_cuts_off_who_still_holds_a_buffer(rng):
    world = World(rng=rng)
    bdev = world.disk.bdev
    held = sb_bread(world.sb, 4)
    brelse(sb_bread(world.sb, 5))
    truncate_inode_pages(bdev.bd_mapping, 0)
    assert not bdev.bd_buffers and not bdev.bd_mapping.i_pages
    assert held.b_data == world.disk.content[4 * PAGE : 5 * PAGE]
    assert sb_bread(world.sb, 4) is not held
    assert __bread(bdev, 4, 1024).b_state & BH_UPTODATE and bdev_getblk(bdev, 8, 512).b_state & BH_UPTODATE
