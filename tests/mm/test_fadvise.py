"""What a program says of its file changes what is read ahead, and what stays."""

import pytest

from tests.mm.world import World
from vfslab.kernel.errno import EINVAL
from vfslab.mm.fadvise import (
    POSIX_FADV_DONTNEED,
    POSIX_FADV_NORMAL,
    POSIX_FADV_RANDOM,
    POSIX_FADV_SEQUENTIAL,
    POSIX_FADV_WILLNEED,
    generic_fadvise,
)

PAGE, MIB = 4096, 1 << 20


def test_random_and_sequential_change_the_window():
    world = World()
    inode = world.inode(MIB, [(0, 0, 256)])
    file = world.open(inode)
    generic_fadvise(file, 0, 0, POSIX_FADV_RANDOM)
    world.pread(file, PAGE, 0)
    assert inode.i_data.nrpages == 1
    generic_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL)
    assert file.f_ra.ra_pages == 64
    generic_fadvise(file, 0, 0, POSIX_FADV_NORMAL)
    world.pread(file, PAGE, PAGE)
    assert file.f_ra.ra_pages == 32 and inode.i_data.nrpages == 5


def test_willneed_reads_and_dontneed_forgets_whole_pages():
    world = World()
    file = world.file(MIB - 100)
    generic_fadvise(file, 5000, 10_000, POSIX_FADV_WILLNEED)
    assert sorted(file.f_mapping.i_pages) == [1, 2, 3]
    generic_fadvise(file, 0, 3 * PAGE + 1, POSIX_FADV_DONTNEED)
    assert 3 in file.f_mapping.i_pages and 1 not in file.f_mapping.i_pages
    generic_fadvise(file, 0, 0, POSIX_FADV_WILLNEED)
    assert file.f_mapping.nrpages == 256
    generic_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
    assert file.f_mapping.nrpages == 0


def test_unknown_advice_is_EINVAL():
    world = World()
    for offset, length, advice in ((0, 0, 9), (0, -1, 0), (-1, 0, 0)):
        with pytest.raises(EINVAL):
            generic_fadvise(world.file(MIB), offset, length, advice)
