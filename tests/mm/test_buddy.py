"""Page frames are cut up, joined again, never handed out twice, and zeroed where zeros are promised."""

import mmap
import random

import pytest

import vfslab
from tests.mm.world import World
from vfslab.mm.buddy import MAX_PAGE_ORDER, alloc_pages, drain_pages, free_area_init, free_pages
from vfslab.mm.page_alloc import filemap_alloc_zeroed
from vfslab.mm.truncate import shorten_folio

PAGE, MIB = 4096, 1 << 20
pytestmark = pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="this host has no huge pages to give")


def frames_world(memory):
    """Return a world whose node has page frames, as a booted kernel's has."""
    world = World(memory=memory, disk=8 * MIB)
    free_area_init(world.node)
    return world


def free_frames(node):
    """Return the numbers of all free frames, with repetitions if there are any."""
    blocks = [range(pfn, pfn + (1 << order)) for order, area in enumerate(node.free_area) for pfn in area]
    return [pfn for pfn, _ in node.pcp] + [pfn for block in blocks for pfn in block]


def test_A1_each_frame_is_in_one_place_whatever_is_taken_and_given(rng):
    node = frames_world(8 * MIB).node
    taken = []
    for _ in range(3000):
        if taken and rng.random() < 0.5:
            free_pages(node, *taken.pop(rng.randrange(len(taken))))
        else:
            nr = rng.choice((1, 1, 1, 2, 3, 5, 8, 17, 64, 200, 256))
            pfn, mem = alloc_pages(node, nr)
            assert len(mem) == nr * PAGE
            if pfn >= 0:
                taken.append((pfn, nr, mem))
        used = [pfn + n for pfn, nr, _ in taken for n in range(nr)]
        assert sorted(used + free_frames(node)) == list(range(2048))


def test_A2_all_that_is_given_back_joins_to_the_blocks_of_the_beginning():
    node = frames_world(4 * MIB).node
    taken = []
    while True:
        nr = random.Random(len(taken)).choice((1, 2, 3, 7, 16, 100))
        pfn, mem = alloc_pages(node, nr)
        if pfn < 0:
            break
        taken.append((pfn, nr, mem))
    for run in taken:
        free_pages(node, *run)
    drain_pages(node)
    assert [sorted(area) for area in node.free_area] == [[]] * MAX_PAGE_ORDER + [[0, 512]]


def test_two_folios_never_share_a_byte():
    node = frames_world(2 * MIB).node
    runs = [alloc_pages(node, nr) for nr in (1, 2, 1, 5, 64, 1, 256)]
    for number, (_, mem) in enumerate(runs, 1):
        mem[:] = bytes([number]) * len(mem)
    assert all(set(mem) == {number} for number, (_, mem) in enumerate(runs, 1))


def test_single_frames_at_hand_are_joined_when_a_long_folio_needs_them():
    node = frames_world(2 * MIB).node
    singles = [(pfn, 1, mem) for pfn, mem in (alloc_pages(node, 1) for _ in range(512))]
    assert alloc_pages(node, 2)[0] == -1, "nothing is free: that memory is from elsewhere"
    for run in singles:
        free_pages(node, *run)
    assert alloc_pages(node, 256)[0] >= 0


def test_a_frame_that_held_something_is_zeroed_for_who_wants_zeros():
    world = frames_world(2 * MIB)
    pfn, mem = alloc_pages(world.node, 1)
    mem[:] = b"x" * PAGE
    free_pages(world.node, pfn, 1, mem)
    folio = filemap_alloc_zeroed(world.file(PAGE).f_mapping, 0, 1)
    assert folio.pfn == pfn and folio.mem == bytes(PAGE)


def test_a_folio_cut_short_gives_its_last_frames_back():
    world = frames_world(4 * MIB)
    file = world.file(64 * PAGE)
    world.pread(file, 64 * PAGE, 0)
    (folio,) = set(file.f_mapping.i_pages.values())
    shorten_folio(folio, 3)
    assert len(free_frames(world.node)) == 1024 - 3 and len(folio.mem) == 3 * PAGE


def test_a_kernel_that_is_shut_down_holds_no_memory_of_the_host():
    with vfslab.boot(memory=8 * MIB) as k:
        node = k.kernel.node
        p = k.process()
        p.close(p.open("/file", p.O_CREAT | p.O_WRONLY))
        assert len(node.memory) == 8 * MIB
    assert node.memory is None and not node.pcp and not node.free_area
