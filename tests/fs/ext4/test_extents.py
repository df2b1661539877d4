"""Extent trees: the invariants X1 to X5, each broken once, and where extents end and holes begin."""

import errno
import os

import pytest

from tests.fs.ext4 import small
from vfslab.fs.ext4.format import I_BLOCK_OFFSET, ext4_extent, ext4_extent_header, ext4_extent_idx

pytestmark = pytest.mark.needs_program("mke2fs", "debugfs")
PLAIN = "-t ext4 -b 1024 -O ^metadata_csum,^has_journal"
BLOCK = b"".join(bytes([65 + n]) * 1024 for n in range(12))
START = 900  # blocks from here on are free in the image


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("extents") / "data"
    path.write_bytes(BLOCK)
    return path


def tree(data, ino=12):
    """Return (header, [extents]) in an inode, as views that write into the image."""
    at = small.inode_at(data, ino) + I_BLOCK_OFFSET
    header = ext4_extent_header(data, at)
    return header, [ext4_extent(data, at + 12 + 12 * n) for n in range(4)]


def set_extents(data, *extents):
    """Make extents (ee_block, ee_len, first disk block) the file's tree."""
    header, slots = tree(data)
    header.eh_entries, header.eh_depth = len(extents), 0
    for slot, (block, length, start) in zip(slots, extents, strict=False):
        slot.ee_block, slot.ee_len, slot.ee_start_lo, slot.ee_start_hi = block, length, start, 0


def with_file(source):
    """Return (image with the file /f of 12 blocks in one piece as inode 12, its first disk block)."""
    data = small.image(PLAIN, f"write {source} f")
    data[START * 1024 : (START + 12) * 1024] = BLOCK
    set_extents(data, (0, 12, START))
    return data, START


def outcome(data, path="/mnt/f"):
    """Return (bytes or errno, log)."""
    with small.mounted(data) as (p, log):
        try:
            return small.read(p, path), log.lines()
        except OSError as error:
            return error.errno, log.lines()


def test_an_extent_is_read(source):
    data, _ = with_file(source)
    assert outcome(data)[0] == BLOCK


def test_what_no_extent_covers_is_zeros_and_a_hole(source):
    data, start = with_file(source)
    set_extents(data, (1, 2, start), (5, 1, start + 9))
    with small.mounted(data) as (p, _):
        zeros = bytes(1024)
        assert small.read(p, "/mnt/f") == zeros + BLOCK[:2048] + zeros * 2 + BLOCK[9 * 1024 : 10 * 1024] + zeros * 6
        fd = p.open("/mnt/f", os.O_RDONLY)
        assert p.lseek(fd, 0, os.SEEK_DATA) == 1024
        assert p.lseek(fd, 1024, os.SEEK_HOLE) == 3072
        assert p.lseek(fd, 3072, os.SEEK_DATA) == 5120
        assert p.lseek(fd, 5130, os.SEEK_HOLE) == 6144
        with pytest.raises(OSError) as caught:
            p.lseek(fd, 6144, os.SEEK_DATA)
        assert caught.value.errno == errno.ENXIO
        p.close(fd)


def test_an_unwritten_extent_is_zeros(source):
    data, start = with_file(source)
    set_extents(data, (0, 4, start), (4, 32768 + 8, start + 4))
    assert outcome(data)[0] == BLOCK[:4096] + bytes(8192)


def _field(member, value):
    def change(data, start):
        setattr(tree(data)[0], member, value)

    return change


BROKEN = {
    "X1-magic": (_field("eh_magic", 0), "magic"),
    "X1-depth": (_field("eh_depth", 9), "eh_depth"),
    "max-0": (_field("eh_max", 0), "eh_max"),
    "max-large": (_field("eh_max", 5), "eh_max"),
    "entries": (_field("eh_entries", 5), "eh_entries"),
    "X2-overlap": (lambda data, start: set_extents(data, (0, 4, start), (3, 4, start + 4)), "extent entries"),
    "X2-order": (lambda data, start: set_extents(data, (4, 4, start), (0, 4, start + 4)), "extent entries"),
    "X2-length-0": (lambda data, start: set_extents(data, (0, 0, start)), "extent entries"),
    "X2-wraps": (lambda data, start: set_extents(data, (0xFFFFFFF0, 100, start)), "extent entries"),
    "X4-beyond": (lambda data, start: set_extents(data, (0, 12, 1020)), "where no file may"),
    "X4-block-0": (lambda data, start: set_extents(data, (0, 12, 0)), "where no file may"),
    "X4-superblock": (lambda data, start: set_extents(data, (0, 1, 1)), "where no file may"),
    "X4-huge": (lambda data, start: set_extents(data, (0, 1, 0xFFFFFFFF)), "where no file may"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_root_is_euclean_and_named(source, name):
    data, start = with_file(source)
    breaks, words = BROKEN[name]
    breaks(data, start)
    number, log = outcome(data)
    assert number == errno.EUCLEAN
    assert any("inode #12" in line and words in line for line in log), log


# --- deeper trees --------------------------------------------------------------------------------------


def deepened(source, levels=1):
    """Return (image whose file /f has its extents below `levels` index nodes, those nodes' blocks).

    The nodes lie in the blocks that the file ends with, so the file is made shorter.
    """
    data, start = with_file(source)
    nodes = [start + 11 - n for n in range(levels)]
    header, _ = tree(data)
    header.eh_entries, header.eh_depth = 1, levels
    place = small.inode_at(data, 12) + I_BLOCK_OFFSET
    for level, block in enumerate(nodes):
        index = ext4_extent_idx(data, place + 12)
        index.ei_block, index.ei_leaf_lo, index.ei_leaf_hi = 0, block, 0
        place = block * 1024
        data[place : place + 1024] = bytes(1024)
        node = ext4_extent_header(data, place)
        node.eh_magic, node.eh_entries, node.eh_max, node.eh_depth = 0xF30A, 1, 84, levels - 1 - level
    leaf = ext4_extent(data, place + 12)
    leaf.ee_block, leaf.ee_len, leaf.ee_start_lo = 0, 4, start
    small.inode(data, 12).i_size_lo = 6 * 1024
    return data, nodes


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5])
def test_trees_of_every_depth(source, levels):
    data, _ = deepened(source, levels)
    assert outcome(data)[0] == BLOCK[:4096] + bytes(2048)


def test_a_tree_that_leads_to_itself_ends(source):
    """X1: the depth must fall with each step, so a loop is found at once."""
    data, nodes = deepened(source, 3)
    index = ext4_extent_idx(data, nodes[1] * 1024 + 12)
    index.ei_leaf_lo = nodes[0]
    number, log = outcome(data)
    assert number == errno.EUCLEAN and any("eh_depth" in line and f"block {nodes[0]}" in line for line in log)


def test_X3_a_leaf_starts_where_its_index_says(source):
    data, nodes = deepened(source)
    ext4_extent(data, nodes[0] * 1024 + 12).ee_block = 1
    assert outcome(data)[0] == errno.EUCLEAN


def test_X4_a_node_lies_where_a_file_may(source):
    data, _ = deepened(source)
    ext4_extent_idx(data, small.inode_at(data, 12) + I_BLOCK_OFFSET + 12).ei_leaf_lo = 2
    assert outcome(data)[0] == errno.EUCLEAN


def test_X5_the_tail_is_verified(tmp_path):
    """With metadata_csum, one bit in the unused part of a leaf is noticed too: the checksum covers all entries."""
    requests = "write /dev/null f\nsif f size 30000\n" + "\n".join(f"fallocate f {n} {n}" for n in range(0, 24, 2))
    data = small.image("-t ext4 -b 1024 -O ^has_journal", requests)
    header, _ = tree(data)
    assert header.eh_depth == 1
    leaf = ext4_extent_idx(data, header.offset + 12).ei_leaf * 1024
    assert outcome(data)[0] == bytes(30000)
    data[leaf + 12 * 60] ^= 1
    number, log = outcome(data)
    assert number == errno.EBADMSG and any("checksum" in line and f"block {leaf // 1024}" in line for line in log)
