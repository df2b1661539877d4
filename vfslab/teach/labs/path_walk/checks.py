"""The scenes of the shown checks. What is right is what they show on the package's own code."""

from __future__ import annotations

from random import Random
from typing import Any

from vfslab.teach.labs.checks import Stage
from vfslab.teach.labs.world import World

NAMES = tuple("bin cup doc egg fig hat ink jar kit log mug net oak pan rug sun tea urn van wax".split())


def tree(world: World, rng: Random, depth: int = 3, width: int = 3, top: str = "") -> tuple[list[str], list[str]]:
    """Make a chain of directories below top, with files beside it; return (directories, files), the nearest first."""
    dirs: list[str] = []
    files: list[str] = []
    for _ in range(depth):
        names = rng.sample(NAMES, width)
        files += [world.file(f"{top}/{name}") for name in names[1:]]
        top = world.dir(f"{top}/{names[0]}")
        dirs.append(top)
    return dirs, files


def ask(k: Stage, p: Any, world: World, *paths: str) -> None:
    """Note what paths lead to."""
    for path in paths:
        k.note(f'stat("{path}")', p.stat, path, tell=world.place)


# --- step 1 ---------------------------------------------------------------------------------------------


def plain_names(k: Stage, p: Any, rng: Random) -> None:
    """Paths of plain names: to directories, to files, to nothing, with slashes too many."""
    world = World(k)
    dirs, files = tree(world, rng)
    content = f"the {rng.choice(NAMES)} in the {rng.choice(NAMES)}"
    letter = world.file(f"{rng.choice(dirs)}/letter", content.encode())
    k.note(f'cat("{letter}")', read, p, letter)
    ask(k, p, world, *rng.sample(dirs, 2), *rng.sample(files, 2))
    ask(k, p, world, "/" + rng.choice(files).replace("/", "//"), rng.choice(dirs) + "//", rng.choice(files) + "/")
    ask(k, p, world, rng.choice(dirs) + "/none", rng.choice(dirs) + "/none/at/all", rng.choice(dirs) + "/none/")
    p.chdir(dirs[0])
    ask(k, p, world, dirs[2].removeprefix(dirs[0] + "/"))


def read(p: Any, path: str) -> str:
    """Return the content of a file, as text."""
    from vfslab.user.cat import cat

    return b"".join(cat(p, path)).decode()


def who_may_search(k: Stage, p: Any, rng: Random) -> None:
    """Directories with all kinds of bits, and files in their place, asked by root and by somebody else."""
    world = World(k)
    people = {"root": p, "uid 1000": k.process(uid=1000, gid=1000)}
    for name, mode in zip(rng.sample(NAMES, 3), rng.sample((0o700, 0o711, 0o744, 0o755, 0o766), 3), strict=True):
        world.dir(f"/{name}", mode)
        world.dir(f"/{name}/in")
        world.file(f"/{name}/in/deep", mode=0o600)
        for who, process in people.items():
            for path in (f"/{name}", f"/{name}/in", f"/{name}/in/deep", f"/{name}/none"):
                k.note(f'stat("{path}") by {who}, /{name} has mode {mode:o}', process.stat, path, tell=world.place)
    file = world.file(f"/{rng.choice(NAMES)}.txt", mode=rng.choice((0o600, 0o644)))
    for who, process in people.items():
        for path in (f"{file}/below", f"{file}/below/it"):
            k.note(f'stat("{path}") by {who}', process.stat, path, tell=world.place)


# --- step 2 ---------------------------------------------------------------------------------------------


def dots(k: Stage, p: Any, rng: Random) -> None:
    """Dots in the middle and at the end, below the root and above it."""
    world = World(k)
    dirs, files = tree(world, rng)
    deep = rng.choice(dirs[1:])
    ask(k, p, world, deep + "/.", deep + "/..", deep + "/../.", dirs[2] + "/../..", f"{dirs[0]}/./..")
    name = rng.choice([name for name in files if name.count("/") == 2])
    ask(k, p, world, f"{dirs[1]}/../{name.rpartition('/')[2]}")
    ask(k, p, world, "/", "/..", "/../..", "/." + dirs[0], "/.." + dirs[0], dirs[0] + "/../../.." + dirs[0])
    p.chdir(dirs[1])
    ask(k, p, world, ".", "..", "../..", "../../../..", "./.././" + dirs[1].rpartition("/")[2])


def jail(k: Stage, p: Any, rng: Random) -> None:
    """A task whose root is a directory in the tree: nothing leads out of it, and everything in it is found."""
    world = World(k)
    dirs, _files = tree(world, rng)
    world.file(dirs[0] + "/inside")
    world.file("/outside")
    p.chroot(dirs[0])
    p.chdir("/")
    below = dirs[1].removeprefix(dirs[0])
    ask(k, p, world, "/", "..", "/..", "/../../inside", "/../outside", f"{below}/../..", f"{below}/../../inside")


def dots_balance(k: Stage, p: Any, rng: Random) -> None:
    """The references after walks with dots, those that fail too."""
    world = World(k)
    dirs, files = tree(world, rng)
    for path in (dirs[2] + "/../..", "/../.", files[-1] + "/..", dirs[1] + "/../none/..", dirs[2] + "/."):
        ask(k, p, world, path)
    k.references()


# --- step 3 ---------------------------------------------------------------------------------------------


def links(k: Stage, p: Any, rng: Random) -> None:
    """Links in the middle of paths: relative, absolute, to links, to "/", with dots, in a jail."""
    world = World(k)
    dirs, files = tree(world, rng)
    top, middle, deep = dirs
    inner = next(name for name in files if name.startswith(middle + "/"))
    file = inner.rpartition("/")[2]
    short = middle.rpartition("/")[2]
    world.link(f"{top}/near", short)
    world.link("/far", middle)
    world.link(f"{deep}/up", "..")
    world.link("/chain", f"far/../{short}")
    world.link(f"{deep}/root", "/")
    world.link("/slashes", f"{top}//")
    world.link(f"{top}/self", ".")
    ask(
        k,
        p,
        world,
        f"{top}/near/{file}",
        f"/far/{file}",
        f"{deep}/up/{file}",
        f"/chain/{file}",
        f"/slashes/near/{file}",
    )
    world.file(f"{top}/plain")
    ask(k, p, world, "/slashes/plain", "/slashes/none", "/slashes/plain/")
    ask(k, p, world, f"{deep}/root{middle}", f"{deep}/root/..", f"{top}/near/..", "/far/..", f"/chain/../near/{file}")
    ask(k, p, world, f"{top}/self/self/near/{file}", f"/far/{file}/..", "/far/none/at/all", f"{deep}/up/up")
    jailed = k.process()
    jailed.chroot(top)
    world.link(f"{top}/abs", f"/{short}")
    for path in (f"/abs/{file}", "/abs/..", f"/near/{file}"):
        k.note(f'stat("{path}") in the jail {top}', jailed.stat, path, tell=world.place)


def many_links(k: Stage, p: Any, rng: Random) -> None:
    """Chains of links and rows of links on both sides of the limit, and links that lead to one another."""
    world = World(k)
    world.dir("/end")
    world.link("/l1", "end")
    for number in range(2, 43):
        world.link(f"/l{number}", f"l{number - 1}")
    world.link("/end/here", ".")
    for number in (rng.randrange(2, 39), 40, 41):
        k.note(f'stat("/l{number}/."), {number} links one behind the other', p.stat, f"/l{number}/.", tell=world.place)
    for number in (rng.randrange(2, 39), 40, 41):
        path = "/end" + "/here" * number
        k.note(f'stat("/end/here/here..."), {number} links in a row', p.stat, path + "/.", tell=world.place)
    world.link("/one", "two")
    world.link("/two", rng.choice(("one", "/one", "./one/.")))
    ask(k, p, world, "/one", "/two/x")


def last_link(k: Stage, p: Any, rng: Random) -> None:
    """A link as the last name: followed or not, with a slash behind it, to nothing."""
    world = World(k)
    dirs, files = tree(world, rng)
    there = rng.choice(dirs)
    world.link("/to_dir", there)
    world.link("/to_file", rng.choice(files))
    world.link("/to_link", "to_dir")
    world.link("/to_none", f"{there}/none")
    world.link("/to_root", "/")
    for name in ("to_dir", "to_file", "to_link", "to_none", "to_root"):
        for path in (f"/{name}", f"/{name}/"):
            k.note(f'stat("{path}")', p.stat, path, tell=world.place)
            k.note(f'lstat("{path}")', p.lstat, path, tell=world.place)
    world.never_read("/to_dir")
    p.stat("/to_dir/.")
    k.note("the link /to_dir says when it was read", lambda: p.lstat("/to_dir").st_atime > 0)


def links_balance(k: Stage, p: Any, rng: Random) -> None:
    """The references after walks through links: to the end, to an error in the middle, to too many."""
    world = World(k)
    dirs, _files = tree(world, rng)
    world.link("/a", "b/.")
    world.link("/b", dirs[1])
    world.link(f"{dirs[1]}/loop", "loop")
    for path in ("/a", "/a/none", "/a/none/x", "/b/loop/x", f"/b/{dirs[2].rpartition('/')[2]}/."):
        ask(k, p, world, path)
    k.note('lstat("/a")', p.lstat, "/a", tell=world.place)
    k.references()


# --- step 4 ---------------------------------------------------------------------------------------------


def across_mounts(k: Stage, p: Any, rng: Random) -> None:
    """Into a mount and out of it, by names, by dots, by links, and what it covers."""
    world = World(k)
    dirs, _files = tree(world, rng, depth=2)
    top, door = dirs
    world.file(f"{door}/covered")
    world.mount(door)
    inside = world.dir(f"{door}/in")
    world.file(f"{inside}/side")
    world.link(f"{inside}/out", top)
    ask(k, p, world, door, inside, f"{inside}/side", f"{door}/covered", f"{door}/.", f"{inside}/..", f"{door}/..")
    ask(
        k,
        p,
        world,
        f"{inside}/../..",
        f"{inside}/../../..",
        f"{inside}/out",
        f"{inside}/out/..",
        f"{door}/../..{inside}",
    )
    p.chdir(inside)
    ask(k, p, world, "side", "..", "../..", "../../" + door.rpartition("/")[2])
    k.note('listdir("/dev") knows "null"', lambda: "null" in p.listdir("/dev"))


def stacked_mounts(k: Stage, p: Any, rng: Random) -> None:
    """Several mounts on one place: the way in leads to the topmost, the way out from any below all of them."""
    world = World(k)
    dirs, _files = tree(world, rng, depth=2)
    door = dirs[1]
    for number in range(rng.choice((2, 3))):
        world.mount(door)
        world.file(f"{door}/only{number}")
    ask(k, p, world, door, f"{door}/only0", f"{door}/only1", f"{door}/..", f"{door}/../..")
    home = k.process()
    home.chdir(dirs[0])
    world.dir(f"{dirs[0]}/home")
    home.chdir("home")
    world.mount(dirs[0])
    world.file(f"{dirs[0]}/new")
    k.note(
        f'stat("..") from {dirs[0]}/home, after something was mounted on {dirs[0]}', home.stat, "..", tell=world.place
    )
    k.note('stat("../new") from there', home.stat, "../new", tell=world.place)


def mounts_balance(k: Stage, p: Any, rng: Random) -> None:
    """The references after walks in and out of mounts, also of those that fail."""
    world = World(k)
    dirs, _files = tree(world, rng, depth=2)
    door = dirs[1]
    world.mount(door)
    world.dir(f"{door}/in")
    world.mount(dirs[0])
    world.dir(f"{dirs[0]}/fresh")
    world.mount(f"{dirs[0]}/fresh")
    world.mount(f"{dirs[0]}/fresh")
    ask(
        k,
        p,
        world,
        dirs[0],
        f"{dirs[0]}/fresh",
        f"{dirs[0]}/fresh/..",
        f"{dirs[0]}/fresh/../..",
        f"{dirs[0]}/fresh/none",
    )
    ask(k, p, world, f"{dirs[0]}/fresh/../none/..", "/dev/null", "/dev/none", "/dev/..")
    k.references()


# --- step 5 ---------------------------------------------------------------------------------------------


def known_names(k: Stage, p: Any, rng: Random) -> None:
    """How often the filesystem has to be asked for names that are in memory, absent ones too, and for others."""
    world = World(k)
    dirs, files = tree(world, rng)
    gone = world.absent(f"{rng.choice(dirs)}/gone")
    for path in (dirs[2], rng.choice(files), f"{dirs[2]}/../..", gone, f"{gone}/x", f"{dirs[1]}/unknown"):
        k.count(f'stat("{path}"): how often it went to lookup_slow', "lookup_slow", p.stat, path)
        ask(k, p, world, path)
    link = world.link(f"{dirs[0]}/link", dirs[1])
    for path in (dirs[2], gone, f"{dirs[1]}/unknown", f"{link}/."):
        k.note(f'openat2("{path}", RESOLVE_CACHED)', cached, p, path)


def cached(p: Any, path: str) -> str:
    """Open a path as far as memory knows it; return "opened"."""
    p.close(p.openat2(path, p.O_RDONLY, resolve=p.RESOLVE_CACHED))
    return "opened"


def short_way(k: Stage, p: Any, rng: Random) -> None:
    """One mount on a directory takes the short way; all that is unusual still comes out right."""
    world = World(k)
    dirs, _files = tree(world, rng, depth=2)
    door = world.mount(world.dir(f"{dirs[1]}/door", 0o700))
    inside = world.dir(f"{door}/in")
    stranger = k.process(uid=1000, gid=1000)
    k.note(
        f'stat("{inside}") by uid 1000, {door} under the mount has mode 700', stranger.stat, inside, tell=world.place
    )
    k.count(f'stat("{inside}"): how often it went to step_into_slowpath', "step_into_slowpath", p.stat, inside)
    ask(k, p, world, inside, f"{inside}/..", f"{door}/..")
    k.note(f'openat2("{inside}", RESOLVE_NO_XDEV)', no_xdev, p, inside)
    other = world.dir(f"{inside}/other")
    for _ in range(2):
        world.mount(other)
    ask(k, p, world, other, f"{other}/..")
    world.mount(dirs[0])
    ask(k, p, world, dirs[0], door)


def no_xdev(p: Any, path: str) -> str:
    """Open a path that must lie on one mount; return "opened"."""
    p.close(p.openat2(path, p.O_RDONLY, resolve=p.RESOLVE_NO_XDEV))
    return "opened"


def short_balance(k: Stage, p: Any, rng: Random) -> None:
    """The references after walks by the short way."""
    world = World(k)
    dirs, files = tree(world, rng)
    gone = world.absent(f"{dirs[0]}/gone")
    door = world.mount(dirs[1])
    world.dir(f"{door}/in")
    ask(
        k,
        p,
        world,
        f"{door}/in",
        f"{door}/in/..",
        f"{door}/none",
        gone,
        gone,
        f"{door}/../..",
        files[0],
        f"{files[0]}/x",
    )
    k.references()
