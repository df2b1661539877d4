"""The consistency check: is everything that the filesystem says of itself true, and does it agree?

    inodes.py       every inode in the tables: checksum, type, sizes, counts
      maps.py         its extent tree or indirect blocks: every node, every run
      xattrs.py       its attributes, in the inode, in a block, in other inodes
    directories.py  every directory block: checksum, entries, `.` and `..`
      htree.py        the hash tree over it
    links.py        names found against link counts; what no name leads to; orphans
    groups.py       descriptors, both bitmaps and the counts of every group
    state.py        what is collected on the way, and the lines for a person

Reading files does not notice all damage: nobody looks at a bitmap, at a block that two files own, or
at an inode without a name. So here all inodes are read in the order of their tables, then all
directories, and in the end the sums must come out. Nothing is repaired.

The way of e2fsck, which does the same in passes 1 to 5; there is no such thing in Linux itself.   Chapter 3.
Left out: the contents of quota files, backups of superblock and descriptors.

Always true
  F1  no block is read as a tree node twice for one inode, so damage cannot make the work grow
  F2  memory is in proportion to what is in use: some bytes an inode, one bit a cluster
  F3  what is wrong is a line in Fsck.problems with the inode or the block; nothing is raised
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vfslab.fs.ext4.fsck.directories import check_directories
from vfslab.fs.ext4.fsck.groups import check_descriptors, check_groups
from vfslab.fs.ext4.fsck.inodes import check_inodes
from vfslab.fs.ext4.fsck.links import check_links
from vfslab.fs.ext4.fsck.state import Fsck
from vfslab.include.fs import SuperBlock
from vfslab.kernel.slab import kfree, kzalloc


def ext4_fsck(sb: SuperBlock, progress: Callable[[int], Any] | None = None) -> tuple[list[str], list[str]]:
    """Return (problems, notices) of a mounted filesystem, one line each; progress is told of inodes as they are done."""
    fsck = kzalloc(Fsck, sb, sb.s_fs_info)
    fsck.fast_commits = "fast commit" in sb.s_fs_info.s_journal_text
    if progress is not None:
        fsck.progress = progress
    try:
        check_descriptors(fsck)
        check_inodes(fsck)
        check_directories(fsck)
        check_links(fsck)
        check_groups(fsck)
        return fsck.lines(), fsck.notices
    finally:
        kfree(fsck)
