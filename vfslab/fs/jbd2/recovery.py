"""Recovery: what a filesystem looks like once its journal is played, in memory.

    1 scan     walk the log from its tail; the transactions whose commit block is there and right count
    2 revoke   collect the blocks that must not be written (revoke.py)
    3 replay   take the logged blocks, older transactions first, so that the youngest copy stays

Linux writes the blocks to their places. We put them into a dictionary {block: bytes} and lay it over
the device: the file is never written, and every reader sees the recovered filesystem.

The log has no end mark. It ends at the first block that does not carry the magic number and the
sequence number that is due: old transactions lie behind it, with numbers that are too low.

Linux: fs/jbd2/recovery.c.   Chapter 10.

Always true
  R2  each pass looks at every block of the log at most once, whatever the log says
  R3  a transaction without a valid commit block changes nothing, nor does anything after it
  R4  damage (a wrong checksum where a transaction was committed) is told in RecoveryInfo.damage; Linux
      refuses the mount then. What was whole before it is replayed all the same
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import NamedTuple

from vfslab.fs.jbd2.format import (
    JBD2_COMMIT_BLOCK,
    JBD2_CRC32_CHKSUM,
    JBD2_DESCRIPTOR_BLOCK,
    JBD2_FLAG_ESCAPE,
    JBD2_FLAG_LAST_TAG,
    JBD2_FLAG_SAME_UUID,
    JBD2_MAGIC_NUMBER,
    JBD2_REVOKE_BLOCK,
    commit_header,
    journal_block_tag,
    journal_block_tag3,
    journal_block_tail,
    journal_header,
)
from vfslab.fs.jbd2.journal import (
    Journal,
    jbd2_has_feature_64bit,
    jbd2_has_feature_async_commit,
    jbd2_has_feature_checksum,
    jbd2_has_feature_csum2,
    jbd2_has_feature_csum3,
    jbd2_journal_has_csum_v2or3,
)
from vfslab.fs.jbd2.revoke import (
    jbd2_journal_set_revoke,
    jbd2_journal_test_revoke,
    scan_revoke_records,
    tid_geq,
)
from vfslab.kernel.errno import EFSCORRUPTED
from vfslab.lib.crc32c import crc32c
from vfslab.lib.kstruct import KObject, fresh, kstruct

_ONES = 0xFFFFFFFF
_read_header = journal_header.reader("h_magic", "h_blocktype", "h_sequence")
_MAGIC = JBD2_MAGIC_NUMBER.to_bytes(4, "big")
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Tag(NamedTuple):
    """One logged block: where it belongs, and where in the journal its copy lies."""

    block: int
    flags: int
    checksum: int
    log_block: int


class LogBlock(NamedTuple):
    """One block of the log with a header, and the tags if it is a descriptor."""

    number: int
    blocktype: int
    sequence: int
    data: bytes
    tags: tuple[Tag, ...]


@kstruct
class RecoveryInfo(KObject):
    """What recovery did.

    start_transaction, end_transaction   the first one replayed, and the first one that was not
    damage     what was wrong with the log, in words; None if nothing
    revoke     {block: number of the last transaction that revoked it}
    fc_text    what fast commits added
    """

    start_transaction: int = 0
    end_transaction: int = 0
    nr_replays: int = 0
    nr_revokes: int = 0
    nr_revoke_hits: int = 0
    last_commit: tuple = (0, 0)
    damage: str = None
    revoke: dict = fresh(dict)
    fc_text: str = ""

    @property
    def transactions(self) -> int:
        """How many transactions were replayed."""
        return self.end_transaction - self.start_transaction & _ONES

    @property
    def text(self) -> str:
        """One line for the kernel log; empty if there was nothing to replay."""
        if not self.transactions and not self.fc_text:
            return ""
        what = ", ".join((counted(self.transactions, "transaction"), counted(self.nr_replays, "block")))
        line = f"journal replayed in memory: {what}"
        if self.nr_revoke_hits:
            line += f", {self.nr_revoke_hits} revoked"
        return line + (f", {self.fc_text}" if self.fc_text else "")


def counted(number: int, what: str) -> str:
    """Return "1 block", "2 blocks"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def jbd2_journal_recover(journal: Journal) -> tuple[dict[int, bytes], RecoveryInfo]:
    """Return ({filesystem block: bytes}, RecoveryInfo); the journal is only read.

    A log that was emptied by a clean unmount gives no blocks.
    """
    info = RecoveryInfo(start_transaction=journal.j_tail_sequence, end_transaction=journal.j_tail_sequence)
    overlay: dict[int, bytes] = {}
    if journal.j_tail:
        scan_log(journal, info)
        collect_revokes(journal, info)
        replay_log(journal, info, overlay)
    return overlay, info


# --- the log as a sequence of blocks -------------------------------------------------------------------


def walk_log(journal: Journal) -> Iterator[LogBlock]:
    """Yield the log's blocks with headers, from the tail on, until one is not what is due."""
    sequence, position, left = journal.j_tail_sequence, journal.j_tail, journal.j_last - journal.j_first
    while left > 0:
        data = journal.j_read(position)
        magic, blocktype, found = _read_header(data, 0)
        if magic != JBD2_MAGIC_NUMBER or found != sequence:
            return
        here, tags = position, ()
        position = wrap(journal, position + 1)
        if blocktype == JBD2_DESCRIPTOR_BLOCK:
            tags = tuple(read_tags(journal, data, position))
            position = wrap(journal, position + len(tags))
        elif blocktype == JBD2_COMMIT_BLOCK:
            sequence = sequence + 1 & _ONES
        elif blocktype != JBD2_REVOKE_BLOCK:
            return
        left -= 1 + len(tags)
        if left < 0:
            return  # its data would overwrite the log's own beginning: not a descriptor of this log
        yield LogBlock(here, blocktype, found, data, tags)


def wrap(journal: Journal, position: int) -> int:
    """Return a position in the ring: what follows its last block is its first."""
    if position < journal.j_last:
        return position
    return journal.j_first + (position - journal.j_first) % (journal.j_last - journal.j_first)


def read_tags(journal: Journal, data: bytes, position: int) -> Iterator[Tag]:
    """Yield the tags of a descriptor; the block copies lie from `position` on, in the same order."""
    size, decode = tag_decoder(journal)
    end = len(data) - (journal_block_tail.size if jbd2_journal_has_csum_v2or3(journal) else 0)
    at = journal_header.size
    while at + size <= end:
        block, flags, checksum = decode(data, at)
        yield Tag(block, flags, checksum, position)
        if flags & JBD2_FLAG_LAST_TAG:
            return
        at += size if flags & JBD2_FLAG_SAME_UUID else size + 16
        position = wrap(journal, position + 1)


def tag_decoder(journal: Journal):
    """Return (bytes in a tag, function(data, offset) -> (block, flags, checksum)) for the journal's features."""
    wide = jbd2_has_feature_64bit(journal)
    if jbd2_has_feature_csum3(journal):
        read3 = journal_block_tag3.reader("t_blocknr", "t_flags", "t_blocknr_high", "t_checksum")

        def decode3(data: bytes, at: int) -> tuple[int, int, int]:
            low, flags, high, checksum = read3(data, at)
            return (high << 32 | low if wide else low), flags, checksum

        return journal_block_tag3.size, decode3

    read = journal_block_tag.reader("t_blocknr", "t_checksum", "t_flags")

    def decode(data: bytes, at: int) -> tuple[int, int, int]:
        low, checksum, flags = read(data, at)
        high = int.from_bytes(data[at + 8 : at + 12], "big") if wide else 0
        return high << 32 | low, flags, checksum

    return (12 if wide else 8) + (2 if jbd2_has_feature_csum2(journal) else 0), decode


# --- pass 1: which transactions count --------------------------------------------------------------------


def scan_log(journal: Journal, info: RecoveryInfo) -> None:
    """Set info.end_transaction to the first transaction that must not be replayed.

    A wrong checksum may also be a block of an older use of the log that happens to fit. The commit time tells:
    if it goes backwards, the log simply ended before.
    """
    running = _ONES  # checksum version 1: over all blocks of the transaction
    suspect = ""
    for block in walk_log(journal):
        if jbd2_journal_has_csum_v2or3(journal) and block.blocktype != JBD2_COMMIT_BLOCK:
            if not tail_checksum_is_right(journal, block.data):
                suspect = suspect or f"wrong checksum of the descriptor or revoke block {block.number}"
        if block.blocktype == JBD2_DESCRIPTOR_BLOCK and jbd2_has_feature_checksum(journal):
            running = crc32_be(running, block.data)
            for tag in block.tags:
                running = crc32_be(running, journal.j_read(tag.log_block))
        if block.blocktype != JBD2_COMMIT_BLOCK:
            continue
        commit = commit_header(block.data)
        commit_time = commit.h_commit_sec, commit.h_commit_nsec
        if not suspect and not commit_block_is_right(journal, commit, running):
            if jbd2_has_feature_async_commit(journal):
                return  # a commit block that arrived before its transaction: as good as none
            suspect = f"wrong checksum in the commit block {block.number}"
        if suspect:
            if commit_time[0] >= info.last_commit[0]:
                info.damage = f"journal transaction {block.sequence} is corrupt: {suspect} of the journal"
            return
        info.last_commit, running = commit_time, _ONES
        info.end_transaction = block.sequence + 1 & _ONES


def commit_block_is_right(journal: Journal, commit: commit_header, running: int) -> bool:
    """True if the checksums in a commit block are right; running is the crc32 over the transaction (version 1)."""
    if jbd2_journal_has_csum_v2or3(journal):
        at = commit_header.field("h_chksum").offset
        crc = crc32c(journal.j_csum_seed, commit.buffer[:at])
        return crc32c(crc32c(crc, bytes(4)), commit.buffer[at + 4 :]) == commit.h_chksum[0]
    if jbd2_has_feature_checksum(journal):
        kind, size, stored = commit.h_chksum_type, commit.h_chksum_size, commit.h_chksum[0]
        absent = (kind, size, stored) == (0, 0, 0)
        return absent or (kind, size, stored) == (JBD2_CRC32_CHKSUM, 4, running)
    return True


def tail_checksum_is_right(journal: Journal, data: bytes) -> bool:
    """True if the checksum at the end of a descriptor or revoke block is right."""
    crc = crc32c(crc32c(journal.j_csum_seed, data[:-4]), bytes(4))
    return crc == int.from_bytes(data[-4:], "big")


def crc32_be(crc: int, data: bytes) -> int:
    """Return the running CRC-32 that takes the highest bit of each byte first.

    The one of zip files takes the lowest first. So all bits are turned round, before and after.
    """
    crc = binascii.crc32(data.translate(_REVERSED_BITS), _turned(crc) ^ _ONES) ^ _ONES
    return _turned(crc)


def _turned(word: int) -> int:
    return int.from_bytes(word.to_bytes(4, "big").translate(_REVERSED_BITS), "little")


# --- pass 2 and 3 ------------------------------------------------------------------------------------------


def committed(journal: Journal, info: RecoveryInfo) -> Iterator[LogBlock]:
    """Yield the log's blocks as far as transactions count."""
    for block in walk_log(journal):
        if tid_geq(block.sequence, info.end_transaction):
            return
        yield block


def collect_revokes(journal: Journal, info: RecoveryInfo) -> None:
    """Fill info.revoke with all revoked blocks and their transactions."""
    for block in committed(journal, info):
        if block.blocktype != JBD2_REVOKE_BLOCK:
            continue
        try:
            records = scan_revoke_records(journal, block.data)
        except EFSCORRUPTED as error:
            info.damage = f"journal transaction {block.sequence} is corrupt: block {block.number}: {error.args[0]}"
            info.end_transaction = block.sequence
            return
        for revoked in records:
            jbd2_journal_set_revoke(info.revoke, revoked, block.sequence)
        info.nr_revokes += len(records)


def replay_log(journal: Journal, info: RecoveryInfo, overlay: dict[int, bytes]) -> None:
    """Put the logged blocks into overlay; a later copy of a block takes the place of an earlier one."""
    for block in committed(journal, info):
        for tag in block.tags:
            if jbd2_journal_test_revoke(info.revoke, tag.block, block.sequence):
                info.nr_revoke_hits += 1
                continue
            data = journal.j_read(tag.log_block)
            if not data_checksum_is_right(journal, tag, block.sequence, data):
                info.damage = info.damage or (
                    f"journal transaction {block.sequence} is corrupt: wrong checksum of block {tag.block} "
                    f"in block {tag.log_block} of the journal"
                )
                continue
            if tag.flags & JBD2_FLAG_ESCAPE:
                data = _MAGIC + data[4:]
            overlay[tag.block] = bytes(data)
            info.nr_replays += 1


def data_checksum_is_right(journal: Journal, tag: Tag, sequence: int, data: bytes) -> bool:
    """True if a logged block is what its tag says; without csum_v2 or csum_v3 nobody knows."""
    if not jbd2_journal_has_csum_v2or3(journal):
        return True
    crc = crc32c(crc32c(journal.j_csum_seed, sequence.to_bytes(4, "big")), data)
    return tag.checksum == (crc if jbd2_has_feature_csum3(journal) else crc & 0xFFFF)
