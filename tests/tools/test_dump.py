"""`vfslab dump` beside dumpe2fs, line by line, on images of many kinds.

RawExt4 reads any os-like object, so here it reads the image through os itself: no kernel of ours is in between.
"""

import os
import re
import subprocess
from collections import Counter

import pytest

from tests import images
from tests.images import e2fs
from tests.images.awkward import AWKWARD
from tests.images.bases import bases
from tests.images.matrix import MATRIX
from vfslab.tools.dump import amount, dump, when
from vfslab.tools.image import ImageError
from vfslab.tools.raw import RawExt4

pytestmark = [pytest.mark.needs_program("mke2fs", "dumpe2fs", "debugfs")]
NEEDS_MOUNT = pytest.mark.skipif(
    bool(e2fs.cannot_mount()), reason=f"some images are filled in a mount: {e2fs.cannot_mount()}"
)
OUR_OWN = {"Superblock at", "Journal superblock at"}  # byte addresses
NOT_OURS = {"MMP_block"}  # the heading of a block that dump leaves to hexdump
SPECS = [*AWKWARD, *MATRIX]


def dumpe2fs(path):
    """Return the lines of dumpe2fs."""
    done = subprocess.run(["dumpe2fs", os.fspath(path)], capture_output=True, env=e2fs.ENV, timeout=60)
    return done.stdout.decode(errors="replace").splitlines()


def parts(lines):
    """Return ({label: value} of the superblock, lines of the groups), without our byte addresses."""
    head, groups = {}, []
    for line in lines:
        line = re.sub(r", (descriptor at )?byte 0x[0-9a-f]+$", "", line.rstrip())
        if groups or line.startswith("Group 0:"):
            groups += [line] if line and not line.startswith("***") else []  # its advice to run e2fsck
        elif found := re.match(r"([A-Z][^:]*):\s+(.*)", line):
            head[found[1]] = found[2]
    return head, groups


@NEEDS_MOUNT
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_equal_to_dumpe2fs(spec):
    path = images.build(spec)
    ours, our_groups = parts(dump(os, os.fspath(path)))
    theirs, their_groups = parts(dumpe2fs(path))
    assert set(ours) - set(theirs) <= OUR_OWN
    assert set(theirs) - set(ours) <= NOT_OURS
    assert {label: value for label, value in ours.items() if label not in OUR_OWN} == {
        label: value for label, value in theirs.items() if label in ours
    }
    assert len(theirs) > 30 and len(their_groups) >= 6
    assert Counter(our_groups) == Counter(their_groups)


def test_byte_addresses_are_where_the_things_are(tmp_path):
    image = tmp_path / "i.img"
    e2fs.mke2fs(image, "24M", "-t", "ext4", "-b", "1024")
    data, lines = image.read_bytes(), list(dump(os, os.fspath(image)))
    backups = [
        int(line.rpartition("byte ")[2], 16) for line in lines if "superblock at" in line and "Journal" not in line
    ]
    assert len(backups) == 2 and all(data[at + 56 : at + 58] == b"\x53\xef" for at in backups)
    journal = next(line for line in lines if line.startswith("Journal superblock at"))
    at = int(journal.rpartition("byte ")[2], 16)
    assert data[at : at + 4] == b"\xc0\x3b\x39\x98"
    groups = [int(found[1], 16) for line in lines if (found := re.search(r"descriptor at byte (0x\w+)", line))]
    tables = [int(found[1]) for line in lines if (found := re.search(r"Inode table at (\d+)-", line))]
    assert len(groups) == 3
    assert [int.from_bytes(data[at + 8 : at + 12], "little") for at in groups] == tables


def test_backup_of_each_group_is_found_where_raw_says():
    path = os.fspath(images.build(bases()["ext2"].spec))
    raw = RawExt4(os, path)
    assert [raw.has_super(group) for group in range(10)] == [
        True,
        True,
        False,
        True,
        False,
        True,
        False,
        True,
        False,
        True,
    ]
    raw.close()


@pytest.mark.parametrize("field, value, words", [
    (56, b"\0\0", "no ext superblock"),
    (24, b"\x09\0\0\0", "s_log_block_size"),
    (32, b"\0\0\0\0", "s_blocks_per_group"),
])  # fmt: skip
def test_superblock_that_is_none_is_one_error(tmp_path, field, value, words):
    image = tmp_path / "i.img"
    e2fs.mke2fs(image, "2M", "-t", "ext2")
    data = bytearray(image.read_bytes())
    data[1024 + field : 1024 + field + len(value)] = value
    image.write_bytes(data)
    with pytest.raises(ImageError, match=words):
        list(dump(os, os.fspath(image)))


def test_descriptors_beyond_the_end_are_told_and_the_rest_is_printed(tmp_path):
    image = tmp_path / "i.img"
    e2fs.mke2fs(image, "24M", "-t", "ext4", "-b", "1024", "-O", "^has_journal")
    image.write_bytes(image.read_bytes()[:2048])
    lines = list(dump(os, os.fspath(image)))
    assert lines[0].startswith("Superblock at") and "beyond the end of the device" in lines[-1]


def test_times_and_amounts():
    assert when(0) == "n/a"
    assert when(1635724800) == "Mon Nov  1 00:00:00 2021"
    assert when(0, 1) == "Sun Feb  7 06:28:16 2106"
    assert [amount(n) for n in (84, 8191, 8192, 9000, 9 << 20)] == ["84 kB", "8191 kB", "8 MB", "9 MB", "9 GB"]
