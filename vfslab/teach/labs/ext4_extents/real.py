"""Images by the tools that make ext4 everywhere, and what those tools say of them, beside the learner's functions.

path = make_image(folder)        mke2fs and debugfs make an image with files of all shapes; None where they are missing
compare(k, path)                 filefrag through the kernel, and debugfs's `ex`, for each file of an image
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

from vfslab.teach.labs.ext4_extents.acts import filefrag
from vfslab.teach.labs.ext4_extents.disk import span
from vfslab.user.cat import cat

BLOCK = 1024
MOST = 100  # files


def tool(name: str) -> str | None:
    """Return where a program of e2fsprogs is, None if it is not installed."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def run(program: str, *arguments: str) -> str:
    """Return what a program of e2fsprogs prints."""
    environment = {**os.environ, "DEBUGFS_PAGER": "__none__"}
    return subprocess.run([tool(program), *arguments], capture_output=True, text=True, env=environment).stdout


def make_image(folder: str, seed: int = 0) -> str | None:
    """Return the path of a new image with sparse and allocated files, by mke2fs and debugfs; None where they are missing."""
    if not (tool("mke2fs") and tool("debugfs")):
        print("mke2fs and debugfs (package e2fsprogs) are not installed here")
        return None
    rng, tree, path = random.Random(seed), Path(folder, "tree"), str(Path(folder, "mine.img"))
    tree.mkdir(exist_ok=True)
    for name, count in (("one", 1), ("some", rng.randint(3, 20)), ("many", rng.randint(100, 300)), ("most", 700)):
        with open(tree / name, "wb") as file:
            for place in sorted(rng.sample(range(3 * count), count)):
                file.seek(place * BLOCK)
                file.write(b"%15d\n" % place * 64)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-d", str(tree), path, "8M")
    for _ in range(3):
        first = rng.randrange(60)
        run("debugfs", "-w", "-R", f"fallocate /some {first} {first + rng.randint(1, 9)}", path)
    return path


def compare(k: Any, path: str, name: str = "vdc") -> None:
    """Mount an image, read all of up to 100 files, and tell whether debugfs knows the same pieces."""
    p, files, pieces = k.process(), 0, 0
    k.attach(name, path, read_only=True)
    try:
        p.makedirs("/own", exist_ok=True)
        p.mount(f"/dev/{name}", "/own", "ext4", "ro")
        try:
            for top, _, names in p.walk("/own"):
                for each in names:
                    file = f"{top}/{each}"
                    if files == MOST or not p.path.isfile(file) or p.path.islink(file):
                        continue
                    size = p.statvfs(file).f_bsize
                    for _ in cat(p, file):
                        pass
                    mine = filefrag(p, file, size)
                    theirs = by_debugfs(path, p.stat(file).st_ino) if tool("debugfs") else mine
                    files, pieces = files + 1, pieces + len(mine)
                    if mine != theirs:
                        tell_difference(file, mine, theirs)
                        return
        finally:
            p.umount("/own")
    except OSError as error:
        print(f"{path}: {error.strerror}")
        return
    finally:
        k.detach(name)
    print(f"{files} files in {pieces} pieces" + (": debugfs says the same" if tool("debugfs") else ""))


def by_debugfs(path: str, ino: int) -> list[str]:
    """Return the pieces of a file as debugfs has them."""
    found = []
    for line in run("debugfs", "-R", f"ex <{ino}>", path).replace("/", " ").replace("-", " ").splitlines()[1:]:
        words = line.split()
        level, depth = int(words[0]), int(words[1])
        if level == depth:
            start, end, first, last = map(int, words[4:8])
            more = ", unwritten" if "Uninit" in words else ""
            found.append(f"{span(start, end - start + 1)}: {span(first, last - first + 1)}{more}")
    return found


def tell_difference(file: str, mine: list[str], theirs: list[str]) -> None:
    """Print where two lists of pieces part."""
    for ours, other in zip([*mine, "nothing"], [*theirs, "nothing"], strict=False):
        if ours != other:
            print(f"{file}: this kernel says {ours}, debugfs {other}")
            return
