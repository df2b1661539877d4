"""cat: the content of a file, for any os-like object.   man 1 cat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

CHUNK = 1 << 20


def cat(os: Any, path: str | bytes) -> Iterator[bytes]:
    """Yield the content of path in pieces of at most 1 MiB. OSError where it cannot be read."""
    fd = os.open(path, os.O_RDONLY)
    try:
        while piece := os.read(fd, CHUNK):
            yield piece
    finally:
        os.close(fd)
