"""A journal as the kernel holds it: the superblock, understood and checked.

    fs/ext4/super.py ──block map of the journal inode──▶ load_journal ──▶ Journal ──▶ recovery.py

The journal does not care where it lies: it asks j_read for its blocks by number, 0 being its
superblock. ext4 gives it a function that follows the journal inode's own map.

Linux: fs/jbd2/journal.c.   Chapter 10.
Left out: everything that writes (transactions, commit, checkpoint).

Always true
  J1  every block number handed to j_read is below j_total_len
  J2  the log is the ring j_first ... j_last - 1; the fast-commit area lies behind it
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vfslab.fs.jbd2.format import (
    CHECKSUM_TYPES,
    FEATURE_COMPAT,
    FEATURE_INCOMPAT,
    JBD2_CRC32C_CHKSUM,
    JBD2_DEFAULT_FAST_COMMIT_BLOCKS,
    JBD2_FEATURE_COMPAT_CHECKSUM,
    JBD2_FEATURE_INCOMPAT_64BIT,
    JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT,
    JBD2_FEATURE_INCOMPAT_CSUM_V2,
    JBD2_FEATURE_INCOMPAT_CSUM_V3,
    JBD2_FEATURE_INCOMPAT_FAST_COMMIT,
    JBD2_KNOWN_INCOMPAT_FEATURES,
    JBD2_MAGIC_NUMBER,
    JBD2_MIN_JOURNAL_BLOCKS,
    JBD2_SUPERBLOCK_V1,
    JBD2_SUPERBLOCK_V2,
    journal_superblock,
)
from vfslab.kernel.errno import EFSBADCRC, EFSCORRUPTED, EINVAL
from vfslab.lib.crc32c import crc32c
from vfslab.lib.kstruct import KObject, kstruct


@kstruct
class Journal(KObject):
    """One journal (Linux: journal_t). Block numbers are counted within the journal.

    j_read           (block) -> bytes of j_blocksize
    j_tail           block where the log begins, 0 if there is nothing to replay; j_tail_sequence: its transaction
    j_first, j_last  the ring of the log, j_last not included
    j_fc_first, j_fc_last  the fast-commit area, j_fc_last not included; both 0 without the feature
    j_csum_seed      with csum_v2 and csum_v3, where every checksum of a block begins
    """

    j_read: Callable = None
    j_superblock: Any = None
    j_blocksize: int = 0
    j_total_len: int = 0
    j_first: int = 0
    j_last: int = 0
    j_fc_first: int = 0
    j_fc_last: int = 0
    j_tail: int = 0
    j_tail_sequence: int = 0
    j_errno: int = 0
    j_compat: int = 0
    j_incompat: int = 0
    j_csum_seed: int = 0


def jbd2_has_feature_checksum(journal: Journal) -> bool:
    """True if commit blocks hold a crc32 over all blocks of their transaction (checksums, version 1)."""
    return bool(journal.j_compat & JBD2_FEATURE_COMPAT_CHECKSUM)


def jbd2_has_feature_64bit(journal: Journal) -> bool:
    """True if block numbers have 64 bits."""
    return bool(journal.j_incompat & JBD2_FEATURE_INCOMPAT_64BIT)


def jbd2_has_feature_async_commit(journal: Journal) -> bool:
    """True if a commit block may reach the disk before the blocks it commits."""
    return bool(journal.j_incompat & JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT)


def jbd2_has_feature_csum2(journal: Journal) -> bool:
    """True if tags hold 16 bits of a block's crc32c (checksums, version 2)."""
    return bool(journal.j_incompat & JBD2_FEATURE_INCOMPAT_CSUM_V2)


def jbd2_has_feature_csum3(journal: Journal) -> bool:
    """True if tags hold a block's whole crc32c (checksums, version 3)."""
    return bool(journal.j_incompat & JBD2_FEATURE_INCOMPAT_CSUM_V3)


def jbd2_has_feature_fast_commit(journal: Journal) -> bool:
    """True if the journal ends in a fast-commit area."""
    return bool(journal.j_incompat & JBD2_FEATURE_INCOMPAT_FAST_COMMIT)


def jbd2_journal_has_csum_v2or3(journal: Journal) -> bool:
    """True if descriptor, revoke and commit blocks have a crc32c of their own."""
    return bool(journal.j_incompat & (JBD2_FEATURE_INCOMPAT_CSUM_V2 | JBD2_FEATURE_INCOMPAT_CSUM_V3))


def load_journal(j_read: Callable[[int], bytes], blocksize: int, total_blocks: int) -> Journal:
    """Return the journal whose blocks j_read gives; nothing is replayed yet.

    EINVAL or EUCLEAN if its superblock cannot be right or asks for what we do not know, EBADMSG if its checksum is wrong.
    """
    if total_blocks < 2:
        raise EFSCORRUPTED(f"the journal has {total_blocks} blocks: no room for a log")
    block = j_read(0)
    sb = journal_superblock(bytes(block[: journal_superblock.size]))
    check_superblock(sb, blocksize, total_blocks)
    journal = Journal(j_read=j_read, j_superblock=sb, j_blocksize=blocksize, j_total_len=sb.s_maxlen)
    if sb.h_blocktype == JBD2_SUPERBLOCK_V2:
        load_features(journal, sb)
    journal.j_first, journal.j_last = sb.s_first, sb.s_maxlen
    if jbd2_has_feature_fast_commit(journal):
        split_fast_commit_area(journal, sb.s_num_fc_blks or JBD2_DEFAULT_FAST_COMMIT_BLOCKS)
    journal.j_tail, journal.j_tail_sequence = sb.s_start, sb.s_sequence
    journal.j_errno = sb.s_errno
    if journal.j_tail and not journal.j_first <= journal.j_tail < journal.j_last:
        raise EFSCORRUPTED(f"journal superblock: s_start {journal.j_tail} lies outside the log")
    return journal


def check_superblock(sb: journal_superblock, blocksize: int, total_blocks: int) -> None:
    """Raise EINVAL or EUCLEAN if the sizes in a journal superblock cannot be right."""
    if sb.h_magic != JBD2_MAGIC_NUMBER:
        raise EINVAL(f"journal superblock: no journal here (h_magic {sb.h_magic:#010x})")
    if sb.h_blocktype not in (JBD2_SUPERBLOCK_V1, JBD2_SUPERBLOCK_V2):
        raise EINVAL(f"journal superblock: h_blocktype {sb.h_blocktype}")
    if sb.s_blocksize != blocksize:
        raise EINVAL(f"journal superblock: blocks of {sb.s_blocksize} bytes, the filesystem has {blocksize}")
    if sb.s_maxlen > total_blocks:
        raise EINVAL(f"journal superblock: {sb.s_maxlen} blocks, but the journal file has {total_blocks}")
    if not 0 < sb.s_first < sb.s_maxlen:
        raise EINVAL(f"journal superblock: s_first {sb.s_first} of {sb.s_maxlen} blocks")


def load_features(journal: Journal, sb: journal_superblock) -> None:
    """Take over the features of a version 2 superblock, and verify the checksum if there is one."""
    journal.j_compat, journal.j_incompat = sb.s_feature_compat, sb.s_feature_incompat
    unknown = journal.j_incompat & ~JBD2_KNOWN_INCOMPAT_FEATURES
    if unknown or sb.s_feature_ro_compat:
        raise EINVAL(f"journal has unknown features: incompat {unknown:#x}, ro_compat {sb.s_feature_ro_compat:#x}")
    schemes = (
        jbd2_has_feature_checksum(journal),
        jbd2_has_feature_csum2(journal),
        jbd2_has_feature_csum3(journal),
    )
    if sum(schemes) > 1:
        raise EINVAL(f"journal superblock: several versions of checksums at once ({feature_names(journal)})")
    if jbd2_journal_has_csum_v2or3(journal):
        if sb.s_checksum_type != JBD2_CRC32C_CHKSUM:
            name = CHECKSUM_TYPES.get(sb.s_checksum_type, sb.s_checksum_type)
            raise EINVAL(f"journal superblock: checksum type {name}")
        if superblock_checksum(sb) != sb.s_checksum:
            raise EFSBADCRC("journal superblock: wrong checksum")
        journal.j_csum_seed = crc32c(~0, sb.s_uuid)


def superblock_checksum(sb: journal_superblock) -> int:
    """Return the checksum that belongs into s_checksum."""
    at = journal_superblock.field("s_checksum").offset
    crc = crc32c(~0, sb.buffer[:at])
    return crc32c(crc32c(crc, bytes(4)), sb.buffer[at + 4 : journal_superblock.size])


def split_fast_commit_area(journal: Journal, blocks: int) -> None:
    """Take the last blocks of the journal for fast commits; a journal too short for that keeps them for the log."""
    if journal.j_last - blocks >= JBD2_MIN_JOURNAL_BLOCKS:
        journal.j_last -= blocks
    journal.j_fc_first, journal.j_fc_last = journal.j_last + 1, journal.j_total_len


def feature_names(journal: Journal) -> str:
    """Return the journal's features as dumpe2fs names them."""
    names = [f"journal_{name}" for bit, name in FEATURE_COMPAT.items() if journal.j_compat & bit]
    names += [f"journal_{name}" for bit, name in FEATURE_INCOMPAT.items() if journal.j_incompat & bit]
    return " ".join(names) or "(none)"
