"""CRC-32C, the checksum of ext4 and jbd2 metadata.

    crc = crc32c(~0, uuid)              a running sum starts from all ones ...
    crc = crc32c(crc, inode_number)     ... and goes on where the last piece ended

A CRC is the remainder of the data, read as one long binary polynomial, divided by a fixed
polynomial (Castagnoli's, here with its bits reversed: 0x82F63B78). ext4 stores the running
remainder as it is, while most libraries complement it at the end.

Linux: lib/crc32.c (__crc32c_le), crypto/crc32c.   Chapter 3.
The `crc32c` package does it with the processor's own instruction where it is installed;
two tables of 65,536 remainders do it in plain Python, 16 bits at a time.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any


def _installed() -> Callable | None:
    """Return the function of the `crc32c` package, None in a browser or a bare Python.

    Its compiled part alone: the package around it asks for its own version, which loads mail and network modules.
    """
    package = PathFinder.find_spec("crc32c")
    compiled = package and PathFinder.find_spec("_crc32c", package.submodule_search_locations)
    try:
        if not compiled:
            from crc32c import crc32c
        else:
            module = module_from_spec(compiled)
            compiled.loader.exec_module(module)
            crc32c = module.crc32c
        return crc32c
    except (ImportError, AttributeError):
        return None


_complemented = _installed()
_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF


def crc32c(seed: int, data: Any) -> int:
    """Return the running CRC-32C of data (any buffer of bytes), continued from seed; ~0 begins a new one."""
    if _complemented is None:
        return crc32c_by_table(seed, data)
    return _complemented(data, ~seed & _ONES) ^ _ONES


def crc32c_by_table(seed: int, data: Any) -> int:
    """Return what crc32c() returns, in plain Python: 32 bits a step, by two look-ups of 16."""
    low, high = _tables()
    crc, data = seed & _ONES, memoryview(data).cast("B")
    whole = len(data) & ~3
    for word in _words(data[:whole]):
        crc ^= word
        crc = low[crc & 0xFFFF] ^ high[crc >> 16]
    for byte in data[whole:]:
        # high[b << 8] is the remainder of one byte b followed by nothing
        crc = (crc >> 8) ^ high[((crc ^ byte) & 0xFF) << 8]
    return crc


def _words(data: memoryview) -> array:
    """Return the data as little-endian numbers of 32 bits."""
    words = array("I")
    words.frombytes(data)
    if array("H", [1]).tobytes() == b"\0\1":
        words.byteswap()
    return words


@cache
def _tables() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the remainders of all 16-bit values: followed by 16 more bits, and by none."""
    byte = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        byte.append(value)
    high = tuple((word := byte[i & 0xFF] ^ (i >> 8)) >> 8 ^ byte[word & 0xFF] for i in range(1 << 16))
    low = tuple((word >> 16) ^ high[word & 0xFFFF] for word in high)
    return low, high
