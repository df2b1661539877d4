"""CRC-32C against published values, against itself, and against what e2fsprogs wrote."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.images import e2fs
from vfslab.lib import crc32c as module
from vfslab.lib.crc32c import crc32c, crc32c_by_table

ONES = 0xFFFFFFFF
# RFC 3720, B.4, and the check value of the catalogues; these sums are complemented at the end
KNOWN = [
    (b"123456789", 0xE3069283),
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
]


@pytest.mark.parametrize("function", [crc32c, crc32c_by_table])
@pytest.mark.parametrize("data, expected", KNOWN)
def test_published_values(function, data, expected):
    assert function(~0, data) ^ ONES == expected
    assert function(ONES, data) ^ ONES == expected


@given(st.binary(max_size=300), st.integers(0, ONES), st.integers(0, 300))
def test_both_ways_agree_and_a_sum_can_be_continued(data, seed, cut):
    assert crc32c(seed, data) == crc32c_by_table(seed, data)
    assert crc32c(crc32c(seed, data[:cut]), data[cut:]) == crc32c_by_table(seed, data)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_will_do(kind):
    data = kind(bytes(range(200)))
    assert crc32c(1, data) == crc32c_by_table(1, data) == crc32c(1, bytes(range(200)))
    assert crc32c_by_table(1, memoryview(bytes(201))[1:]) == crc32c(1, bytes(200))


def test_a_wrong_polynomial_would_be_caught(monkeypatch):
    monkeypatch.setattr(module, "_tables", module._tables.__wrapped__)
    monkeypatch.setattr(module, "_POLYNOMIAL", 0xEDB88320)
    assert crc32c_by_table(~0, b"123456789") ^ ONES != 0xE3069283


def test_without_the_package_the_tables_do_it(monkeypatch):
    monkeypatch.setattr(module, "_complemented", None)
    assert crc32c(~0, b"123456789") ^ ONES == 0xE3069283


@pytest.mark.needs_program("mke2fs", "dumpe2fs")
def test_superblock_and_group_sums_of_a_real_image(tmp_path):
    image = tmp_path / "real.img"
    e2fs.mke2fs(image, "4M", "-t", "ext4", "-b", "1024", "-O", "metadata_csum,64bit")
    data = image.read_bytes()
    superblock = data[1024:2048]
    assert crc32c(~0, superblock[:0x3FC]) == struct.unpack_from("<I", superblock, 0x3FC)[0]
    told = e2fs.run("dumpe2fs", image)
    assert f"Checksum:                 {crc32c(~0, superblock[:0x3FC]):#010x}" in told
    seed = crc32c(~0, superblock[0x68:0x78])
    desc = bytearray(data[2048 : 2048 + 64])
    desc[0x1E:0x20] = b"\0\0"
    assert f"csum {crc32c(crc32c(seed, bytes(4)), desc) & 0xFFFF:#06x}" in told
