"""CRC-16, the checksum of group descriptors before metadata_csum (the feature uninit_bg).

The polynomial is x^16 + x^15 + x^2 + 1 with its bits reversed: 0xA001. The sum goes over a
descriptor of 32 or 64 bytes once a mount, so one small table is enough.

Linux: lib/crc16.c.   Chapter 3.
"""

from __future__ import annotations

from functools import cache
from typing import Any


def crc16(seed: int, data: Any) -> int:
    """Return the running CRC-16 of data, continued from seed; ext4 begins with 0xFFFF."""
    table, crc = _table(), seed & 0xFFFF
    for byte in memoryview(data).cast("B"):
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc


@cache
def _table() -> tuple[int, ...]:
    """Return the remainders of the 256 bytes."""
    remainders = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0xA001 if value & 1 else 0)
        remainders.append(value)
    return tuple(remainders)
