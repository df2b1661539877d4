"""The scenes of the hidden checks: students know their names and hints, not these."""

from __future__ import annotations

from random import Random
from typing import Any

from vfslab.teach.labs.checks import Stage
from vfslab.teach.labs.ext4_extents.acts import ask, cat, keeps, mounted, pieces, pread, pretend_bigger
from vfslab.teach.labs.ext4_extents.checks import counted
from vfslab.teach.labs.ext4_extents.disk import BLOCK, Disk, Run, told_runs

# --- steps 1 to 3: what lies in the inode --------------------------------------------------------------


def big_numbers(k: Stage, p: Any, rng: Random) -> None:
    """Extents that lie behind the first 2**32 blocks of a disk."""
    disk = Disk(rng)
    files = []
    for name in "abc":
        high, low = rng.randint(1, 0x7F), rng.choice([rng.randrange(1 << 31), rng.randrange(1 << 31, 1 << 32) - 99])
        runs = [(0, rng.randint(1, 9), high << 32 | low, True)]
        files.append((disk.file(name, runs), told_runs(runs)))
    mounted(k, p, disk)
    pretend_bigger(p)
    for path, told in files:
        keeps(k, p, path, told)


def every_boundary(k: Stage, p: Any, rng: Random) -> None:
    """The first and the last block of every extent and of every hole, in any order; a hole at the very beginning."""
    disk = Disk(rng)
    at, runs = rng.randint(1, 5), []
    for _ in range(4):
        length = rng.randint(1, 5)
        runs.append((at, length, disk.take(length), True))
        at += length + rng.choice([0, 1, 4])
    path, told = disk.file("a", runs, blocks=at + 2), told_runs(runs)
    places = {0, at + 1}
    for start, length, _, _ in runs:
        places |= {start - 1, start, start + length - 1, start + length}
    mounted(k, p, disk)
    for lblk in rng.sample(sorted(places), len(places)):
        ask(k, p, path, lblk, told)
        pread(k, p, path, lblk, 1, told)


def longest(k: Stage, p: Any, rng: Random) -> None:
    """Extents of 32767 and 32768 written blocks, and of 1 and up to 32767 unwritten ones."""
    disk = Disk(rng)
    lengths = rng.sample([(32767, True), (32768, True), (1, False), (rng.randint(2, 32766), False), (32767, False)], 4)
    at, runs = 0, []
    for length, written in lengths:
        runs.append((at, length, rng.randrange(1 << 24, 1 << 31), written))
        at += length
    path, told = disk.file("a", runs), told_runs(runs)
    mounted(k, p, disk)
    pretend_bigger(p)
    keeps(k, p, path, told)
    for start, length, _, _ in runs:
        ask(k, p, path, start, told)
        ask(k, p, path, start + length - 1, told)


# --- steps 4 and 5: trees -------------------------------------------------------------------------------


def deep_trees(k: Stage, p: Any, rng: Random) -> None:
    """Trees of two to five levels below the root, with holes."""
    disk = Disk(rng)
    files = []
    for name, depth in zip("abcd", (2, 3, 4, 5), strict=True):
        count = min(4, rng.randint(2, 4)) * 2**depth
        runs = disk.runs(count, gap=rng.choice([0, 3]), longest=2)
        told = f"depth {depth}, {count} extents"
        files.append((disk.file(name, runs, depth, room=2, blocks=runs[-1][0] + 9), told, runs))
    mounted(k, p, disk)
    for path, told, runs in files:
        cat(k, p, path, told)
        pieces(k, p, path, told)
        for run in rng.sample(runs, 3):
            ask(k, p, path, run[0] + run[1] - 1, told)


def the_last_leaf(k: Stage, p: Any, rng: Random) -> None:
    """A tree whose last index has only one extent below it, and blocks far behind that."""
    disk = Disk(rng)
    runs = disk.runs(7, longest=3, gap=2)
    far = rng.randrange(1 << 20, 1 << 30)
    runs.append((far, 2, disk.take(2), True))
    runs.append((0xFFFFFFFD, 1, disk.take(), True))
    path = disk.file("a", runs, depth=1, room=4, blocks=0xFFFFFFFF)
    mounted(k, p, disk)
    told = f"depth 1, four extents in a leaf, the last three at {runs[6][0]}, {far} and {0xFFFFFFFD}"
    for lblk in (0xFFFFFFFD, 0xFFFFFFFE, far + 1, far - 1, far + 2, runs[6][0], 0):
        ask(k, p, path, lblk, told)
    pread(k, p, path, far, 2, told)
    pread(k, p, path, 0xFFFFFFFD, 2, told)


def holes_remembered(k: Stage, p: Any, rng: Random) -> None:
    """Holes in a tree are asked for again and again: the nodes are not read again, and the answer stays the same."""
    disk = Disk(rng)
    runs = [(0, 2, disk.take(2), True), *disk.runs(11, longest=3, start=2)]
    runs = [(start * 2, length, block, written) for start, length, block, written in runs]  # a hole behind each
    path = disk.file("a", runs, depth=1, room=3, blocks=runs[-1][0] + 20)
    mounted(k, p, disk)
    told = f"depth 1, three extents in a leaf: {told_runs(runs)}"
    holes = [run[0] + run[1] for run in rng.sample(runs, 3)]
    for lblk in [*holes, *holes]:
        counted(k, p, path, lblk, told)
        ask(k, p, path, lblk, told)
    for start, length, _, _ in rng.sample(runs, 6):
        for lblk in (start + length - 1, start + length, start + 2 * length - 1):
            ask(k, p, path, lblk, told)


# --- step 6: damage ---------------------------------------------------------------------------------------


def wrong_nodes(k: Stage, p: Any, rng: Random) -> None:
    """Nodes whose header does not fit into the tree, with the right checksum."""
    disk = Disk(rng)
    cases = {
        "the leaf says depth 1": (0, 6, b"\1\0"),
        "the inner node says depth 0": (1, 6, b"\0\0"),
        "the inner node says depth 2": (1, 6, b"\2\0"),
        "the leaf has no mark": (0, 0, b"\0\0"),
        "the leaf has room for 85 entries": (0, 4, b"\x55\0"),
        "the leaf has more entries than room": (0, 2, b"\5\0\4\0"),
        "the inner node has no entry": (1, 2, b"\0\0"),
        "the leaf has room for just its entries": (0, 4, b"\2\0"),
    }
    names = rng.sample("abcdefghijklmnop", len(cases))
    for name, (depth, at, data) in zip(names, cases.values(), strict=True):
        disk.file(name, disk.runs(8, longest=2), depth=2, room=2)
        block = next(block for block, each in disk.nodes[name] if each == depth)
        disk.change(block, at, data)
        disk.seal(block, name)
    mounted(k, p, disk)
    for name, told in zip(names, cases, strict=True):
        cat(k, p, f"/mnt/{name}", told)


def out_of_order(k: Stage, p: Any, rng: Random) -> None:
    """Entries that overlap, that come in the wrong order, or that leave what the parent has given them."""
    disk = Disk(rng)
    room = {name: disk.take(4) for name in "abcdef"}
    files = {
        "extents that overlap": [(0, 3, room["a"], True), (2, 2, room["b"], True)],
        "extents in the wrong order": [(6, 2, room["c"], True), (0, 2, room["d"], True)],
        "an extent of no blocks": [(0, 2, room["e"], True), (2, 0, room["f"], True)],
        "extents that touch": [(0, 3, room["a"], True), (3, 2, room["b"], False)],
    }
    names = rng.sample("abcdefghijklmnop", len(files) + 6)
    told = dict(zip(names, files, strict=False))
    for name, runs in zip(names, files.values(), strict=False):
        disk.file(name, runs, blocks=8)
    for name, (what, spoil) in zip(names[len(files) :], SPOILED, strict=True):
        told[name] = what
        spoil(disk, name, disk.file(name, tree(disk), depth=2, room=2))
    mounted(k, p, disk)
    for name in names:
        cat(k, p, f"/mnt/{name}", told[name])


def tree(disk: Disk) -> list[Run]:
    """Return eight runs with a hole behind each: runs of two blocks at 0, 4, 8 ..."""
    return [(4 * place, 2, disk.take(5), True) for place in range(8)]


def spoil_leaf(disk: Disk, name: str, which: int, at: int, value: int, size: int = 4) -> None:
    """Change a number in one leaf of a file, and make its checksum right."""
    leaves = sorted((block for block, depth in disk.nodes[name] if depth == 0), key=lambda block: first_of(disk, block))
    disk.change(leaves[which], at, value.to_bytes(size, "little"))
    disk.seal(leaves[which], name)


def spoil_inner(disk: Disk, name: str, at: int, value: int | None) -> None:
    """Change a number in the second inner node of a file (None: repeat its first entry), and make its checksum right."""
    inner = sorted((block for block, depth in disk.nodes[name] if depth == 1), key=lambda block: first_of(disk, block))
    entry = disk.image[inner[1] * BLOCK + 12 : inner[1] * BLOCK + 24]
    disk.change(inner[1], at, entry if value is None else value.to_bytes(4, "little"))
    disk.seal(inner[1], name)


def first_of(disk: Disk, block: int) -> int:
    """Return the first file block that a node's first entry names."""
    return int.from_bytes(disk.image[block * BLOCK + 12 : block * BLOCK + 16], "little")


# The leaves begin at file blocks 0, 8, 16 and 24, the two inner nodes at 0 and 16. ee_block lies in bytes 12 and 24 of a
# leaf, ee_len in bytes 16 and 28; ei_block in bytes 12 and 24 of an inner node.
SPOILED = (
    ("a leaf reaches into the next one", lambda disk, name, _: spoil_leaf(disk, name, 0, 28, 5, 2)),
    ("a leaf ends where the next one begins", lambda disk, name, _: spoil_leaf(disk, name, 0, 28, 4, 2)),
    ("a leaf starts behind its index", lambda disk, name, _: spoil_leaf(disk, name, 1, 12, 9)),
    ("the indexes of a node are in the wrong order", lambda disk, name, _: spoil_inner(disk, name, 24, 15)),
    ("the indexes of a node are the same", lambda disk, name, _: spoil_inner(disk, name, 24, None)),
    ("a node starts behind its index", lambda disk, name, _: spoil_inner(disk, name, 12, 17)),
)


def whose_blocks(k: Stage, p: Any, rng: Random) -> None:
    """Extents and indexes that lead to the filesystem's own blocks, or out of it."""
    disk = Disk(rng)
    last = len(disk.image) // BLOCK - 1
    cases = {
        "the inode table": (rng.randint(35, 41), 2, True),
        "the superblock": (1, 1, True),
        "block 0": (0, 1, True),
        "the block bitmap, reserved": (3, 1, False),
        "just in front of the inode bitmap": (18, 1, True),
        "into the inode bitmap": (18, 2, True),
        "the last block": (last, 1, True),
        "over the end": (last - 1, 3, True),
        "beyond 32 bits": (rng.randint(1, 9) << 32 | 100, 1, True),
    }
    names = rng.sample("abcdefghijklmnop", len(cases) + 2)
    told = dict(zip(names, (f"an extent: {what}" for what in cases), strict=False))
    for name, (block, length, written) in zip(names, cases.values(), strict=False):
        disk.file(name, [(0, 1, disk.take(), True), (2, length, block, written)])
    for name, block in zip(names[len(cases) :], (rng.randint(35, 42), last + 1), strict=True):
        told[name] = "an index: " + ("out of the disk" if block > last else "the inode table")
        disk.file(name, disk.runs(8), depth=1, room=2)
        disk.change_root(name, 12 + 12 * rng.randrange(4) + 4, block.to_bytes(4, "little"))
    mounted(k, p, disk)
    for name in names:
        cat(k, p, f"/mnt/{name}", told[name])


def nothing_lost(k: Stage, p: Any, rng: Random) -> None:
    """Sound files of every shape, read with the functions of the last step: believing less must not lose anything."""
    disk = Disk(rng)
    files = []
    for name in "abcdef":
        depth = rng.randint(0, 3)
        count = rng.randint(1, 4) * 2**depth
        runs = disk.runs(count, gap=3, longest=4, start=rng.choice([0, 0, 2]), unwritten=0.25)
        blocks = runs[-1][0] + runs[-1][1] + rng.randint(0, 4)
        told = told_runs(runs) if not depth else f"depth {depth}, {count} extents"
        files.append((disk.file(name, runs, depth, room=2, blocks=blocks), told))
    mounted(k, p, disk)
    for path, told in files:
        cat(k, p, path, told)
        pieces(k, p, path, told)
