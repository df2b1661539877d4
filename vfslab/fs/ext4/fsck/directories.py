"""Every block of every directory: its checksum, its entries, and that they tell the truth about inodes."""

from __future__ import annotations

from collections.abc import Iterator

from vfslab.fs.buffer import brelse, sb_bread, sb_breadahead
from vfslab.fs.ext4.dir import (
    AT_MASK,
    D_TYPE_MASK,
    DT_OF,
    ENTRY_AT,
    ENTRY_INO,
    inline_areas,
    parse_entries,
    verify_dirblock,
)
from vfslab.fs.ext4.format import (
    COMPAT_DIR_INDEX,
    EXT4_ENCRYPT_FL,
    EXT4_INDEX_FL,
    INCOMPAT_FILETYPE,
)
from vfslab.fs.ext4.fsck.htree import Htree, check_htree, read_htree
from vfslab.fs.ext4.fsck.state import Directory, Fsck
from vfslab.fs.ext4.inode import ext4_valid_inum
from vfslab.include.fs import S_ENCRYPTED, Inode
from vfslab.include.uapi.stat import DT_DIR, DT_UNKNOWN
from vfslab.kernel.errno import KernelError

READ_AHEAD = 32
DIRECTORY = 0x4  # the type in i_mode's upper four bits


def check_directories(fsck: Fsck) -> None:
    """Read all directories, count the names, and note who is whose parent."""
    for directory in fsck.directories:
        inode = fsck.inode(directory.ino, directory.generation, directory.flags, directory.size, b"")
        inode.i_flags = S_ENCRYPTED if directory.flags & EXT4_ENCRYPT_FL else 0
        if directory.inline is not None:
            check_inline(fsck, inode, directory)
        else:
            check_blocks(fsck, inode, directory)
        fsck.progress(0)


def check_inline(fsck: Fsck, inode: Inode, directory: Directory) -> None:
    """Check a directory that lies in its inode."""
    i_block, more = directory.inline or (b"", None)
    content = i_block + (more or b"")
    fsck.dotdot[inode.i_ino] = int.from_bytes(content[:4], "little")
    names: set[bytes] = set()
    for _, piece in inline_areas(content):
        entries, damage = parse_entries(inode, piece)
        if damage:
            damaged(fsck, inode, f"inline data: {damage}")
        check_entries(fsck, inode, entries, names)


def check_blocks(fsck: Fsck, inode: Inode, directory: Directory) -> None:
    """Check a directory of blocks, and its hash tree if it has one."""
    indexed = bool(directory.flags & EXT4_INDEX_FL and fsck.sbi.s_compat & COMPAT_DIR_INDEX)
    tree = read_htree(fsck, inode, directory) if indexed else None
    names: set[bytes] = set()
    for lblk, pblk, data in blocks_of(fsck, directory):
        if fsck.sbi.s_metadata_csum:
            try:
                verify_dirblock(inode, data, lblk, pblk)
            except KernelError as error:
                fsck.failed(inode.i_ino, error)
        entries, damage = parse_entries(inode, data)
        if damage:
            damaged(fsck, inode, f"directory block {lblk} (block {pblk}): {damage}")
        if lblk == 0:
            check_dots(fsck, inode, entries, pblk)
        if tree is not None:
            check_htree(fsck, inode, tree, lblk, entries)
        check_entries(fsck, inode, entries, names)
    if tree is not None:
        finish_htree(fsck, inode, tree)


def finish_htree(fsck: Fsck, inode: Inode, tree: Htree) -> None:
    """Report blocks that the tree does not lead to: no look-up finds their names."""
    for lblk in sorted(tree.unseen):
        fsck.report(f"inode {inode.i_ino}: the hash tree does not lead to block {lblk} of the directory")


def blocks_of(fsck: Fsck, directory: Directory) -> Iterator[tuple[int, int, bytes]]:
    """Yield (file block, disk block, bytes) of a directory's blocks; holes and unreadable ones are reported."""
    expected = 0
    for lblk, count, pblk in directory.runs:
        if lblk != expected:
            fsck.report(f"inode {directory.ino}: directory hole found for block {expected}")
            fsck.unread = True
        expected = lblk + count
        for step in range(count):
            try:
                if step % READ_AHEAD == 0 and count > 1:
                    sb_breadahead(fsck.sb, pblk + step, min(READ_AHEAD, count - step))
                bh = sb_bread(fsck.sb, pblk + step)
            except KernelError as error:
                fsck.failed(directory.ino, error)
                fsck.unread = True
                continue
            data = bytes(bh.b_data)
            brelse(bh)
            yield lblk + step, pblk + step, data


def damaged(fsck: Fsck, inode: Inode, text: str) -> None:
    """Report damage that may hide names."""
    fsck.report(f"inode {inode.i_ino}: bad entry in directory: {text}")
    fsck.unread = True


def check_dots(fsck: Fsck, inode: Inode, entries: dict, pblk: int) -> None:
    """The first block begins with `.`, which is the directory itself, and `..`, which is remembered."""
    first = list(entries.items())[:2]
    if [name for name, _ in first] != [b".", b".."]:
        fsck.report(f"inode {inode.i_ino}: block {pblk}: the directory does not begin with . and ..")
        fsck.unread = True
        return
    dot, dotdot = (entry >> ENTRY_INO for _, entry in first)
    if dot != inode.i_ino:
        fsck.report(f"inode {inode.i_ino}: block {pblk}: . is inode {dot}, not the directory itself")
    fsck.dotdot[inode.i_ino] = dotdot


def check_entries(fsck: Fsck, inode: Inode, entries: dict, names: set[bytes]) -> None:
    """Count each name for its inode; the inode must be in use and of the type that the entry says."""
    ino, typed = inode.i_ino, fsck.sbi.s_incompat & INCOMPAT_FILETYPE
    for name, entry in entries.items():
        target, d_type, at = entry >> ENTRY_INO, entry & D_TYPE_MASK, entry >> ENTRY_AT & AT_MASK
        if name in (b".", b".."):
            if typed and d_type != DT_DIR:
                fsck.report(f"inode {ino}: {name.decode()} is no directory, says its entry")
            if name in names or at > 12:
                fsck.report(f"inode {ino}: {name.decode()} is there twice")
            names.add(name)
            continue
        if name in names:
            fsck.report(f"inode {ino}: the name {name!r} is there twice")
        names.add(name)
        known = fsck.inodes.get(target)
        if not ext4_valid_inum(fsck.sbi, target):
            fsck.report(f"inode {ino}: the name {name!r} leads to inode {target}, which may have no name")
        elif known is None:
            if not fsck.unread and not fsck.fast_commits:
                fsck.report(f"inode {ino}: the name {name!r} leads to inode {target}, which is not in use")
        else:
            fsck.names[target] = fsck.names.get(target, 0) + 1
            kind = known & 15
            if typed and d_type != (kind if kind in DT_OF else DT_UNKNOWN):
                fsck.report(f"inode {ino}: the entry {name!r} says another type than inode {target}")
            if kind == DIRECTORY:
                note_parent(fsck, ino, target)


def note_parent(fsck: Fsck, ino: int, target: int) -> None:
    """Note that directory target was found in directory ino."""
    fsck.subdirs[ino] = fsck.subdirs.get(ino, 0) + 1
    if target in fsck.parent or target == ino:
        fsck.report(f"inode {target}: a directory with a second name, in inode {ino}")
    else:
        fsck.parent[target] = ino
