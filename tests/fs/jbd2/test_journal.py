"""The journal's superblock: what it may say, and what is refused with which error."""

import struct

import pytest

from tests.fs.jbd2.journals import COMPAT_CHECKSUM, CSUM_V2, CSUM_V3, REVOKE, WIDE, LogWriter, journal_over
from vfslab.fs.jbd2.format import BLOCK_TYPES, commit_header, journal_superblock
from vfslab.fs.jbd2.journal import feature_names, load_journal
from vfslab.fs.jbd2.recovery import jbd2_journal_recover
from vfslab.kernel.errno import EBADMSG, EINVAL, EUCLEAN
from vfslab.lib.crc32c import crc32c_by_table

AT = {field.name: field.offset for field in journal_superblock.fields}


def fresh(incompat=REVOKE | WIDE | CSUM_V3, compat=0, blocks=1100):
    data = bytearray(blocks * 1024)
    LogWriter(data, 1024, compat, incompat)
    return data


def changed(member, value, incompat=REVOKE | WIDE | CSUM_V3, seal=True):
    """Return a journal with one member of its superblock changed, the checksum made good again."""
    data = fresh(incompat)
    setattr(journal_superblock(data), member, value)
    if seal and incompat & (CSUM_V2 | CSUM_V3):
        data[0xFC:0x100] = bytes(4)
        struct.pack_into(">I", data, 0xFC, crc32c_by_table(~0, data[:1024]))
    return data


def test_layouts_have_the_documented_places():
    assert (AT["s_feature_compat"], AT["s_uuid"], AT["s_checksum_type"], AT["s_num_fc_blks"]) == (
        0x24,
        0x30,
        0x50,
        0x54,
    )
    assert (AT["s_head"], AT["s_checksum"], AT["s_users"], journal_superblock.size) == (0x58, 0xFC, 0x100, 1024)
    assert (commit_header.field("h_chksum").offset, commit_header.field("h_commit_sec").offset) == (0x10, 0x30)
    assert BLOCK_TYPES[2] == "commit"


def test_J2_the_log_is_the_ring_before_the_fast_commit_area():
    journal = journal_over(fresh(), 1024)
    assert (journal.j_first, journal.j_last, journal.j_fc_first, journal.j_total_len) == (1, 1100, 0, 1100)
    data = changed("s_num_fc_blks", 50, REVOKE | 32)
    journal = journal_over(data, 1024)
    assert (journal.j_last, journal.j_fc_first, journal.j_fc_last) == (1050, 1051, 1100)
    journal = journal_over(changed("s_num_fc_blks", 100, REVOKE | 32), 1024)
    assert journal.j_last == 1100, "too short to be split: the log keeps its 1024 blocks"


def test_features_are_named_as_dumpe2fs_does():
    assert feature_names(journal_over(fresh(), 1024)) == "journal_revoke journal_64bit journal_csum_v3"
    assert feature_names(journal_over(fresh(0), 1024)) == "(none)"


REFUSED = {
    "no magic": ("h_magic", 0xC03B3999, EINVAL),
    "a commit block": ("h_blocktype", 2, EINVAL),
    "other block size": ("s_blocksize", 4096, EINVAL),
    "longer than its file": ("s_maxlen", 1101, EINVAL),
    "no first block": ("s_first", 0, EINVAL),
    "first block behind the end": ("s_first", 1100, EINVAL),
    "empty": ("s_maxlen", 1, EINVAL),
    "unknown feature": ("s_feature_incompat", 0x40 | CSUM_V3, EINVAL),
    "unknown read-only feature": ("s_feature_ro_compat", 1, EINVAL),
    "checksums twice": ("s_feature_incompat", CSUM_V2 | CSUM_V3, EINVAL),
    "checksums of two kinds": ("s_feature_compat", COMPAT_CHECKSUM, EINVAL),
    "unknown checksum": ("s_checksum_type", 1, EINVAL),
    "log outside": ("s_start", 1100, EUCLEAN),
}


@pytest.mark.parametrize("what", REFUSED)
def test_superblock_that_cannot_be_right_is_refused(what):
    member, value, error = REFUSED[what]
    with pytest.raises(error) as raised:
        journal_over(changed(member, value), 1024)
    assert "journal" in str(raised.value)


def test_wrong_checksum_is_EBADMSG():
    with pytest.raises(EBADMSG):
        journal_over(changed("s_sequence", 99, seal=False), 1024)
    journal_over(changed("s_sequence", 99), 1024)


def test_version_1_has_no_features():
    data = changed("h_blocktype", 3)
    journal = journal_over(data, 1024)
    assert (journal.j_compat, journal.j_incompat) == (0, 0)


def test_file_without_room_for_a_log_is_refused():
    with pytest.raises(EUCLEAN):
        load_journal(lambda block: bytes(1024), 1024, 1)


def test_J1_no_block_outside_the_journal_is_ever_asked_for(rng):
    """Damage the superblock at random; whatever it says, only the journal's own blocks are read."""
    asked = 0
    for _ in range(400):
        data = fresh(REVOKE | WIDE | 32)
        writer = LogWriter(data, 1024, 0, REVOKE | WIDE | 32, start=1090)
        for _ in range(3):
            writer.transaction([(2000, bytes(1024))], [5])
        for _ in range(3):
            data[rng.randrange(0x0C, 0x60)] = rng.choice((0, 1, 4, 255, rng.randrange(256)))

        def j_read(block, data=data):
            assert 0 <= block < 1100
            return bytes(data[block * 1024 : block * 1024 + 1024])

        try:
            journal = load_journal(j_read, 1024, 1100)
        except (EINVAL, EUCLEAN, EBADMSG):
            continue
        jbd2_journal_recover(journal)
        asked += 1
    assert asked > 20
