"""CRC-16 against its published check value, and against the group descriptors of a real image."""

import struct

import pytest

from tests.images import e2fs
from vfslab.lib.crc16 import crc16


def test_published_value():
    assert crc16(0, b"123456789") == 0xBB3D  # CRC-16/ARC
    assert crc16(0xFFFF, b"123456789") == 0x4B37  # CRC-16/MODBUS
    assert crc16(crc16(0xFFFF, b"1234"), b"56789") == 0x4B37


def by_hand(crc, data):
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
    return crc


def test_against_the_definition_bit_by_bit(rng):
    for length in range(70):
        data, seed = rng.randbytes(length), rng.randrange(1 << 16)
        assert crc16(seed, memoryview(data)) == by_hand(seed, data)


@pytest.mark.needs_program("mke2fs")
def test_group_descriptors_of_a_real_image(tmp_path):
    image = tmp_path / "real.img"
    e2fs.mke2fs(image, "20M", "-t", "ext4", "-b", "1024", "-O", "^metadata_csum,uninit_bg,^64bit")
    data = image.read_bytes()
    uuid = data[1024 + 0x68 : 1024 + 0x78]
    for group in range(3):
        desc = data[2048 + 32 * group : 2048 + 32 * group + 32]
        crc = crc16(crc16(crc16(~0, uuid), struct.pack("<I", group)), desc[:0x1E])
        assert crc == struct.unpack_from("<H", desc, 0x1E)[0]
