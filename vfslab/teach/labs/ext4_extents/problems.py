"""Problems for paper and pencil: the bytes of a node, and what lies where. There is one for every seed.

one = problem(7)             shows 60 bytes of an i_block and three questions
one.answer("hole", 700, "unwritten")
one.solution()
"""

from __future__ import annotations

from random import Random

from vfslab.fs.ext4.format import ext4_extent_idx
from vfslab.teach.labs.ext4_extents.disk import ROOT_ROOM, packed_extent, packed_node

QUESTIONS = 3


class Problem:
    """A root of an extent tree, three file blocks, and what is to be said of each of them."""

    def __init__(self, seed: int | str):
        rng = Random(f"problem {seed}")
        self.seed = seed
        self.inner = rng.random() < 0.3
        if self.inner:
            self.starts = [0, *sorted(rng.sample(range(1, 900), rng.randint(1, 3)))]
            self.nodes = [rng.randrange(1000, 60000) for _ in self.starts]
            pairs = zip(self.starts, self.nodes, strict=True)
            entries = [bytes(ext4_extent_idx.pack(ei_block=start, ei_leaf=node)) for start, node in pairs]
            places = [rng.choice(self.starts), rng.choice(self.starts[1:]) - 1, rng.randrange(1000)]
        else:
            self.runs, at = [], rng.choice([0, 0, 4])
            for _ in range(rng.randint(2, 4)):
                length = rng.choice([1, 5, 300])
                self.runs.append((at, length, rng.randrange(1000, 60000), rng.random() < 0.7))
                at += length + rng.choice([0, 0, 16])
            entries = [packed_extent(run) for run in self.runs]
            run = rng.choice(self.runs)
            places = [run[0] + rng.randrange(run[1]), rng.choice(self.runs)[0] - 1, rng.choice(self.runs)[0]]
            places.append(at + rng.randrange(50))
        self.i_block = packed_node(int(self.inner), entries, ROOT_ROOM, 60)
        self.places = rng.sample(sorted({place for place in places if place >= 0}), QUESTIONS - 1)
        self.places.append(rng.randrange(at + 9 if not self.inner else 1000))

    def __repr__(self) -> str:
        rows = (f"  {at:2}: {self.i_block[at : at + 12].hex(' ')}" for at in range(0, 60, 12))
        ask = (
            "In which disk block is the next node on the way to"
            if self.inner
            else ('Which disk block (or "hole", or "unwritten") holds')
        )
        where = ", ".join(map(str, self.places))
        return "\n".join([f"Problem {self.seed}: the i_block of a file", *rows, f"{ask} file blocks {where}?"])

    def right(self, lblk: int) -> int | str:
        """Return what is to be said of one file block."""
        if self.inner:
            return max(pair for pair in zip(self.starts, self.nodes, strict=True) if pair[0] <= lblk)[1]
        for start, length, block, written in self.runs:
            if start <= lblk < start + length:
                return block + lblk - start if written else "unwritten"
        return "hole"

    def answer(self, *answers: int | str) -> None:
        """Say of each answer whether it is right."""
        for lblk, answer in zip(self.places, answers, strict=False):
            print(f"file block {lblk}: {'right' if answer == self.right(lblk) else 'not yet'}")
        if len(answers) < QUESTIONS:
            print(f"{QUESTIONS - len(answers)} to go: one answer for each of the {QUESTIONS} file blocks")

    def solution(self) -> None:
        """Show the members of the node, and the answers."""
        from vfslab.teach.labs.ext4_extents.programs import fields

        fields(self.i_block)
        for lblk in self.places:
            print(f"file block {lblk}: {self.right(lblk)}")


def problem(seed: int | str) -> Problem:
    """Return the problem of a seed."""
    return Problem(seed)
