"""Read damaged images by the thousand, and demand the contract of `vfslab check` of each.

    python -m tests.fuzz --count 10000            as `make fuzz` runs it
    python -m tests.fuzz --base ext2 --one 4711   one mutant again, told and shown; --save FILE keeps it

A mutant must end as ok, damage or refused. All else is a defect:

    traceback    an exception came out of the checker        hang      more than the time it has
    memory       more than the memory it has                 message   the lines are not as promised
    silent       checksummed metadata changed, exit 0, and yet the manifest is another
"""

import argparse
import collections
import concurrent.futures
import gc
import json
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback

from tests import images
from tests.images.bases import bases
from tests.mutate import UNCOVERED, Base

SECONDS = 20
MEMORY = 512 << 20
GOOD = ("ok", "damage", "refused")


class TooLong(BaseException):
    """The time is over. Not an Exception, so that no handler in between takes it for the image's fault."""


def check(data, manifest):
    """Check an image in memory with vfslab: the one place that knows how it is called."""
    from vfslab.tools.check import check_image

    return check_image(data, manifest=manifest)


def load(name):
    """Return (Base, its Victim, the healthy image's manifest)."""
    victim = bases()[name]
    base = Base(images.build(victim.spec).read_bytes(), victim.kinds)
    verdict, lines, entries = judge(base.data)
    if verdict != "ok":
        raise SystemExit(f"the healthy image of {name} is not ok: {verdict}: {lines[:5]}")
    return base, victim, entries


def judge(data, seconds=SECONDS):
    """Return (verdict, lines, manifest) of one image, under the time limit."""
    entries = []
    before = signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        result = check(data, entries.append)
        code, lines = result.exit_code, list(result.lines)
    except TooLong:
        return "hang", [f"not done in {seconds} s"], entries
    except MemoryError:
        return "memory", [f"more than {MEMORY >> 20} MiB"], entries
    except Exception:
        return "traceback", traceback.format_exc().splitlines()[-14:], entries
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return classify(code, lines), lines, entries


def out_of_time(signum, frame):
    """Stop the checker where it stands."""
    raise TooLong


def classify(code, lines):
    """Return the verdict that an exit status and the lines deserve."""
    whole = all(
        isinstance(line, str) and line.strip() and "\n" not in line and "Traceback" not in line for line in lines
    )
    if not whole or len(lines) > 100_000:
        return "message"
    if code == 0:
        return "ok"
    if code == 1:
        return "damage" if lines else "message"
    if code == 2:
        return "refused" if len(lines) == 1 and lines[0].startswith("vfslab: ") else "message"
    return "message"


def canonical(entries):
    """Return a manifest in a form that can be compared."""
    return sorted(json.dumps(entry, sort_keys=True, default=repr) for entry in entries)


def try_mutant(base, victim, healthy, seed, seconds=SECONDS):
    """Return (verdict, lines, what was done) of one mutant."""
    data, told, region = base.mutant(seed, victim.redo)
    verdict, lines, entries = judge(bytes(data), seconds)
    covered = base.csum and victim.redo is False and region.kind not in UNCOVERED
    if verdict == "ok" and covered and canonical(entries) != healthy:
        verdict = "silent"
        lines = sorted(set(canonical(entries)) ^ set(healthy))[:6]
    return verdict, lines, told


def limit_memory(extra=MEMORY):
    """Let this process have that much more memory than it has now; return the limit to put back."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + extra, before[1]))
    return before


def some(name, first, count, seconds=SECONDS):
    """Try count mutants of a base; return (verdicts counted, [(seed, verdict, lines, told)] of the defects, slowest)."""
    base, victim, entries = load(name)
    healthy = canonical(entries)
    verdicts, defects, slowest = collections.Counter(), [], (0.0, None)
    before = limit_memory()
    try:
        for seed in range(first, first + count):
            if seed % 20 == 0:
                gc.collect()  # an error's traceback holds its kernel, whose page frames count against the limit
            start = time.perf_counter()
            verdict, lines, told = try_mutant(base, victim, healthy, seed, seconds)
            slowest = max(slowest, (time.perf_counter() - start, seed))
            verdicts[verdict] += 1
            if verdict not in GOOD:
                defects.append((seed, verdict, lines, told))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    return verdicts, defects, slowest


def one(name, seed, save):
    """Tell all about one mutant."""
    base, victim, entries = load(name)
    data, told, _ = base.mutant(seed, victim.redo)
    print(f"{name} {seed}: {told}")
    if save:
        with open(save, "wb") as file:
            file.write(data)
        return 0
    verdict, lines, _ = try_mutant(base, victim, canonical(entries), seed)
    print(verdict, *lines, sep="\n  ")
    return verdict not in GOOD


def main(arguments=None):
    """Run the command; return its exit status: 1 if there was a defect."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Read damaged images.")
    parser.add_argument("--count", type=int, default=1000, help="mutants of each base (1000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant (0)")
    parser.add_argument("--base", action="append", choices=sorted(bases()), help="only this base")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at once")
    parser.add_argument("--one", type=int, help="this mutant alone")
    parser.add_argument("--save", help="with --one: write the image to this file and do not read it")
    given = parser.parse_args(arguments)
    names = given.base or list(bases())
    if given.one is not None:
        return max(one(name, given.one, given.save) for name in names)
    for name in names:
        load(name)
    step = max(1, min(250, given.count // (2 * given.jobs)))
    ends = given.first + given.count
    jobs = [(name, at, min(step, ends - at)) for name in names for at in range(given.first, ends, step)]
    return report(names, run(jobs, given.jobs), given.count)


def run(jobs, processes):
    """Yield (base name, result of some()) for each job, telling the progress."""
    start = time.perf_counter()
    done = 0
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, mp_context=context) as pool:
        waiting = {pool.submit(some, *job): job for job in jobs}
        for future in concurrent.futures.as_completed(waiting):
            name, _, count = waiting[future]
            done += count
            if sys.stderr.isatty():
                print(f"\r{done} mutants, {time.perf_counter() - start:.0f} s", end="", file=sys.stderr)
            yield name, future.result()
    print(f"\r{done} mutants in {time.perf_counter() - start:.0f} s", file=sys.stderr)


def report(names, results, count):
    """Print the table and each defect; return 1 if there was one."""
    totals = {name: [collections.Counter(), [], (0.0, None)] for name in names}
    for name, (verdicts, defects, slowest) in results:
        totals[name][0] += verdicts
        totals[name][1] += defects
        totals[name][2] = max(totals[name][2], slowest)
    print(f"{'base':12} {'mutants':>8} {'ok':>7} {'damage':>7} {'refused':>8} {'defects':>8}   slowest")
    for name, (verdicts, defects, slowest) in totals.items():
        kinds = " ".join(f"{kind} {number}" for kind, number in sorted(verdicts.items()) if kind not in GOOD)
        row = f"{name:12} {sum(verdicts.values()):8} " + "".join(
            f"{verdicts[kind]:{width}} " for kind, width in zip(GOOD, (7, 7, 8), strict=True)
        )
        print(f"{row}{len(defects):8}   {slowest[0]:.2f} s (mutant {slowest[1]}) {kinds}")
    for name, (_, defects, _) in totals.items():
        for seed, verdict, lines, told in sorted(defects)[:20]:
            print(f"\n{name} {seed}: {verdict}: {told}")
            print(*(f"    {line}" for line in lines), sep="\n")
    return int(any(defects for _, defects, _ in totals.values()))


if __name__ == "__main__":
    sys.exit(main())
