"""F7 and F8: the path walk of one stat(), from the task's own nameidata.

    tree()              a kernel with /adrian/img/src.img
    film()              a snapshot of what they can see, at each call and return of the walk's functions
    stat_walk()         F7: the last moment of the walk, and what stat() makes of it
    path_walk()         F8: the rounds of the walk one below the other, beside each the dentry it stands on
    path_walk_steps()   the same, moment by moment

The walk is that of /adrian/img/src.img. Of an own image the path leads over the mountpoint into that image, to
something that lies deep in it and is in no cache yet.

Against the slides (17 to 23), which show Linux 5.11:
  - The slides keep hash and len in a struct qstr. Here a name is `bytes`, which know their length, and each directory
    has a table of its own, d_children, by name. Linux has one table for all; since 4.8 the parent is mixed into the
    hash. The hash is another one in each run of Python, as it is at each boot of Linux: no number of it is shown.
  - They give len = 3, then 6, for "src.img". It is 7.
  - They have lookup_slow() in round 1. A ramfs, which the root is there and here, keeps all its names in the dentry
    cache: lookup_slow() runs for names that do not exist. So a name of the mounted ext4 is drawn beside: nobody has
    asked for it before, and the filesystem is asked.
  - Round 3 finds nothing and looks nothing up: it leaves the last name to lookup_last(). It is drawn so.
  - struct filename's aname belongs to auditing and task_struct's mm to memory maps: vfslab has neither. Its iname is
    the memory that name points to. Here uptr and name are one object: bytes cannot change, so nothing need be copied.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from vfslab.include.dcache import DCACHE_MOUNTED
from vfslab.kernel.snapshot import Frame, Key, Record, key_of
from vfslab.kernel.trace import Call
from vfslab.teach.figures.mounts import put
from vfslab.teach.figures.parts import loops
from vfslab.user.text import filemode, printable
from vfslab.viz.model import Box, Graph, Row
from vfslab.viz.objects import View, graph_of_frame
from vfslab.viz.timeline import Step, Timeline

IMAGE_FILE, MOUNTPOINT = "/adrian/img/src.img", "/adrian/mnt"
COLD = "/adrian/mnt/a123"  # nobody has asked for it when the image is just mounted
DEEPEST = 3  # components that are walked in an own image: a round each, and a page has room for so many

WALK = {
    "TaskStruct": ("pid", "comm", "fs", "nameidata"),
    "FsStruct": ("root.mnt", "root.dentry", "pwd.mnt", "pwd.dentry"),
    "Nameidata": (
        "name",
        "last",
        "remaining",
        "path.mnt",
        "path.dentry",
        "inode",
        "root.mnt",
        "root.dentry",
        "flags",
        "depth",
        "stack",
    ),
    "Saved": ("link.dentry", "name"),
    "Filename": ("name", "uptr", "refcnt"),
    "Vfsmount": ("mnt_root", "mnt_sb"),
    "Dentry": ("d_name", "d_parent", "d_inode", "d_count"),
    "Inode": ("i_ino", "i_mode"),
    "SuperBlock": ("s_id", "s_type.name", "s_op"),
}
# What is stepped through shows fewer pointers back: each would push the picture one column wider.
STEPS = WALK | {
    "TaskStruct": ("pid", "nameidata"),
    "Nameidata": ("name", "last", "remaining", "path.mnt", "path.dentry", "inode", "root.dentry", "depth", "stack"),
    "Dentry": ("d_name", "d_inode", "d_count"),
    "Vfsmount": ("mnt_root", "mnt_sb.s_id"),
}
STAT = WALK | {
    "TaskStruct": ("pid", "comm", "nameidata"),
    "Nameidata": ("name", "last", "path", "inode", "root.mnt", "root.dentry"),
    "Path": ("mnt", "dentry"),
    "Dentry": ("d_name", "d_inode"),
    "Inode": ("i_ino", "i_mode", "i_nlink", "i_size"),
}
PLACES = {name: WALK[name] for name in ("Vfsmount", "SuperBlock", "Inode")}
PLACES["Dentry"] = ("d_name", "d_parent", "d_inode")
MOMENTS = frozenset(
    {
        "path_lookupat", "path_init", "link_path_walk", "lookup_fast", "lookup_slow", "step_into", "handle_dots",
        "pick_link", "lookup_last", "complete_walk",
    }
)  # fmt: skip
ENDS = frozenset({"path_lookupat"})


# --- the scene ------------------------------------------------------------------------------------


class Scene(NamedTuple):
    """A booted kernel, a process in /adrian, and the path that it is to walk."""

    machine: Any
    process: Any
    path: str


@contextmanager
def tree(image: str | None = None) -> Iterator[Scene]:
    """Give a kernel with /adrian/img/src.img mounted on /adrian/mnt, or with an own image mounted there."""
    import vfslab
    from vfslab.tools.image import mounted

    if image is not None:
        with mounted(image) as opened:
            process, path = opened.process, deep_path(opened.process, opened.root)
            opened.inside.exit()  # it stands in the mount
            process.umount(opened.root)  # what was looked up on the way is forgotten with the mount
            process.makedirs(MOUNTPOINT)
            process.mount(opened.device, MOUNTPOINT, "ext4", "ro")
            process.chdir("/adrian")
            yield Scene(opened.kernel, process, f"mnt{path}")
        return
    content = vfslab.deck_image()
    with vfslab.boot() as machine:
        process = machine.process()
        process.makedirs("/adrian/img")
        process.mkdir(MOUNTPOINT)
        put(process, IMAGE_FILE, content)
        process.mount(IMAGE_FILE, MOUNTPOINT, "ext4", "loop,ro")
        process.chdir("/adrian")
        yield Scene(machine, process, IMAGE_FILE)


def deep_path(process: Any, root: str) -> str:
    """Return the path below root that has the most components, up to DEEPEST, in walking order; files before directories."""
    best, found = (0, False), ""
    for seen, (top, dirs, files) in enumerate(process.walk(root)):
        below = top[len(root) :]
        for is_file, names in ((True, files), (False, dirs)):
            for name in sorted(names)[:1]:
                if (below.count("/") + 1, is_file) > best:
                    best, found = (below.count("/") + 1, is_file), f"{below}/{name}"
        dirs[:] = sorted(dirs) if below.count("/") + 1 < DEEPEST else []
        if best == (DEEPEST, True) or seen > 500:
            break
    return found


# --- filming a walk -------------------------------------------------------------------------------


class Walk(Timeline):
    """A timeline that says what a walk holds as a walk says it."""

    def graph(self, number: int | None = None) -> Graph:
        """Return the picture of a step (default: the current one), what changed since the step before marked."""
        graph = tidy(super().graph(number), self.steps[self.step if number is None else number].frame)
        loops(graph)
        return graph


def film(scene: Scene, act: Callable[[], Any], title: str, view: View = WALK, at: frozenset[str] = MOMENTS) -> Walk:
    """Run act; return the beginnings and ends of the walk's functions, each with a snapshot of what they can see."""
    walk = Walk(scene.machine.kernel, view=view, at=at, title=title)
    with walk:
        act()
    return walk


def only(frame: Frame, cls: str) -> Record:
    """Return the one object of a class in a frame; KeyError if the moment has none."""
    for record in frame.values():
        if record.cls.__name__ == cls:
            return record
    raise KeyError(f"no {cls} at this moment")


# --- what is said about a nameidata ---------------------------------------------------------------


def quoted(name: bytes) -> str:
    """Return a name as a qstr says it: the bytes, and how many they are."""
    return f'"{printable(name)}", len {len(name)}'


def left(names: tuple | None) -> str:
    """Return the text that is still to be walked, from nd.remaining, whose next component stands last."""
    return '"' + "/".join(printable(name) for name in reversed(names or ())) + '"'


def called(frame: Frame, key: str | None) -> str:
    """Return the name of an object, with the file name if it is a dentry: `Dentry#3 img`."""
    if key is None:
        return "NULL"
    record = frame.get(Key(key))
    name = record.members.get("d_name") if record is not None else None
    return f"{key} {printable(name)}" if isinstance(name, bytes) else str(key)


def tidy(graph: Graph, frame: Frame) -> Graph:
    """Return the graph with the names in a nameidata, and what flags say of mounts, in words."""
    for key, box in graph.boxes.items():
        held = frame[key].members if key in frame else {}
        rows = [dataclasses.replace(row, value=in_words(row, held)) for row in box.rows]
        graph.boxes[key] = dataclasses.replace(box, rows=rows)
    return graph


def in_words(row: Row, held: dict[str, Any]) -> str:
    """Return the value of a row in words; held are the members of its object."""
    if row.name == "last" and "last" in held:
        return quoted(held["last"])
    if row.name == "remaining" and "remaining" in held:
        return left(held["remaining"]) if held["remaining"] is not None else "NULL"
    if row.name == "d_flags" and held.get("d_flags", 0) & DCACHE_MOUNTED:
        return f"{row.value} DCACHE_MOUNTED"
    return row.value


# --- F7 -------------------------------------------------------------------------------------------


def stat_walk(image: str | None = None) -> Graph:
    """Draw what a task on a walk holds at its end, what the user gave it, and what stat() gives back."""
    with tree(image) as scene:
        answer: list[Any] = []
        walk = film(scene, lambda: answer.append(scene.process.stat(scene.path)), "stat()", STAT, ENDS)
    frame, st = walk.steps[-1].frame, answer[0]
    graph = tidy(graph_of_frame(frame, STAT), frame)
    name, nd = only(frame, "Filename"), only(frame, "Nameidata")
    given = f'"{printable(name.members["uptr"])}"'
    user = graph.box("user 1", "user memory: the argument", [Row("char *path", given)], "user", "user")
    for key, box in list(graph.boxes.items()):
        if key in frame and frame[key].cls.__name__ == "Inode" and key != nd.members["inode"]:
            del graph.boxes[key]  # the root's: it is not what this is about
        for row in box.rows:
            if row.name == "uptr" and frame[key] is name:
                row.to = user.key
            elif row.name in ("root.mnt", "root.dentry"):
                row.value, row.to = called(frame, row.to), None
        box.cluster = box.cluster or "kernel"
    rows = [
        Row("st_ino", str(st.st_ino), nd.members["inode"], "i_ino"),
        Row("st_mode", f"0{st.st_mode:o} {filemode(st.st_mode)}"),
        Row("st_nlink", str(st.st_nlink)),
        Row("st_size", str(st.st_size)),
    ]
    graph.box("user 2", "user memory: struct stat", rows, "user", "user")
    graph.clusters.update(user="the program", kernel="the kernel, as path_lookupat() returns")
    graph.alt = (
        f"stat({given}): the task's nameidata holds the name, taken over from user memory, the last component, and in "
        f"a struct path the mount and the dentry that the walk has come to; the inode fills struct stat."
    )
    return graph


# --- F8 -------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Round:
    """One component of a walk: how nd stood when it was found, and how when the walk had gone there.

    call    step_into() or handle_dots(); None where nothing is looked up: at the start, and for a name that is left over
    dentry  what the name led to; slow: the call of lookup_slow(), if it took one to find it
    """

    title: str
    before: Frame
    after: Frame
    call: Call | None = None
    dentry: Key | None = None
    slow: Call | None = None


def rounds(steps: Iterable[Step]) -> list[Round]:
    """Return the rounds of a walk, the start first."""
    found: list[Round] = []
    slow: Call | None = None
    number, last = 1, False
    for step in steps:
        function, call, frame = step.call.function, step.call, step.frame
        if function == "lookup_last":
            last = step.what == "call"
        elif function == "path_init" and step.what == "return":
            found.append(Round("path_init(): the start", frame, frame))
        elif function == "lookup_slow" and step.what == "return":
            slow = call
        elif function in ("step_into", "handle_dots") and step.what == "call":
            dentry = key_of(call.objects["dentry"]) if function == "step_into" else None
            title = "lookup_last()" if last else f"round {number}: link_path_walk()"
            found.append(Round(title, frame, frame, call, dentry, slow))
        elif function in ("step_into", "handle_dots"):
            found[-1].after, slow, number = frame, None, number + (not last)
        elif function == "link_path_walk" and step.what == "return":
            found.append(Round(f"round {number}: the last name is left to the caller", frame, frame))
            number += 1
    return found


def path_walk(image: str | None = None) -> Graph:
    """Draw the rounds of a walk one below the other, beside them the dentries it comes by and their inodes."""
    with tree(image) as scene:
        walk = film(scene, lambda: scene.process.stat(scene.path), said(scene))
        cold = [] if image is not None else film(scene, lambda: scene.process.stat(COLD), "").steps
    walked, graph = rounds(walk.steps), Graph("")
    strip(graph, walked, walk.steps[-1].frame, 1)
    if cold:
        strip(graph, rounds(cold)[-1:], cold[-1].frame, 2)
        graph.boxes["2.0 round"].title += " of a name not cached yet" if rounds(cold)[-1].slow else " of a cached name"
        graph.arrow(f"1.{len(walked) - 1} round", "2.0 round", f'later: stat("{COLD}")', "return")
    names = [f'"{printable(standing(part.before)["last"])}"' for part in walked if part.slow]
    how = f"the filesystem was asked for {', '.join(names)}" if names else "all names were in the dentry cache"
    graph.alt = (
        f"The walk of {printable(scene.path)}: where it starts, the rounds of link_path_walk(), and lookup_last(), each "
        f"with nd.path, nd.last and what remains, the dentry that was found, and where nd.path goes; {how}."
    )
    return graph


def path_walk_steps(image: str | None = None) -> Walk:
    """Return the same walk step by step: each of its functions as it is called and as it returns."""
    with tree(image) as scene:
        return film(scene, lambda: scene.process.stat(scene.path), said(scene), STEPS)


def said(scene: Scene) -> str:
    """Return the system call of a scene as a program writes it."""
    return f'stat("{printable(scene.path)}")'


def strip(graph: Graph, parts: list[Round], end: Frame, walk: int) -> None:
    """Add the rounds of walk 1 or 2 as a column of boxes, and as columns beside it the dentries and inodes they lead to."""
    boxes: list[Box] = []
    mounts: set[Key] = set()
    for number, part in enumerate(parts):
        boxes.append(graph.box(f"{walk}.{number} round", part.title, round_rows(part, mounts), "task"))
        mounts.add(standing(part.before)["path.mnt"])
    for one, following in zip(boxes, boxes[1:], strict=False):
        graph.arrow(one.key, following.key)
    places = Graph("")
    for frame in [frame for part in parts for frame in (part.before, part.after)] + [end]:
        places.boxes.update(graph_of_frame(frame, PLACES).boxes)
    columns = [[box.key for box in boxes]]
    while columns[-1]:
        targets = [row.to for key in columns[-1] for row in graph.boxes[key].rows if row.to in places.boxes]
        columns.append([key for key in dict.fromkeys(targets) if key not in graph.boxes])
        graph.boxes.update((key, places.boxes[key]) for key in columns[-1])
        for row in (row for key in columns[-1] for row in graph.boxes[key].rows):
            if row.to in graph.boxes or row.name in ("d_parent", "mnt_root"):  # up or along: said, not drawn
                row.value, row.to = places.boxes[row.to].title if row.to in places.boxes else row.value, None
    graph.ranks += [[] for _ in columns[len(graph.ranks) + 1 :]]
    for rank, column in zip(graph.ranks, columns, strict=False):
        rank += column


def round_rows(part: Round, drawn: set[Key]) -> list[Row]:
    """Return what a round is about: nd before it, the lookup, and nd.path after it; mounts are pointed to once."""
    frame = part.before
    nd, there = standing(frame), standing(part.after)
    mount, here = nd["path.mnt"], nd["path.dentry"]
    rows = [
        Row("nd.path.mnt", called(frame, mount), None if mount in drawn else mount, kind="Ref"),
        Row("nd.path.dentry", called(frame, here), here, kind="Ref"),
        Row("nd.inode", called(frame, nd["inode"])),
    ]
    if nd["remaining"] is None:
        text = only(frame, "Filename").members["name"]
        return [*rows, Row("nd.name.name", f'"{printable(text)}"')]
    rows += [Row("nd.last", quoted(nd["last"])), Row("remaining", left(nd["remaining"]))]
    return rows if part.call is None else rows + found_rows(part, nd, there)


def found_rows(part: Round, nd: dict[str, Any], there: dict[str, Any]) -> list[Row]:
    """Return how a component was found, and where nd.path was then: nd is the nameidata before, there the one after."""
    rows, name, place = [], f'"{printable(nd["last"])}"', there["path.dentry"]
    if part.slow is not None:
        rows.append(Row("lookup_fast()", f"no d_children[{name}]"))
        rows.append(Row("lookup_slow()", f"{asked(part.slow)}()", part.dentry, kind="Ptr"))
    elif part.dentry is not None:
        rows.append(Row("lookup_fast()", f"d_children[{name}]", part.dentry, kind="Ptr"))
    if there["depth"] > nd["depth"]:
        return [*rows, Row("pick_link()", f"a symlink to {part.call.result if part.call else ''}")]
    if place == part.dentry or part.dentry is None and there["path.mnt"] == nd["path.mnt"]:
        moved = f"nd.path.dentry = {place}"
    else:
        moved = f"nd.path = {there['path.mnt']}, {place}"
    function = "step_into()" if part.dentry is not None else "handle_dots()"
    return [*rows, Row(function, moved, None if place == part.dentry else place, kind="Ref")]


def asked(slow: Call) -> str:
    """Return the name of the filesystem's function that a slow lookup called."""
    for call in slow.walk():
        if call.parent is not None and call.parent.function == "__lookup_slow" and "dentry" in call.args:
            return call.function
    return slow.function


def standing(frame: Frame) -> dict[str, Any]:
    """Return the members of the walk's nameidata."""
    return only(frame, "Nameidata").members
