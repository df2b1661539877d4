"""A process for each reader, rounds interleaved over the readers, so that a noisy moment strikes all."""

import gc
import json
import multiprocessing
import os
import subprocess
import sys
import time

from tests import images
from tests.bench.readers import READERS
from tests.bench.workloads import ROWS

SLOWEST = 180  # seconds that a reader may take for one row, all in all
IN_NEW_PROCESS = """
import json, sys, time
from tests.bench.readers import READERS
name, key, image, mount, memory, plan = json.loads(sys.argv[1])
start = time.perf_counter()
reader = READERS[name](image, mount, memory)
reader.lstat("/")
seconds = time.perf_counter() - start
if key == "memory":
    from tests.bench.workloads import memory as measure
    seconds, _ = measure(reader, plan, 0)
print(seconds)
"""


class Worker:
    """A process of its own for one reader, so that none disturbs another's memory and caches."""

    def __init__(self, name, arguments, plan):
        context = multiprocessing.get_context("spawn")
        self.pipe, far = context.Pipe()
        self.name, self.arguments, self.spent, self.dead = name, arguments, {}, ""
        self.process = context.Process(target=serve, args=(far, name, arguments, plan), daemon=True)
        self.process.start()

    def measure(self, row, round_):
        """Return (seconds, value), or (None, why not)."""
        if self.dead:
            return None, self.dead
        start = time.perf_counter()
        self.pipe.send((row.key, round_))
        if not self.pipe.poll(SLOWEST - self.spent.get(row.key, 0)):
            self.process.kill()
            self.dead = "hang"
            return None, "hang"
        answer = self.pipe.recv()
        self.spent[row.key] = self.spent.get(row.key, 0) + time.perf_counter() - start
        return answer


# Python looks for garbage after every 700 new objects, which takes a quarter of the time of a reader that keeps
# many. A program that reads a whole filesystem is more patient; here every reader is, as `vfslab check` is.
PATIENCE = (100_000, 50, 50)


def serve(pipe, name, arguments, plan):
    """Run rows as asked, in the reader's process."""
    gc.set_threshold(*PATIENCE)
    rows, kept = {row.key: row for row in ROWS}, None
    while True:
        try:
            key, round_ = pipe.recv()
        except EOFError:
            return
        row = rows[key]
        gc.collect()  # what the last round left is not part of this one
        try:
            if row.state == "kept":
                kept = kept or READERS[name](*arguments)
                pipe.send(row.run(kept, plan, round_))
            else:
                pipe.send(row.run(READERS[name](*arguments), plan, round_))
        except Exception as error:  # a peer may raise anything: that is its result
            pipe.send((None, f"{type(error).__name__}: {error}"[:200]))


def compiled_once():
    """Return an environment in which byte code is kept, for all readers: a package that is installed has been compiled."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return environment | {"PYTHONPYCACHEPREFIX": os.fspath(images.cache_dir() / "bytecode")}


def in_new_process(name, row, arguments, plan):
    """Measure a row that wants a process just started."""
    words = json.dumps([name, row.key, *arguments, {"files": plan["files"][:16]}])
    environment = compiled_once()
    done = subprocess.run(
        [sys.executable, "-c", IN_NEW_PROCESS, words], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1][:200]
    return float(done.stdout), None


def takes_part(name, row):
    """Is this reader measured in this row?"""
    return name in row.only if row.only else name != "host"


def measure(rows, names, arguments, plan, rounds):
    """Return {(row key, reader): ([seconds], value, error)}, rounds interleaved over the readers."""
    workers = {name: Worker(name, arguments, plan) for name in names}
    found = {}
    for row in rows:
        for round_ in range(rounds):
            for name in names:
                seconds, value, error = found.setdefault((row.key, name), ([], None, None))
                if not takes_part(name, row) or error:
                    continue
                new = row.state == "process"
                if new and not round_:
                    in_new_process(name, row, arguments, plan)  # leaves its byte code
                took, said = in_new_process(name, row, arguments, plan) if new else workers[name].measure(row, round_)
                if took is None:
                    found[row.key, name] = (seconds, value, said)
                else:
                    found[row.key, name] = ([*seconds, took], said, None)
        print(f"  {row.key}", file=sys.stderr, flush=True)
    for worker in workers.values():
        worker.pipe.close()
        worker.process.join(5)
    return found
