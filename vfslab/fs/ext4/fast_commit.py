"""Fast commits: small notes of what happened since the last whole transaction.

    fast-commit area    HEAD  INODE 19  ADD_RANGE 19  CREAT "made" INODE 19  TAIL │ LINK ... TAIL │ ...
                              what one fsync needed                         crc │ the next fsync

A whole transaction writes every block that changed. A fast commit writes what was done: a name was
added, a file got blocks, here is its inode. Recovery does it again, on top of what replaying the
transactions gave. Each note is a tag, a length and a value; a TAIL with the right checksum makes the
notes before it count.

    1 scan     follow the notes up to the last good TAIL of the transaction that is due
    2 replay   carry the operations out on a draft of the filesystem (fc_overlay.py, fc_dir.py)

Linux: fs/ext4/fast_commit.c.   Chapter 10.
Left out: making them.

Always true
  F1  nothing behind the last TAIL with a right checksum is carried out
  F2  carrying out a note twice gives the same as once
  F3  if replay fails, the overlay is what it was before (O1), and RecoveryInfo.damage says why
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import NamedTuple

from vfslab.fs.ext4.ext4 import Ext4SbInfo
from vfslab.fs.ext4.fc_dir import fc_add_entry, fc_delete_entry, fc_init_new_dir
from vfslab.fs.ext4.fc_overlay import (
    FcInode,
    FcOverlay,
    fc_add_range,
    fc_flush,
    fc_iget,
    fc_remove_range,
    fc_runs,
    merge_ranges,
)
from vfslab.fs.ext4.format import (
    EXT4_EXT_MAGIC,
    EXT4_EXTENTS_FL,
    EXT4_GOOD_OLD_INODE_SIZE,
    EXT4_INLINE_DATA_FL,
    EXT_INIT_MAX_LEN,
    I_BLOCK_OFFSET,
    I_BLOCK_SIZE,
    ext4_extent,
    ext4_extent_header,
    ext4_inode,
)
from vfslab.fs.jbd2.journal import Journal
from vfslab.fs.jbd2.recovery import RecoveryInfo, counted
from vfslab.include.uapi.stat import S_IFDIR, S_IFMT, S_IFREG
from vfslab.kernel.errno import EFSBADCRC, EFSCORRUPTED, EOPNOTSUPP, KernelError
from vfslab.lib.crc32c import crc32c
from vfslab.lib.ondisk import FormatError, Layout, le16, le32, nested

EXT4_FC_TAG_ADD_RANGE, EXT4_FC_TAG_DEL_RANGE, EXT4_FC_TAG_CREAT = 1, 2, 3
EXT4_FC_TAG_LINK, EXT4_FC_TAG_UNLINK, EXT4_FC_TAG_INODE = 4, 5, 6
EXT4_FC_TAG_PAD, EXT4_FC_TAG_TAIL, EXT4_FC_TAG_HEAD = 7, 8, 9
FC_TAGS = MappingProxyType(
    {1: "ADD_RANGE", 2: "DEL_RANGE", 3: "CREAT", 4: "LINK", 5: "UNLINK", 6: "INODE", 7: "PAD", 8: "TAIL", 9: "HEAD"}
)
EXT4_FC_SUPPORTED_FEATURES = 0


class ext4_fc_tl(Layout, size=4):
    """Before each note: what kind it is, and how long."""

    fc_tag = le16("kind of note", enum=FC_TAGS)
    fc_len = le16("bytes of the value that follows")


class ext4_fc_head(Layout, size=8):
    """The first note after a whole transaction."""

    fc_features = le32("features that one must know to replay; none exists")
    fc_tid = le32("transaction that was to follow: the number after the last one in the log")


class ext4_fc_add_range(Layout, size=16):
    """A file's blocks lie where this extent says."""

    fc_ino = le32("the file")
    fc_ex = nested(ext4_extent, "the extent")


class ext4_fc_del_range(Layout, size=12):
    """A file has a hole here."""

    fc_ino = le32("the file")
    fc_lblk = le32("first file block")
    fc_len = le32("blocks")


class ext4_fc_dentry_info(Layout, size=8):
    """A name was made (CREAT, LINK) or removed (UNLINK); the name follows."""

    fc_parent_ino = le32("the directory")
    fc_ino = le32("what the name stands for")


class ext4_fc_inode(Layout, size=4):
    """An inode's bytes follow: 128, and as many of the others as it uses."""

    fc_ino = le32("the inode")


class ext4_fc_tail(Layout, size=8):
    """The end of one fast commit; the rest of the block is unused."""

    fc_tid = le32("as in the head")
    fc_crc = le32("crc32c, from 0 on, of all notes since the last TAIL, and of this one up to here")


class Note(NamedTuple):
    """One note, by its tag."""

    tag: int
    value: bytes


def ext4_fc_replay(
    sbi: Ext4SbInfo, journal: Journal, overlay: dict[int, bytes], info: RecoveryInfo, read_block: Callable[[int], bytes]
) -> None:
    """Carry out the fast commits behind the replayed transactions: overlay and info are changed in place.

    sbi describes the filesystem as overlay has it; read_block gives a block of the device.
    """
    if not journal.j_tail or not journal.j_fc_first or info.damage:
        return
    try:
        notes, commits = ext4_fc_replay_scan(sbi, journal, info.end_transaction)
        if not commits:
            return
        draft = FcOverlay(sbi=sbi, read_block=read_block, overlay=overlay)
        draft.ranges = merge_ranges(list(logged_ranges(notes)))
        for note in notes:
            _REPLAY[note.tag](draft, note.value)
        fc_flush(draft)
    except (KernelError, FormatError) as error:
        info.damage = f"fast commits of transaction {info.end_transaction} cannot be replayed: {error}"
        return
    info.fc_text = f"{counted(commits, 'fast commit')} with {counted(len(notes), 'note')}"


# --- pass 1: which notes count ---------------------------------------------------------------------------


def ext4_fc_replay_scan(sbi: Ext4SbInfo, journal: Journal, expected_tid: int) -> tuple[list[Note], int]:
    """Return the notes up to the last good TAIL, and how many TAILs there are; EBADMSG if the first is not good.

    The area may hold an older transaction's fast commits, or nothing: then there are no notes.
    """
    good: list[Note] = []
    found: list[Note] = []
    commits, crc = 0, 0
    for whole, note in walk_notes(sbi, journal):
        if note.tag == EXT4_FC_TAG_TAIL:
            tail = ext4_fc_tail(note.value)
            crc = crc32c(crc, whole[: ext4_fc_tl.size + 4])
            if tail.fc_tid != expected_tid or tail.fc_crc != crc:
                if not commits:
                    raise EFSBADCRC("wrong checksum of the first one")
                break
            commits, good, crc = commits + 1, good + found, 0
            found = []
            continue
        if note.tag == EXT4_FC_TAG_HEAD:
            head = ext4_fc_head(note.value)
            if head.fc_features & ~EXT4_FC_SUPPORTED_FEATURES:
                raise EOPNOTSUPP(f"unknown features {head.fc_features:#x}")
            if head.fc_tid != expected_tid:
                break
        crc = crc32c(crc, whole)
        if note.tag in _REPLAY:
            found.append(note)
    return good, commits


def walk_notes(sbi: Ext4SbInfo, journal: Journal) -> Iterator[tuple[bytes, Note]]:
    """Yield (the note with its head, the note) from the fast-commit area, until something is no note."""
    header = ext4_fc_tl.size
    for number in range(journal.j_fc_first, journal.j_fc_last):
        block, at = journal.j_read(number), 0
        if number == journal.j_fc_first and ext4_fc_tl(block).fc_tag != EXT4_FC_TAG_HEAD:
            return
        while at + header <= len(block):
            view = ext4_fc_tl(block, at)
            tag, length = view.fc_tag, view.fc_len
            value = bytes(block[at + header : at + header + length])
            if len(value) < length or not length_is_right(sbi, tag, length):
                return
            yield bytes(block[at : at + header + length]), Note(tag, value)
            at += header + length


def length_is_right(sbi: Ext4SbInfo, tag: int, length: int) -> bool:
    """True if a note of this kind may be so long."""
    if tag in (EXT4_FC_TAG_CREAT, EXT4_FC_TAG_LINK, EXT4_FC_TAG_UNLINK):
        return 1 <= length - ext4_fc_dentry_info.size <= 255
    if tag == EXT4_FC_TAG_INODE:
        return EXT4_GOOD_OLD_INODE_SIZE <= length - ext4_fc_inode.size <= sbi.s_inode_size
    exact = {
        EXT4_FC_TAG_ADD_RANGE: ext4_fc_add_range.size,
        EXT4_FC_TAG_DEL_RANGE: ext4_fc_del_range.size,
        EXT4_FC_TAG_HEAD: ext4_fc_head.size,
    }
    if tag in exact:
        return length == exact[tag]
    return tag == EXT4_FC_TAG_PAD or (tag == EXT4_FC_TAG_TAIL and length >= ext4_fc_tail.size)


def logged_ranges(notes: list[Note]) -> Iterator[tuple[int, int]]:
    """Yield (first, end) of the disk blocks that notes give to files."""
    for note in notes:
        if note.tag == EXT4_FC_TAG_ADD_RANGE:
            _, _, length, disk, _ = add_range(note.value)
            yield disk, disk + length


# --- pass 2: one function for each kind of note ------------------------------------------------------------


def add_range(value: bytes) -> tuple[int, int, int, int, bool]:
    """Return (inode, first file block, blocks, first disk block, unwritten) of an ADD_RANGE note."""
    view = ext4_fc_add_range(value)
    extent = view.fc_ex
    unwritten = extent.ee_len > EXT_INIT_MAX_LEN
    length = extent.ee_len - EXT_INIT_MAX_LEN if unwritten else extent.ee_len
    return view.fc_ino, extent.ee_block, length, extent.ee_start, unwritten


def find_inode(draft: FcOverlay, ino: int) -> FcInode | None:
    """Return an inode that a note names, None if it is not in use: then there is nothing to do again."""
    inode = fc_iget(draft, ino)
    view = ext4_inode(inode.raw)
    return inode if inode.valid and view.i_mode and view.i_links_count else None


def ext4_fc_replay_add_range(draft: FcOverlay, value: bytes) -> None:
    """Map blocks of a file. A directory's blocks are not mapped: their content is in no note, the names are."""
    ino, first, length, disk, unwritten = add_range(value)
    inode = find_inode(draft, ino)
    if inode is None or ext4_inode(inode.raw).i_mode & S_IFMT == S_IFDIR:
        return
    if not draft.sbi.s_first_data_block < disk <= disk + length <= draft.sbi.s_blocks_count:
        raise EFSCORRUPTED(f"blocks {disk} to {disk + length} of inode {ino} lie outside the filesystem")
    fc_add_range(draft, inode, first, length, disk, unwritten)


def ext4_fc_replay_del_range(draft: FcOverlay, value: bytes) -> None:
    """Make a hole in a file."""
    view = ext4_fc_del_range(value)
    inode = find_inode(draft, view.fc_ino)
    if inode is not None and ext4_inode(inode.raw).i_mode & S_IFMT != S_IFDIR:
        fc_remove_range(draft, inode, view.fc_lblk, view.fc_len)


def dentry_info(value: bytes) -> tuple[int, int, bytes]:
    """Return (directory, inode, name) of a note about a name."""
    view = ext4_fc_dentry_info(value)
    return view.fc_parent_ino, view.fc_ino, value[ext4_fc_dentry_info.size :]


def ext4_fc_replay_create(draft: FcOverlay, value: bytes) -> None:
    """Give a new inode its first name; its INODE note came before. A new directory gets its first block."""
    parent, ino, name = dentry_info(value)
    inode = find_inode(draft, ino)
    if inode is None:
        raise EFSCORRUPTED(f"{name!r} was made for inode {ino}, which is not in use")
    if ext4_inode(inode.raw).i_mode & S_IFMT == S_IFDIR and not fc_runs(draft, inode):
        fc_init_new_dir(draft, inode, parent)
    fc_add_entry(draft, parent, name, inode)


def ext4_fc_replay_link(draft: FcOverlay, value: bytes) -> None:
    """Give an inode one more name."""
    parent, ino, name = dentry_info(value)
    inode = find_inode(draft, ino)
    if inode is not None and fc_add_entry(draft, parent, name, inode):
        view = ext4_inode(inode.raw)
        view.i_links_count = min(view.i_links_count + 1, 65535)


def ext4_fc_replay_unlink(draft: FcOverlay, value: bytes) -> None:
    """Remove a name. With its last name an inode is free, and so are its blocks: a later note may make it anew."""
    parent, ino, name = dentry_info(value)
    inode = find_inode(draft, ino)
    if inode is None or not fc_delete_entry(draft, parent, name, ino):
        return
    view = ext4_inode(inode.raw)
    view.i_links_count -= 1
    if not view.i_links_count:
        inode.runs, inode.names, inode.changed, view.i_size = [], None, True, 0
        view.i_dtime = view.i_ctime or 1


def ext4_fc_replay_inode(draft: FcOverlay, value: bytes) -> None:
    """Take over an inode's bytes, but for where its blocks lie: ADD_RANGE notes say that.

    Inline data and the targets of short links are in the inode itself, and are taken over.
    """
    ino, new = ext4_fc_inode(value).fc_ino, value[ext4_fc_inode.size :]
    inode = fc_iget(draft, ino)
    raw, after = inode.raw, I_BLOCK_OFFSET + I_BLOCK_SIZE
    raw[:I_BLOCK_OFFSET], raw[after : len(new)] = new[:I_BLOCK_OFFSET], new[after:]
    inode.valid, view, old = True, ext4_inode(raw), ext4_inode(new)
    if view.i_flags & EXT4_EXTENTS_FL:
        if ext4_extent_header(raw, I_BLOCK_OFFSET).eh_magic != EXT4_EXT_MAGIC:
            empty = ext4_extent_header.pack(eh_magic=EXT4_EXT_MAGIC, eh_max=4)
            view.i_block = bytes(empty).ljust(I_BLOCK_SIZE, b"\0")
        fc_runs(draft, inode)
    elif view.i_flags & EXT4_INLINE_DATA_FL or view.i_mode & S_IFMT not in (S_IFREG, S_IFDIR):
        view.i_block, inode.runs, inode.names, inode.changed = old.i_block, None, None, False


_REPLAY = MappingProxyType(
    {
        EXT4_FC_TAG_ADD_RANGE: ext4_fc_replay_add_range,
        EXT4_FC_TAG_DEL_RANGE: ext4_fc_replay_del_range,
        EXT4_FC_TAG_CREAT: ext4_fc_replay_create,
        EXT4_FC_TAG_LINK: ext4_fc_replay_link,
        EXT4_FC_TAG_UNLINK: ext4_fc_replay_unlink,
        EXT4_FC_TAG_INODE: ext4_fc_replay_inode,
    }
)
