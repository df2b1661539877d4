"""Measure, and print the table."""

import argparse
import importlib.util
import os
import statistics
import sys
from contextlib import ExitStack

from tests import oracle
from tests.bench import image as bench_image
from tests.bench.readers import READERS
from tests.bench.run import measure
from tests.bench.workloads import ROWS
from tests.images import e2fs

MODULES = {"pytsk3": "pytsk3", "libfsext": "pyfsext", "dissect": "dissect.extfs", "ext4": "ext4", "vfslab": "vfslab"}


def shown(seconds, row):
    """Return a time as a person reads it."""
    if row.key == "memory":
        return f"{seconds:.0f}"
    for unit, factor in (("s", 1), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def verdict(row, limits, medians):
    """Return how vfslab stands to its limits: the ratio, and whether it is met."""
    parts, met = [], True
    for peer, factor in limits:
        ours = medians.get("vfslab")
        base = 1 if peer == "MiB" else medians.get(peer)
        if ours is None or base is None:
            return f"? of {factor:g} " + (peer if peer == "MiB" else f"x {peer}")
        met = met and ours / base <= factor
        parts.append(f"{ours / base:.2f} of {factor:g} x {peer}" if peer != "MiB" else f"{ours:.0f} of {factor} MiB")
    return ("yes " if met else "NO  ") + ", ".join(parts)


def table(rows, names, found):
    """Print the results; return whether every must was met."""
    good = True
    lines = [["workload", *names, "vfslab/kernel", "must", "aim"]]
    errors = []
    for row in rows:
        medians = {name: statistics.median(found[row.key, name][0]) for name in names if found[row.key, name][0]}
        truth = found.get((row.key, "kernel"), (None, None, None))[1]
        cells = []
        for name in names:
            seconds, value, error = found[row.key, name]
            wrong = seconds and truth is not None and value is not None and value != truth
            cells.append(
                "error" if error else "" if not seconds else shown(medians[name], row) + (" wrong" if wrong else "")
            )
            if error:
                errors.append(f"{row.key}, {name}: {error}")
                medians.pop(name, None)
            if wrong and name == "vfslab":
                good = False
        ratio = f"{medians['vfslab'] / medians['kernel']:.2f}" if {"vfslab", "kernel"} <= set(medians) else ""
        must = verdict(row, row.must, medians)
        good = good and not must.startswith("NO")
        lines.append([row.title, *cells, ratio, must, verdict(row, row.aim, medians)])
    lines.append(["the same on an ext4 image", *[""] * len(names), "", "later: writing", ""])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print(" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print(*(f"error in {error}" for error in errors), sep="\n")
    return good


def crc32c_kind():
    """Return where vfslab's CRC-32C comes from here."""
    return "the crc32c wheel" if importlib.util.find_spec("crc32c") else "pure Python"


def main(arguments=None):
    """Run the command; return 1 if a must was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure what reading costs.")
    parser.add_argument("--only", action="append", choices=[row.key for row in ROWS], help="only this row")
    parser.add_argument("--readers", help="only these, with commas: " + ", ".join(READERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a small image: for a look, not for a verdict")
    parser.add_argument("--memory", type=int, default=None, help="MiB that vfslab boots with (its default)")
    given = parser.parse_args(arguments)
    if e2fs.cannot_mount():
        print(f"the kernel is the measure: {e2fs.cannot_mount()}", file=sys.stderr)
        return 2
    wanted = given.readers.split(",") if given.readers else list(READERS)
    missing = [
        name for name in wanted if name in MODULES and importlib.util.find_spec(MODULES[name].split(".")[0]) is None
    ]
    names = [name for name in READERS if name in wanted and name not in missing]
    if missing:
        print(f"not installed, left out: {', '.join(missing)}", file=sys.stderr)
    rows = [row for row in ROWS if not given.only or row.key in given.only]
    size = "quick" if given.quick else "full"
    path, plan = bench_image.make(size)
    memory = given.memory << 20 if given.memory else None
    with ExitStack() as stack:
        mount = stack.enter_context(oracle.kernel_mount(path))
        found = measure(rows, names, (os.fspath(path), mount, memory), plan, given.rounds)
    print(
        f"{size} image: {len(plan['files'])} small files, {plan['large'] >> 20} MiB in one file, {plan['pieces'] >> 20} MiB in "
        f"{plan['extents']} extents, {plan['names']} names; {given.rounds} rounds, medians; CRC-32C by {crc32c_kind()}"
    )
    return 0 if table(rows, names, found) else 1


if __name__ == "__main__":
    sys.exit(main())
