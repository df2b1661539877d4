"""Hashes of names: where in an indexed directory a name must lie.

    ext4fs_dirhash(b"passwd", DX_HASH_HALF_MD4, seed)  ->  (hash, minor_hash)

An indexed directory is a tree ordered by the hash of the names. Three hashes are in use: the first
one of the index (legacy), half of MD4 (RFC 1320) and the cipher TEA (Wheeler & Needham) used as a
hash. Each comes in two kinds, because the first machines disagreed whether a char has a sign: names
with bytes of 0x80 and above differ. The superblock says which kind its directories were built with.

Linux: fs/ext4/hash.c.   Chapter 3.
Left out: SipHash, which only encrypted case-folding directories use.

Always true
  H1  the lowest bit of a hash is 0: the index keeps it for "continued in the next block"
  H2  no hash is 0xFFFFFFFE: that value, halved, means the end of a directory to readdir
  H3  all names of one chain of collisions have the same hash; minor_hash orders them
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from vfslab.kernel.errno import EINVAL

DX_HASH_LEGACY, DX_HASH_HALF_MD4, DX_HASH_TEA = 0, 1, 2
DX_HASH_LEGACY_UNSIGNED, DX_HASH_HALF_MD4_UNSIGNED, DX_HASH_TEA_UNSIGNED = 3, 4, 5
DX_HASH_SIPHASH = 6

EXT4_HTREE_EOF_32BIT = 0x7FFFFFFF
EXT4_FLAGS_UNSIGNED_HASH = 2  # s_flags of the superblock

_MASK = 0xFFFFFFFF
_INITIAL = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)  # RFC 1320, 3.3
_EIGHT_WORDS, _FOUR_WORDS = struct.Struct(">8I").unpack, struct.Struct(">4I").unpack


def ext4fs_dirhash(name: bytes, hash_version: int, seed: tuple[int, int, int, int]) -> tuple[int, int]:
    """Return (hash, minor_hash) of a name; hash_version is a DX_HASH_ number, seed s_hash_seed.

    A directory's own dx_root says only "legacy", "half MD4" or "TEA": see dx_hash_version().
    """
    state = seed if any(seed) else _INITIAL
    signed = hash_version < DX_HASH_LEGACY_UNSIGNED
    if hash_version in (DX_HASH_HALF_MD4, DX_HASH_HALF_MD4_UNSIGNED):
        _, value, minor, _ = _over_chunks(name, 32, signed, state, half_md4_transform)
    elif hash_version in (DX_HASH_TEA, DX_HASH_TEA_UNSIGNED):
        value, minor, _, _ = _over_chunks(name, 16, signed, state, tea_transform)
    elif hash_version in (DX_HASH_LEGACY, DX_HASH_LEGACY_UNSIGNED):
        value, minor = legacy_hash(name, signed), 0
    else:
        raise EINVAL(f"directory hash {hash_version}")
    value &= ~1
    if value == EXT4_HTREE_EOF_32BIT << 1:
        value = (EXT4_HTREE_EOF_32BIT - 1) << 1
    return value, minor


def dx_hash_version(hash_version: int, s_flags: int) -> int:
    """Return the hash number to use for what a dx_root or s_def_hash_version says."""
    if hash_version <= DX_HASH_TEA and s_flags & EXT4_FLAGS_UNSIGNED_HASH:
        return hash_version + DX_HASH_LEGACY_UNSIGNED
    return hash_version


def legacy_hash(name: bytes, signed: bool) -> int:
    """Return the hash of the first indexed directories: each byte stirs the sum of the last two states."""
    newer, older = 0x12A3FE2D, 0x37ABE8F9
    for char in name:
        if signed and char > 127:
            char -= 256
        value = (older + (newer ^ (char * 7152373 & _MASK))) & _MASK
        if value & 0x80000000:
            value -= 0x7FFFFFFF
        newer, older = value, newer
    return newer << 1 & _MASK


def _over_chunks(name: bytes, size: int, signed: bool, state: tuple, transform: Callable) -> tuple:
    """Return the state after all of the name, taken in chunks of size bytes; an empty name has none."""
    for start in range(0, len(name), size):
        state = transform(state, str2hashbuf(name[start : start + size], len(name) - start, size, signed))
    return state


def str2hashbuf(chunk: bytes, remaining: int, size: int, signed: bool) -> tuple[int, ...]:
    """Return the chunk as big-endian words; what is missing is filled with the count of remaining bytes.

    The fill stands before the bytes of a word that is not full, and makes up the words after it.
    """
    words = _EIGHT_WORDS if size == 32 else _FOUR_WORDS
    pad, full = bytes((remaining & 0xFF,)), len(chunk) & ~3
    if full == len(chunk):
        padded = chunk.ljust(size, pad)
    else:
        padded = (chunk[:full] + chunk[full:].rjust(4, pad)).ljust(size, pad)
    if not signed or chunk.isascii():
        return words(padded)
    return tuple(_with_signs(chunk[4 * i : 4 * i + 4], word) for i, word in enumerate(words(padded)))


def _with_signs(chars: bytes, word: int) -> int:
    """Return a word as if its bytes were added as signed chars: each high one borrows from those above it."""
    for place, char in enumerate(reversed(chars)):
        if char > 127:
            word -= 256 << 8 * place
    return word & _MASK


def half_md4_transform(state: tuple, x: tuple) -> tuple[int, int, int, int]:
    """Return the state stirred with 8 words: MD4's three rounds (RFC 1320, 3.4) with half their steps."""
    a, b, c, d = state
    for i in (0, 4):  # F: where x has a 1 take y, else z
        a = _roll(a + (d ^ (b & (c ^ d))) + x[i], 3)
        d = _roll(d + (c ^ (a & (b ^ c))) + x[i + 1], 7)
        c = _roll(c + (b ^ (d & (a ^ b))) + x[i + 2], 11)
        b = _roll(b + (a ^ (c & (d ^ a))) + x[i + 3], 19)
    for i in (1, 0):  # G: the majority of x, y, z; square root of 2
        a = _roll(a + ((b & c) + ((b ^ c) & d)) + x[i] + 0x5A827999, 3)
        d = _roll(d + ((a & b) + ((a ^ b) & c)) + x[i + 2] + 0x5A827999, 5)
        c = _roll(c + ((d & a) + ((d ^ a) & b)) + x[i + 4] + 0x5A827999, 9)
        b = _roll(b + ((c & d) + ((c ^ d) & a)) + x[i + 6] + 0x5A827999, 13)
    for i in (3, 1):  # H: the parity of x, y, z; square root of 3
        a = _roll(a + (b ^ c ^ d) + x[i] + 0x6ED9EBA1, 3)
        d = _roll(d + (a ^ b ^ c) + x[i + 4] + 0x6ED9EBA1, 9)
        c = _roll(c + (d ^ a ^ b) + x[i - 1] + 0x6ED9EBA1, 11)
        b = _roll(b + (c ^ d ^ a) + x[i + 3] + 0x6ED9EBA1, 15)
    return (state[0] + a) & _MASK, (state[1] + b) & _MASK, (state[2] + c) & _MASK, (state[3] + d) & _MASK


def _roll(value: int, by: int) -> int:
    value &= _MASK
    return (value << by | value >> (32 - by)) & _MASK


def tea_transform(state: tuple, key: tuple) -> tuple[int, int, int, int]:
    """Return the state with its first two words enciphered by TEA in 16 cycles; the name's words are the key."""
    y, z, total = state[0], state[1], 0
    k0, k1, k2, k3 = key
    begin_y, begin_z = y, z
    for _ in range(16):
        total = (total + 0x9E3779B9) & _MASK
        y = (y + (((z << 4) + k0) ^ (z + total) ^ ((z >> 5) + k1))) & _MASK
        z = (z + (((y << 4) + k2) ^ (y + total) ^ ((y >> 5) + k3))) & _MASK
    return (begin_y + y) & _MASK, (begin_z + z) & _MASK, state[2], state[3]
