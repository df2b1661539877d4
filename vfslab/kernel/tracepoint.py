"""Tracepoints: named events for what is no function boundary.

    if cpu.kernel.tracers:                       one test of an empty list while nobody traces
        tracepoint("block_rq_issue", ...)

A file of its own, so that the layers that have tracepoints need not load the tracer (trace.py).

Linux: include/linux/tracepoint.h, include/trace/events/.   Chapter 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from vfslab.kernel.sched import cpu
from vfslab.lib.kstruct import KernelBug, KObject

if TYPE_CHECKING:
    from vfslab.kernel.trace import Call


class Point(NamedTuple):
    """One tracepoint that was passed: its name, its values, and the call it was passed in."""

    name: str
    values: dict[str, Any]
    call: Call | None


FEW = 4  # so many numbers are told one by one


def tracepoint(name: str, **values: Any) -> None:
    """Report a named event to the tracers of the running kernel; callers test `cpu.kernel.tracers` first.

    Numbers are kept as they are, all else as its short text.
    """
    kept = {key: value if isinstance(value, int) else describe(value) for key, value in values.items()}
    for tracer in cpu.kernel.tracers:
        tracer.trace.points.append(Point(name, kept, tracer.open[-1] if tracer.open else None))


def describe(value: Any) -> str:
    """Return a short text for an argument or result: names of objects, starts of buffers."""
    if isinstance(value, KObject):
        try:
            name = getattr(value, "d_name", None)
        except KernelBug:
            return "freed"
        if not isinstance(name, bytes):
            return repr(value).removesuffix("#?")  # what lies inside another structure has no number
        text = "".join(c if c.isprintable() else "?" for c in name.decode(errors="replace"))
        return f"{value!r}({text})"
    if isinstance(value, bytes | bytearray):
        return repr(bytes(value[:24]))[1:] + (f"...[{len(value)}]" if len(value) > 24 else "")
    if isinstance(value, memoryview):
        return f"[{len(value)} bytes]"
    if isinstance(value, bool) or value is None or isinstance(value, int | float | str):
        return repr(value)
    if isinstance(value, list | tuple) and 0 < len(value) <= FEW and all(map(is_numbers, value)):
        return repr(value)  # what a mapping says, such as (1, 587, 3), and a few runs
    if isinstance(value, list | tuple | dict | set):
        return f"{type(value).__name__}[{len(value)}]"
    return getattr(value, "__name__", type(value).__name__)


def is_numbers(value: Any) -> bool:
    """Return whether a value is a number, or a few numbers."""
    return isinstance(value, int) or (isinstance(value, tuple) and len(value) <= FEW and all(map(is_numbers, value)))
