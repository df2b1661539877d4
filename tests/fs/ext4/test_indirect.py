"""Indirect blocks: numbers, holes, NULL tables, and numbers that cannot be."""

import errno
import os
import struct

import pytest

from tests.fs.ext4 import small
from vfslab.fs.ext4.format import I_BLOCK_OFFSET

pytestmark = pytest.mark.needs_program("mke2fs", "debugfs")
PLAIN = "-t ext2 -b 1024"
TABLES, DATA = 900, 920  # free blocks of the image
P = 256  # numbers in a table of 1 KiB


def mapped(numbers, tables, blocks, size):
    """Return an image with the file /f: i_block, {table block: {place: number}}, data blocks, size."""
    data = small.image(PLAIN, "write /dev/null f")
    at = small.inode_at(data, 12) + I_BLOCK_OFFSET
    struct.pack_into("<15I", data, at, *[numbers.get(n, 0) for n in range(15)])
    for block, places in tables.items():
        for place, number in places.items():
            struct.pack_into("<I", data, block * 1024 + 4 * place, number)
    for block in blocks:
        data[block * 1024 : (block + 1) * 1024] = bytes([block & 255]) * 1024
    small.inode(data, 12).i_size_lo = size
    return data


def block_of(p, number):
    """Return the first byte of a block of the file, checked to be all equal."""
    fd = p.open("/mnt/f", os.O_RDONLY)
    data = p.pread(fd, 1024, number * 1024)
    p.close(fd)
    assert len(set(data)) == 1 and len(data) == 1024
    return data[0]


def test_each_level():
    """One block at the first and last place of what each level maps."""
    last1, last2 = 12 + P - 1, 12 + P + P * P - 1
    tables = {
        TABLES: {0: DATA + 1, P - 1: DATA + 2},
        TABLES + 1: {0: TABLES + 2, P - 1: TABLES + 3},
        TABLES + 2: {0: DATA + 3},
        TABLES + 3: {P - 1: DATA + 4},
        TABLES + 4: {0: TABLES + 5},
        TABLES + 5: {0: TABLES + 6},
        TABLES + 6: {0: DATA + 5},
    }
    numbers = {0: DATA, 12: TABLES, 13: TABLES + 1, 14: TABLES + 4}
    data = mapped(numbers, tables, range(DATA, DATA + 6), (last2 + 3) * 1024)
    places = {0: DATA, 12: DATA + 1, last1: DATA + 2, last1 + 1: DATA + 3, last2: DATA + 4, last2 + 1: DATA + 5}
    with small.mounted(data) as (p, _):
        for place, block in places.items():
            assert block_of(p, place) == block & 255
            assert place + 1 in places or block_of(p, place + 1) == 0
        fd, found, at = p.open("/mnt/f", os.O_RDONLY), [], 0
        while True:
            try:
                at = p.lseek(fd, at, os.SEEK_DATA)
            except OSError as error:
                assert error.errno == errno.ENXIO
                break
            end = p.lseek(fd, at, os.SEEK_HOLE)
            found.append((at // 1024, end // 1024))
            at = end
        p.close(fd)
        assert found == [(0, 1), (12, 13), (last1, last1 + 2), (last2, last2 + 2)]


def test_a_null_double_indirect_pointer_is_a_hole_not_block_0():
    size = (12 + P + P * P) * 1024
    data = mapped({0: DATA, 13: 0}, {}, [DATA], size)
    with small.mounted(data) as (p, _):
        assert block_of(p, 12 + P + 5) == 0
        fd = p.open("/mnt/f", os.O_RDONLY)
        assert p.lseek(fd, 1024, os.SEEK_HOLE) == 1024
        with pytest.raises(OSError):
            p.lseek(fd, 1024, os.SEEK_DATA)
        p.close(fd)


@pytest.mark.parametrize("number", [1, 5, 1024, 0xFFFFFFFF])
@pytest.mark.parametrize("place", [0, 12, 13, 14])
def test_I2_a_number_in_the_inode_that_cannot_be_is_euclean(place, number):
    data = mapped({place: number}, {}, [], 20 * 1024)
    with small.mounted(data) as (p, log):
        with pytest.raises(OSError) as caught:
            p.stat("/mnt/f")
        assert caught.value.errno == errno.EUCLEAN
        assert "inode #12" in log


def test_I2_a_number_in_a_table_that_cannot_be_is_euclean():
    data = mapped({12: TABLES}, {TABLES: {0: DATA, 1: 2, 2: 99999}}, [DATA], 16 * 1024)
    with small.mounted(data) as (p, log):
        fd = p.open("/mnt/f", os.O_RDONLY)
        for place in (13, 14):
            with pytest.raises(OSError) as caught:
                p.pread(fd, 1024, place * 1024)
            assert caught.value.errno in (errno.EUCLEAN, errno.EIO)
        p.close(fd)
        assert "lies where no file may" in log


def test_I1_a_table_that_names_itself_ends():
    data = mapped({14: TABLES}, {TABLES: {0: TABLES, 1: TABLES}}, [], 0)
    small.inode(data, 12).i_size_lo = (12 + P + P * P + 5) * 1024
    with small.mounted(data) as (p, _):
        fd = p.open("/mnt/f", os.O_RDONLY)
        assert len(p.pread(fd, 1024, (12 + P + P * P) * 1024)) == 1024
        p.close(fd)
