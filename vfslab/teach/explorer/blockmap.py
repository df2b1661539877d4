"""The block map: one letter for a block, or for a run of blocks when there are too many.

    block_cells(explored, 0, 4095)   Cells with one letter a block: from bitmaps, places and known owners
    ... of millions of blocks        each cell stands for 2, 4, 8 ... blocks, and has the letter of most of them in use

Up to MOST_BITMAPS bitmaps are read; beyond that the counts in the descriptors say how full a group is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vfslab.fs.ext4.format import EXT4_RESIZE_INO
from vfslab.teach.explorer.page import Cells
from vfslab.teach.explorer.places import KINDS, LETTERS, NAMES
from vfslab.tools.image import ImageError

MOST_CELLS, COLUMNS = 4096, 64
MOST_BITMAPS = 256
MOST_DESCRIPTORS = 1 << 17
BY_BLOCK = 1 << 16  # up to so many blocks a letter is kept for each block first
ORDER = [letter for letter, _ in KINDS.values()]


def cell_size(blocks: int, most: int) -> int:
    """Return how many blocks a cell stands for: the smallest power of two that needs at most `most` cells."""
    size = 1
    while -(-blocks // size) > most:
        size *= 2
    return size


def block_cells(
    view: Any, first: int, last: int, heading: str, most: int = MOST_CELLS, columns: int = COLUMNS
) -> Cells:
    """Return the map of blocks first to last."""
    last = max(first, min(last, view.disk.end - 1))
    size = cell_size(last - first + 1, most)
    if last - first < BY_BLOCK:
        letters, fill = by_block(view, first, last, size)
        note = ""
    else:
        letters, fill, note = by_count(view, first, last, size)
    used = {letter: NAMES[letter] for letter in ORDER if letter in letters}
    return Cells(heading, "block", first, last, size, columns, letters, fill, used, note)


def by_block(view: Any, first: int, last: int, size: int) -> tuple[str, str]:
    """Return (letters, eighths in use) of cells of `size` blocks, from a letter for each block."""
    row = bytearray(b"?" * (last - first + 1))

    def paint(start: int, count: int, letter: str) -> None:
        low, high = max(start, first), min(start + count, last + 1)
        if low < high:
            row[low - first : high - first] = letter.encode() * (high - low)

    paint_bitmaps(view.disk, first, last, row)
    for run in view.places.journal():
        paint(run.disk, run.count, LETTERS["journal"])
    for claim in view.owners.known(first, last):
        paint(claim.first, claim.count, LETTERS[claim.letter_kind])
    for place in reversed(view.places.within(first, last)):
        paint(place.first, place.count, LETTERS[place.kind])
    if size == 1:
        return row.decode(), "".join("0" if letter in b".?" else "8" for letter in row)
    letters, fill = [], []
    for start in range(0, len(row), size):
        piece = row[start : start + size]
        counts = {letter: piece.count(letter.encode()) for letter in ORDER}
        letter, eighths = judged(counts, len(piece))
        letters.append(letter)
        fill.append(eighths)
    return "".join(letters), "".join(fill)


def judged(counts: dict[str, int], total: int) -> tuple[str, str]:
    """Return (the letter of most blocks in use, eighths in use) from a count for each letter."""
    used = {letter: count for letter, count in counts.items() if count and letter not in ".?"}
    if not used:
        return ("?" if counts.get("?", 0) > counts.get(".", 0) else "."), "0"
    letter = max(used, key=lambda name: used[name])
    return letter, str(max(1, min(8, sum(used.values()) * 8 // total)))


def paint_bitmaps(disk: Any, first: int, last: int, row: bytearray) -> None:
    """Write "." and "u" for what the block bitmaps say of blocks first to last."""
    group = disk.group_of(first) or 0
    while group < disk.groups and disk.first_block(group) <= last:
        start, end = disk.group_range(group)
        low, high = max(start, first), min(end, last)
        if low <= high:
            row[low - first : high - first + 1] = bits_text(disk, group, low - start, high - start + 1)
        group += 1


def bits_text(disk: Any, group: int, start: int, end: int) -> bytes:
    """Return "." or "u" for each block from start to end of a group; "?" where the bitmap cannot be read."""
    try:
        desc = disk.desc(group)
        if disk.never_written(desc)[0]:
            return b"." * (end - start)
        bits = disk.block(desc.block_bitmap)
    except ImageError:
        return b"?" * (end - start)
    low, high = start // disk.per_cluster, -(-end // disk.per_cluster)
    text = "".join(f"{byte:08b}"[::-1] for byte in bits[low // 8 : -(-high // 8)])[low % 8 :][: high - low]
    text = text.ljust(high - low, "?").replace("0", ".").replace("1", "u")
    if disk.per_cluster > 1:
        text = "".join(letter * disk.per_cluster for letter in text)[start % disk.per_cluster :]
    return text[: end - start].encode()


def by_count(view: Any, first: int, last: int, size: int) -> tuple[str, str, str]:
    """Return (letters, eighths, note) for many blocks: counts of blocks in use, and of those that are known."""
    disk, cells = view.disk, -(-(last - first + 1) // size)
    used, note = [0.0] * cells, ""
    start = disk.group_of(first) or 0
    end = disk.group_of(last)
    groups = range(start, (disk.groups - 1 if end is None else end) + 1)
    by_bitmap = len(groups) <= MOST_BITMAPS
    if not by_bitmap:
        note = f"{len(groups)} groups: how full they are is told by their descriptors, not by their bitmaps"
    for group, weight in sample(groups):
        spread(disk, group, first, last, size, used, by_bitmap, weight)
    known: list[dict[str, int]] = [{} for _ in range(cells)]
    found = [(run.disk, run.count, "J") for run in view.places.journal()]
    found += [
        (claim.first, claim.count, LETTERS[claim.letter_kind])
        for claim in view.owners.known(first, last)
        if claim.ino != EXT4_RESIZE_INO and claim.kind != "journal"  # both are in other words among the rest
    ]
    found += [(place.first, place.count, LETTERS[place.kind]) for place in view.places.within(first, last)]
    for place, count, letter in found:
        low, high = max(place, first) - first, min(place + count, last + 1) - first
        for cell in range(low // size, -(-high // size)) if low < high else ():
            part = min(high, (cell + 1) * size) - max(low, cell * size)
            known[cell][letter] = known[cell].get(letter, 0) + part
    letters, fill = [], []
    for cell in range(cells):
        total = min(size, last + 1 - first - cell * size)
        counts = dict(known[cell])
        rest = int(used[cell]) - sum(counts.values())
        counts["u"] = max(0, rest)
        letter, eighths = judged(counts, total)
        letters.append(letter)
        fill.append(eighths)
    return "".join(letters), "".join(fill), note


def sample(groups: range) -> Iterator[tuple[int, int]]:
    """Yield (group, how many it stands for): all groups, or of very many a part, neighbours together."""
    weight = -(-len(groups) // MOST_DESCRIPTORS) or 1
    for base in groups[:: 64 * weight]:
        yield from ((group, weight) for group in range(base, min(base + 64, groups.stop)))


def spread(
    disk: Any, group: int, first: int, last: int, size: int, used: list[float], by_bitmap: bool, weight: int
) -> None:
    """Add how many blocks of a group are in use to the cells it lies in."""
    start, end = disk.group_range(group)
    low, high = max(start, first), min(end, last)
    if low > high:
        return
    cells = range((low - first) // size, (high - first) // size + 1)
    if by_bitmap:
        text = bits_text(disk, group, low - start, high - start + 1)
        for cell in cells:
            inside = max(low, first + cell * size) - low
            used[cell] += text.count(b"u", inside, max(0, first + (cell + 1) * size - low))
        return
    try:
        free = min(disk.desc(group).free_blocks * disk.per_cluster, end - start + 1)
    except ImageError:
        return
    taken = end - start + 1 - free
    for cell in cells:
        part = min(high, first + (cell + 1) * size - 1) - max(low, first + cell * size) + 1
        used[cell] += weight * taken * part / (end - start + 1)


# --- bitmaps ------------------------------------------------------------------------------------------


def bits_of(data: bytes) -> str:
    """Return the bits of a bitmap as zeros and ones, the lowest bit of a byte first."""
    return "".join(f"{byte:08b}"[::-1] for byte in data)


def bit_cells(bits: str, unit: str, first: int, count: int, heading: str, per_bit: int = 1) -> Cells:
    """Return zeros and ones as a map of count things; rows at the end in which nothing is in use are left out."""
    bits = bits[: -(-count // per_bit)]
    size = cell_size(len(bits), MOST_CELLS)
    held = (bits.rfind("1") // (size * COLUMNS) + 2) * size * COLUMNS  # one free row behind the last in use
    rest = max(0, len(bits) - held) * per_bit
    pieces = [bits[start : start + size] for start in range(0, min(len(bits), held), size)]
    letters = "".join("u" if "1" in piece else "." for piece in pieces)
    fill = "".join(str(-(-piece.count("1") * 8 // len(piece))) for piece in pieces)
    note = f"The {rest} {unit}s behind them are free" if rest else ""
    names = {".": "free", "u": "in use"}
    return Cells(heading, unit, first, first + count - rest - 1, size * per_bit, COLUMNS, letters, fill, names, note)
