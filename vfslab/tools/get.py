"""get: copy a file or a tree out of an image, without ever writing outside the target.

Names come from the image, so each is checked: no `..`, no `/`. What exists is not overwritten, symlinks are made as
they are and never followed, set-user-ID bits are dropped; devices are left out and reported.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Any

from vfslab.include.uapi.fcntl import O_RDONLY, SEEK_DATA
from vfslab.include.uapi.stat import S_ISDIR, S_ISLNK, S_ISREG
from vfslab.tools.image import Image
from vfslab.tools.progress import Bars
from vfslab.user.cat import CHUNK


def get(
    image: Image, path: str, target: str, report: Callable[[str, OSError | str], Any], progress: bool = False
) -> int:
    """Copy path of the image to target on the host; return 0, or 1 if anything was left out (each reported).

    A target that is a directory gets the copy inside. A directory is copied once, however many names damage gives it.
    """
    process, status, seen = image.inside, 0, set()
    if os.path.isdir(target):
        target = os.path.join(target, safe(os.path.basename(path.rstrip("/")) or "root"))
    waiting = [("/" + path.strip("/"), target)]
    with Bars(progress) as bars:
        while waiting:
            source, place = waiting.pop()
            try:
                st = process.lstat(source)
                if os.path.lexists(place):
                    raise FileExistsError(errno.EEXIST, f"{place} exists already, not overwritten")
                if S_ISDIR(st.st_mode):
                    if st.st_ino in seen:
                        raise OSError(errno.EUCLEAN, "a directory that was met before, not copied again")
                    seen.add(st.st_ino)
                    names = process.listdir(source)
                    os.mkdir(place)
                    waiting += [(f"{source.rstrip('/')}/{name}", os.path.join(place, safe(name))) for name in names]
                elif S_ISLNK(st.st_mode):
                    os.symlink(process.readlink(source), place)
                elif S_ISREG(st.st_mode):
                    copy(process, source, st, place)
                else:
                    status = report(source, "a device, FIFO or socket, left out") or 1
            except OSError as error:
                status = report(source, error) or 1
            bars.advance("files", 1)
    return status


def safe(name: str) -> str:
    """Return a name that stays where it is put; OSError for one that would not."""
    if name in ("", ".", "..") or "/" in name or "\0" in name or os.sep in name:
        raise OSError(errno.EUCLEAN, f"the name {name!r} leads out of its directory")
    return name


def copy(process: Any, source: str, st: Any, place: str) -> None:
    """Copy one file, holes kept as holes; place appears when it is whole, so an interrupt leaves no half file."""
    half = os.path.join(os.path.dirname(place), f".vfslab-{os.getpid()}.part")
    fd = process.open(source, O_RDONLY)
    try:
        with open(half, "xb") as out:
            for start, piece in pieces(process, fd, st.st_size):
                out.seek(start)
                out.write(piece)
            out.truncate(st.st_size)
        os.chmod(half, st.st_mode & 0o777)
        os.utime(half, ns=(max(st.st_atime_ns, 0), max(st.st_mtime_ns, 0)))
        os.rename(half, place)
    except BaseException:
        if os.path.lexists(half):
            os.unlink(half)
        raise
    finally:
        process.close(fd)


def pieces(process: Any, fd: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, bytes) of what is in a file, without its holes and whatever else is zeros."""
    at = 0
    while at < size:
        try:
            at = process.lseek(fd, at, SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return
        piece = process.pread(fd, min(CHUNK, size - at), at)
        if not piece:
            return
        if piece.strip(b"\0"):
            yield at, piece
        at += len(piece)
