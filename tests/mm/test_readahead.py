"""Windows of read-ahead: what is brought in, beside what was asked for, is what Linux brings in."""

import ctypes
import ctypes.util
import os
import platform
import re
import struct

import pytest

from tests.mm.world import World
from vfslab.include.fs import FMODE_RANDOM
from vfslab.include.mm_types import PG_READAHEAD
from vfslab.mm.filemap import filemap_cachestat, filemap_get_folio, folio_put
from vfslab.mm.readahead import file_ra_state_init, folio_size, force_page_cache_readahead

PAGE, MIB = 4096, 1 << 20
SYS_CACHESTAT = 451  # the same number on every architecture


def cached(file):
    return sorted(file.f_mapping.i_pages)


def test_a_page_at_a_time_from_the_start_doubles_the_window_up_to_32():
    world = World()
    file = world.file(MIB)
    seen = []
    for page in range(100):
        world.pread(file, PAGE, page * PAGE)
        seen.append(file.f_mapping.nrpages)
    steps = sorted(set(seen))
    assert steps == [4, 12, 28, 60, 92, 124, 156]
    assert [length // PAGE for _at, length in world.disk.log] == [4, 8, 16, 32, 32, 32, 32]
    marked = [page for page, folio in file.f_mapping.i_pages.items() if folio.flags & PG_READAHEAD]
    assert min(marked) == 156 - 32, "the next window is brought when the last one is entered"


def test_a_random_read_brings_what_it_asks_for(rng):
    world = World()
    file = world.file(8 * MIB)
    pages = rng.sample(range(1, 2048, 3), 60)
    for page in pages:
        world.pread(file, PAGE, page * PAGE)
    assert cached(file) == sorted(pages)
    world.pread(file, 5 * PAGE, 1000 * PAGE + 7)
    assert set(cached(file)) == set(pages) | set(range(1000, 1006))


def test_pages_before_a_miss_are_the_trace_of_a_stream():
    world = World()
    inode = world.inode(MIB, [(0, 0, 256)])
    world.pread(world.open(inode), 8 * PAGE, 96 * PAGE)
    other = world.open(inode)
    world.pread(other, PAGE, 104 * PAGE)
    assert filemap_cachestat(inode.i_data, 104, 255)[0] == 9, "eight pages of history and the one asked for"


def test_random_advice_turns_windows_off():
    world = World()
    file = world.file(MIB)
    file.f_mode |= FMODE_RANDOM
    for page in (0, 1, 2):
        world.pread(file, PAGE, page * PAGE)
    assert cached(file) == [0, 1, 2]


def test_R2_no_window_goes_beyond_the_file():
    world = World()
    file = world.file(5 * PAGE + 1)
    world.pread(file, 1, 0)
    world.pread(file, 1, PAGE)
    assert cached(file) == [0, 1, 2, 3, 4, 5]
    assert max(at + length for at, length in world.disk.log) == 6 * PAGE


def test_R3_what_readahead_leaves_is_read_alone(rng):
    world = World(rng=rng)
    file = world.file(MIB)
    aops = file.f_mapping.a_ops
    file.f_mapping.a_ops = type(aops)(read_folio=aops.read_folio, readahead=lambda rac: None)
    assert world.pread(file, 10 * PAGE, 0) == world.disk.content[: 10 * PAGE]
    assert [length for _at, length in world.disk.log] == [PAGE] * 10
    world.check(file.f_mapping)


def test_a_long_request_takes_islands_of_random_reads_with_it(rng):
    world = World(memory=16 * MIB, rng=rng)
    file = world.file(2 * MIB)
    for page in (3, 77, 78, 200):
        world.pread(file, PAGE, page * PAGE)
    world.disk.log.clear()
    assert world.pread(file, MIB, 0) == world.disk.content[:MIB]
    assert world.disk.log == [(0, MIB)]
    world.check(file.f_mapping)


def test_islands_in_use_stay_and_are_gone_round(rng):
    world = World(memory=64 * MIB, rng=rng)
    file = world.file(8 * MIB)
    held = []
    for page in rng.sample(range(1, 2048), 60):
        world.pread(file, PAGE, page * PAGE)
        held += [filemap_get_folio(file.f_mapping, page)] if rng.random() < 0.5 else []
    assert world.pread(file, 8 * MIB, 0) == world.disk.content
    for folio in held:
        assert file.f_mapping.i_pages[folio.index] is folio
        folio_put(folio)
    world.check(file.f_mapping)


def test_willneed_reads_the_range_and_skips_what_is_there():
    world = World()
    file = world.file(MIB)
    world.pread(file, 2 * PAGE, 50 * PAGE)
    world.disk.log.clear()
    force_page_cache_readahead(file.f_mapping, file, 40, 20)
    assert cached(file) == list(range(40, 60))
    assert sum(length for _at, length in world.disk.log) == 18 * PAGE


@pytest.mark.parametrize(
    "index, stop, eof, expected",
    [
        (0, 256, 1000, 256),
        (0, 300, 1000, 256),
        (0, 5, 5, 5),
        (0, 5, 100, 4),
        (4, 12, 100, 4),
        (28, 60, 100, 4),
        (32, 60, 100, 16),
        (96, 100, 100, 4),
        (97, 100, 100, 1),
        (512, 700, 700, 188),
    ],
)
def test_a_folio_is_aligned_and_cut_only_at_the_end_of_the_file(index, stop, eof, expected):
    assert folio_size(index, stop, eof, 256, 1) == expected


# --- against Linux -----------------------------------------------------------------------------------


def linux_cachestat(fd, first, pages):
    """Return how many of these pages Linux has cached, or None where it cannot say."""
    libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    asked, answer = struct.pack("QQ", first * PAGE, pages * PAGE), ctypes.create_string_buffer(40)
    if libc.syscall(SYS_CACHESTAT, fd, asked, answer, 0):
        return None
    return struct.unpack_from("Q", answer)[0]


@pytest.fixture
def linux_file(tmp_path):
    """Return (descriptor, pages cached) for a fresh file of 1 MiB on a filesystem of Linux that drops its cache."""
    if platform.system() != "Linux":
        pytest.skip("needs Linux to compare with")
    path = tmp_path / "file"
    path.write_bytes(bytes(MIB))
    fd = os.open(path, os.O_RDWR)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    if linux_cachestat(fd, 0, 256) != 0:
        os.close(fd)
        pytest.skip("needs cachestat(2) and a filesystem whose cache can be dropped")
    yield fd, lambda: linux_cachestat(fd, 0, 256)
    os.close(fd)


def linux_ra_pages(path):
    """Return the read-ahead limit of the device that path is on, in pages."""
    dev = os.stat(path).st_dev
    with open(f"/sys/class/bdi/{os.major(dev)}:{os.minor(dev)}/read_ahead_kb") as value:
        return int(value.read()) // 4


PATTERNS = {
    "pages in a row": [(page, 1) for page in range(40)],
    "two pages in a row": [(page, 2) for page in range(0, 60, 2)],
    "eight pages in a row": [(page, 8) for page in range(0, 120, 8)],
    "random pages": [(page, 1) for page in (100, 7, 50, 200, 31)],
    "random runs": [(page, 5) for page in (100, 7, 50, 200, 31)],
    "the start of a file": [(0, 1)],
    "a quarter of it": [(0, 20)],
}


@pytest.mark.real
@pytest.mark.parametrize("name", PATTERNS)
def test_linux_brings_the_same_pages(linux_file, tmp_path, name):
    fd, pages_cached = linux_file
    world = World()
    file = world.file(MIB)
    try:
        file_ra_state_init(file).ra_pages = linux_ra_pages(tmp_path)
    except OSError:
        pytest.skip("needs /sys/class/bdi to know the window of this filesystem")
    ours, theirs = [], []
    for page, count in PATTERNS[name]:
        world.pread(file, count * PAGE, page * PAGE)
        os.pread(fd, count * PAGE, page * PAGE)
        ours.append(file.f_mapping.nrpages)
        theirs.append(pages_cached())
    release = tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2])
    if release < (6, 16):
        assert ours == theirs
    else:  # since 6.16 the end of a window is rounded down to a whole folio of its order
        assert all(linux <= here <= linux * 1.1 for here, linux in zip(ours, theirs, strict=True)), (ours, theirs)
