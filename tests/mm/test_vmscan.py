"""The limit holds; what is read once goes first; what is used, dirty or the only copy stays."""

import pytest

from tests.mm.world import World
from vfslab.include.fs import AddressSpaceOperations, Inode
from vfslab.include.mm_types import PG_DIRTY, PG_UPTODATE
from vfslab.kernel.errno import ENOSPC
from vfslab.kernel.slab import kzalloc
from vfslab.mm.filemap import (
    __filemap_get_folio,
    folio_mark_dirty,
    folio_mark_uptodate,
    folio_put,
    folio_unlock,
    mapping_set_unevictable,
    read_mapping_folio,
)
from vfslab.mm.truncate import truncate_inode_pages
from vfslab.mm.vmscan import charge_slab, shrinker_alloc, uncharge_slab

PAGE, MIB = 4096, 1 << 20


def ram_write_begin(file, mapping, pos, length):
    return __filemap_get_folio(mapping, pos >> 12, True, length), None


def ram_write_end(file, mapping, pos, length, copied, folio, fsdata):
    folio_mark_uptodate(folio)
    folio_mark_dirty(folio)
    folio_unlock(folio)
    folio_put(folio)
    mapping.host.i_size = max(mapping.host.i_size, pos + copied)
    return copied


def ram_file(world):
    """Return an open file whose page cache is all there is of it."""
    inode = kzalloc(Inode, i_sb=world.sb)
    inode.i_data.a_ops = AddressSpaceOperations(write_begin=ram_write_begin, write_end=ram_write_end)
    mapping_set_unevictable(inode.i_data)
    return world.open(inode)


def test_V3_the_limit_holds_whatever_sizes_are_read(rng):
    world = World(memory=MIB, disk=8 * MIB, rng=rng)
    files = [world.file(8 * MIB) for _ in range(3)]
    for _ in range(2000):
        file = rng.choice(files)
        pos, count = rng.randrange(8 * MIB), rng.choice([1, PAGE, 20000, 200000])
        assert world.pread(file, count, pos) == world.disk.content[pos : pos + count]
        assert world.charged() <= MIB
    world.check(*(file.f_mapping for file in files))
    assert world.node.pgsteal > 1000


def test_reading_once_does_not_push_out_what_is_used_often():
    world = World(memory=2 * MIB, disk=8 * MIB)
    often, once = world.file(64 * PAGE), world.file(8 * MIB)
    for _ in range(3):
        for page in range(64):
            world.pread(often, PAGE, page * PAGE)
            world.pread(once, 1, 0)
    world.disk.log.clear()
    for pos in range(0, 8 * MIB, 65536):
        world.pread(once, 65536, pos)
    assert often.f_mapping.nrpages == 64


def test_the_oldest_of_what_was_read_once_goes_first():
    world = World(memory=MIB, disk=8 * MIB)
    file = world.file(8 * MIB)
    file.f_mode |= 0x1000
    pages = list(range(0, 2000, 7))
    for page in pages:
        world.pread(file, PAGE, page * PAGE)
    kept = sorted(file.f_mapping.i_pages)
    assert kept == pages[-len(kept) :] and len(kept) > 200


def test_a_stream_over_a_large_file_uses_its_own_memory_again():
    world = World(memory=16 * MIB, disk=64 * MIB)
    other, file = world.file(MIB), world.file(64 * MIB)
    world.pread(other, MIB, 0)
    addresses = set()
    for turn in range(64):
        world.pread(file, MIB, turn * MIB)
        addresses.add(id(file.f_mapping.i_pages[turn * 256].mem))
        assert file.f_mapping.nrpages <= 3 * 256
    assert len(addresses) <= 4 and other.f_mapping.nrpages == 256 and not world.node.pgscan


def test_a_file_that_fits_is_kept():
    world = World(memory=16 * MIB, disk=8 * MIB)
    file = world.file(8 * MIB)
    for _ in range(2):
        for turn in range(8):
            world.pread(file, MIB, turn * MIB)
    assert len(world.disk.log) == 8


def test_V1_referenced_and_dirty_folios_stay(rng):
    world = World(memory=MIB, disk=8 * MIB, rng=rng)
    file = world.file(8 * MIB)
    held = read_mapping_folio(file.f_mapping, 5)
    dirty = read_mapping_folio(file.f_mapping, 9)
    folio_mark_dirty(dirty)
    folio_put(dirty)
    for _ in range(1000):
        world.pread(file, PAGE, rng.randrange(4096, 8 * MIB))
    assert file.f_mapping.i_pages[5] is held and file.f_mapping.i_pages[9] is dirty
    assert held.mem == world.disk.content[5 * PAGE : 6 * PAGE] and dirty.flags & PG_DIRTY
    folio_put(held)
    dirty.flags &= ~PG_DIRTY
    for _ in range(1000):
        world.pread(file, PAGE, rng.randrange(10 * PAGE, 8 * MIB))
    assert 5 not in file.f_mapping.i_pages and 9 not in file.f_mapping.i_pages


def test_a_file_in_memory_fills_it_up_to_ENOSPC_and_gives_it_back(rng):
    world = World(memory=2 * MIB, disk=8 * MIB, rng=rng)
    disk_file, file = world.file(8 * MIB), ram_file(world)
    world.pread(disk_file, 2 * MIB, 0)
    data = rng.randbytes(3 * MIB)
    written = world.pwrite(file, data, 0)
    assert MIB < written < 2 * MIB and world.charged() <= 2 * MIB
    with pytest.raises(ENOSPC):
        world.pwrite(file, data, written)
    assert world.pread(file, 3 * MIB, 0) == data[:written]
    for _ in range(100):
        pos = rng.randrange(8 * MIB - PAGE)
        assert world.pread(disk_file, PAGE, pos) == world.disk.content[pos : pos + PAGE]
        assert world.charged() <= 2 * MIB
    truncate_inode_pages(file.f_mapping, 0)
    assert world.pwrite(file, data[:MIB], 0) == MIB
    world.check(file.f_mapping, disk_file.f_mapping)


def test_holes_of_a_file_in_memory_take_none_when_read():
    world = World(memory=MIB)
    file = ram_file(world)
    world.pwrite(file, b"end", 1 << 40)
    assert world.pread(file, 10000, 123) == bytes(10000)
    assert world.pread(file, 10000, (1 << 40) - 100) == bytes(100) + b"end"
    assert file.f_mapping.nrpages == 1


def test_a_long_write_makes_long_folios(rng):
    world = World(memory=64 * MIB)
    file, data = ram_file(world), rng.randbytes(3 * MIB + 5000)
    assert world.pwrite(file, data, 100) == len(data)
    sizes = [folio.nr_pages for folio in dict.fromkeys(file.f_mapping.i_pages.values())]
    assert max(sizes) == 256 and sum(sizes) == (len(data) + 100 + 4095) // PAGE
    assert world.pread(file, 9 * MIB, 0) == bytes(100) + data
    assert all(folio.flags & PG_UPTODATE for folio in file.f_mapping.i_pages.values())


class Objects:
    """A cache of objects of 1 KiB each, all of them unused."""

    def __init__(self):
        self.count = 0
        self.shrinker = shrinker_alloc(lambda _shrinker: self.count, self.scan, self)

    def add(self):
        self.count += 1
        charge_slab(1024)

    def scan(self, shrinker, nr):
        gone = min(nr, self.count)
        self.count -= gone
        uncharge_slab(1024 * gone)
        return gone


def test_objects_and_pages_share_one_limit(rng):
    world = World(memory=2 * MIB, disk=8 * MIB)
    objects, file = Objects(), world.file(8 * MIB)
    for _ in range(4000):
        objects.add()
        assert world.charged() <= 2 * MIB
    assert objects.count > 1000
    for _ in range(3000):
        world.pread(file, PAGE, rng.randrange(2048) * PAGE)
        assert world.charged() <= 2 * MIB
    assert file.f_mapping.nrpages > 50, "reading must win memory from idle objects"
    had = file.f_mapping.nrpages
    for _ in range(4000):
        objects.add()
        assert world.charged() <= 2 * MIB
    assert file.f_mapping.nrpages < had


def test_charging_beyond_the_limit_never_fails_nor_searches_each_time():
    world = World(memory=MIB)
    asked = []
    shrinker_alloc(lambda shrinker: asked.append(1) or 0, lambda shrinker, nr: 0)
    for _ in range(4000):
        charge_slab(1024)
    assert world.node.slab_bytes == 4000 * 1024
    assert len(asked) < 4000
