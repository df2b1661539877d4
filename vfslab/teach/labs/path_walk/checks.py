"""The scenes of the shown checks. What is right is what they show on the package's own code."""

from __future__ import annotations

from random import Random
from typing import Any

from vfslab.teach.labs.checks import Stage
from vfslab.teach.labs.world import World

NAMES = tuple("bin cup doc egg fig hat ink jar kit log mug net oak pan rug sun tea urn van wax".split())


def tree(world: World, rng: Random, depth: int = 3, width: int = 3, top: str = "") -> tuple[list[str], list[str]]:
    """Make a small tree of plain names below top; return (directories, files)."""
    dirs, files = [], []
    level = [top]
    for _ in range(depth):
        below = []
        for above in level:
            names = rng.sample(NAMES, width)
            below.append(world.dir(f"{above}/{names[0]}"))
            files += [world.file(f"{above}/{name}") for name in names[1:]]
        dirs += below
        level = below
    return dirs, files


def stat_of(k: Stage, p: Any, world: World, path: str) -> None:
    """Note what a path leads to."""
    k.note(f'stat("{path}")', p.stat, path, tell=world.place)


def plain_names(k: Stage, p: Any, rng: Random) -> None:
    """Paths of plain names: to directories, to files, to nothing, with slashes too many."""
    world = World(k)
    dirs, files = tree(world, rng)
    for path in rng.sample(dirs, 2) + rng.sample(files, 3):
        stat_of(k, p, world, path)
    stat_of(k, p, world, "/" + rng.choice(files).replace("/", "//"))
    stat_of(k, p, world, rng.choice(dirs) + "//")
    stat_of(k, p, world, "/")
    stat_of(k, p, world, rng.choice(dirs) + "/none")
    stat_of(k, p, world, rng.choice(dirs) + "/none/at/all")
    stat_of(k, p, world, rng.choice(files) + "/")
    k.references()


def who_may_search(k: Stage, p: Any, rng: Random) -> None:
    """Directories with all kinds of bits, and files in their place, asked by root and by two others."""
    world = World(k)
    people = {"root": p, "uid 1000": k.process(uid=1000, gid=1000)}
    for name in rng.sample(NAMES, 3):
        world.dir(f"/{name}", mode=rng.choice([0o700, 0o711, 0o744, 0o755, 0o766]))
        world.dir(f"/{name}/in")
        world.file(f"/{name}/in/{rng.choice(NAMES)}", mode=0o600)
        for who, process in people.items():
            for path in (f"/{name}", f"/{name}/in", f"/{name}/none", f"/{name}/in/none"):
                k.note(f'stat("{path}") by {who}', process.stat, path, tell=world.place)
    file = world.file("/plain")
    k.note(f'stat("{file}/below")', p.stat, file + "/below", tell=world.place)
    k.note(f'stat("{file}/below/it")', p.stat, file + "/below/it", tell=world.place)
    k.references()
