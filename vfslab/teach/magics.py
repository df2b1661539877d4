"""What `%load_ext vfslab` brings to a notebook: the cell magic %%kernel, and tracebacks that a reader can use.

    %%kernel fs/namei.py step=1
    def may_lookup(nd: Nameidata) -> None:
        ...

puts the functions below it into the running kernel (livepatch.py). The lines of the cell keep their
numbers in tracebacks and in the debugger.

While patched code runs, an error that comes out of the kernel is shown without the kernel's own
frames: what stays are the reader's cells, patched or not, and the place where it was raised.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from vfslab.kernel.sched import cpu
from vfslab.teach import livepatch
from vfslab.teach.cells import LivePatchError
from vfslab.teach.source import PACKAGE

USAGE = "%%kernel FILE [step=N], such as %%kernel fs/namei.py step=1"


def register(shell: Any) -> None:
    """Bring %%kernel, and the shorter tracebacks, into a running IPython."""

    def kernel(line: str, cell: str) -> None:
        """Put the functions of this cell into a file of the running kernel: %%kernel FILE [step=N]."""
        file, step = arguments(line)
        # The first line stands for the magic itself, so that all others keep their numbers.
        text = f"# %%kernel {line}\n{cell}"
        patch = livepatch.apply(None, file, text, step, place=f"In[{len(shell.user_ns.get('In', '_')) - 1}]")
        livepatch.announce(patch)

    shell.register_magic_function(kernel, "cell", "kernel")
    shell.set_custom_exc((Exception, KeyboardInterrupt), show_error)


def arguments(line: str) -> tuple[str, str | None]:
    """Return (file, step or None) from what stands behind %%kernel."""
    found = re.fullmatch(r"\s*(\S+)(?:\s+step=(\S+))?\s*", line)
    if not found:
        raise LivePatchError(f"what is {line.strip()!r}? Write {USAGE}")
    return found[1], found[2]


# --- tracebacks ----------------------------------------------------------------------------------------


def show_error(shell: Any, kind: type, error: BaseException, traceback: Any, tb_offset: int | None = None) -> None:
    """Show an error as IPython does, but without frames that tell a reader nothing."""
    if isinstance(error, SyntaxError) and str(error.filename).startswith(f"{PACKAGE}{os.sep}"):
        shell.showsyntaxerror()  # of a %%kernel cell: its own line, not how the magic came to compile it
        return
    if cpu.klp_patches:
        traceback = shortened(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSYS:
        tell_stub(error)
    shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)


def tell_stub(error: OSError) -> None:
    """Add to an ENOSYS which stub it came from: the kernel's log has it."""
    for patch in cpu.klp_patches:
        last = patch.machine.dmesg()[-1]
        if last.endswith("is a stub"):
            error.add_note(f"({last}: a %%kernel cell brings it)")


def shortened(error: BaseException) -> TracebackType | None:
    """Return the error's traceback as a reader wants it; so are those of the errors it came from."""
    for each in chain(error):
        frames = list(links(each.__traceback__))
        kept = [link for link in frames if wanted(link)]
        if frames and frames[-1] not in kept and not isinstance(each, OSError):
            kept.append(frames[-1])  # an OSError is the answer of a system call: where libc raises it tells nothing
        out = len(frames) - len(kept)
        if out:
            each.add_note(f"({out} {'frame' if out == 1 else 'frames'} of vfslab's own code left out)")
        each.__traceback__ = joined(kept)
    return error.__traceback__


def wanted(link: TracebackType) -> bool:
    """Return whether a frame is the reader's: not of the package, or of a cell that patches it."""
    name = link.tb_frame.f_code.co_filename
    return not name.startswith(f"{PACKAGE}{os.sep}") or name.endswith(")")


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and those it was raised from or during."""
    seen: list[BaseException] = []
    while error is not None and not any(error is each for each in seen):
        seen.append(error)
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def links(traceback: TracebackType | None) -> Iterator[TracebackType]:
    """Yield the frames of a traceback, the outermost first."""
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def joined(kept: list[TracebackType]) -> TracebackType | None:
    """Return a traceback of some of the frames of another."""
    result = None
    for link in reversed(kept):
        result = TracebackType(result, link.tb_frame, link.tb_lasti, link.tb_lineno)
    return result
