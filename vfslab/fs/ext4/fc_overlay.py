"""The filesystem that fast commits are replayed on: blocks, inodes and extents, changed in memory only.

    fast_commit.py ──operations──▶ fc_dir.py ──▶ this file ──flush──▶ {block: bytes}

Linux replays fast commits with its own code for writing. A read-only mount does it on a draft: blocks
are copied when they are first changed, inodes and their extents are kept as lists until the end, and
then everything is written into the overlay at once, with checksums made good. If anything goes wrong
before, nothing has happened.

Blocks that a replay needs for itself (for a directory or an extent tree that grows) are taken from the
free ones of the bitmaps.

Linux: the parts of fs/ext4/fast_commit.c, inode.c, extents.c and balloc.c that replay uses.   Chapter 10.
Left out: bitmaps and counters of free blocks and inodes. Nobody allocates from a read-only mount.

Always true
  O1  the overlay changes in fc_flush() only
  O2  a block that replay takes is free on the disk and in no range that the log mentions
  O3  runs of an inode are sorted and do not overlap
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

from vfslab.fs.ext4.balloc import descriptor_loc
from vfslab.fs.ext4.ext4 import Ext4SbInfo, ext4_has_group_desc_csum
from vfslab.fs.ext4.format import (
    EXT4_BG_BLOCK_UNINIT,
    EXT4_EXT_MAGIC,
    EXT4_EXTENTS_FL,
    EXT4_HUGE_FILE_FL,
    EXT4_INLINE_DATA_FL,
    EXT4_MAX_EXTENT_DEPTH,
    EXT_INIT_MAX_LEN,
    I_BLOCK_SIZE,
    ext4_extent,
    ext4_extent_header,
    ext4_extent_idx,
    ext4_group_desc,
    ext4_inode,
)
from vfslab.kernel.errno import EFSBADCRC, EFSCORRUPTED
from vfslab.lib.crc32c import crc32c
from vfslab.lib.kstruct import KObject, Ptr, fresh, kstruct

MOST_RUNS, MOST_NODES = 1 << 20, 1 << 14  # of one file; beyond that its tree is no tree
NODE, ENTRY = ext4_extent_header.size, ext4_extent.size
_read_header = ext4_extent_header.reader("eh_magic", "eh_entries", "eh_max", "eh_depth")
_read_index = ext4_extent_idx.reader("ei_block", "ei_leaf_lo", "ei_leaf_hi")
_read_extent = ext4_extent.reader("ee_block", "ee_len", "ee_start_hi", "ee_start_lo")


@kstruct
class FcInode(KObject):
    """One inode of the draft.

    raw     its bytes on the disk, s_inode_size of them, with what was changed
    runs    [first file block, blocks, first disk block, unwritten] of its extents; None: not asked for
    nodes   blocks that the extent tree on the disk takes; changed: it must be built anew
    names   {name: (inode number, file block)} of a directory, None before it is searched
    valid   its bytes on the disk had a right checksum, or it came from the log
    """

    ino: int = 0
    raw: bytearray = None
    runs: list = None
    nodes: int = 0
    changed: bool = False
    names: dict = None
    valid: bool = True
    room_from: int = 0


@kstruct
class FcOverlay(KObject):
    """The draft: what lies over the device, and what replay has changed so far.

    overlay  {block: bytes}, as journal recovery left it
    edited   {block: bytearray}, changed or new
    ranges   [(first, end)] disk blocks that the log says belong to files, sorted
    """

    sbi: Ptr[Ext4SbInfo] = None
    read_block: Callable = None
    overlay: dict = None
    edited: dict = fresh(dict)
    inodes: dict = fresh(dict)
    ranges: list = fresh(list)
    free: Any = None


# --- blocks ------------------------------------------------------------------------------------------------


def fc_block(draft: FcOverlay, block: int) -> bytes | bytearray:
    """Return a block as the replay so far has it."""
    if not draft.sbi.s_first_data_block <= block < draft.sbi.s_blocks_count:
        raise EFSCORRUPTED(f"block {block} lies outside the filesystem")
    found = draft.edited.get(block)
    if found is None:
        found = draft.overlay.get(block)
    return draft.read_block(block) if found is None else found


def fc_edit_block(draft: FcOverlay, block: int) -> bytearray:
    """Return a block to be changed in place."""
    if block not in draft.edited:
        draft.edited[block] = bytearray(fc_block(draft, block))
    return draft.edited[block]


def fc_new_block(draft: FcOverlay) -> int:
    """Return a free block, now taken and filled with zeros; EUCLEAN if there is none."""
    if draft.free is None:
        draft.free = free_blocks(draft)
    for block in draft.free:
        if block not in draft.edited and not in_ranges(draft.ranges, block):
            draft.edited[block] = bytearray(draft.sbi.s_sb.s_blocksize)
            return block
    raise EFSCORRUPTED("no block is free for what a fast commit needs")


def merge_ranges(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the same ranges sorted, those that touch or overlap made one."""
    merged: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((first, end))
    return merged


def in_ranges(ranges: list[tuple[int, int]], block: int) -> bool:
    """True if one of the merged ranges contains block."""
    at = bisect_left(ranges, (block + 1,)) - 1
    return at >= 0 and block < ranges[at][1]


def free_blocks(draft: FcOverlay) -> Iterator[int]:
    """Yield the first block of each free cluster, as the bitmaps on the disk have it."""
    sbi = draft.sbi
    for group in range(sbi.s_groups_count):
        desc = fc_group_desc(draft, group)
        if ext4_has_group_desc_csum(sbi) and desc.bg_flags & EXT4_BG_BLOCK_UNINIT:
            continue  # it has no bitmap yet; the others will do
        bitmap = bytes(fc_block(draft, desc.bg_block_bitmap))
        first = sbi.s_first_data_block + group * sbi.s_blocks_per_group
        clusters = min(sbi.s_clusters_per_group, (sbi.s_blocks_count - first) // sbi.s_cluster_ratio)
        for cluster in range(clusters):
            if not bitmap[cluster >> 3] >> (cluster & 7) & 1:
                yield first + cluster * sbi.s_cluster_ratio


def fc_group_desc(draft: FcOverlay, group: int) -> ext4_group_desc:
    """Return a group's descriptor."""
    sbi = draft.sbi
    number, place = divmod(group, sbi.s_desc_per_block)
    table = fc_block(draft, descriptor_loc(sbi, number))
    return ext4_group_desc(bytes(table[place * sbi.s_desc_size : (place + 1) * sbi.s_desc_size]))


# --- inodes ------------------------------------------------------------------------------------------------


def fc_inode_loc(draft: FcOverlay, ino: int) -> tuple[int, int]:
    """Return (block, byte offset) of an inode."""
    sbi = draft.sbi
    if not 0 < ino <= sbi.s_inodes_count:
        raise EFSCORRUPTED(f"inode {ino} does not exist")
    group, index = divmod(ino - 1, sbi.s_inodes_per_group)
    block, offset = divmod(index * sbi.s_inode_size, sbi.s_sb.s_blocksize)
    return fc_group_desc(draft, group).bg_inode_table + block, offset


def fc_iget(draft: FcOverlay, ino: int) -> FcInode:
    """Return an inode of the draft."""
    inode = draft.inodes.get(ino)
    if inode is None:
        block, offset = fc_inode_loc(draft, ino)
        raw = bytearray(fc_block(draft, block)[offset : offset + draft.sbi.s_inode_size])
        inode = draft.inodes[ino] = FcInode(ino=ino, raw=raw)
        inode.valid = not draft.sbi.s_metadata_csum or stored_csum(inode) == fc_inode_csum(draft, inode)
    return inode


def fc_inode_csum(draft: FcOverlay, inode: FcInode) -> int:
    """Return the checksum of an inode's bytes, its own two halves taken as 0."""
    raw, has_high = bytearray(inode.raw), fc_has_high_csum(inode)
    raw[0x7C:0x7E] = b"\0\0"
    if has_high:
        raw[0x82:0x84] = b"\0\0"
    crc = crc32c(fc_csum_seed(draft, inode), raw)
    return crc if has_high else crc & 0xFFFF


def fc_has_high_csum(inode: FcInode) -> bool:
    """True if the inode has room for the upper half of its checksum."""
    return len(inode.raw) > 128 and ext4_inode(inode.raw).i_extra_isize >= 4


def fc_csum_seed(draft: FcOverlay, inode: FcInode) -> int:
    """Return where the checksums of an inode and its blocks begin: number and generation are in them."""
    crc = crc32c(draft.sbi.s_csum_seed, inode.ino.to_bytes(4, "little"))
    return crc32c(crc, inode.raw[0x64:0x68])


def stored_csum(inode: FcInode) -> int:
    """Return the checksum that an inode's bytes hold."""
    view = ext4_inode(inode.raw)
    return view.l_i_checksum_lo | (view.i_checksum_hi << 16 if fc_has_high_csum(inode) else 0)


# --- extents -----------------------------------------------------------------------------------------------


def fc_runs(draft: FcOverlay, inode: FcInode) -> list:
    """Return the inode's runs; set inode.changed when they are changed."""
    if inode.runs is None:
        view, inode.runs, inode.nodes = ext4_inode(inode.raw), [], 0
        if view.i_flags & EXT4_EXTENTS_FL:
            found = read_node(draft, inode, bytes(view.i_block), None)
        elif view.i_flags & EXT4_INLINE_DATA_FL:
            found = iter(())
        else:
            found = read_block_map(draft, view.i_block)
        end = 0
        for run in found:
            if run[0] < end or not run[1] or len(inode.runs) == MOST_RUNS:
                raise EFSCORRUPTED(f"inode {inode.ino}: extents overlap at file block {run[0]}, or are too many")
            inode.runs.append(run)
            end = run[0] + run[1]
    return inode.runs


def read_node(draft: FcOverlay, inode: FcInode, node: bytes, depth: int | None) -> Iterator[list]:
    """Yield the runs below a node of the extent tree; depth is what it must have, None for the root."""
    magic, entries, most, found = _read_header(node, 0)
    room = (len(node) - NODE) // ENTRY
    if magic != EXT4_EXT_MAGIC or entries > most or most > room or found > EXT4_MAX_EXTENT_DEPTH:
        raise EFSCORRUPTED(f"inode {inode.ino}: bad header in the extent tree")
    if depth is not None and found != depth:
        raise EFSCORRUPTED(f"inode {inode.ino}: depth {found} in the extent tree, not {depth}")
    before = -1
    for at in range(NODE, NODE + entries * ENTRY, ENTRY):
        if found:
            first, low, high = _read_index(node, at)
            below = read_node(draft, inode, read_tree_block(draft, inode, high << 32 | low), found - 1)
        else:
            first, length, high, low = _read_extent(node, at)
            unwritten = length > EXT_INIT_MAX_LEN
            below = iter(([first, length - EXT_INIT_MAX_LEN if unwritten else length, high << 32 | low, unwritten],))
        if first <= before:
            raise EFSCORRUPTED(f"inode {inode.ino}: extents out of order")
        before = first
        for run in below:
            if run[0] < first:
                raise EFSCORRUPTED(f"inode {inode.ino}: extents out of order")
            before = run[0]
            yield run


def read_tree_block(draft: FcOverlay, inode: FcInode, block: int) -> bytes:
    """Return a node that is a block of its own; EBADMSG if its checksum is wrong."""
    inode.nodes += 1
    if inode.nodes > MOST_NODES:
        raise EFSCORRUPTED(f"inode {inode.ino}: the extent tree does not end")
    node = bytes(fc_block(draft, block))
    at = NODE + _read_header(node, 0)[2] * ENTRY
    if draft.sbi.s_metadata_csum and at + 4 <= len(node):
        if crc32c(fc_csum_seed(draft, inode), node[:at]) != int.from_bytes(node[at : at + 4], "little"):
            raise EFSBADCRC(f"inode {inode.ino}: wrong checksum in block {block} of its extent tree")
    return node


def read_block_map(draft: FcOverlay, i_block: bytes) -> Iterator[list]:
    """Yield the runs of an inode of ext2's kind: 12 blocks, then tables of one, two and three levels."""
    per_block = draft.sbi.s_sb.s_blocksize // 4
    position, run, count = 0, None, 0
    for slot in range(15):
        level = max(slot - 11, 0)
        block = int.from_bytes(i_block[4 * slot : 4 * slot + 4], "little")
        for first, disk in read_table(draft, block, level, position, per_block):
            count += 1
            if count > MOST_RUNS:
                raise EFSCORRUPTED("a block map too large for a fast commit")
            if run and run[0] + run[1] == first and run[2] + run[1] == disk and run[1] < EXT_INIT_MAX_LEN:
                run[1] += 1
                continue
            if run:
                yield run
            run = [first, 1, disk, False]
        position += per_block**level
    if run:
        yield run


def read_table(draft: FcOverlay, block: int, level: int, first: int, per_block: int) -> Iterator[tuple[int, int]]:
    """Yield (file block, disk block) below a block number of the given level; 0 is a hole of all its blocks."""
    if not block:
        return
    if not level:
        yield first, block
        return
    table = bytes(fc_block(draft, block))
    for index in range(per_block):
        below = int.from_bytes(table[4 * index : 4 * index + 4], "little")
        yield from read_table(draft, below, level - 1, first + index * per_block ** (level - 1), per_block)


def fc_remove_range(draft: FcOverlay, inode: FcInode, first: int, length: int) -> None:
    """Make a hole of file blocks first ... first + length - 1."""
    runs, end, inode.changed = fc_runs(draft, inode), first + length, True
    at = max(bisect_left(runs, [first]) - 1, 0)
    while at < len(runs) and runs[at][0] < end:
        start, blocks, disk, unwritten = runs[at]
        left, right = max(first - start, 0), max(start + blocks - end, 0)
        if left >= blocks:
            at += 1
            continue
        pieces = [[start, left, disk, unwritten]] if left else []
        if right:
            pieces.append([end, right, disk + blocks - right, unwritten])
        runs[at : at + 1] = pieces
        at += len(pieces)


def fc_add_range(draft: FcOverlay, inode: FcInode, first: int, length: int, disk: int, unwritten: bool) -> None:
    """Map file blocks to disk blocks, whatever they were mapped to before."""
    runs = fc_runs(draft, inode)
    at = bisect_left(runs, [first + 1]) - 1
    if at >= 0:
        start, blocks, at_disk, kind = runs[at]
        if first + length <= start + blocks and at_disk + first - start == disk and kind == unwritten:
            return  # as it is: the log often repeats what is known
    fc_remove_range(draft, inode, first, length)
    at = bisect_left(runs, [first])
    runs.insert(at, [first, length, disk, unwritten])
    for left in (at, at - 1):
        if 0 <= left < len(runs) - 1 and joins(runs[left], *runs[left + 1]):
            runs[left][1] += runs.pop(left + 1)[1]


def joins(run: list, first: int, length: int, disk: int, unwritten: bool) -> bool:
    """True if a range goes on where a run ends, and one extent has room for both."""
    most = EXT_INIT_MAX_LEN - run[3]  # an unwritten extent holds one block less
    return run[0] + run[1] == first and run[2] + run[1] == disk and run[3] == unwritten and run[1] + length <= most


# --- putting it together -------------------------------------------------------------------------------------


def fc_flush(draft: FcOverlay) -> None:
    """Write inodes and extent trees into their blocks, and all changed blocks into the overlay."""
    for inode in list(draft.inodes.values()):
        if not inode.valid:
            continue  # looked at, and left alone
        if inode.runs is not None:
            store_runs(draft, inode)
        if draft.sbi.s_metadata_csum:
            crc = fc_inode_csum(draft, inode)
            view = ext4_inode(inode.raw)
            view.l_i_checksum_lo = crc & 0xFFFF
            if fc_has_high_csum(inode):
                view.i_checksum_hi = crc >> 16
        block, offset = fc_inode_loc(draft, inode.ino)
        fc_edit_block(draft, block)[offset : offset + len(inode.raw)] = inode.raw
    draft.overlay.update((block, bytes(data)) for block, data in draft.edited.items())


def store_runs(draft: FcOverlay, inode: FcInode) -> None:
    """Build the inode's extent tree anew if it was changed, and count its blocks."""
    if inode.changed:
        build_tree(draft, inode)
    view = ext4_inode(inode.raw)
    blocks = sum(run[1] for run in inode.runs) + inode.nodes
    view.i_blocks = blocks if view.i_flags & EXT4_HUGE_FILE_FL else blocks * (draft.sbi.s_sb.s_blocksize // 512)


def build_tree(draft: FcOverlay, inode: FcInode) -> None:
    """Put the inode's runs into an extent tree: leaves first, then index blocks until the inode has room for the rest."""
    entries, depth, most, inode.nodes = [], 0, (I_BLOCK_SIZE - NODE) // ENTRY, 0
    for first, length, disk, unwritten in inode.runs:
        coded = length + EXT_INIT_MAX_LEN if unwritten else length
        entries.append(bytes(ext4_extent.pack(ee_block=first, ee_len=coded, ee_start=disk)))
    while len(entries) > most:
        entries = [store_node(draft, inode, part, depth) for part in parts(draft, entries)]
        inode.nodes, depth = inode.nodes + len(entries), depth + 1
    root = ext4_extent_header.pack(eh_magic=EXT4_EXT_MAGIC, eh_entries=len(entries), eh_max=most, eh_depth=depth)
    view = ext4_inode(inode.raw)
    view.i_flags = view.i_flags & ~EXT4_INLINE_DATA_FL | EXT4_EXTENTS_FL
    view.i_block = (bytes(root) + b"".join(entries)).ljust(I_BLOCK_SIZE, b"\0")


def parts(draft: FcOverlay, entries: list[bytes]) -> Iterator[list[bytes]]:
    """Yield the entries in portions that fill a block."""
    most = (draft.sbi.s_sb.s_blocksize - NODE - 4) // ENTRY
    for at in range(0, len(entries), most):
        yield entries[at : at + most]


def store_node(draft: FcOverlay, inode: FcInode, entries: list[bytes], depth: int) -> bytes:
    """Put entries into a new block of the extent tree; return the index entry that points to it."""
    most = (draft.sbi.s_sb.s_blocksize - NODE - 4) // ENTRY
    header = ext4_extent_header.pack(eh_magic=EXT4_EXT_MAGIC, eh_entries=len(entries), eh_max=most, eh_depth=depth)
    block = fc_new_block(draft)
    node = draft.edited[block]
    body = bytes(header) + b"".join(entries)
    node[: len(body)] = body
    at = NODE + most * ENTRY
    node[at : at + 4] = crc32c(fc_csum_seed(draft, inode), node[:at]).to_bytes(4, "little")
    first = int.from_bytes(entries[0][:4], "little")
    return bytes(ext4_extent_idx.pack(ei_block=first, ei_leaf=block))
