"""Planted damage: what Linux says of it, vfslab says too, and `vfslab check` names the place.

Each case plants one damage in a small healthy image. "stale" cases leave the checksum as it was, so
that only a reader that verifies can know; in the others it is made good again, and the structure itself must be found wrong.

The same walk is done on Linux's mount and on vfslab's. Where Linux gives an error we give the same one, where both give
a value it is the same; but at the struck path and below it we may give an error where Linux gives what it found: Linux's readdir,
for one, leaves out the rest of a block after a bad entry, and tells only its log.
"""

import re
import struct
from dataclasses import dataclass
from functools import cache

import pytest

from tests import fuzz, images, oracle
from tests.images import e2fs
from tests.images.bases import bases
from tests.mutate import Base, Region

pytestmark = [pytest.mark.needs_loop, pytest.mark.needs_program("mke2fs", "debugfs", "e2fsck")]
SUPER = 1024
FAMILY = {"EIO", "EUCLEAN", "EBADMSG"}


@cache
def healthy(name):
    """Return (Base, {path: entry}) of a base image."""
    spec = bases()[name].spec
    return Base(images.build(spec).read_bytes()), oracle.truth(spec)


@dataclass
class Case:
    """One damage: where (a path's inode or one of its blocks, or a fixed structure) and what is written there."""

    name: str
    kind: str  # of the region that is struck
    path: str = ""
    offset: int = 0
    form: str = "I"
    value: object = None  # a number; None turns every bit of the field
    stale: bool = False
    base: str = "ext4"
    place: str = ""  # a pattern that some line of the checker must match; default: the path, inode or block
    differs: str = ""  # why the walks need not agree
    agree: bool = True  # False: Linux takes no notice when it mounts read-only and reads, only the checker does

    def plant(self):
        """Return (bytes, region)."""
        base, tree = healthy(self.base)
        number = tree[self.path]["st_ino"] if self.path else None
        region = next(r for r in base.by_kind[self.kind] if number is None or r.owner == number)
        data = bytearray(base.data)
        at = region.start + self.offset % region.length
        size = struct.calcsize("<" + self.form)
        old = struct.unpack_from("<" + self.form, data, at)
        new = (~old[0] & (1 << 8 * size) - 1,) if self.value is None else self.value
        new = new if isinstance(new, tuple) else (new,)
        struct.pack_into("<" + self.form, data, at, *new)
        assert data != base.data, "nothing was changed"
        if not self.stale:
            base.make_good(data, region)
        return bytes(data), region

    def pattern(self, region):
        """Return what the checker's line must say."""
        block = region.start // healthy(self.base)[0].bs
        words = [self.place, re.escape(self.path), rf"inode {region.owner}\b", rf"block {block}\b"]
        return re.compile("|".join(word for word in words if word), re.IGNORECASE)


def dirent(inode, length, name):
    """Return a tuple for the form of a directory entry."""
    return (inode, length, len(name), 1, name)


FILE, DEEP, PIECES, BIG, DIR = "/etc/deep/er/file", "/etc/deep", "/pieces", "/big", "/etc"
CASES = [
    # the superblock
    Case("super-magic", "superblock", offset=0x38, form="H", value=0xEF54, place="superblock|magic"),
    Case("super-stale", "superblock", offset=0x78, stale=True, place="superblock"),
    Case("super-incompat", "superblock", offset=0x60, value=0x400002C2, place="incompat|0x40000000|feature"),
    Case("super-compressed", "superblock", offset=0x60, value=0x2C3, place="compress"),
    Case("super-block-size", "superblock", offset=0x18, value=10, place="block.size|superblock"),
    Case("super-inode-size", "superblock", offset=0x58, form="H", value=96, place="inode.size|superblock"),
    Case("super-inodes-per-group", "superblock", offset=0x28, value=0, place="superblock|inodes_per_group"),
    Case("super-blocks-per-group", "superblock", offset=0x20, value=0, place="superblock|blocks_per_group"),
    Case("super-first-block", "superblock", offset=0x14, value=99999, place="superblock|first_data_block"),
    Case("super-blocks-beyond-end", "superblock", offset=0x4, value=9999, place="superblock|blocks_count|size|device"),
    # group descriptors
    Case("group-stale", "descriptor", offset=0xE, form="H", stale=True, place="group", agree=False),
    Case("group-table-out-of-range", "descriptor", offset=8, value=0x7FFFFFFF, place="group"),
    Case("group-bitmap-in-superblock", "descriptor", offset=0, value=1, place="group"),
    # bitmaps: Linux reads them when it allocates, the checker always
    Case("block-bitmap-stale", "block-bitmap", offset=8, stale=True, place="bitmap", agree=False),
    Case("inode-bitmap-stale", "inode-bitmap", offset=4, stale=True, place="bitmap", agree=False),
    # inodes
    Case("root-stale", "inode", "/", offset=8, stale=True, place="root"),
    Case("root-no-directory", "inode", "/", form="H", value=0x81A4, place="root"),
    Case("inode-stale", "inode", FILE, offset=2, form="H", stale=True),
    Case("inode-links-0", "inode", FILE, offset=0x1A, form="H", value=0),
    Case("inode-mode-0", "inode", FILE, form="H", value=0),
    Case("inode-extra-size", "inode", FILE, offset=0x80, form="H", value=200),
    Case("inode-huge-size", "inode", FILE, offset=0x6C, value=0x7FFFFFFF),
    Case("dir-size-odd", "inode", DIR, offset=4, value=1000,
         differs="Linux looks a name up in whole blocks only, and so in none; its readdir and we read the block"),
    # extents
    Case("extent-magic", "inode", FILE, offset=40, form="H", value=0xF30B),
    Case("extent-entries-over-max", "inode", FILE, offset=42, form="H", value=9),
    Case("extent-max", "inode", FILE, offset=44, form="H", value=400),
    Case("extent-depth-6", "inode", FILE, offset=46, form="H", value=6),
    Case("extent-out-of-range", "inode", FILE, offset=60, value=0x0FFFFFFF),
    Case("extent-over-metadata", "inode", FILE, offset=60, value=2),
    Case("extent-length-0", "inode", FILE, offset=56, form="H", value=0),
    Case("extent-index-out-of-range", "inode", PIECES, offset=56, value=0x0FFFFFFF),
    Case("extent-block-stale", "extent", PIECES, offset=32, form="H", stale=True),
    Case("extent-block-magic", "extent", PIECES, form="H", value=0),
    Case("extent-block-depth", "extent", PIECES, offset=6, form="H", value=1),
    Case("extents-overlap", "extent", PIECES, offset=24, value=0),
    # directories
    Case("dir-stale", "directory", DIR, offset=24 + 8, form="B", stale=True),
    Case("dir-zeroed", "directory", DIR, form="64s", value=b""),
    Case("dir-zeroed-no-csum", "directory", DIR, form="64s", value=b"", base="no-csum"),
    Case("dir-rec-len-0", "directory", DIR, offset=24 + 4, form="H", value=0),
    Case("dir-rec-len-0-ext2", "directory", DIR, offset=24 + 4, form="H", value=0, base="ext2"),
    Case("dir-rec-len-13", "directory", DIR, offset=24 + 4, form="H", value=13),
    Case("dir-rec-len-beyond", "directory", DIR, offset=24 + 4, form="H", value=0x3F00),
    Case("dir-name-too-long", "directory", DIR, offset=24 + 6, form="B", value=200),
    Case("dir-name-with-slash", "directory", DIR, offset=24 + 8, form="B", value=ord("/")),
    Case("dir-inode-out-of-range", "directory", DIR, offset=24, value=99999),
    Case("dir-inode-reserved", "directory", DIR, offset=24, value=9),
    Case("dir-inode-free", "directory", DIR, offset=24, value=200),
    Case("dir-loop", "directory", DEEP, offset=24, value=2),
    # hash trees
    Case("htree-stale", "hash-tree", BIG, offset=0x2C, stale=True),
    Case("htree-hash-version", "hash-tree", BIG, offset=0x1C, form="B", value=77),
    Case("htree-block-out-of-range", "hash-tree", BIG, offset=0x2C, value=0x00FFFF,
         differs="Linux lists in the order of the tree and gives up with it; a listing block by block needs no tree"),
    Case("htree-count-over-limit", "hash-tree", BIG, offset=0x22, form="H", value=0x7000),
    Case("htree-levels", "hash-tree", BIG, offset=0x1E, form="B", value=7),
    # attributes
    Case("xattr-stale", "xattr", PIECES, offset=-8, stale=True),
    Case("xattr-magic", "xattr", PIECES, value=0xEA020001),
    Case("xattr-value-out-of-range", "xattr", PIECES, offset=32 + 2, form="H", value=0xFF00),
    Case("xattr-entry-name", "xattr", PIECES, offset=32, form="B", value=255),
    Case("xattr-blocks", "xattr", PIECES, offset=8, value=2),
    # links, block maps, inline data
    Case("symlink-too-long", "inode", "/long-link", offset=4, value=70000),
    Case("symlink-empty", "inode", "/long-link", offset=4, value=0),
    Case("indirect-out-of-range", "inode", PIECES, offset=40 + 48, value=0x0FFFFFFF, base="ext2"),
    Case("indirect-entry-out-of-range", "indirect", PIECES, offset=4 * 4, value=0x0FFFFFFF, base="ext2"),
    Case("inline-dir-rec-len", "inode", "/d3", offset=40 + 4 + 4, form="H", value=0, base="inline"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vfslab_says_what_linux_says(case, tmp_path):
    data, _ = case.plant()
    image = tmp_path / "damaged.img"
    image.write_bytes(data)
    (refused, truth), (we_refuse, ours) = oracle.kernel_says(image), oracle.vfslab_says(image)
    assert we_refuse == refused
    if truth is not None and not case.differs:
        lines = oracle.differences(truth, louder(truth, ours, case.path), limit=12)
        assert not lines, "\n".join(lines)


def louder(truth, ours, struck):
    """Return our manifest with Linux's value wherever we give an error at or below the struck path, and Linux none.

    A read or a listing that fails is EIO in Linux where we give the damage's own number, which says more.
    """
    found = {}
    for path, entry in ours.items():
        true = truth.get(path, {})
        found[path] = dict(entry)
        for field, said in entry.items():
            below = bool(struck) and (path + "/").startswith(struck.rstrip("/") + "/")
            both = oracle.failed(said) and oracle.failed(true.get(field))
            reading = field in ("sha256", "map", "names") and both and {said["err"], true[field]["err"]} <= FAMILY
            if reading or (below and oracle.failed(said) and field in true and not both):
                found[path][field] = true[field]
        if below and oracle.failed(entry.get("lstat")) and "lstat" not in true:
            found[path] = true
    lost = [path for path, entry in found.items() if entry is truth.get(path) or oracle.failed(ours[path].get("names"))]
    for path, true in truth.items():  # what lies under a directory that we refuse to list
        if path not in found and any(path.startswith(above.rstrip("/") + "/") for above in lost):
            found[path] = true
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_check_names_the_place(case):
    data, region = case.plant()
    verdict, lines, _ = fuzz.judge(data)
    assert verdict in ("damage", "refused"), (verdict, lines)
    assert any(case.pattern(region).search(line) for line in lines), "\n".join(lines)


@pytest.mark.parametrize("case", [case for case in CASES if case.stale and case.agree], ids=lambda case: case.name)
def test_control_linux_takes_notice(case, tmp_path):
    """A stale checksum is damage to Linux too: the cases are no phantoms."""
    data, _ = case.plant()
    image = tmp_path / "damaged.img"
    image.write_bytes(data)
    refused, truth = oracle.kernel_says(image)
    assert refused or oracle.differences(healthy(case.base)[1], truth)


def test_dirty_external_journal_is_refused(tmp_path):
    """What stands in a journal elsewhere cannot be replayed from here, and without it the blocks are out of date."""
    image = images.copy_of(images.build(bases()["ext2"].spec), tmp_path / "external.img")
    e2fs.debugfs(image, "feature has_journal needs_recovery\nssv journal_dev 0x801\nssv journal_inum 0")
    verdict, lines, _ = fuzz.judge(image.read_bytes())
    assert verdict == "refused" and "journal" in lines[0], lines
    assert oracle.vfslab_says(image)[0]


def test_journal_device_is_no_filesystem(tmp_path):
    e2fs.mke2fs(tmp_path / "journal.img", "8M", "-O", "journal_dev", "-b", "1024")
    verdict, lines, _ = fuzz.judge((tmp_path / "journal.img").read_bytes())
    assert verdict == "refused" and "journal" in lines[0], lines


def test_backup_superblock_is_offered():
    """With the first superblock gone, the one line says where another stands."""
    spec = images.Spec("backup", "24M", ("-t", "ext4", "-b", "1024"))
    data = bytearray(images.build(spec).read_bytes())
    data[SUPER : SUPER + 1024] = bytes(1024)
    verdict, lines, _ = fuzz.judge(bytes(data))
    assert verdict == "refused" and re.search(r"\b8193\b|\b8389632\b|0x800400", lines[0]), lines


def test_image_cut_in_the_middle():
    """Half an image: what lies in the other half is damage or a refusal, with a word about the size."""
    base, _ = healthy("ext4")
    verdict, lines, _ = fuzz.judge(base.data[: len(base.data) // 8])
    assert verdict in ("damage", "refused"), lines
    assert lines


def test_region_is_what_it_says():
    """Control: the places that the cases strike are those structures."""
    base, tree = healthy("ext4")
    region = Region("inode", base.inode_at(tree[FILE]["st_ino"]), base.inode_size, tree[FILE]["st_ino"])
    assert struct.unpack_from("<I", base.data, region.start + 4)[0] == tree[FILE]["st_size"]
