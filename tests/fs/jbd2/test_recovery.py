"""Replaying a journal in memory, judged by e2fsck's replay of the same image and by the kernel."""

import functools
import shutil
import struct
import subprocess

import pytest

from tests.fs.jbd2.journals import (
    ASYNC,
    COMPAT_CHECKSUM,
    CSUM_V2,
    CSUM_V3,
    MAGIC,
    REVOKE,
    WIDE,
    LogWriter,
    block_size,
    disagreements,
    journal_blocks,
    journal_bytes,
    journal_of,
    journal_over,
    put_journal,
)
from tests.images import build, e2fs
from tests.images.awkward import AWKWARD
from vfslab.fs.jbd2 import recovery
from vfslab.fs.jbd2.journal import feature_names
from vfslab.fs.jbd2.recovery import jbd2_journal_recover

needs_tools = pytest.mark.needs_program("mke2fs", "debugfs", "e2fsck")
LEFT_BY_LINUX = [spec for spec in AWKWARD if spec.name.startswith("journal-")]
FEATURES = {
    "plain": (0, REVOKE),
    "64bit": (0, REVOKE | WIDE),
    "v1": (COMPAT_CHECKSUM, REVOKE),
    "v1-64bit": (COMPAT_CHECKSUM, REVOKE | WIDE),
    "v2": (0, REVOKE | CSUM_V2),
    "v2-64bit": (0, REVOKE | WIDE | CSUM_V2),
    "v3": (0, REVOKE | CSUM_V3),
    "v3-64bit": (0, REVOKE | WIDE | CSUM_V3),
}


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """An image of 4 MiB in blocks of 1 KiB with a journal of 1024 blocks; free blocks from 1500 on."""
    image = tmp_path_factory.mktemp("journal") / "empty.img"
    e2fs.mke2fs(image, "4M", "-t", "ext4", "-b", "1024", "-J", "size=1", "-O", "^metadata_csum,^64bit")
    return image


@pytest.fixture
def image(empty, tmp_path):
    return shutil.copy(empty, tmp_path / "journal.img")


def block_of(number):
    return struct.pack("<I", number) * 256


def replayed(data, size=1024):
    return jbd2_journal_recover(journal_over(data, size))


# --- logs that real writers left -----------------------------------------------------------------------


@pytest.mark.needs_loop
@needs_tools
@pytest.mark.parametrize("spec", LEFT_BY_LINUX, ids=lambda spec: spec.name)
def test_replay_gives_the_blocks_that_e2fsck_gives(spec):
    image = build(spec)
    overlay, info = jbd2_journal_recover(journal_of(image))
    assert info.damage is None
    assert info.nr_replays and info.transactions and info.last_commit > (0, 0)
    assert disagreements(image, overlay) == []


@needs_tools
@pytest.mark.parametrize(
    "options, features", [("", ""), ("-c", "checksum"), ("-c -v 2", "csum_v2"), ("-c -v 3", "csum_v3")]
)
@pytest.mark.parametrize("wide", ["^64bit", "64bit"])
def test_journal_written_by_debugfs(tmp_path, options, features, wide):
    image, source = tmp_path / "d.img", tmp_path / "block"
    metadata_csum = "metadata_csum" if "-v" in options else "^metadata_csum"
    e2fs.mke2fs(image, "4M", "-t", "ext4", "-b", "1024", "-J", "size=1", "-O", f"{metadata_csum},{wide}")
    source.write_bytes(struct.pack(">I", MAGIC) + b"escaped".ljust(1020, b"!") + b"second".ljust(1024, b"?"))
    revoke = "jw -r 2001\n" if options != "-c" else ""  # with version 1, debugfs writes a sum that Linux refuses
    e2fs.debugfs(image, f"jo {options}\njw -b 2000,2001 {source}\njw -b 2002 {source}\n{revoke}jc")
    journal = journal_of(image)
    overlay, info = jbd2_journal_recover(journal)
    assert info.damage is None and info.transactions == (3 if revoke else 2)
    assert features in feature_names(journal)
    assert overlay[2000][:4] == struct.pack(">I", MAGIC)
    assert (2001 not in overlay) == (info.nr_revoke_hits == 1) == bool(revoke)
    assert disagreements(image, overlay) == []


# --- logs written here, judged by e2fsck -----------------------------------------------------------------


@needs_tools
@pytest.mark.parametrize("features", FEATURES)
def test_random_logs_replay_as_e2fsck_does(image, rng, features):
    """Random transactions with revokes and escapes, over the ring's end and over the end of the sequence numbers."""
    data = journal_bytes(image)
    writer = LogWriter(data, 1024, *FEATURES[features], first_sequence=0xFFFFFFFC, start=rng.randrange(900, 1023))
    for _ in range(8):
        chosen = rng.sample(range(2000, 2100), rng.randrange(1, 60))
        lead = [struct.pack(">I", MAGIC) if rng.random() < 0.2 else b"abcd" for _ in chosen]
        blocks = [(block, lead[i] + rng.randbytes(1020)) for i, block in enumerate(chosen)]
        writer.transaction(blocks, rng.sample(range(2000, 2100), rng.randrange(10)), commit=True)
    writer.transaction([(2050, block_of(1))], [2051, 2052], commit=False)
    put_journal(image, data)
    overlay, info = replayed(data)
    assert info.damage is None and info.transactions == 8 and info.end_transaction == 4
    assert info.nr_revoke_hits and overlay
    assert disagreements(image, overlay) == []


def fresh_log(features="v3-64bit", transactions=3):
    """Return a journal of 1024 blocks of 1 KiB: transaction n logs block 2000 + n, and block 3000."""
    data = bytearray(1024 * 1024)
    writer = LogWriter(data, 1024, *FEATURES[features], first_sequence=7)
    for number in range(transactions):
        writer.transaction([(2000 + number, block_of(number)), (3000, block_of(100 + number))])
    return data, writer


@pytest.mark.parametrize("features", FEATURES)
def test_R3_transaction_without_a_commit_block_changes_nothing(features):
    data, writer = fresh_log(features)
    writer.transaction([(2999, block_of(9))], [2000], commit=False)
    overlay, info = replayed(data)
    assert set(overlay) == {2000, 2001, 2002, 3000}
    assert overlay[3000] == block_of(102), "the youngest copy of a block stays"
    assert (info.start_transaction, info.end_transaction, info.damage) == (7, 10, None)


def test_revoke_reaches_back_and_not_forward():
    data, writer = fresh_log()
    writer.transaction([(2500, block_of(1))], [2000, 3000, 2500])
    writer.transaction([(3000, block_of(2))])
    overlay, info = replayed(data)
    assert 2000 not in overlay and 2500 not in overlay, "revoked in the same or a later transaction"
    assert overlay[3000] == block_of(2), "logged again after it was revoked"
    assert info.nr_revokes == 3 and info.nr_revoke_hits == 5


def test_clean_journal_has_nothing_to_replay():
    data = bytearray(1024 * 1024)
    LogWriter(data, 1024, 0, REVOKE, start=0)
    overlay, info = replayed(data)
    assert (overlay, info.text, info.transactions) == ({}, "", 0)


def test_blocks_of_an_older_use_of_the_log_are_its_end():
    """A stale descriptor and commit that carry the due number, but older times: the log ended before."""
    data, writer = fresh_log()
    end = writer.position
    writer.time = 1_600_000_000
    writer.transaction([(2600, block_of(1))])
    data[(end + 1) * 1024 - 1] ^= 1  # the stale descriptor's checksum is wrong, as its neighbours were overwritten
    overlay, info = replayed(data)
    assert 2600 not in overlay and info.transactions == 3 and info.damage is None


# --- damage ------------------------------------------------------------------------------------------------

# journal blocks of fresh_log(): 1 descriptor, 2 and 3 data, 4 commit, 5 descriptor, ...
DAMAGED = {"descriptor": 5, "data": 6, "commit": 8}


@pytest.mark.parametrize("what", DAMAGED)
@pytest.mark.parametrize("features", ["v1", "v2", "v2-64bit", "v3", "v3-64bit"])
def test_R4_damage_is_told_and_what_was_before_it_is_replayed(what, features):
    data, _ = fresh_log(features)
    data[DAMAGED[what] * 1024 + (0x11 if what == "commit" else 40)] ^= 0x10  # version 1 guards only h_chksum there
    overlay, info = replayed(data)
    assert "transaction 8 is corrupt" in info.damage
    assert overlay[2000] == block_of(0)
    assert overlay.get(2001, block_of(1)) == block_of(1), "never the damaged bytes"
    if what != "data" or features == "v1":
        assert set(overlay) == {2000, 3000} and overlay[3000] == block_of(100) and info.end_transaction == 8


def test_async_commit_block_without_its_blocks_ends_the_log_quietly():
    data, writer = fresh_log("v1")
    writer = LogWriter(data, 1024, COMPAT_CHECKSUM, REVOKE | ASYNC, first_sequence=7)
    writer.transaction([(2000, block_of(0))])
    writer.transaction([(2001, block_of(1))])
    data[5 * 1024 + 40] ^= 1
    overlay, info = replayed(data)
    assert set(overlay) == {2000} and info.damage is None


@pytest.mark.parametrize("features", ["v1", "v2", "v3-64bit"])
def test_every_damaged_byte_of_a_log_is_noticed(features, rng):
    """Damage each block of a log at several places: the overlay is right, or shorter, or the damage is told."""
    whole, writer = fresh_log(features)
    right, _ = replayed(whole)
    for block in range(1, writer.position):
        for _ in range(6):
            data = bytearray(whole)
            data[block * 1024 + rng.choice((rng.randrange(64), rng.randrange(1024)))] ^= 1 << rng.randrange(8)
            overlay, info = replayed(data)
            if info.transactions == 3 and info.damage is None:
                assert overlay == right, block
            else:
                assert info.damage or info.transactions < 3
            for number in set(overlay) - {3000}:
                assert overlay[number] == right[number]


def test_without_the_checksum_code_the_damage_would_pass(monkeypatch):
    """The experiment above can fail: with verification switched off it does."""
    monkeypatch.setattr(recovery, "data_checksum_is_right", lambda *_: True)
    data, _ = fresh_log("v3")
    data[DAMAGED["data"] * 1024 + 40] ^= 0x10
    overlay, info = replayed(data)
    assert info.damage is None and overlay[2001] != block_of(1)


@pytest.mark.parametrize("features", ["plain", "v3-64bit"])
def test_R2_hostile_logs_end(features):
    """A ring of nothing but descriptors of one transaction; tags that claim more data than the ring has."""
    data = bytearray(1024 * 1024)
    writer = LogWriter(data, 1024, *FEATURES[features], first_sequence=7)
    for number in range(1, 1024):
        block = writer.with_tail(writer.header(1) + b"".join(writer.tag(5, b"", 2) for _ in range(40)))
        writer.put(number, block)
    overlay, info = replayed(data)
    assert overlay == {} and info.transactions == 0
    for number in range(1, 1024):
        writer.put(number, writer.with_tail(writer.header(5) + struct.pack(">I", 0xFFFFFFFF)))
    assert replayed(data)[0] == {}


@pytest.mark.parametrize("count", [0, 15, 1025, 1021, 0xFFFFFFFF])
def test_revoke_block_that_lies_about_its_size_is_damage(count):
    data, writer = fresh_log()
    where = writer.position
    writer.transaction([], [1])
    block = bytearray(data[where * 1024 : (where + 1) * 1024])
    struct.pack_into(">I", block, 12, count)
    writer.put(where, writer.with_tail(block))
    overlay, info = replayed(data)
    assert "transaction 10 is corrupt" in info.damage and set(overlay) == {2000, 2001, 2002, 3000}


def test_random_bytes_in_the_log_never_raise(rng):
    for _ in range(60):
        data, writer = fresh_log(rng.choice(list(FEATURES)))
        for _ in range(20):
            data[rng.randrange(1024, writer.position * 1024)] = rng.randrange(256)
        overlay, _ = replayed(data)
        assert all(len(block) == 1024 for block in overlay.values())


# --- the kernel as judge of damage -----------------------------------------------------------------------


@functools.cache
def mounts(image):
    try:
        with e2fs.mounted(image, "rw"):
            return True
    except e2fs.ToolError:
        return False


@pytest.mark.needs_loop
@needs_tools
@pytest.mark.parametrize("what", [*DAMAGED, "nothing", "last commit", "stale"])
def test_linux_refuses_the_mount_where_we_tell_damage(image, what):
    data, writer = fresh_log("v3")
    if what == "stale":
        writer.time = 1_600_000_000
        where = writer.position
        writer.transaction([(2600, block_of(1))])
        data[where * 1024 + 40] ^= 1
    elif what != "nothing":
        data[(DAMAGED | {"last commit": 12})[what] * 1024 + 40] ^= 0x10
    put_journal(image, data[: 1024 * len(journal_blocks(image))])
    _, info = jbd2_journal_recover(journal_of(image))
    assert (info.damage is None) == mounts(image)
    assert (info.damage is None) == (what in ("nothing", "stale"))


# --- the superblock --------------------------------------------------------------------------------------


def test_dumpe2fs_and_we_read_the_same_superblock(image):
    journal = journal_of(image)
    text = subprocess.run(["dumpe2fs", "-h", image], env=e2fs.ENV, capture_output=True, text=True).stdout
    told = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    assert int(told["Journal sequence"], 16) == journal.j_tail_sequence
    assert int(told["Journal start"]) == journal.j_tail
    assert int(told["Total journal blocks"]) == journal.j_total_len
    assert block_size(image) == journal.j_blocksize
