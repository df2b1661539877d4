"""The rows of the table: what is done, and what vfslab must and would reach, as ratios to peers of the same run."""

import os
import random
import shutil
import tempfile
import time
import zlib
from dataclasses import dataclass

ENOUGH = 256 << 20  # bytes of memory for 20,000 files of a page each, and what leads to them
LONGEST = 1.0  # seconds that a row of single calls may take with a slow reader


@dataclass(frozen=True)
class Row:
    """One workload.

    run     function(reader, plan, round) -> (seconds, value); the value must be the kernel's
    state   "fresh": on a reader just opened; "kept": on one that stays open; "process": in a new process
    must    ((peer, factor), ...): vfslab takes at most factor times the peer's time
    """

    key: str
    title: str
    run: object
    must: tuple
    aim: tuple
    state: str = "fresh"
    only: tuple = ()  # readers that take part; all but the host if empty


def timed(function, *arguments):
    """Return (seconds, result)."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def each(function, items):
    """Call a function on each item, but stop when it takes too long; return seconds a call."""
    start, done = time.perf_counter(), 0
    for item in items:
        function(item)
        done += 1
        if done % 16 == 0 and time.perf_counter() - start > LONGEST:
            break
    return (time.perf_counter() - start) / done


def first(reader, plan, round_):
    """The first lstat; the clock has run since before the import (see __main__)."""
    return timed(reader.lstat, "/")[0], None


def walk(reader, plan, round_):
    """Every entry below /tree, lstat of each."""
    return timed(reader.walk, "/tree")


def small(reader, plan, round_):
    """Every file below /tree, whole."""

    def run():
        crc = 0
        for path in plan["files"]:
            crc = zlib.crc32(reader.read_file(path), crc)
        return crc

    return timed(run)


def stream(reader, plan, round_):
    """The long file from begin to end."""
    if hasattr(reader, "fd"):  # the host reads the bytes where they lie in the image
        return timed(reader.stream, plan["large_start"], plan["large"])[0], None
    return timed(reader.stream, "/large", plan["large"])


def stream_pieces(reader, plan, round_):
    """The file in pieces from begin to end."""
    return timed(reader.stream, "/pieces", plan["pieces"])


def spots(size, count):
    """Return offsets of 4 KiB blocks, the same each time."""
    chance = random.Random(2)
    return [chance.randrange(size // 4096) * 4096 for _ in range(count)]


def scattered(reader, plan, round_):
    """4 KiB reads all over the long file."""
    return timed(reader.at, "/large", spots(plan["large"], 20_000))


def scattered_pieces(reader, plan, round_):
    """4 KiB reads all over the file in pieces."""
    return timed(reader.at, "/pieces", spots(plan["pieces"], 2_000))


def hot(reader, plan, round_):
    """lstat of 16 paths, again and again."""
    paths = plan["files"][:: len(plan["files"]) // 16][:16]
    each(reader.lstat, paths)
    return each(reader.lstat, paths * 400), None


def warm(reader, plan, round_):
    """lstat of 1,000 paths that were asked before."""
    paths = random.Random(3).sample(plan["files"], min(1000, len(plan["files"])))
    each(reader.lstat, paths)
    return each(reader.lstat, paths), int(reader.lstat(paths[0])[0])


def cold(reader, plan, round_):
    """lstat of names that nobody asked for, in the big directory."""
    names = random.Random(f"cold {round_}").sample(range(plan["names"]), 300)
    return each(reader.lstat, [f"/names/entry-{number:06d}" for number in names]), None


def listing(reader, plan, round_):
    """All names of the big directory."""
    return timed(reader.listdir, "/names")


def memory(reader, plan, round_):
    """MiB that belong to this process alone after a walk."""
    reader.walk("/tree")
    with open("/proc/self/smaps_rollup") as file:
        private = [int(line.split()[1]) for line in file if line.startswith("Private")]
    return sum(private) / 1024, None


def in_memory(reader, plan, round_):
    """Create and write, stat, read and remove 20,000 files of 1000 bytes: tmpfs, and vfslab's ramfs."""
    count = min(20_000, len(plan["files"]))
    if reader.o is os:
        root = tempfile.mkdtemp(dir="/dev/shm")
        try:
            return timed(make_and_remove, os, root, count)
        finally:
            shutil.rmtree(root)
    import vfslab

    with vfslab.boot(memory=ENOUGH) as kernel:
        p = kernel.process()
        p.mkdir("/work")
        return timed(make_and_remove, p, "/work", count)


def make_and_remove(o, root, count):
    """Return the bytes read."""
    data, total = b"x" * 1000, 0
    paths = [f"{root}/file{number}" for number in range(count)]
    for path in paths:
        fd = o.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        o.write(fd, data)
        o.close(fd)
    for path in paths:
        o.stat(path)
    for path in paths:
        fd = o.open(path, os.O_RDONLY)
        total += len(o.read(fd, 2000))
        o.close(fd)
    for path in paths:
        o.unlink(path)
    return total


ROWS = [
    Row("first", "import, open, lstat /", first, (("dissect", 1.5),), (("dissect", 0.6),), "process"),
    # 2.8 times the kernel and ahead of cubinator's reader, which is no package: it took 2.58 times the kernel's time
    Row("walk", "walk + lstat, checksums verified by vfslab alone", walk, (("kernel", 2.58),), (("kernel", 1.5),)),
    Row("small", "small files whole, crc32", small, (("kernel", 2.0),), (("kernel", 1.0),)),
    Row("stream", "long file, 1 MiB reads, crc32", stream, (("host", 1.4),), (("host", 1.15),),
        only=("kernel", "host", "pytsk3", "libfsext", "dissect", "ext4", "vfslab")),
    Row("pieces", "file in pieces, 1 MiB reads", stream_pieces, (("dissect", 1.0),), (("dissect", 0.6),)),
    Row("random", "20,000 random 4 KiB reads, long file", scattered, (("kernel", 2.0),), (("kernel", 1.2),)),
    Row("random-pieces", "2,000 random 4 KiB reads, file in pieces", scattered_pieces, (("dissect", 1.0),), (("dissect", 0.5),)),
    Row("hot", "hot stat, 16 paths of six components, each", hot, (("kernel", 5.0),), (("kernel", 2.0),), "kept"),
    Row("warm", "warm stat, 1,000 paths of six components, each", warm, (("kernel", 5.0),), (("kernel", 2.2),), "kept"),
    Row("cold", "a cold name in the big directory, each", cold, (("ext4", 0.6),), (("ext4", 0.2),)),
    Row("list", "list the big directory", listing, (("libfsext", 0.8),), (("kernel", 2.0),)),
    Row("in-memory", "in memory: create, stat, read, unlink files of 1000 bytes", in_memory, (("kernel", 2.5),), (("kernel", 1.8),),
        only=("kernel", "vfslab")),
    Row("memory", "private memory after the walk, MiB", memory, (("MiB", 60),), (("MiB", 35),), "process"),
]  # fmt: skip
