"""One image for each thing that ext4 readers are known to get wrong; tests/images/awkward.py says what.

The truth is Linux's mount of the same image, of a copy whose journal Linux replayed
where it is dirty. Only a case-folding directory, which this kernel may not know, is judged by the
tree that went in.
"""

import os
import stat

import pytest

from tests import images, oracle
from tests.images import e2fs
from tests.images.awkward import AWKWARD, BY_NAME

pytestmark = [pytest.mark.needs_loop, pytest.mark.needs_program("mke2fs", "debugfs", "e2fsck")]
PLAIN = [spec for spec in AWKWARD if spec.name != "encrypted"]


@pytest.mark.parametrize("spec", PLAIN, ids=lambda spec: spec.name)
def test_same_tree_as_linux(spec):
    image = images.build(spec)
    before = image.read_bytes() if spec.dirty else None
    lines = oracle.compare(spec, oracle.vfslab_manifest(image))
    assert not lines, f"{spec.why}:\n" + "\n".join(lines)
    assert before is None or image.read_bytes() == before, "a replay in memory wrote to the image"


@pytest.mark.parametrize("name", ["htree-2", "ea-inode-1k", "depth-3"])
def test_same_tree_with_little_memory(name):
    """4 MiB hold neither the data nor the metadata of these images: what was reclaimed is read again."""
    spec = BY_NAME[name]
    lines = oracle.compare(spec, oracle.vfslab_manifest(images.build(spec), memory=4 << 20))
    assert not lines, "\n".join(lines)


def test_journal_replay_shows_more_than_the_blocks():
    """Control: what the replay must bring is not on the disk without it."""
    spec = BY_NAME["journal-dirty"]
    with e2fs.mounted(images.build(spec), "ro,noload") as point:
        assert oracle.compare(spec, oracle.manifest(os, point, content=False))


def test_encrypted_directory_is_listed_and_its_files_are_enokey():
    """Without the key Linux lists coded names; types, sizes and numbers are plain, contents are ENOKEY."""
    spec = BY_NAME["encrypted"]
    truth, ours = oracle.truth(spec), oracle.vfslab_manifest(images.build(spec))
    hidden = {"truth": by_inode(truth), "ours": by_inode(ours)}
    assert set(hidden["ours"]) == set(hidden["truth"])
    for number, true in hidden["truth"].items():
        said = hidden["ours"][number]
        for field in (*oracle.LSTAT, "d_type", "sha256", "map"):
            assert said.get(field) == true.get(field), (number, field)
        if stat.S_ISREG(true["st_mode"]):
            assert said["sha256"] == {"err": "ENOKEY"}
    assert ours["/plain"] == truth["/plain"]


def by_inode(manifest):
    """Return {inode number: entry} of what lies in the encrypted directory."""
    return {entry["st_ino"]: entry for path, entry in manifest.items() if path.startswith("/secret/")}
