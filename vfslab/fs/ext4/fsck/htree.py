"""The hash tree of a directory: every inner block, and that each name lies in the block where a look-up seeks it."""

from __future__ import annotations

from vfslab.fs.buffer import brelse, sb_bread
from vfslab.fs.ext4.format import EXT4_CASEFOLD_FL, EXT4_ENCRYPT_FL
from vfslab.fs.ext4.fsck.state import Directory, Fsck, text_of
from vfslab.fs.ext4.hash import dx_hash_version, ext4fs_dirhash
from vfslab.fs.ext4.namei import DxBlock, parse_dx_block
from vfslab.include.fs import Inode
from vfslab.kernel.errno import KernelError
from vfslab.lib.kstruct import KObject, fresh, kstruct
from vfslab.lib.ondisk import FormatError

HIGHEST = 0xFFFFFFFF


@kstruct
class Htree(KObject):
    """What is known of the tree of one directory.

    inner   blocks of the tree itself
    leaves  {block: (lowest hash, highest hash) that it may hold}
    unseen  blocks of the directory that the tree has not led to
    version hash of the names, None if it cannot be computed from what is on the disk
    """

    inner: set = fresh(set)
    leaves: dict = fresh(dict)
    unseen: set = fresh(set)
    version: int | None = None


def read_htree(fsck: Fsck, inode: Inode, directory: Directory) -> Htree | None:
    """Return the tree of a directory, walked from its root; None, and a line, if it cannot be followed."""
    where = {lblk + step: pblk + step for lblk, count, pblk in directory.runs for step in range(count)}
    tree = Htree(unseen=set(where))
    stack = [(0, 0, HIGHEST, -1)]  # (block, lowest hash, highest hash, levels below; -1: the root will say)
    try:
        while stack:
            lblk, low, high, levels = stack.pop()
            if lblk not in tree.unseen:
                raise FormatError(
                    lblk, "block", f"{lblk} " + ("is met twice" if lblk in where else "is not in the directory")
                )
            tree.unseen.discard(lblk)
            if levels == 0:
                tree.leaves[lblk] = low, high
                continue
            node = dx_block(fsck, inode, lblk, where[lblk])
            tree.inner.add(lblk)
            if levels < 0:
                levels = node.indirect_levels + 1
                if not directory.flags & (EXT4_CASEFOLD_FL | EXT4_ENCRYPT_FL):
                    tree.version = dx_hash_version(node.hash_version, fsck.sbi.s_es.s_flags)
            stack += below(node, lblk, low, high, levels)
    except (FormatError, KernelError) as error:
        fsck.report(f"inode {inode.i_ino}: bad hash tree: {text_of(error)}")
        return None
    return tree


def dx_block(fsck: Fsck, inode: Inode, lblk: int, pblk: int) -> DxBlock:
    """Return one inner block; FormatError if it cannot be one."""
    bh = sb_bread(fsck.sb, pblk)
    data = bytes(bh.b_data)
    brelse(bh)
    return parse_dx_block(inode, data, lblk)


def below(node: DxBlock, lblk: int, low: int, high: int, levels: int) -> list[tuple[int, int, int, int]]:
    """Return (block, lowest hash, highest hash, levels below) of what a node leads to; FormatError for a wrong order.

    A lowest bit of 1 says that names of this hash begin in the block before, so that this may end with it too.
    """
    starts = [low, *node.hashes[1:]]
    found = []
    for place, block in enumerate(node.blocks):
        last = place + 1 == len(starts)
        following = high if last else starts[place + 1]
        if following < starts[place] or following > high:
            raise FormatError(lblk, "hash", f"{following:#x} is out of order in block {lblk}")
        end = following if last or following & 1 else following - 1
        found.append((block, starts[place] & ~1, end, levels - 1))
    return found


def check_htree(fsck: Fsck, inode: Inode, tree: Htree, lblk: int, entries: dict) -> None:
    """Check that the names of one block belong there."""
    if lblk in tree.inner:
        if set(entries) - {b".", b".."}:
            fsck.report(f"inode {inode.i_ino}: names stand in block {lblk} of the directory, a block of its hash tree")
        return
    if lblk not in tree.leaves or tree.version is None:
        return
    low, high = tree.leaves[lblk]
    seed = fsck.sbi.s_hash_seed
    for name in entries:
        hash, _ = ext4fs_dirhash(name, tree.version, seed)
        if not low <= hash <= high:
            fsck.report(f"inode {inode.i_ino}: the name {name!r} is in block {lblk}, where its hash does not lead")
