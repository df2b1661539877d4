"""Directories: entries that cannot be, listings that say what they could not read, hash trees that lie."""

import errno
import os
import struct

import pytest

from tests.fs.ext4 import small
from tests.images import e2fs
from vfslab.fs.ext4.dir import ext4_rec_len_from_disk
from vfslab.fs.ext4.format import ext4_dir_entry_2, ext4_extent

pytestmark = pytest.mark.needs_program("mke2fs", "debugfs")
PLAIN = "-t ext4 -b 1024 -O ^metadata_csum,^has_journal,^dir_index"
FILES = "mkdir d\n" + "\n".join(f"write /dev/null d/name{n}" for n in range(6))


def block_of(data, ino):
    """Return the byte where the first block of a directory lies."""
    return ext4_extent(data, small.inode_at(data, ino) + 40 + 12).ee_start * 1024


def entries(data, at):
    """Return views of the entries of the block at byte at."""
    found, end = [], at + 1024
    while at < end:
        entry = ext4_dir_entry_2(data, at)
        found.append(entry)
        at += entry.rec_len
    return found


def with_files():
    """Return (image with /d of six names as inode 12, the entries of its block)."""
    data = small.image(PLAIN, FILES)
    return data, entries(data, block_of(data, 12))


def listed(p, path):
    """Return (names that a listing gives, the error that ends it or 0)."""
    names = []
    try:
        with p.scandir(path) as found:
            for entry in found:
                names.append(entry.name)
    except OSError as error:
        return names, error.errno
    return names, 0


def test_names_in_the_order_of_the_disk():
    data, _ = with_files()
    with small.mounted(data) as (p, _):
        assert listed(p, "/mnt/d") == ([f"name{n}" for n in range(6)], 0)


def _set(member, value):
    return lambda entry: setattr(entry, member, value)


@pytest.mark.parametrize(
    "damage",
    [_set("rec_len", 0), _set("rec_len", 7), _set("rec_len", 8), _set("rec_len", 2000), _set("rec_len", 0xFFFC)]
    + [_set("name_len", 255), _set("name_len", 0), _set("inode", 99999)]
    + [lambda entry: entry.buffer.__setitem__(entry.offset + 8, ord("/"))]
    + [lambda entry: entry.buffer.__setitem__(entry.offset + 9, 0)],
    ids="len0 len7 len8 len2000 lenFFFC name255 name0 inode slash nul".split(),
)
def test_P2_what_stands_before_a_bad_entry_is_listed_then_comes_the_error(damage):
    data, found = with_files()
    damage(found[5])  # ., .., name0 ... name3
    with small.mounted(data) as (p, log):
        assert listed(p, "/mnt/d") == (["name0", "name1", "name2"], errno.EUCLEAN)
        assert p.stat("/mnt/d/name1").st_size == 0
        with pytest.raises(OSError) as caught:
            p.stat("/mnt/d/name5")
        assert caught.value.errno == errno.EUCLEAN
        assert "inode #12" in log and "bad entry in directory" in log


def test_L1_absent_is_said_only_of_a_whole_directory():
    data, found = with_files()
    with small.mounted(data) as (p, _), pytest.raises(FileNotFoundError):
        p.stat("/mnt/d/nobody")
    found[7].rec_len = 4
    with small.mounted(data) as (p, _):
        with pytest.raises(OSError) as caught:
            p.stat("/mnt/d/nobody")
        assert caught.value.errno == errno.EUCLEAN


@pytest.mark.parametrize("ino", [3, 8, 12, 200], ids=["reserved", "journal", "itself", "free"])
def test_L3_names_of_inodes_that_may_not_be_named(ino):
    data, found = with_files()
    found[2].inode = ino
    with small.mounted(data) as (p, _):
        with pytest.raises(OSError) as caught:
            p.stat("/mnt/d/name0")
        assert caught.value.errno == errno.EUCLEAN


def test_a_loop_ends():
    data, found = with_files()
    found[2].inode = 2
    with small.mounted(data) as (p, _):
        with pytest.raises(OSError) as caught:
            p.stat("/mnt/d/name0/d/name0/d")
        assert caught.value.errno in (errno.ELOOP, errno.EUCLEAN)


def test_a_zeroed_block_is_euclean():
    data, found = with_files()
    data[found[0].offset : found[0].offset + 1024] = bytes(1024)
    with small.mounted(data) as (p, _):
        assert listed(p, "/mnt/d") == ([], errno.EUCLEAN)


def test_a_directory_larger_than_its_blocks_tells_of_the_hole():
    data, _ = with_files()
    small.inode(data, 12).i_size_lo = 5 * 1024
    with small.mounted(data) as (p, log):
        names, number = listed(p, "/mnt/d")
        assert len(names) == 6 and number == errno.EUCLEAN
        assert "hole" in log


def test_a_directory_larger_than_the_filesystem_is_refused():
    data, _ = with_files()
    small.inode(data, 12).i_size_lo = 0xFFFFFC00
    with small.mounted(data) as (p, log):
        assert listed(p, "/mnt/d")[1] == errno.EUCLEAN
        assert "larger than the filesystem" in log


def test_seekdir_positions_lead_back():
    """Reading one entry at a time, from each entry's own cookie, gives all of them."""
    data, _ = with_files()
    with small.mounted(data) as (p, _):
        fd = p.open("/mnt/d", os.O_RDONLY | os.O_DIRECTORY)
        names = []
        while True:
            some = p.getdents64(fd, 40)
            if not some:
                break
            names.append(some[0][3])
            p.lseek(fd, some[0][1], os.SEEK_SET)
        p.close(fd)
    assert names == [b".", b"..", *(b"name%d" % n for n in range(6))]


def test_rec_len_of_64_kib_blocks():
    assert [ext4_rec_len_from_disk(n, 65536) for n in (0, 65535, 12, 65532, 1)] == [65536, 65536, 12, 65532, 65536]
    assert ext4_rec_len_from_disk(0, 4096) == 0


# --- hash trees ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["half_md4", "tea", "legacy"])
def indexed(request, tmp_path_factory):
    """An image with an indexed directory /d of 900 names, without checksums."""
    folder = tmp_path_factory.mktemp("indexed")
    path, root = folder / "a.img", folder / "tree"
    (root / "d").mkdir(parents=True)
    for number in range(900):
        (root / "d" / f"a-name-{number:04d}-ä").touch()
    e2fs.mke2fs(
        path, "4M", "-t", "ext4", "-b", "1024", "-N", "1200", "-O", "^metadata_csum,^has_journal", "-d", str(root)
    )
    e2fs.debugfs(path, f"ssv def_hash_version {request.param}")
    e2fs.run("e2fsck", "-fyD", path, ok=(0, 1))
    assert (
        "Indexed directory" in e2fs.ask(path, "stat d")
        or small.inode(bytearray(path.read_bytes()), 12).i_flags & 0x1000
    )
    return path.read_bytes()


def directory(data):
    """Return the byte of the first block of /d, which is its dx_root."""
    for ino in range(11, 60):
        inode = small.inode(data, ino)
        if inode.i_mode >> 12 == 4 and inode.i_flags & 0x1000:
            at = inode.offset + 40
            if struct.unpack_from("<H", data, at + 6)[0]:  # a deeper tree: its first leaf's first extent
                at = struct.unpack_from("<I", data, at + 16)[0] * 1024
            return ext4_extent(data, at + 12).ee_start * 1024
    raise AssertionError("no indexed directory")


def test_lookups_go_through_the_tree(indexed):
    """All names are found, an absent one is not, and the log stays quiet; few blocks are read for one."""
    with small.mounted(indexed) as (p, log):
        for number in range(0, 900, 7):
            assert p.stat(f"/mnt/d/a-name-{number:04d}-ä").st_nlink == 1
        with pytest.raises(FileNotFoundError):
            p.stat("/mnt/d/a-name-9999-ä")
        assert not any("EXT4-fs error" in line for line in log.lines())


@pytest.mark.parametrize("offset, value", [(28, 77), (29, 9), (30, 6), (31, 1), (32, 3), (34, 0), (34, 255), (24, 1)])
def test_a_tree_that_cannot_be_is_logged_and_searched_block_by_block(indexed, offset, value):
    data = bytearray(indexed)
    data[directory(data) + offset] = value
    with small.mounted(data) as (p, log):
        assert p.stat("/mnt/d/a-name-0500-ä").st_nlink == 1
        with pytest.raises(FileNotFoundError):
            p.stat("/mnt/d/a-name-9999-ä")
        assert "bad hash tree" in log


def test_a_tree_that_leads_out_of_the_directory(indexed):
    data = bytearray(indexed)
    root = directory(data)
    count = struct.unpack_from("<H", data, root + 34)[0]
    for entry in range(count):
        struct.pack_into("<I", data, root + 32 + 8 * entry + 4, 0x0FFFFFFF)
    with small.mounted(data) as (p, _):
        with pytest.raises(OSError) as caught:
            p.stat("/mnt/d/a-name-0500-ä")
        assert caught.value.errno == errno.EUCLEAN
