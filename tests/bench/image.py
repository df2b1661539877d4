"""The image that is measured: a tree of small files, a long file, one in pieces, a big directory."""

import json
import os
import random

from tests import images
from tests.images import contents, e2fs

SIZES = {
    # tree: directories on three levels, files in each of the last; the rest in files, MiB, extents, names
    "full": {"tree": (10, 10, 15, 14), "large": 512, "pieces": 16, "extents": 1800, "names": 50_000, "disk": "1400M"},
    "quick": {"tree": (5, 5, 6, 14), "large": 64, "pieces": 4, "extents": 450, "names": 5_000, "disk": "320M"},
}
BLOCK = 4096


def tree(root, shape):
    """Make x/aN/bN/cN/fN, and return the paths of the files, six components each."""
    chance, paths = random.Random(1), []
    for a in range(shape[0]):
        for b in range(shape[1]):
            for c in range(shape[2]):
                folder = f"/tree/x/a{a}/b{b}/c{c}"
                os.makedirs(root + folder)
                for number in range(shape[3]):
                    contents.put(f"{root}{folder}/f{number}", chance.randrange(100, 6000))
                    paths.append(f"{folder}/f{number}")
    return paths


def pieces(path, megabytes, extents):
    """Write a file of so many extents without a hole: blocks are taken out from between them."""
    blocks = megabytes << 20 >> 12
    bounds = [blocks * number // extents for number in range(extents + 1)]
    with open(path, "wb") as file:
        for number in range(extents):
            length = bounds[number + 1] - bounds[number]
            file.write(contents.pattern(f"piece{number}", length * BLOCK))
            if number < extents - 1:
                file.write(bytes(BLOCK))
        os.fsync(file.fileno())
    for number in range(extents - 1):  # each block taken out moves all behind it one to the front
        contents.fallocate(path, 0x08, bounds[number + 1] * BLOCK, BLOCK)


def make(size):
    """Return (path of the image, plan): made now or taken from the cache."""
    given = SIZES[size]
    path = images.cache_dir() / f"bench-{size}-{images.generators()[:12]}.img"
    plan = path.with_suffix(".json")
    if plan.exists():
        return path, json.loads(plan.read_text())
    e2fs.mke2fs(path, given["disk"], "-t", "ext4", "-b", str(BLOCK), "-N", "120000")
    with e2fs.mounted(path, "rw") as root:
        files = tree(root, given["tree"])
        with open(f"{root}/large", "wb") as file:
            for number in range(given["large"]):
                file.write(contents.pattern(f"large{number}", 1 << 20))
        pieces(f"{root}/pieces", given["pieces"], given["extents"])
        os.mkdir(f"{root}/names")
        for number in range(given["names"]):
            os.mknod(f"{root}/names/entry-{number:06d}")
    found = {
        "files": files,
        "large": given["large"] << 20,
        "large_start": int(e2fs.ask(path, "bmap large 0")) * BLOCK,
        "pieces": given["pieces"] << 20,
        "extents": sum("-" in line for line in e2fs.ask(path, "dump_extents -l pieces").splitlines()[1:]),
        "names": given["names"],
    }
    plan.write_text(json.dumps(found))
    images.forget_older(path, age=0)
    return path, found
