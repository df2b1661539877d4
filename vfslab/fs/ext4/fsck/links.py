"""Names against link counts, parents against `..`, and whatever no name leads to."""

from __future__ import annotations

from collections.abc import Iterator

from vfslab.fs.buffer import brelse, sb_bread
from vfslab.fs.ext4.ext4 import ext4_inode_csum_seed
from vfslab.fs.ext4.format import (
    COMPAT_ORPHAN_FILE,
    EXT4_LINK_MAX,
    EXT4_ORPHAN_BLOCK_MAGIC,
    EXT4_ROOT_INO,
    RO_COMPAT_DIR_NLINK,
    ext4_orphan_block_tail,
)
from vfslab.fs.ext4.fsck.directories import DIRECTORY
from vfslab.fs.ext4.fsck.state import Fsck
from vfslab.fs.ext4.fsck.xattrs import check_sharing
from vfslab.kernel.errno import KernelError
from vfslab.lib.crc32c import crc32c


def check_links(fsck: Fsck) -> None:
    """Check what only the whole can tell, once all inodes and directories were read."""
    orphans = find_orphans(fsck)
    if fsck.fast_commits:
        return
    if orphans:
        fsck.notices.append(
            f"{len(orphans)} orphans: deleted or shortened while open; the next writable mount frees them"
        )
    for ino, words in fsck.unlinked.items():
        if ino not in orphans and ino not in fsck.ea_inodes:
            fsck.report(f"inode {ino}: {words}")
    check_sharing(fsck)
    if fsck.unread:
        return  # names may be missing: every count would be wrong
    for ino, packed in fsck.inodes.items():
        if packed & 15 == DIRECTORY:
            check_directory_links(fsck, ino, packed >> 4)
        elif ino not in orphans and ino not in fsck.ea_inodes and ino not in nameless(fsck):
            names = fsck.names.get(ino, 0)
            if not names and packed >> 4:
                fsck.report(f"inode {ino}: in use, but no name leads to it")
            elif names != packed >> 4:
                fsck.report(f"inode {ino}: {names} names, but its link count is {packed >> 4}")
    check_reachable(fsck, orphans)


def nameless(fsck: Fsck) -> tuple[int, ...]:
    """Return the inodes that the superblock names, and nobody else."""
    es = fsck.sbi.s_es
    orphan_file = es.s_orphan_file_inum if fsck.sbi.s_compat & COMPAT_ORPHAN_FILE else 0
    return es.s_journal_inum, es.s_usr_quota_inum, es.s_grp_quota_inum, es.s_prj_quota_inum, orphan_file


def check_directory_links(fsck: Fsck, ino: int, links: int) -> None:
    """A directory has its name, its `.` and the `..` of each directory in it; 1 may stand for very many."""
    expected = 2 + fsck.subdirs.get(ino, 0)
    many = fsck.sbi.s_ro_compat & RO_COMPAT_DIR_NLINK
    if links != expected and links and not (links == 1 and many) and not (many and expected > EXT4_LINK_MAX):
        fsck.report(f"inode {ino}: a directory with {expected - 2} directories in it, but its link count is {links}")
    if ino == EXT4_ROOT_INO:
        if ino in fsck.parent:
            fsck.report(f"inode {ino}: the root has a name in inode {fsck.parent[ino]}")
        if fsck.dotdot.get(ino, ino) != ino:
            fsck.report(f"inode {ino}: .. of the root is inode {fsck.dotdot[ino]}")
    elif ino in fsck.parent and fsck.dotdot.get(ino, fsck.parent[ino]) != fsck.parent[ino]:
        fsck.report(f"inode {ino}: .. is inode {fsck.dotdot[ino]}, but the directory lies in inode {fsck.parent[ino]}")


def check_reachable(fsck: Fsck, orphans: set[int]) -> None:
    """From every directory, the way up must end at the root."""
    good = {EXT4_ROOT_INO}
    if EXT4_ROOT_INO not in fsck.inodes:
        fsck.report("inode 2: the root directory is not in use")
    for ino, packed in fsck.inodes.items():
        if packed & 15 != DIRECTORY:
            continue
        way, at = {ino: None}, ino
        while at not in good and at in fsck.parent and fsck.parent[at] not in way:
            at = fsck.parent[at]
            way[at] = None
        if at in good or any(step in good for step in way):
            good.update(way)
        elif ino not in orphans:
            fsck.report(f"inode {ino}: a directory that no way from the root leads to")


# --- orphans --------------------------------------------------------------------------------------


def find_orphans(fsck: Fsck) -> set[int]:
    """Return the inodes of the orphan list (each names the next in its time of deletion) and of the orphan file."""
    orphans: set[int] = set()
    ino = fsck.sbi.s_es.s_last_orphan
    while ino:
        if ino in orphans or ino not in fsck.inodes:
            fsck.report(f"superblock: the list of orphans (s_last_orphan) leads to inode {ino}, which cannot be one")
            break
        orphans.add(ino)
        ino = fsck.next_orphan.get(ino, 0)
    for pblk, data in orphan_blocks(fsck):
        check_orphan_block(fsck, pblk, data)
        numbers = memoryview(data[: len(data) - ext4_orphan_block_tail.size]).cast("I")
        orphans.update(number for number in numbers if number)
    return orphans


def orphan_blocks(fsck: Fsck) -> Iterator[tuple[int, bytes]]:
    """Yield (disk block, bytes) of the orphan file."""
    if not fsck.sbi.s_compat & COMPAT_ORPHAN_FILE:
        return
    for _, count, pblk in fsck.orphan_runs:
        for step in range(count):
            try:
                bh = sb_bread(fsck.sb, pblk + step)
            except KernelError as error:
                fsck.failed(fsck.sbi.s_es.s_orphan_file_inum, error)
                continue
            data = bytes(bh.b_data)
            brelse(bh)
            yield pblk + step, data


def check_orphan_block(fsck: Fsck, pblk: int, data: bytes) -> None:
    """Check the tail of one block of the orphan file."""
    ino = fsck.sbi.s_es.s_orphan_file_inum
    tail = ext4_orphan_block_tail(data, len(data) - ext4_orphan_block_tail.size)
    if tail.ob_magic != EXT4_ORPHAN_BLOCK_MAGIC:
        fsck.report(f"inode {ino}: block {pblk}: no block of the orphan file (magic {tail.ob_magic:#x})")
    elif fsck.sbi.s_metadata_csum:
        inode = fsck.inode(ino, fsck.orphan_generation, 0, 0, b"")
        crc = crc32c(ext4_inode_csum_seed(inode), pblk.to_bytes(8, "little"))
        if crc32c(crc, data[: tail.offset]) != tail.ob_checksum:
            fsck.report(f"inode {ino}: block {pblk}: wrong checksum in the orphan file")
