"""What each feature bit of mke2fs 1.47 means for reading, in one table.

    READ       the bit changes where or how data lies, and we read that
    REPLAYED   it asks for the journal; a read-only mount plays it in memory
    TOLERATED  it matters to writers only, or what it adds is not looked at
    REFUSED    the mount fails, and the log says why

The code refuses by it, the documentation and the book print it. A bit that is not in the table is
tolerated where the format says so (compat, and ro_compat as long as nobody writes), and refused in incompat.

Linux: ext4_feature_set_ok() of fs/ext4/super.c; the names are those of dumpe2fs.   Chapter 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vfslab.fs.ext4.format import EXT4_FEATURE_COMPAT, EXT4_FEATURE_INCOMPAT, EXT4_FEATURE_RO_COMPAT, ext4_super_block

READ, REPLAYED, TOLERATED, REFUSED = "read", "replayed", "tolerated", "refused"
COMPAT, RO_COMPAT, INCOMPAT = "compat", "ro_compat", "incompat"


class Feature(NamedTuple):
    """One feature bit: which set it is in, its name, what we do with it, and a word about it."""

    set: str
    bit: int
    name: str
    how: str
    words: str


_COMPAT = (
    (0x1, TOLERATED, "writers allocate ahead for directories"),
    (0x2, TOLERATED, "reserved for AFS"),
    (0x4, READ, "the journal is there; see needs_recovery"),
    (0x8, READ, "extended attributes"),
    (0x10, TOLERATED, "blocks are kept free for growing"),
    (0x20, READ, "directories have hash trees, and lookups use them"),
    (0x40, TOLERATED, "a test feature, never used"),
    (0x100, TOLERATED, "snapshots, never used"),
    (0x200, READ, "backup superblocks only in two groups"),
    (0x400, REPLAYED, "fast commits, played in memory after the journal"),
    (0x800, TOLERATED, "inode numbers and the UUID never change"),
    (0x1000, TOLERATED, "deleted but open inodes are listed in a file; a reader has none to delete"),
)
_INCOMPAT = (
    (0x1, REFUSED, "compressed files: ext4 never had them, only patches of ext2"),
    (0x2, READ, "directory entries carry the file type"),
    (0x4, REPLAYED, "the journal is played in memory; refused if it lies on another device"),
    (0x8, REFUSED, "this is an external journal, not a filesystem"),
    (0x10, READ, "group descriptors stand in their groups"),
    (0x40, READ, "files are mapped by extent trees"),
    (0x80, READ, "block numbers have 64 bits"),
    (0x100, TOLERATED, "who writes keeps a heartbeat block; a reader does not look"),
    (0x200, READ, "bitmaps and inode tables of several groups lie together"),
    (0x400, READ, "big attribute values in inodes of their own"),
    (0x1000, REFUSED, "more data in directory entries, as Lustre has it"),
    (0x2000, READ, "checksums start from a stored number instead of the UUID"),
    (0x4000, READ, "hash trees of three levels, directories over 2 GiB"),
    (0x8000, READ, "small files and directories inside the inode"),
    (
        0x10000,
        READ,
        "names and contents of encrypted files stay coded: names are listed in coded form, reading is ENOKEY",
    ),
    (0x20000, READ, "names are found by their exact spelling only"),
)
_RO_COMPAT = (
    (0x1, READ, "backup superblocks in groups 0, 1 and powers of 3, 5, 7"),
    (0x2, READ, "files over 2 GiB"),
    (0x8, READ, "i_blocks of 48 bits, or counted in filesystem blocks"),
    (0x10, READ, "group descriptors with crc16; bitmaps that were never written"),
    (0x20, READ, "a link count of 1 means: more than 65000"),
    (0x40, READ, "inodes with nanoseconds and time of birth"),
    (0x100, TOLERATED, "quotas are kept in hidden inodes"),
    (0x200, READ, "space is given out in clusters of blocks"),
    (0x400, READ, "every metadata block has a crc32c, verified when it is read"),
    (0x800, TOLERATED, "replicas, never used"),
    (0x1000, READ, "nobody may write: nor do we"),
    (0x2000, TOLERATED, "quotas by project"),
    (0x4000, READ, "files share blocks; nobody may write"),
    (0x8000, TOLERATED, "files sealed by hash trees are read, their hashes not verified"),
    (0x10000, TOLERATED, "the orphan file is not empty"),
)


def _features(set_: str, names: Mapping[int, str], rows: tuple) -> tuple[Feature, ...]:
    return tuple(Feature(set_, bit, names[bit], how, words) for bit, how, words in rows)


FEATURES = (
    *_features(COMPAT, EXT4_FEATURE_COMPAT, _COMPAT),
    *_features(INCOMPAT, EXT4_FEATURE_INCOMPAT, _INCOMPAT),
    *_features(RO_COMPAT, EXT4_FEATURE_RO_COMPAT, _RO_COMPAT),
)
_LETTERS = (
    (COMPAT, "C", EXT4_FEATURE_COMPAT),
    (INCOMPAT, "I", EXT4_FEATURE_INCOMPAT),
    (RO_COMPAT, "R", EXT4_FEATURE_RO_COMPAT),
)


def feature_name(set_: str, bit: int) -> str:
    """Return the name of one bit as dumpe2fs prints it: FEATURE_I20 for bit 20 of incompat, which nobody knows."""
    (letter, names), *_ = ((letter, names) for name, letter, names in _LETTERS if name == set_)
    return names.get(bit, f"FEATURE_{letter}{bit.bit_length() - 1}")


def feature_names(es: ext4_super_block) -> list[str]:
    """Return the names of all features that a superblock has, in the order of dumpe2fs."""
    masks = {COMPAT: es.s_feature_compat, INCOMPAT: es.s_feature_incompat, RO_COMPAT: es.s_feature_ro_compat}
    return [feature_name(set_, 1 << bit) for set_, mask in masks.items() for bit in range(32) if mask >> bit & 1]


def refused_features(incompat: int) -> list[str]:
    """Return a line for each incompat bit that cannot be read, with the reason."""
    known = {feature.bit: feature for feature in FEATURES if feature.set == INCOMPAT}
    lines = []
    for bit in (1 << number for number in range(32) if incompat >> number & 1):
        feature = known.get(bit)
        if feature is None:
            lines.append(
                f"{feature_name(INCOMPAT, bit)}: an unknown feature, without which the data cannot be understood"
            )
        elif feature.how == REFUSED:
            lines.append(f"{feature.name}: {feature.words}")
    return lines
