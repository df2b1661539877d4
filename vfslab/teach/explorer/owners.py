"""Who owns a block: the inodes of the groups around it are read, nearest first, until one claims it or the limit is reached.

    Owners(disk).of(block, effort=1) ─▶ Answer(claims, searched, complete)

There is no table on the disk that leads from a block to its inode; e2fsprogs' `icheck` reads all inodes for it.
Here a group is read once and its runs are kept. Each question may read EFFORT inodes and nodes; asking again
with more effort goes on where the last search ended. Answers say what was searched.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from vfslab.fs.ext4.format import EXT4_EA_INODE_FL, ext4_inode
from vfslab.include.uapi.stat import S_IFDIR, S_IFLNK, S_IFMT
from vfslab.teach.explorer.maps import Budget, is_mapped, runs_of
from vfslab.tools.image import ImageError

EFFORT = 30_000  # inodes, nodes and tables that one question may read
MOST_RUNS = 150_000  # that are kept
SMALL = 30_000  # an image with fewer inodes in use is read whole: then two owners of one block are seen
PER_NODE = 8  # a node costs as much as this many inodes

_read = ext4_inode.reader(
    "i_mode", "i_size_lo", "i_links_count", "i_flags", "i_block", "i_file_acl_lo", "i_size_high", "l_i_file_acl_high"
)


class Claim(NamedTuple):
    """count blocks from first on belong to inode ino: to its file block logical on, or as what says."""

    first: int
    count: int
    ino: int
    logical: int
    what: str
    kind: str  # of the inode: "file", "directory", "symlink", "journal", "own"

    @property
    def letter_kind(self) -> str:
        """The kind of the block, as places.KINDS names it."""
        if self.what in ("data", "unwritten"):
            return self.kind
        return "xattr" if self.what == "attributes" else "node"


class Answer(NamedTuple):
    """claims of owners; complete: all inodes were read; read: groups whose inodes were."""

    claims: list[Claim]
    complete: bool
    read: int


class Owners:
    """The runs of all inodes that were read so far, by group. problems: maps that cannot be followed, (inode, why)."""

    def __init__(self, disk: Any):
        self.disk = disk
        self.groups: dict[int, list[Claim]] = {}
        self.kept = 0  # runs in all of them
        self.cut: set[int] = set()  # groups of which not all was read
        self.problems: list[tuple[int, str]] = []
        self.special = {number: what for what, number in disk.linked_inodes()}

    @property
    def small(self) -> bool:
        """True if the inodes in use are so few that all of them are read, whatever is asked for."""
        return self.disk.inodes - self.disk.sb.s_free_inodes_count <= SMALL

    def of(self, block: int, effort: int = 1) -> Answer:
        """Return who owns a block, as far as the effort reaches."""
        return self.within(block, block, effort)

    def within(self, first: int, last: int, effort: int = 1) -> Answer:
        """Return who owns blocks from first to last; the search ends when one block alone is asked for and found."""
        budget = Budget(EFFORT * max(1, min(effort, 64)))
        for group in self.order(first, last):
            if group not in self.groups and not self.read_group(group, budget):
                break
            if first == last and not self.small and any(self.hits(self.groups[group], first, last)):
                break
        claims = [claim for kept in self.groups.values() for claim in self.hits(kept, first, last)]
        complete = len(self.groups) == self.disk.groups and not self.cut
        return Answer(sorted(set(claims)), complete, len(self.groups))

    def order(self, first: int, last: int) -> Iterator[int]:
        """Yield all groups: group 0 (journal and root), those of the blocks, then outward on both sides."""
        count = self.disk.groups
        home = self.disk.group_of(first) or 0
        end = self.disk.group_of(last)
        end = home if end is None else max(home, end)
        if count:
            yield 0
        yield from (group for group in range(home, end + 1) if group)
        for distance in range(1, max(home, count - end) + 1):
            for group in (home - distance, end + distance):
                if 0 < group < count:
                    yield group

    @staticmethod
    def hits(claims: list[Claim], first: int, last: int) -> Iterator[Claim]:
        """Yield the claims that have a block in first to last."""
        return (claim for claim in claims if claim.first <= last and claim.first + claim.count > first)

    def known(self, first: int, last: int) -> list[Claim]:
        """Return the claims on a range that earlier questions have found."""
        return [claim for kept in self.groups.values() for claim in self.hits(kept, first, last)]

    def read_group(self, group: int, budget: Budget) -> bool:
        """Read the inodes of a group; False if the budget did not reach to begin."""
        if not budget.take():  # a group costs, too: a damaged superblock may tell of millions
            return False
        while self.groups and self.kept > MOST_RUNS:
            self.kept -= len(self.groups.pop(next(iter(self.groups))))  # the oldest: it can be read again
        claims: list[Claim] = []
        self.cut.discard(group)
        try:
            for ino, raw in self.used_inodes(group):
                if not budget.take():
                    self.cut.add(group)
                    break
                self.claims_of(ino, raw, claims, budget)
                if len(claims) > MOST_RUNS:
                    self.cut.add(group)
                    break
        except ImageError as error:
            self.note(0, f"group {group}: {error}")
        self.groups[group] = claims
        self.kept += len(claims)
        return True

    def used_inodes(self, group: int) -> Iterator[tuple[int, bytes]]:
        """Yield (number, bytes) of the inodes in use: those in the bitmap, and those that have names without being in it."""
        disk = self.disk
        desc = disk.desc(group)
        count = min(disk.sb.s_inodes_per_group, 8 * disk.block_size)
        if disk.never_written(desc)[1] or not desc.inode_table:
            return
        if disk.has_group_csum:
            count -= min(desc.unused, count)
        try:
            bits = disk.inode_bits(group)
        except ImageError:
            bits = b""
        size, base = disk.inode_size, group * disk.sb.s_inodes_per_group + 1
        per_read = max(1, (1 << 16) // size)
        for start in range(0, count, per_read):
            many = min(per_read, count - start)
            data = disk.read(desc.inode_table * disk.block_size + start * size, many * size)
            if not any(data):
                continue
            for index in range(many):
                place, at = start + index, index * size
                bit = place // 8 < len(bits) and bits[place // 8] >> place % 8 & 1
                if bit or data[at + 26] or data[at + 27]:  # i_links_count
                    yield base + place, data[at : at + size]

    def claims_of(self, ino: int, raw: bytes, claims: list[Claim], budget: Budget) -> None:
        """Add the claims of one inode."""
        mode, size_lo, _links, flags, i_block, acl, size_hi, acl_hi = _read(raw, 0)
        kind = self.kind_of(ino, mode, flags)
        if acl | acl_hi:
            claims.append(Claim(acl | acl_hi << 32, 1, ino, 0, "attributes", kind))
        if not any(i_block) or not is_mapped(mode, flags, size_lo | size_hi << 32):
            return
        own = Budget(budget.left // PER_NODE)
        before = own.left
        for run in runs_of(self.disk, i_block, flags, own):
            claims.append(Claim(run.disk, run.count, ino, run.logical, run.what, kind))
            if len(claims) > MOST_RUNS:
                break
        budget.left -= (before - own.left) * PER_NODE
        for problem in own.problems:
            self.note(ino, problem)

    def kind_of(self, ino: int, mode: int, flags: int) -> str:
        """Return what an inode is, for colours."""
        if ino in self.special:
            return "journal" if self.special[ino] == "journal" else "own"
        if ino < max(3, self.disk.sb.s_first_ino) and ino != 2 or flags & EXT4_EA_INODE_FL:
            return "own"
        return {S_IFDIR: "directory", S_IFLNK: "symlink"}.get(mode & S_IFMT, "file")

    def note(self, ino: int, why: str) -> None:
        """Keep a problem, up to a hundred of them."""
        if len(self.problems) < 100 and (ino, why) not in self.problems:
            self.problems.append((ino, why))
