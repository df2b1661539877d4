"""get: copy a file or a tree out of an image, without ever writing outside the target.

Names come from the image, so each is checked: no `..`, no `/`, and existing files are not
overwritten. Symlinks are made as they are and never followed; devices are skipped and reported.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from vfslab.include.uapi.stat import S_ISDIR, S_ISLNK, S_ISREG
from vfslab.tools.image import Image
from vfslab.user.cat import CHUNK


def get(image: Image, path: str, target: str, report: Callable[[str], Any]) -> int:
    """Copy path of the image to target on the host; return 0, or 1 if anything was left out (each reported).

    A file is written under a name of its own and renamed when it is whole, so an interrupt leaves no half file.
    """
    from tqdm import tqdm

    process, status = image.process, 0
    waiting = [(image.path(path), target)]
    with tqdm(unit="file", disable=None, leave=False) as bar:
        while waiting:
            source, place = waiting.pop()
            try:
                st = process.lstat(source)
                if os.path.lexists(place):
                    raise FileExistsError(17, "exists already, not overwritten", place)
                if S_ISDIR(st.st_mode):
                    os.mkdir(place)
                    waiting += [
                        (f"{source}/{name}", os.path.join(place, safe(name))) for name in process.listdir(source)
                    ]
                elif S_ISLNK(st.st_mode):
                    os.symlink(process.readlink(source), place)
                elif S_ISREG(st.st_mode):
                    copy(process, source, place)
                else:
                    status = report(f"{source[len(image.root) :]}: a device, FIFO or socket, left out")
            except OSError as error:
                status = report(f"{source[len(image.root) :]}: {error.strerror}") or 1
            bar.update()
    return status


def safe(name: str) -> str:
    """Return a name that stays where it is put; OSError for one that would not."""
    if name in ("", ".", "..") or "/" in name or "\0" in name or os.sep in name:
        raise OSError(117, "a name that leaves the directory", name)
    return name


def copy(process: Any, source: str, place: str) -> None:
    """Copy one file, holes kept as holes; place appears when it is whole."""
    half = place + ".part"
    fd = process.open(source, process.O_RDONLY)
    try:
        with open(half, "xb") as out:
            while piece := process.read(fd, CHUNK):
                if piece.count(0) == len(piece):
                    out.seek(len(piece), 1)
                else:
                    out.write(piece)
            out.truncate(out.tell())
        os.replace(half, place)
    except BaseException:
        if os.path.exists(half):
            os.unlink(half)
        raise
    finally:
        process.close(fd)
