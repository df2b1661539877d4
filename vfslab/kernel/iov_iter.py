"""Copying between kernel memory and the caller's buffers.

    read(fd, n):       it = iov_iter_bytes(n)       ... copy_to_iter(piece, it) ...   iov_iter_result(it)
    readv(fd, bufs):   it = iov_iter_dest(bufs)     ... copy_to_iter(piece, it) ...
    write(fd, data):   it = iov_iter_source([data]) ... copy_from_iter(n, it) ...

Linux: lib/iov_iter.c (it lies here because drivers need it too, and lib knows no structures).
Left out: page vectors, pipes, faults.

Always true
  I1  count falls by what was copied, and never below 0
  I2  a collected chunk is a copy: the folio it came from may be recycled at once
"""

from __future__ import annotations

from typing import Any

from vfslab.include.uio import IovIter


def iov_iter_bytes(count: int) -> IovIter:
    """Return an iterator that collects up to count bytes; iov_iter_result() gives them."""
    return IovIter(count, [])


def iov_iter_dest(buffers: list) -> IovIter:
    """Return an iterator that fills the given writable buffers in order."""
    views = [memoryview(buffer).cast("B") for buffer in buffers]
    return IovIter(sum(map(len, views)), None, views)


def iov_iter_source(buffers: list) -> IovIter:
    """Return an iterator that takes bytes out of the given buffers in order."""
    views = [memoryview(buffer).cast("B") for buffer in buffers]
    return IovIter(sum(map(len, views)), None, views, 0, True)


def iov_iter_result(it: IovIter) -> bytes:
    """Return what iov_iter_bytes() has collected, as one bytes object."""
    chunks = it.chunks
    if len(chunks) == 1:
        return chunks[0]
    return b"".join(chunks)


def copy_to_iter(piece: Any, it: IovIter) -> int:
    """Copy piece (bytes, bytearray or memoryview, no longer than it.count) to the caller; return its length."""
    length = len(piece)
    it.count -= length
    if it.chunks is not None:
        it.chunks.append(piece if type(piece) is bytes else bytes(piece))
        return length
    piece, done = memoryview(piece), 0
    while done < length:
        segment, start = it.segments[0], it.iov_offset
        part = min(length - done, len(segment) - start)
        segment[start : start + part] = piece[done : done + part]
        done += part
        _advance(it, part)
    return length


def iov_iter_zero(length: int, it: IovIter) -> int:
    """Give the caller length zero bytes (no more than it.count)."""
    return copy_to_iter(bytes(length), it)


def copy_from_iter(length: int, it: IovIter) -> memoryview | bytes:
    """Take up to length bytes from the caller: a view if one buffer has them all, else a copy."""
    length = min(length, it.count)
    it.count -= length
    if not it.iov_offset and length and len(it.segments[0]) == length:
        return it.segments.pop(0)
    pieces, wanted = [], length
    while wanted:
        segment, start = it.segments[0], it.iov_offset
        piece = segment[start : start + wanted]
        pieces.append(piece)
        wanted -= len(piece)
        _advance(it, len(piece))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _advance(it: IovIter, length: int) -> None:
    it.iov_offset += length
    if it.iov_offset == len(it.segments[0]):
        del it.segments[0]
        it.iov_offset = 0
