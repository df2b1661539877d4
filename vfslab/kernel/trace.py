"""The function_graph tracer: which function called which, with arguments, results and errors.

    with function_graph(kernel) as trace:
        p.read(fd, 4096)
    print(trace)                       the call tree, as in tracefs
    trace.find("submit_bio")           calls by name
    trace.frames[3]                    objects at the fourth moment, if roots were given

Kernel code holds no trace calls. While a trace is on, the interpreter reports each
function that begins and ends (sys.monitoring since 3.12, sys.settrace in 3.11); while it
is off, nothing is hooked and nothing is paid. An error leaves a function as an error, and
is told apart from `return None`. Named tracepoints, for what is no function boundary, are
reported by `tracepoint()` (tracepoint.py) and cost one test of an empty list.

Linux: kernel/trace/trace_functions_graph.c, include/trace/events/.   Chapter 1.
Left out: filters by pid, the ring buffer per CPU, histogram triggers.

Always true
  T1  every call that began has ended, by a result or an error, when the trace is closed
  T2  only functions that run for this kernel are seen; another kernel's are not
  T3  the hooks are gone when the with block is left, whatever happened in it
"""

from __future__ import annotations

import dis
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType
from typing import Any

from vfslab.include.kernel import Kernel
from vfslab.kernel.errno import KernelError, name_of
from vfslab.kernel.sched import cpu
from vfslab.kernel.snapshot import Camera, Frame, View
from vfslab.kernel.tracepoint import Point, describe
from vfslab.lib.kstruct import KObject

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
LAYERS = ("fs/", "mm/", "block/", "drivers/", "host/")
QUIET = ("fs/file.py",)
TOOL = 3  # sys.monitoring: the first identifier that is not reserved for a debugger or profiler


class Call:
    """One call of a kernel function.

    args     {name: text}: how the arguments looked when the call began
    objects  {name: object}: those that are live structures
    result   text of what came back; error: the errno's name if it raised; both None while it runs
    value    what came back, if it is a live structure
    given    live structures that calls from within this one have returned to it, the last few
    began, ended   moments, in ns since the trace was opened
    """

    __slots__ = ("args", "began", "children", "depth", "ended", "error", "function", "given", "line", "objects")
    __slots__ += ("parent", "result", "value", "where")

    def __init__(self, where: str, code: CodeType, parent: Call | None):
        self.function, self.where, self.line = code.co_name, where, code.co_firstlineno
        self.parent, self.depth = parent, 0 if parent is None else parent.depth + 1
        self.children: list[Call] = []
        self.args: dict[str, str] = {}
        self.objects: dict[str, KObject] = {}
        self.result: str | None = None
        self.error: str | None = None
        self.value: KObject | None = None
        self.given: deque[KObject] = deque(maxlen=8)
        self.began = self.ended = 0

    @property
    def layer(self) -> str:
        """The folder the function lies in: "fs", "fs/ext4", "mm", "block", "drivers", ..."""
        return os.path.dirname(self.where)

    def walk(self) -> Iterator[Call]:
        """Yield this call and all below it, in the order they began."""
        yield self
        for child in self.children:
            yield from child.walk()

    def __repr__(self) -> str:
        return f"<{self.function} {self.where}>"


class Trace:
    """What was seen: roots are the outermost calls, points the tracepoints, frames the snapshots.

    moments: the call and "call" or "return" of each frame; cut: how many frames are missing because of a limit
    """

    def __init__(self, kernel: Kernel):
        self.kernel = kernel
        self.roots: list[Call] = []
        self.points: list[Point] = []
        self.frames: list[Frame] = []
        self.moments: list[tuple[Call, str]] = []
        self.cut = 0

    def calls(self) -> Iterator[Call]:
        """Yield all calls in the order they began."""
        for root in self.roots:
            yield from root.walk()

    def find(self, function: str) -> list[Call]:
        """Return the calls of one function."""
        return [call for call in self.calls() if call.function == function]

    def text(self, args: bool = False, depth: int | None = None) -> str:
        """Return the call tree, one line a call, errors by name."""
        lines = []
        for call in self.calls():
            if depth is not None and call.depth > depth:
                continue
            told = ", ".join(f"{name}={text}" for name, text in call.args.items()) if args else ""
            outcome = f" = -{call.error}" if call.error else ""
            lines.append(f"{'  ' * call.depth}{call.function}({told}){outcome}")
        return "\n".join(lines)

    __str__ = text


class function_graph:  # noqa: N801 - named as in tracefs
    """Trace the functions that run for kernel while the with block runs; the Trace is its target.

    layers     folders to see (default: the storage stack, without kernel/ and lib/)
    functions  if given, only these names
    roots      objects, or a function returning them, to take a snapshot of at each call and return
    view       take snapshots of what a view shows; without roots: of what the open functions can see, in_sight()
    at         names of functions whose beginnings and ends are snapshot moments (default: all seen)
    limit      no more than so many snapshots; calls are seen all the same
    """

    def __init__(
        self,
        kernel: Kernel,
        *,
        layers: Iterable[str] = LAYERS,
        functions: Iterable[str] | None = None,
        roots: Iterable[KObject] | Callable[[], Iterable[KObject]] | None = None,
        view: View | None = None,
        at: Iterable[str] | None = None,
        limit: int | None = None,
    ):
        self.trace = Trace(kernel)
        self.kernel = kernel
        self.layers = tuple(layers)
        self.functions = None if functions is None else frozenset(functions)
        self.roots = self.in_sight if roots is None and view is not None else roots
        self.limit = limit
        self.at = None if at is None else frozenset(at)
        self.known: dict[CodeType, str | None] = {}
        self.open: list[Call] = []
        self.camera = Camera(view)
        self.zero = 0

    def __enter__(self) -> Trace:
        self.zero = time.perf_counter_ns()
        self.kernel.tracers.append(self)
        if hasattr(sys, "monitoring"):
            self._monitor()
        else:
            self.outer = sys.gettrace()
            sys.settrace(self._on_call)
        return self.trace

    def __exit__(self, *error: Any) -> None:
        if hasattr(sys, "monitoring"):
            sys.monitoring.set_events(TOOL, 0)
            sys.monitoring.free_tool_id(TOOL)
        else:
            sys.settrace(self.outer)
        self.kernel.tracers.remove(self)
        self.roots = None  # what is still open has no end of its own: no pictures of it
        while self.open:
            self._leave(None, None)

    # -- what both hooks share ---------------------------------------------------------------

    def _seen(self, code: CodeType) -> str | None:
        """Return the file of a function that is to be traced, relative to the package, else None."""
        try:
            return self.known[code]
        except KeyError:
            pass
        where = None
        if code.co_filename.startswith(PACKAGE) and code.co_name[0] != "<":
            # A live patch is named after its file and its cell: "fs/namei.py (In[3])".
            path = code.co_filename[len(PACKAGE) :].replace(os.sep, "/").partition(" (")[0]
            wanted = self.functions is None or code.co_name in self.functions
            if wanted and path.startswith(self.layers) and path not in QUIET:
                where = path
        self.known[code] = where
        return where

    def _enter(self, where: str, frame: FrameType) -> None:
        """A function begins: frame holds its arguments."""
        code = frame.f_code
        call = Call(where, code, self.open[-1] if self.open else None)
        values = frame.f_locals
        for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
            if name in values:
                call.args[name] = describe(values[name])
                if isinstance(values[name], KObject):
                    call.objects[name] = values[name]
        (call.parent.children if call.parent else self.trace.roots).append(call)
        self.open.append(call)
        call.began = time.perf_counter_ns() - self.zero
        self._moment(call, "call")

    def _leave(self, result: Any, error: BaseException | None) -> None:
        """The innermost function ends, with a result or an error."""
        call = self.open[-1]
        call.ended = time.perf_counter_ns() - self.zero
        if error is None:
            call.result = describe(result)
            call.value = result if isinstance(result, KObject) else None
            if call.value is not None and call.parent is not None:
                call.parent.given.append(result)
        else:
            call.error = name_of(error.errno) if isinstance(error, KernelError) else type(error).__name__
        self._moment(call, "return")
        self.open.pop()

    def _moment(self, call: Call, what: str) -> None:
        if self.roots is None or (self.at is not None and call.function not in self.at):
            return
        if self.limit is not None and len(self.trace.frames) >= self.limit:
            self.trace.cut += 1
            return
        roots = self.roots() if callable(self.roots) else self.roots
        self.trace.frames.append(self.camera.take(roots))
        self.trace.moments.append((call, what))

    def in_sight(self) -> list[KObject]:
        """Return what the open functions can see: the running task, their arguments, what calls have given them."""
        roots = [cpu.current]
        for call in self.open:
            roots += call.objects.values()
            roots += call.given
        value = self.open[-1].value
        return roots if value is None else [*roots, value]

    # -- Python 3.12 and later: sys.monitoring ----------------------------------------------------

    def _monitor(self) -> None:
        monitoring, events = sys.monitoring, sys.monitoring.events
        monitoring.use_tool_id(TOOL, "vfslab function_graph")

        def start(code: CodeType, offset: int) -> Any:
            where = self._seen(code)
            if where is None:
                return monitoring.DISABLE
            if cpu.kernel is self.kernel:
                self._enter(where, sys._getframe(1))
            return None

        def returned(code: CodeType, offset: int, value: Any) -> Any:
            if self._seen(code) is None:
                return monitoring.DISABLE
            if cpu.kernel is self.kernel and self.open:
                self._leave(value, None)
            return None

        def unwound(code: CodeType, offset: int, error: BaseException) -> Any:
            if self._seen(code) is not None and cpu.kernel is self.kernel and self.open:
                self._leave(None, error)

        monitoring.register_callback(TOOL, events.PY_START, start)
        monitoring.register_callback(TOOL, events.PY_RETURN, returned)
        monitoring.register_callback(TOOL, events.PY_UNWIND, unwound)
        monitoring.set_events(TOOL, events.PY_START | events.PY_RETURN | events.PY_UNWIND)
        monitoring.restart_events()

    # -- Python 3.11: sys.settrace ------------------------------------------------------------

    def _on_call(self, frame: FrameType, event: str, arg: Any) -> Any:
        where = self._seen(frame.f_code)
        if where is None or cpu.kernel is not self.kernel:
            return None
        frame.f_trace_lines = False
        self._enter(where, frame)
        raised: list[BaseException] = []

        def local(frame: FrameType, event: str, arg: Any) -> Any:
            if event == "exception":
                raised[:] = [arg[1]]
            elif event == "return":
                unwinding = arg is None and raised and frame.f_code.co_code[frame.f_lasti] not in RETURNS
                self._leave(arg, raised[0] if unwinding else None)
            return local

        return local


RETURNS = frozenset(dis.opmap[name] for name in ("RETURN_VALUE", "YIELD_VALUE", "RETURN_CONST") if name in dis.opmap)
