"""Revoke records: blocks that older transactions must not write any more.

    transaction 7   logs block 500, a directory block
    transaction 8   the directory is deleted: block 500 is free, "500 revoked in 8"
                    a file takes block 500 and writes its data there, outside the journal
    crash           replaying 7 would put the dead directory's bytes into the file

So recovery collects all revoke records first, and replays a block only from transactions after the
last one that revoked it.

Linux: fs/jbd2/revoke.c.   Chapter 10.
Left out: making such records.

Always true
  R1  the table holds the highest transaction number for each revoked block
"""

from __future__ import annotations

from vfslab.fs.jbd2.format import journal_block_tail, journal_revoke_header
from vfslab.fs.jbd2.journal import Journal, jbd2_has_feature_64bit, jbd2_journal_has_csum_v2or3
from vfslab.kernel.errno import EFSCORRUPTED

_HALF = 1 << 31


def tid_gt(x: int, y: int) -> bool:
    """True if transaction x is younger than y; the numbers have 32 bits and wrap round."""
    return 0 < (x - y & 0xFFFFFFFF) < _HALF


def tid_geq(x: int, y: int) -> bool:
    """True if transaction x is y, or younger."""
    return (x - y & 0xFFFFFFFF) < _HALF


def jbd2_journal_set_revoke(revoke: dict[int, int], block: int, sequence: int) -> None:
    """Note that block was revoked in transaction sequence."""
    if block not in revoke or tid_gt(sequence, revoke[block]):
        revoke[block] = sequence


def jbd2_journal_test_revoke(revoke: dict[int, int], block: int, sequence: int) -> bool:
    """True if what transaction sequence logged for block must not be written."""
    return block in revoke and not tid_gt(sequence, revoke[block])


def scan_revoke_records(journal: Journal, block: bytes) -> list[int]:
    """Return the block numbers in a revoke block; EUCLEAN if it claims more than it holds."""
    end = journal_revoke_header(block).r_count
    room = len(block) - (journal_block_tail.size if jbd2_journal_has_csum_v2or3(journal) else 0)
    if not journal_revoke_header.size <= end <= room:
        raise EFSCORRUPTED(f"revoke block says {end} bytes are used, of {room}")
    width = 8 if jbd2_has_feature_64bit(journal) else 4
    starts = range(journal_revoke_header.size, end - width + 1, width)
    return [int.from_bytes(block[at : at + width], "big") for at in starts]
