"""What the filesystem needs for itself, and where it lies: from the descriptors alone, no inode is read.

    Places(disk).at(35)  ─▶ [Place(first=35, count=128, kind="table", group=0)]

Under flex_bg bitmaps and inode tables of several groups lie together, so a block's own descriptor does not say
what the block is. An index of all groups answers it; it is made when it is first asked for, of the first
MOST_GROUPS groups. Blocks of later groups are looked for among the groups of their own flexible group.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from vfslab.teach.explorer.maps import Budget, Run, runs
from vfslab.tools.image import ImageError

MOST_GROUPS = 16384
MOST_NODES = 256  # tables or nodes of one inode of the filesystem's own

# kind: (letter in maps, what it is); the order is that of the legend
KINDS = {
    "free": (".", "free"),
    "boot": ("0", "boot sector"),
    "super": ("S", "superblock"),
    "descriptors": ("G", "group descriptors"),
    "reserved": ("R", "reserved for descriptors"),
    "block bitmap": ("B", "block bitmap"),
    "inode bitmap": ("I", "inode bitmap"),
    "table": ("T", "inode table"),
    "journal": ("J", "journal"),
    "directory": ("D", "directory"),
    "file": ("F", "file"),
    "symlink": ("L", "symlink"),
    "node": ("N", "extent node or indirect block"),
    "xattr": ("X", "extended attributes"),
    "own": ("O", "other inodes of the filesystem's own"),
    "used": ("u", "in use, owner not looked up"),
    "unknown": ("?", "not known: no bitmap says"),
}
LETTERS = {kind: letter for kind, (letter, _) in KINDS.items()}
NAMES = {letter: name for letter, name in KINDS.values()}


class Place(NamedTuple):
    """count blocks from first on, which serve the group."""

    first: int
    count: int
    kind: str
    group: int


class Places:
    """The filesystem's own blocks. unread: how many descriptors could not be read."""

    def __init__(self, disk: Any):
        self.disk = disk
        self._index: list[Place] | None = None
        self._journal: list[Run] | None = None
        self.unread = 0

    @property
    def complete(self) -> bool:
        """True if the index holds all groups."""
        return self.disk.groups <= MOST_GROUPS

    def of_group(self, group: int) -> list[Place]:
        """Return what serves a group, wherever it lies; what its descriptor says is left out if that cannot be read."""
        return self.start_of(group) + self.described_by(group)

    def start_of(self, group: int) -> list[Place]:
        """Return superblock and descriptors at a group's start."""
        disk, found = self.disk, []
        first = disk.first_block(group)
        if group == 0:
            if disk.super_block_number():
                found.append(Place(0, 1, "boot", 0))
            found.append(Place(disk.super_block_number(), 1, "super", 0))
        elif disk.has_super(group):
            found.append(Place(first, 1, "super", group))
        blocks, reserved = disk.descriptor_blocks(group)
        if len(blocks):
            found.append(Place(blocks.start, len(blocks), "descriptors", group))
        if reserved and len(blocks):
            found.append(Place(blocks.stop, reserved, "reserved", group))
        return found

    def described_by(self, group: int) -> list[Place]:
        """Return bitmaps and inode table of a group."""
        try:
            desc = self.disk.desc(group)
        except ImageError:
            self.unread += 1
            return []
        return [
            Place(desc.block_bitmap, 1, "block bitmap", group),
            Place(desc.inode_bitmap, 1, "inode bitmap", group),
            Place(desc.inode_table, self.disk.table_blocks(), "table", group),
        ]

    def index(self) -> list[Place]:
        """Return the places of the first MOST_GROUPS groups, sorted."""
        if self._index is None:
            self.unread = 0
            found: list[Place] = []
            for group in range(min(self.disk.groups, MOST_GROUPS)):
                found += self.of_group(group)
            self._index = sorted(found)
        return self._index

    def within(self, first: int, last: int) -> list[Place]:
        """Return the places that have a block in first to last."""
        found = [place for place in self.index() if place.first <= last and place.first + place.count > first]
        if not self.complete:
            for group in self.near(first, last):
                found += [
                    place for place in self.of_group(group) if place.first <= last and place.first + place.count > first
                ]
        return found

    def near(self, first: int, last: int) -> range:
        """Return the groups behind the index whose own blocks probably lie in first to last."""
        home, end = self.disk.group_of(first), self.disk.group_of(last)
        if end is None:
            return range(0)
        size = 1 << min(self.disk.sb.s_log_groups_per_flex, 10)
        start = max((home or 0) // size * size, MOST_GROUPS)
        return range(start, max(start, min(end // size * size + size, self.disk.groups, start + 1024)))

    def at(self, block: int) -> list[Place]:
        """Return the places a block belongs to: one, if nothing is damaged."""
        return self.within(block, block)

    def journal(self) -> list[Run]:
        """Return the runs of the journal's inode; empty if there is none or it cannot be read."""
        if self._journal is None:
            self._journal = []
            number = self.disk.sb.s_journal_inum
            if number and self.disk.sb.s_feature_compat & 4:
                try:
                    self._journal = list(runs(self.disk, self.disk.inode(number), Budget(MOST_NODES)))
                except ImageError:
                    self._journal = []
        return self._journal
