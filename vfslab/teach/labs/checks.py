"""Playing a scene, and comparing what it showed with what the package shows.

    observe(lab, name, seed)     the scene on a fresh kernel with whatever code is in force: the learner's
    expected(lab, name, seed)    the same scene, same seed, on the package's own code
    first_difference(a, b)       where the two part

An observation is a list of rounds; a round is a list of [what was done, what came of it]. All of it is
JSON, so it can be stored in a notebook, compared as text, and computed in another process.

A scene runs on a kernel of its own, a Stage. What the learner's kernel holds, and what a wrong function has
left there, does not matter; two checks never disturb each other.
"""

from __future__ import annotations

import json
import random
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from vfslab.init.machine import Machine
from vfslab.init.main import start_kernel
from vfslab.kernel.refcheck import recount
from vfslab.kernel.sched import cpu
from vfslab.teach.labs.model import Check, Lab
from vfslab.teach.labs.world import make_dev, pinned
from vfslab.teach.livepatch import suspended

FEW = 4  # items of a list that a difference tells


class TooLong(BaseException):
    """The learner's function has not come to an end in time."""


class SceneOver(BaseException):
    """What happened makes it useless to go on with this round."""


class Stage(Machine):
    """The kernel of one round of a scene, and what was noted on it.

    watch   the number of the note whose action is to be filmed; film: its Timeline
    late    the time is over
    """

    def __init__(self, lab: Lab, check: Check, watch: int | None = None):
        super().__init__(start_kernel(devices=False))
        make_dev(self)
        self.lab, self.check, self.watch = lab, check, watch
        self.notes: list[list[Any]] = []
        self.film: Any = None
        self.late = False

    def note(self, words: str, action: Callable, *args: Any, tell: Callable[[Any], Any] = lambda value: value) -> Any:
        """Do something and note what came of it: tell(result), or an errno's name. Return what is noted.

        An error that is no errno is a fault of the learner's function: it is noted, and ends the round.
        """
        self.notes.append([words, None])
        try:
            with self.filmed(words):
                outcome = tell(action(*args))
        except OSError as error:
            import errno

            outcome = errno.errorcode.get(error.errno or 0, str(error))
        except NotImplementedError:
            raise
        except (Exception, SystemExit) as error:
            self.notes[-1][1] = f"{type(error).__name__}: {error}"
            raise SceneOver from error
        except TooLong:
            self.late = True
        if self.late:
            self.notes[-1][1] = "no end"
            raise TooLong
        self.notes[-1][1] = outcome
        return outcome

    @contextmanager
    def filmed(self, words: str) -> Iterator[None]:
        """Film what happens inside, if this is the note that is watched."""
        if self.watch != len(self.notes) - 1:
            yield
            return
        from vfslab.viz.timeline import Timeline

        functions = self.check.stations or self.lab.stations or None
        self.film = Timeline(self.kernel, view=self.lab.view, functions=functions, title=words)
        with self.film:
            yield

    def count(self, words: str, functions: str | tuple[str, ...], action: Callable, *args: Any) -> Any:
        """Do something and note how often some functions of the kernel ran meanwhile: {"lookup_slow": 2}."""
        from vfslab.kernel.trace import function_graph

        wanted = functions.split() if isinstance(functions, str) else list(functions)

        def counted() -> dict[str, int]:
            # while it is filmed nobody reads the number, and there is one tracer at a time
            filmed = self.watch == len(self.notes) - 1
            tracer = nullcontext() if filmed else function_graph(self.kernel, functions=wanted)
            with tracer as trace:
                try:
                    action(*args)
                except OSError:
                    pass
            return {} if filmed else {name: len(trace.find(name)) for name in wanted}

        return self.note(words, counted)

    def references(self) -> Any:
        """Note whether all reference counts are what the pointers say, now that nothing runs."""
        return self.note(
            "the references, counted again", lambda: [plain(line) for line in recount(self.kernel, pinned)]
        )

    def close(self) -> None:
        """End the kernel, whatever state it is in."""
        try:
            with suspended():
                self.shutdown()
        except Exception:
            pass  # a wrong function has left it in disorder; nobody needs it any more
        self.kernel.running = False
        cpu.machines.discard(self)


def plain(line: str) -> str:
    """Return a line of recount() without the numbers of objects and their holders, which depend on the way here."""
    return re.sub(r"#\d+", "", line.partition("; held by")[0])


# --- playing --------------------------------------------------------------------------------------------


def observe(lab: Lab, name: str, seed: int | str = 0) -> list[list[list[Any]]]:
    """Play the scene of a check with the code that is in force; return what it showed, a list of rounds.

    NotImplementedError if it needs a function that is still to be written.
    """
    check = lab.check(name)
    rounds: list[list[list[Any]]] = []
    for number in range(check.rounds):
        notes, _film = play(lab, check, seed, number)
        rounds.append(json.loads(json.dumps(notes)))
        if notes and notes[-1][1] == "no end":
            break  # one endless loop is enough
    return rounds


def expected(lab: Lab, name: str, seed: int | str = 0) -> list[list[list[Any]]]:
    """Return what the scene of a check shows on the package's own code."""
    with suspended():
        found = observe(lab, name, seed)
    broken = [note for notes in found for note in notes if note[0] == "going on after that"]
    if broken:
        raise ValueError(f"the scene of {name} fails on the package itself: {broken[0][1]}")
    return found


def play(lab: Lab, check: Check, seed: int | str, number: int, watch: int | None = None) -> tuple[list, Any]:
    """Play one round; return (notes, film of the note that was to be watched)."""
    stage = Stage(lab, check, watch)
    scene = lab.scene(check.name)
    try:
        with at_most(lab.seconds, stage):
            scene(stage, stage.process(), random.Random(f"{check.name} {seed} {number}"))
    except (SceneOver, TooLong):
        pass
    except NotImplementedError:
        raise
    except Exception as error:  # the world cannot be made any more: what ran before has left it in disorder
        stage.notes.append(["going on after that", f"{type(error).__name__}: {error}"])
    finally:
        stage.close()
    return stage.notes, stage.film


def canonical(observation: Any) -> str:
    """Return an observation as text that is the same on every machine."""
    return json.dumps(observation, sort_keys=True)


@contextmanager
def at_most(seconds: float, stage: Stage) -> Iterator[None]:
    """Raise TooLong inside if it takes longer, and again each second: a function may have swallowed it.

    Where there is no timer (a browser, another thread than the first) there is no limit.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: Any) -> None:
        stage.late = True
        raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# --- comparing -------------------------------------------------------------------------------------------


class Difference:
    """The first thing that was otherwise: in which round, at which note, what was done, what came and what should."""

    def __init__(self, number: int, note: int, words: str, seen: Any, wanted: Any):
        self.round, self.note, self.words, self.seen, self.wanted = number, note, words, seen, wanted

    def __str__(self) -> str:
        wanted, seen, same = self.wanted, self.seen, 0
        if isinstance(wanted, list) and isinstance(seen, list):
            pairs = enumerate(zip(wanted, seen, strict=False))
            same = next((place for place, (one, other) in pairs if one != other), min(len(wanted), len(seen)))
        return f"{self.words}: should be {told(rest(wanted, same))}, is {told(rest(seen, same))}"


def first_difference(seen: list, wanted: list) -> Difference | None:
    """Return where two observations part, or None if they are the same."""
    for number, (ours, theirs) in enumerate(zip(seen, wanted, strict=False)):
        for note, (mine, right) in enumerate(zip(ours, theirs, strict=False)):
            if mine != right:
                words = right[0] if mine[0] == right[0] else f"{mine[0]} (in its place: {right[0]})"
                return Difference(number, note, words, mine[1], right[1])
        if len(ours) != len(theirs):
            note = min(len(ours), len(theirs))
            words = theirs[note][0] if note < len(theirs) else ours[note][0]
            return Difference(number, note, words, "never reached", "reached")
    if len(seen) != len(wanted):
        return Difference(len(seen), 0, "the next round", "never reached", "reached")
    return None


def rest(value: Any, same: int) -> Any:
    """Return a long list from where it is otherwise, and only a few items of it; anything else as it is."""
    if not isinstance(value, list) or len(value) <= FEW:
        return value
    return ["..."] * (same > 0) + value[same : same + FEW] + ["..."] * (len(value) > same + FEW)


def told(value: Any) -> str:
    """Return a noted value for a person."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        if len(value) == 1:
            return told(next(iter(value.values())))  # what was counted stands in the words
        return ", ".join(f"{name} {told(each)}" for name, each in value.items())
    if isinstance(value, list):
        return "; ".join(map(told, value)) or "nothing"
    return str(value)
