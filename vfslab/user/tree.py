"""tree: a directory and all below it, drawn with lines, for any os-like object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vfslab.include.uapi.stat import S_ISDIR, S_ISLNK
from vfslab.user.text import printable


def tree(os: Any, path: str, *, depth: int | None = None, inode: bool = False) -> Iterator[str]:
    """Yield the lines of the tree below path, and a line that counts. OSError if path cannot be read.

    A directory met again on the way down (a damaged image may hold a loop) is not entered twice.
    """
    directories = files = 0
    yield printable(path)
    top = os.stat(path)
    # one entry a level: (names still to show, path, prefix), never deeper than there are directories
    stack = [(iter(entries(os, path)), path, "")]
    above = [(top.st_dev, top.st_ino)]
    while stack:
        names, here, prefix = stack[-1]
        item = next(names, None)
        if item is None:
            stack.pop()
            above.pop()
            continue
        name, last = item
        full = f"{here.rstrip('/')}/{name}"
        branch = "└── " if last else "├── "
        try:
            st = os.lstat(full)
            told = printable(name)
            if S_ISLNK(st.st_mode):
                told += " -> " + printable(os.readlink(full))
            if inode:
                told = f"[{st.st_ino}]  {told}"
        except OSError as error:
            yield f"{prefix}{branch}{printable(name)}  [{error.strerror}]"
            continue
        if not S_ISDIR(st.st_mode):
            files += 1
            yield prefix + branch + told
            continue
        directories += 1
        if (st.st_dev, st.st_ino) in above:
            yield f"{prefix}{branch}{told}  [a directory above: not entered again]"
            continue
        if depth is not None and len(stack) >= depth:
            yield prefix + branch + told
            continue
        try:
            below = entries(os, full)
        except OSError as error:
            yield f"{prefix}{branch}{told}  [{error.strerror}]"
            continue
        yield prefix + branch + told
        stack.append((iter(below), full, prefix + ("    " if last else "│   ")))
        above.append((st.st_dev, st.st_ino))
    yield ""
    yield f"{directories} director{'y' if directories == 1 else 'ies'}, {files} file{'' if files == 1 else 's'}"


def entries(os: Any, path: str) -> list[tuple[str, bool]]:
    """Return the sorted names in path, each with whether it is the last."""
    names = sorted(os.listdir(path))
    return [(name, place == len(names) - 1) for place, name in enumerate(names)]
