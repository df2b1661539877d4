"""The scenes of the hidden checks. Their names and hints are shown to everybody, their problems are not."""

from __future__ import annotations

from random import Random
from typing import Any

from vfslab.teach.labs.checks import Stage
from vfslab.teach.labs.path_walk.checks import ask, no_xdev, tree
from vfslab.teach.labs.world import World


def other_callers(k: Stage, p: Any, rng: Random) -> None:
    """mkdir, open, unlink and rename go on from where link_path_walk ends."""
    world = World(k)
    dirs, files = tree(world, rng)
    here = rng.choice(dirs)
    for path in ("/", f"{here}/.", f"{here}/..", f"{here}/new", f"{here}/new/", f"{here}/made/", files[0], "/none/x"):
        k.note(f'mkdir("{path}")', p.mkdir, path)
    for path in ("/", f"{here}/made/.", f"{here}/made/..", f"{here}/made/", files[0], f"{here}/none"):
        k.note(f'rmdir("{path}")', p.rmdir, path)
    for path in (f"{files[0]}/", f"{here}/.", f"{here}/..", f"{here}/new", files[0], files[0]):
        k.note(f'unlink("{path}")', p.unlink, path)
    for path in (f"{here}/fresh/", f"{here}/fresh", f"{here}/fresh/x"):
        k.note(f'open("{path}", O_CREAT)', lambda path=path: p.close(p.open(path, p.O_CREAT | p.O_WRONLY)))
    for old, new in ((files[1], f"{here}/moved"), (f"{here}/moved", f"{here}/moved/"), (f"{here}/moved", f"{here}/..")):
        k.note(f'rename("{old}", "{new}")', p.rename, old, new)
    ask(k, p, world, f"{here}/moved", files[1])


def dots_need_a_directory(k: Stage, p: Any, rng: Random) -> None:
    """A dot behind a file, behind nothing, and behind a directory that may not be searched."""
    world = World(k)
    dirs, files = tree(world, rng)
    closed = world.dir(f"{dirs[1]}/closed", 0o700)
    world.dir(f"{closed}/in")
    stranger = k.process(uid=1000, gid=1000)
    file = rng.choice(files)
    ask(k, p, world, f"{file}/.", f"{file}/..", f"{dirs[0]}/none/..", f"{dirs[0]}/none/.", f"{closed}/..")
    for path in (f"{closed}/..", f"{closed}/.", f"{closed}/in/../..", closed):
        k.note(f'stat("{path}") by uid 1000', stranger.stat, path, tell=world.place)


def refused_links(k: Stage, p: Any, rng: Random) -> None:
    """Walks that may follow no links, that must stay below their start, and a mount that follows none."""
    world = World(k)
    dirs, _files = tree(world, rng)
    name = dirs[1].rpartition("/")[2]
    world.link(f"{dirs[0]}/near", name)
    world.link(f"{dirs[0]}/far", dirs[1])
    world.link(f"{dirs[0]}/out", "..")
    p.chdir(dirs[0])
    flags = {"NO_SYMLINKS": p.RESOLVE_NO_SYMLINKS, "BENEATH": p.RESOLVE_BENEATH, "IN_ROOT": p.RESOLVE_IN_ROOT}
    flags |= {"NO_XDEV": p.RESOLVE_NO_XDEV}
    for word, flag in flags.items():
        for path in (name, "near/.", "far/.", "out/.", "near"):
            k.note(f'openat2("{path}", RESOLVE_{word})', opened, p, path, flag)
    world.no_links("/")
    ask(k, p, world, f"{dirs[0]}/near/.", f"{dirs[0]}/near", dirs[1])
    k.note(f'lstat("{dirs[0]}/near")', p.lstat, f"{dirs[0]}/near", tell=world.place)


def opened(p: Any, path: str, resolve: int) -> str:
    """Open a path within limits; return "opened"."""
    p.close(p.openat2(path, p.O_RDONLY, resolve=resolve))
    return "opened"


def mounted_root(k: Stage, p: Any, rng: Random) -> None:
    """A task whose root is the root of a mount, with another mount on top of it; a task whose root is covered."""
    world = World(k)
    dirs, _files = tree(world, rng, depth=2)
    door = world.mount(dirs[1])
    world.dir(f"{door}/in")
    p.chroot(door)
    p.chdir("/")
    jail = f"in the jail {door}, which is a mount's root"
    for path in ("/", "/..", "/in/..", "/in/../..", "/.."):
        k.note(f'stat("{path}") {jail}', p.stat, path, tell=world.place)
    world.mount(door)
    world.dir(f"{door}/top")
    for path in ("/", "/..", "/../..", "/../top", "/../top/../..", "/in"):
        k.note(f'stat("{path}") {jail}, and covered', p.stat, path, tell=world.place)


def refused_mounts(k: Stage, p: Any, rng: Random) -> None:
    """Walks that must not leave the mount they begin on: neither down nor up."""
    world = World(k)
    dirs, _files = tree(world, rng, depth=2)
    door = world.mount(dirs[1])
    world.dir(f"{door}/in")
    for path in (dirs[0], door, f"{door}/in", f"{dirs[0]}/..", "/dev/null"):
        k.note(f'openat2("{path}", RESOLVE_NO_XDEV)', no_xdev, p, path)
    p.chdir(f"{door}/in")
    for path in (".", "..", "../..", "../in", "../../.."):
        k.note(f'openat2("{path}", RESOLVE_NO_XDEV) from {door}/in', no_xdev, p, path)
    for path in ("..", "../.."):
        k.note(f'openat2("{path}", RESOLVE_BENEATH) from {door}/in', opened, p, path, p.RESOLVE_BENEATH)


def two_views(k: Stage, p: Any, rng: Random) -> None:
    """One directory seen through two mounts: what covers it in one view does not cover it in the other."""
    world = World(k)
    dirs, files = tree(world, rng)
    second = world.bind(dirs[0], world.dir("/view"))
    inner = dirs[1].rpartition("/")[2]
    world.mount(dirs[1])
    world.file(f"{dirs[1]}/over")
    under = dirs[2].rpartition("/")[2]
    ask(k, p, world, f"{dirs[1]}/over", f"{second}/{inner}/over", f"{second}/{inner}/{under}", f"{dirs[1]}/{under}")
    ask(
        k,
        p,
        world,
        f"{second}/..",
        f"{second}/{inner}/..",
        f"{second}/{inner}/../..",
        f"{dirs[1]}/..",
        f"{dirs[1]}/../..",
    )


def stale_names(k: Stage, p: Any, rng: Random) -> None:
    """Cached names whose filesystem says, when asked, that they are no longer true."""
    world = World(k)
    dirs, files = tree(world, rng)
    old = world.stale(rng.choice(files))
    ask(k, p, world, old, old)
    world.stale(dirs[2])
    ask(k, p, world, f"{dirs[2]}/..", dirs[1], dirs[2])
