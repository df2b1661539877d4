"""Encrypted names, for somebody without the key.

The name on the disk is ciphertext. Linux shows it in a form that can be printed and looked up:
base64 (with - and _, without =) of the name's hash in the directory, two 32-bit numbers, and the
ciphertext; from a ciphertext over 149 bytes the first 149 and the SHA-256 of the rest.

Linux: fs/crypto/fname.c (fscrypt_fname_disk_to_usr), fs/ext4/crypto.c.   Chapter 3.
Left out: keys. Contents stay closed: opening a file is ENOKEY.
"""

from __future__ import annotations

import struct

from vfslab.fs.ext4.ext4 import EXT4_SB
from vfslab.fs.ext4.hash import dx_hash_version, ext4fs_dirhash
from vfslab.include.fs import Inode
from vfslab.kernel.errno import EINVAL

NOKEY_NAME_BYTES = 149
_two_words = struct.Struct("<II").pack


def fscrypt_nokey_name(ciphertext: bytes, hash: int = 0, minor_hash: int = 0) -> bytes:
    """Return the form in which an encrypted name is shown without the key."""
    import base64  # with a library of its own for hashes, which few mounts need
    import hashlib

    coded = _two_words(hash, minor_hash) + ciphertext[:NOKEY_NAME_BYTES]
    if len(ciphertext) > NOKEY_NAME_BYTES:
        coded += hashlib.sha256(ciphertext[NOKEY_NAME_BYTES:]).digest()
    return base64.urlsafe_b64encode(coded).rstrip(b"=")


def ext4_nokey_name(dir: Inode, ciphertext: bytes) -> bytes:
    """Return how an entry of an encrypted directory is shown; `.` and `..` are never encrypted."""
    if ciphertext in (b".", b".."):
        return ciphertext
    sbi = EXT4_SB(dir.i_sb)
    try:
        version = dx_hash_version(sbi.s_es.s_def_hash_version, sbi.s_es.s_flags)
        return fscrypt_nokey_name(ciphertext, *ext4fs_dirhash(ciphertext, version, sbi.s_hash_seed))
    except EINVAL:  # a hash that only other kinds of directory use
        return fscrypt_nokey_name(ciphertext)
