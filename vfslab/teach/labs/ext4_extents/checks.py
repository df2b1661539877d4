"""The scenes of the shown checks. What is right is what they show on the package's own code.

Each scene makes a disk with files of one kind, out of rng, and notes what programs and the kernel make of them.
"""

from __future__ import annotations

from random import Random
from typing import Any

from vfslab.teach.labs.checks import Stage
from vfslab.teach.labs.ext4_extents.acts import ask, cat, keeps, mounted, pieces, pread
from vfslab.teach.labs.ext4_extents.disk import BLOCK, Disk, told_runs

# --- step 1: entries become runs ---------------------------------------------------------------------------


def one_piece(k: Stage, p: Any, rng: Random) -> None:
    """Files with a single extent, of one block and of many; one ends in the middle of its last block."""
    disk = Disk(rng)
    files = []
    for name, longest in zip("abc", (1, 6, 40), strict=True):
        runs = disk.runs(1, longest=longest)
        files.append((disk.file(name, runs, tail=rng.choice([0, 1, 500])), told_runs(runs)))
    mounted(k, p, disk)
    for path, told in files:
        cat(k, p, path, told)
        pieces(k, p, path, told)


def four_entries(k: Stage, p: Any, rng: Random) -> None:
    """Inodes with one to four extents: what the kernel keeps of them."""
    disk = Disk(rng)
    files = []
    for name, count in zip("abcd", (1, 2, 3, 4), strict=True):
        runs = disk.runs(count, gap=rng.choice([0, 7]), longest=9)
        files.append((disk.file(name, runs), told_runs(runs)))
    mounted(k, p, disk)
    for path, told in files:
        keeps(k, p, path, told)


def no_mark(k: Stage, p: Any, rng: Random) -> None:
    """Inodes that claim to have a tree, but whose i_block does not begin with 0xF30A."""
    disk = Disk(rng)
    for name in "abcd":
        disk.file(name, disk.runs(1))
    disk.change_root("a", rng.randrange(2), bytes([rng.randrange(1, 0xF0)]))
    disk.change_root("b", 0, b"\0\0")
    disk.change_root("c", 0, b"\xf3\x0a")  # the other way round
    mounted(k, p, disk)
    for name in "abcd":
        k.note(f"stat /mnt/{name}", p.stat, f"/mnt/{name}", tell=lambda found: found.st_size)


# --- step 2: pieces and holes ------------------------------------------------------------------------------


def in_pieces(k: Stage, p: Any, rng: Random) -> None:
    """Files in two, three and four pieces, one behind the other."""
    disk = Disk(rng)
    files = []
    for name, count in zip("abc", (2, 3, 4), strict=True):
        runs = disk.runs(count)
        files.append((disk.file(name, runs), told_runs(runs)))
    mounted(k, p, disk)
    for path, told in files:
        cat(k, p, path, told)


def hole_between(k: Stage, p: Any, rng: Random) -> None:
    """Files with holes between their extents."""
    disk = Disk(rng)
    at, runs = 0, []
    for _ in range(rng.choice([2, 3, 4])):
        length = rng.randint(1, 4)
        runs.append((at, length, disk.take(length), True))
        at += length + rng.randint(1, 6)
    path, told = disk.file("a", runs), told_runs(runs)
    mounted(k, p, disk)
    cat(k, p, path, told)
    for before, after in zip(runs, runs[1:], strict=False):
        ask(k, p, path, before[0] + before[1], told)
        ask(k, p, path, after[0] - 1, told)


def hole_at_the_end(k: Stage, p: Any, rng: Random) -> None:
    """Files that go on behind their last extent; one has no extent at all."""
    disk = Disk(rng)
    runs = disk.runs(rng.randint(1, 4))
    end = runs[-1][0] + runs[-1][1]
    first = disk.file("a", runs, blocks=end + rng.randint(1, 9)), told_runs(runs)
    second = disk.file("b", [], blocks=rng.randint(1, 9)), told_runs([])
    mounted(k, p, disk)
    for path, told in (first, second):
        cat(k, p, path, told)
    for lblk in (end - 1, end, end + 1, 1 << 20):
        ask(k, p, first[0], lblk, first[1])
    ask(k, p, second[0], rng.randrange(1 << 30), second[1])


# --- step 3: reserved is not written -----------------------------------------------------------------------


def reserved(k: Stage, p: Any, rng: Random) -> None:
    """Files part of which is only reserved: between written parts, at the end, and all of it."""
    disk = Disk(rng)
    files = []
    for name, states in zip("abc", ((True, False, True), (True, False), (False,)), strict=True):
        runs = [(*run[:3], state) for run, state in zip(disk.runs(len(states)), states, strict=True)]
        files.append((disk.file(name, runs), told_runs(runs)))
    mounted(k, p, disk)
    for path, told in files:
        cat(k, p, path, told)
        pieces(k, p, path, told)


# --- step 4: a tree ----------------------------------------------------------------------------------------


def two_levels(k: Stage, p: Any, rng: Random) -> None:
    """Trees of depth 1: the root leads to leaves."""
    disk = Disk(rng)
    files = []
    for name, count in (("a", rng.randint(5, 8)), ("b", rng.randint(20, 40))):
        runs = disk.runs(count, longest=3)
        room = -(-count // rng.randint(2, 4))
        files.append((disk.file(name, runs, depth=1, room=room), f"depth 1, {count} extents"))
    mounted(k, p, disk)
    for path, told in files:
        cat(k, p, path, told)
        pieces(k, p, path, told)


def which_index(k: Stage, p: Any, rng: Random) -> None:
    """The first and the last file block of each leaf of a tree, in any order."""
    disk = Disk(rng)
    runs = disk.runs(8, longest=4)
    path = disk.file("a", runs, depth=1, room=2)
    ends = [runs[at][0] + runs[at][1] for at in (1, 3, 5, 7)]
    starts = [runs[at][0] for at in (0, 2, 4, 6)]
    mounted(k, p, disk)
    told = f"depth 1, leaves from file blocks {', '.join(map(str, starts))} on"
    for lblk in rng.sample(starts + [end - 1 for end in ends], 8):
        ask(k, p, path, lblk, told)


def between_leaves(k: Stage, p: Any, rng: Random) -> None:
    """Trees with holes at the ends of their leaves, and in front of the first one."""
    disk = Disk(rng)
    at, runs = rng.choice([0, 3]), []
    for _ in range(8):
        length = rng.randint(1, 3)
        runs.append((at, length, disk.take(length), True))
        at += length + rng.randint(1, 5)
    path = disk.file("a", runs, depth=1, room=2, blocks=at + rng.randint(1, 5))
    mounted(k, p, disk)
    told = f"depth 1, two extents in a leaf: {told_runs(runs)}"
    cat(k, p, path, told)
    for run in rng.sample(runs, 4):
        ask(k, p, path, run[0] + run[1], told)
    ask(k, p, path, 0, told)
    ask(k, p, path, at + 1, told)


# --- step 5: what was read is remembered -------------------------------------------------------------------


def asked_once(k: Stage, p: Any, rng: Random) -> None:
    """A file is read from its first leaf, from another one, and from both again: how many nodes are read meanwhile."""
    disk = Disk(rng)
    runs = disk.runs(24, longest=4)
    path = disk.file("a", runs, depth=2, room=3)
    mounted(k, p, disk)
    told = "depth 2, 24 extents, 3 in a leaf"
    leaves = [runs[at : at + 3] for at in range(0, 24, 3)]
    one, other = rng.sample(leaves, 2)
    places = [rng.choice(leaf)[0] for leaf in (one, one, other, one, other)]
    for lblk in places:
        counted(k, p, path, lblk, told)
    pread(k, p, path, places[0], 1, told)


def counted(k: Stage, p: Any, path: str, lblk: int, told: str) -> None:
    """Note how many nodes of the tree are read to find one file block."""
    from vfslab.teach.labs.ext4_extents.acts import mapped

    k.count(f"nodes read for file block {lblk} of {path} ({told})", "read_extent_tree_block", mapped, p, path, lblk)


# --- step 6: believe nothing -------------------------------------------------------------------------------


def flipped_bits(k: Stage, p: Any, rng: Random) -> None:
    """Nodes in which one byte is another, and a node that belongs to another file: checksums tell."""
    disk = Disk(rng)
    for name in "abcd":
        disk.file(name, disk.runs(12, longest=3), depth=1, room=4)
    block = disk.nodes["a"][0][0]
    at = 12 + 12 * rng.randrange(4) + 8  # the disk block of an extent
    disk.change(block, at, bytes([disk.image[block * BLOCK + at] ^ 1 << rng.randrange(3)]))
    block = disk.nodes["b"][1][0]
    disk.change(block, 12 + 12 * rng.randrange(5, 80), bytes([rng.randrange(1, 256)]))  # where no entry is in use
    theirs = disk.nodes["d"][0][0]
    disk.seal(theirs, "c")
    mounted(k, p, disk)
    for name, told in zip(
        "abcd", ("an entry", "behind the entries", "nothing", "another file's checksum"), strict=True
    ):
        cat(k, p, f"/mnt/{name}", f"changed: {told}")


def wrong_headers(k: Stage, p: Any, rng: Random) -> None:
    """Roots whose header cannot be right, beside roots that only look odd."""
    disk = Disk(rng)
    cases = {
        "room for no entry": (4, b"\0\0"),
        "room for 5 entries": (4, b"\5\0"),
        "4 entries, room for 3": (2, b"\4\0\3\0"),
        "depth 1, no entry": (2, b"\0\0\4\0\1\0"),
        "2 entries, room for 2": (2, b"\2\0\2\0"),
        "no entry": (2, b"\0\0"),
    }
    names = rng.sample("abcdefghijklmnop", len(cases))
    for name, (at, data) in zip(names, cases.values(), strict=True):
        disk.file(name, disk.runs(4, gap=2))
        disk.change_root(name, at, data)
    told = dict(zip(names, cases, strict=True))
    six, five = sorted(set("abcdefghijklmnop") - told.keys())[:2]
    told |= {six: "a whole tree of depth 6", five: "a whole tree of depth 5"}
    disk.file(six, disk.runs(2), depth=6, room=1)
    disk.file(five, disk.runs(2), depth=5, room=1)
    mounted(k, p, disk)
    for name in rng.sample(sorted(told), len(told)):
        k.note(f"stat /mnt/{name} ({told[name]})", p.stat, f"/mnt/{name}", tell=lambda found: found.st_size)
