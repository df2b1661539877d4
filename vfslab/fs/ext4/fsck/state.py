"""What the check collects: who uses which cluster, what each inode is, which names were found.

Clusters are kept as one integer a group, a bit for each: `used[group] & bits` tells at once whether any
of a whole run is taken, and comparing with a bitmap on the disk is one exclusive or.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from vfslab.fs.ext4.ext4 import Ext4InodeInfo, Ext4SbInfo
from vfslab.include.fs import Inode, SuperBlock
from vfslab.kernel.errno import KernelError
from vfslab.kernel.slab import kzalloc
from vfslab.lib.kstruct import KObject, Ptr, fresh, kstruct
from vfslab.lib.ondisk import FormatError

MOST_LINES = 2000


class Directory(NamedTuple):
    """What is kept of a directory until its entries are read."""

    ino: int
    generation: int
    flags: int
    size: int
    runs: tuple  # (file block, blocks, disk block) of what is written
    inline: tuple | None  # (i_block, value of system.data) in place of blocks


@kstruct
class Fsck(KObject):
    """One run of the check.

    used        {group: clusters in use, one bit each}, as far as inodes and the filesystem itself say
    system      the same of the filesystem's own structures
    mine        {group: blocks of the inode that is being checked}
    inodes      {inode in use: link count << 4 | type, as in i_mode's upper four bits}
    names       {inode: names found}
    parent      {directory: the directory in which it was found first}
    dotdot      {directory: what its `..` says}
    subdirs     {directory: directories found in it}
    unlinked    inodes in use with a link count of 0, or with a time of deletion: fine for an orphan
    attr_blocks {block: [h_refcount, inodes that refer to it]}
    ea_refs     {inode: attributes whose value it holds}
    ea_inodes   {inode that holds a value: reference count it says it has}
    fast_commits  fast commits were replayed in memory: they tell nothing of bitmaps, counts and unused inodes
    lost        an inode's blocks could not all be found out: "nobody uses this block" would say too much
    unread      a directory could not be read in whole: "no name leads to this inode" would say too much
    """

    sb: Ptr[SuperBlock]
    sbi: Ptr[Ext4SbInfo]
    problems: dict[str, None] = fresh(dict)
    notices: list[str] = fresh(list)
    more: int = 0
    used: dict[int, int] = fresh(dict)
    system: dict[int, int] = fresh(dict)
    mine: dict[int, int] = fresh(dict)
    inodes: dict[int, int] = fresh(dict)
    names: dict[int, int] = fresh(dict)
    parent: dict[int, int] = fresh(dict)
    dotdot: dict[int, int] = fresh(dict)
    subdirs: dict[int, int] = fresh(dict)
    unlinked: dict[int, str] = fresh(dict)
    next_orphan: dict[int, int] = fresh(dict)
    directories: list[Directory] = fresh(list)
    attr_blocks: dict[int, list[int]] = fresh(dict)
    ea_refs: dict[int, int] = fresh(dict)
    ea_inodes: dict[int, int] = fresh(dict)
    orphan_runs: list[tuple] = fresh(list)
    orphan_generation: int = 0
    fast_commits: bool = False
    lost: bool = False
    unread: bool = False
    scratch: Ptr[Ext4InodeInfo] = None
    progress: Callable = lambda inodes: None

    # --- lines ---

    def report(self, text: str) -> None:
        """Add a problem; the same one twice is one, and of very many the rest is only counted."""
        text = text.replace("inode #", "inode ")
        if text in self.problems:
            return
        if len(self.problems) >= MOST_LINES:
            self.more += 1
        else:
            self.problems[text] = None

    def failed(self, ino: int, error: Exception) -> None:
        """Add a problem that a function of ext4 has raised."""
        text = text_of(error)
        self.report(text if "inode" in text else f"inode {ino}: {text}")

    def group_failed(self, group: int, error: Exception) -> None:
        """Add a problem of a group that a function of ext4 has raised."""
        text = text_of(error)
        self.report(text if f"group {group}" in text else f"group {group}: {text}")

    def lines(self) -> list[str]:
        """Return the problems, one line each."""
        return [*self.problems, *([f"and {self.more} more problems"] if self.more else [])]

    # --- clusters ---

    def clusters_in(self, group: int) -> int:
        """Return how many clusters a group has; the last one may be shorter."""
        sbi = self.sbi
        first = sbi.s_first_data_block + group * sbi.s_blocks_per_group
        blocks = min(sbi.s_blocks_per_group, sbi.s_blocks_count - first)
        return -(-blocks // sbi.s_cluster_ratio)

    def by_group(self, start: int, count: int) -> Iterator[tuple[int, int, int]]:
        """Yield (group, first block within it, blocks) of a run; it must lie in the filesystem."""
        per_group = self.sbi.s_blocks_per_group
        at = start - self.sbi.s_first_data_block
        while count > 0:
            group, inside = divmod(at, per_group)
            part = min(count, per_group - inside)
            yield group, inside, part
            at += part
            count -= part

    def cluster_bits(self, inside: int, count: int) -> int:
        """Return the bits of the clusters that so many blocks from one on lie in."""
        bits = self.sbi.s_cluster_bits
        first, last = inside >> bits, inside + count - 1 >> bits
        return (1 << last - first + 1) - 1 << first

    def claim(self, ino: int, start: int, count: int) -> bool:
        """Note that the inode being checked owns a run of blocks; False, and a line, if it did so already."""
        fresh = True
        for group, inside, part in self.by_group(start, count):
            bits = (1 << part) - 1 << inside
            taken = self.mine.get(group, 0)
            if taken & bits:
                block = start_of(taken & bits) + group * self.sbi.s_blocks_per_group + self.sbi.s_first_data_block
                self.report(f"inode {ino}: block {block}: used twice in the same inode")
                fresh = False
            self.mine[group] = taken | bits
        return fresh

    def settle(self, ino: int, shared: bool) -> int:
        """Add the blocks of the inode to what is used, with a line for what others own too; return its clusters."""
        clusters = 0
        for group, blocks in self.mine.items():
            bits = blocks if self.sbi.s_cluster_ratio == 1 else self.to_clusters(blocks)
            clusters += bits.bit_count()
            taken = self.used.get(group, 0)
            both = taken & bits
            if both and not shared:
                block = (start_of(both) << self.sbi.s_cluster_bits) + group * self.sbi.s_blocks_per_group
                block += self.sbi.s_first_data_block
                others = f" ({both.bit_count()} such)" if both.bit_count() > 1 else ""
                self.report(f"inode {ino}: block {block}: another inode or structure uses it too{others}")
            self.used[group] = taken | bits
        self.mine.clear()
        return clusters

    def to_clusters(self, blocks: int) -> int:
        """Return the bits of the clusters that blocks, given as bits, lie in."""
        found = 0
        for first, last in runs_of(blocks):
            found |= self.cluster_bits(first, last - first + 1)
        return found

    def take_system(self, start: int, count: int) -> bool:
        """Note that the filesystem itself owns a run of blocks; False if part of it was taken before."""
        fresh = True
        for group, inside, part in self.by_group(start, count):
            bits = self.cluster_bits(inside, part)
            fresh = fresh and not self.system.get(group, 0) & bits
            self.system[group] = self.system.get(group, 0) | bits
            self.used[group] = self.used.get(group, 0) | bits
        return fresh

    def is_system(self, block: int) -> bool:
        """True if the filesystem itself owns the block."""
        at = block - self.sbi.s_first_data_block
        if at < 0 or block >= self.sbi.s_blocks_count:
            return False
        group, inside = divmod(at, self.sbi.s_blocks_per_group)
        return bool(self.system.get(group, 0) >> (inside >> self.sbi.s_cluster_bits) & 1)

    # --- one inode, as the functions of ext4 want it ---

    def inode(self, ino: int, generation: int, flags: int, size: int, i_block: bytes) -> Inode:
        """Return an inode that belongs to nobody, with the members that the mapping functions look at."""
        if self.scratch is None:
            self.scratch = kzalloc(Ext4InodeInfo)
            self.scratch.vfs_inode.i_sb = self.sb
            self.scratch.vfs_inode.i_blkbits = self.sb.s_blocksize_bits
        ei, inode = self.scratch, self.scratch.vfs_inode
        ei.i_flags, ei.i_data = flags, i_block
        inode.i_ino, inode.i_generation, inode.i_size = ino, generation, size
        return inode


def text_of(error: Exception) -> str:
    """Return what an error of ext4 or of a layout says, without the errno's own words."""
    if isinstance(error, FormatError) or not error.args:
        return str(error)
    words = [a.decode(errors="replace") if isinstance(a, bytes) else str(a) for a in error.args]
    prefix = "cannot be read: " if isinstance(error, KernelError) and error.errno == 5 else ""
    return prefix + ": ".join(words)


def start_of(bits: int) -> int:
    """Return the number of the lowest bit that is set."""
    return (bits & -bits).bit_length() - 1


def runs_of(bits: int) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of each run of set bits."""
    text = f"{bits:b}"[::-1]
    at = text.find("1")
    while at >= 0:
        end = text.find("0", at)
        end = len(text) if end < 0 else end
        yield at, end - 1
        at = text.find("1", end)


def ranges(bits: int, base: int, step: int = 1, most: int = 4) -> str:
    """Return the runs of set bits as text, such as "12-15, 20"; of many runs the first few."""
    found: list[Any] = []
    for first, last in runs_of(bits):
        if len(found) == most:
            found.append("...")
            break
        low, high = base + first * step, base + (last + 1) * step - 1
        found.append(f"{low}-{high}" if high > low else str(low))
    return ", ".join(found)
