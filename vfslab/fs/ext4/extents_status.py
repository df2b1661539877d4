"""What is known about a file's blocks: runs that were looked up once are not looked up again.

    starts   0     340        1020         bisect finds the run that a block is in
    runs    (0, 340, 8192, MAPPED)  (340, 680, 0, HOLE)  (1020, 12, 9000, UNWRITTEN)

A leaf of the extent tree enters as a whole, with the holes between its extents. Only trees that have
leaves of their own are remembered so: the others lie in the inode.

Linux: fs/ext4/extents_status.c, a red-black tree for each inode.   Chapter 3.
Left out: delayed extents; the shrinker: a tree that grows over ES_LIMIT runs starts anew.

Always true
  E1  runs are sorted and do not overlap; starts[i] is runs[i][0]
  E2  a run is what the extent tree says: forgetting it changes nothing but time
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from vfslab.fs.ext4.ext4 import Ext4EsTree

ES_LIMIT = 16384  # runs of one file


def ext4_es_lookup_extent(tree: Ext4EsTree, lblk: int) -> tuple[int, int, int, int] | None:
    """Return the run (first block, blocks, first disk block, EXT4_MAP_*) that holds lblk, None if it is not known."""
    at = bisect_right(tree.starts, lblk)
    if at:
        run = tree.runs[at - 1]
        if lblk < run[0] + run[1]:
            return run
    return None


def ext4_es_cache_leaf(tree: Ext4EsTree, first: int, end: int, runs: list[tuple]) -> None:
    """Remember the runs of one leaf, which tell all about the blocks from first to end."""
    if len(tree.runs) + len(runs) > ES_LIMIT:
        tree.starts, tree.runs = [], []
    low, high = bisect_left(tree.starts, first), bisect_left(tree.starts, end)
    tree.starts[low:high] = [run[0] for run in runs]
    tree.runs[low:high] = runs
