"""F10: `ls --color mnt`, its system calls, and how openat() comes from a mountpoint to what is mounted there.

    strace()     ──▶ the system calls of the program, as they enter the kernel and leave it
    film()       ──▶ snapshots in step_into() and __lookup_mnt() (figures/walk.py)
    list_mount() ──▶ the calls, the covered dentry, the mount that the hash table has for it, the mounted root
    list_mount_steps()   the same, moment by moment

Against the slides (29 to 32), which show Linux 5.11:
  - The system calls there are a screenshot; here they are the calls that user/ls.py makes. Both ask each entry for its
    mode: the record in the directory gives the type, but not whether a file may be run.
  - The covered dentry's name is shown there as "mnt/", len 31, which is more than the name. It is "mnt", len 3; and
    the dentry that the walk goes on with is the mounted root, whose name is "/".
  - traverse_mounts() follows mounts one upon the other. Where there is one, vfslab takes a shorter way,
    step_onto_mount(), with the same look into the hash table; the picture names the one that ran.
  - The slides leave out how one dentry leads to the other: the hash table of mounts, by (mount, dentry).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from vfslab.include.stat import Kstat
from vfslab.include.uapi import fcntl
from vfslab.kernel.errno import KernelError, name_of
from vfslab.kernel.snapshot import key_of
from vfslab.kernel.trace import Call
from vfslab.teach.figures.walk import Walk, called, film, quoted, standing, tidy, tree
from vfslab.user.ls import ls
from vfslab.user.text import filemode, printable
from vfslab.viz.model import Graph, Row
from vfslab.viz.objects import graph_of_frame
from vfslab.viz.timeline import Step

LISTING = {
    "TaskStruct": ("files", "nameidata"),
    "FilesStruct": ("fdt",),
    "File": ("f_path.mnt", "f_path.dentry"),
    "Nameidata": ("last", "path.mnt", "path.dentry", "inode"),
    "Mount": ("mnt_parent", "mnt_mountpoint", "mnt", "mnt_devname"),
    "Vfsmount": ("mnt_root", "mnt_sb"),
    "Dentry": ("d_name", "d_parent", "d_inode", "d_flags"),
    "SuperBlock": ("s_id", "s_type.name", "s_op", "s_blocksize", "s_root", "s_bdev", "s_fs_info"),
}
MOST_CALLS, WIDEST = 14, 46  # what fits beside the picture: calls, and characters of each
STEPS = LISTING | {
    "Dentry": ("d_name", "d_flags"),
    "SuperBlock": ("s_id", "s_type.name", "s_op"),
}
CROSSING = frozenset({"step_into", "__lookup_mnt"})
LISTED = CROSSING | {
    "sys_newfstatat", "sys_openat", "sys_getdents64", "path_init", "link_path_walk", "lookup_fast", "lookup_slow",
    "step_onto_mount", "traverse_mounts", "do_open", "iterate_dir",
}  # fmt: skip
OPEN_FLAGS = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_EXCL", "O_TRUNC", "O_NONBLOCK", "O_DIRECTORY", "O_CLOEXEC")


# --- the system calls -----------------------------------------------------------------------------


class Entered(NamedTuple):
    """One system call: its name, its arguments, and what came back, a KernelError too."""

    name: str
    args: tuple
    result: Any

    def text(self) -> tuple[str, str]:
        """Return the call and its result as strace(1) writes them, arguments left out at the end if they are many."""
        args = [argument(self.name, number, value) for number, value in enumerate(self.args)]
        whole = f"{self.name}({', '.join(args)})"
        while len(whole) > WIDEST and len(args) > 1:
            args.pop()
            whole = f"{self.name}({', '.join(args)}, …)"
        return whole, outcome(self.result)


def argument(call: str, number: int, value: Any) -> str:
    """Return one argument of a system call in words."""
    if isinstance(value, bytes):
        return f'"{printable(value)}"'
    if value == fcntl.AT_FDCWD:
        return "AT_FDCWD"
    if call == "openat" and number == 2:
        names = [name for name in OPEN_FLAGS if value & getattr(fcntl, name)]
        return "|".join(names if value & fcntl.O_ACCMODE else ["O_RDONLY", *names])
    if call == "newfstatat" and number == 2 and value:
        return "AT_SYMLINK_NOFOLLOW" if value == fcntl.AT_SYMLINK_NOFOLLOW else hex(value)
    return str(value)


def outcome(result: Any) -> str:
    """Return what a system call gave, in words."""
    if isinstance(result, KernelError):
        return f"-{name_of(result.errno)}"
    if isinstance(result, Kstat):
        return filemode(result.mode)
    return f"{len(result)} entries" if isinstance(result, list) else str(result)


@contextmanager
def strace(machine: Any) -> Iterator[list[Entered]]:
    """Collect the system calls that a kernel is asked for while the block runs, in the order they end."""
    kernel, calls = machine.kernel, []
    table = kernel.sys_call_table

    def watched(name: str) -> Any:
        def enter(*args: Any) -> Any:
            try:
                result = table[name](*args)
            except KernelError as error:
                calls.append(Entered(name, args, error))
                raise
            calls.append(Entered(name, args, result))
            return result

        return enter

    kernel.sys_call_table = {name: watched(name) for name in table}
    try:
        yield calls
    finally:
        kernel.sys_call_table = table


# --- the picture ----------------------------------------------------------------------------------


def list_mount(image: str | None = None) -> Graph:
    """Draw the system calls of `ls --color mnt`, and how the walk of its openat() gets onto the mount."""
    with tree(image) as scene, strace(scene.machine) as calls:
        walk = film(scene, lambda: list(ls(scene.process, "mnt", color=True)), "ls --color mnt", LISTING, CROSSING)
    graph = Graph("")
    opened = next(number for number, call in enumerate(calls) if call.name == "openat")
    rows = [Row(*call.text()) for call in calls[:MOST_CALLS]]
    if len(calls) > MOST_CALLS:
        rows[-2:] = [Row("", f"{len(calls) - MOST_CALLS + 1} more calls"), Row(*calls[-1].text())]
    graph.box("1 calls", "ls --color mnt: system calls", rows, "user")
    graph.arrow("1 calls", "2 covered", f"in {calls[opened].name}()", "call")
    add_crossing(graph, *crossing(walk.steps))
    graph.alt = (
        f"ls --color mnt makes {len(calls)} system calls. In the walk of openat(), step_into() is called with the covered "
        "dentry mnt; the hash table of mounts leads from it, as seen through its mount, to the mount that covers it; when "
        "step_into() returns, nd.path is the root of that mount, in another filesystem."
    )
    return graph


def add_crossing(graph: Graph, begun: Step, looked: Step, ended: Step) -> None:
    """Add the three moments at which a walk gets onto a mount, and what each of them can see."""
    covered = key_of(begun.call.objects["dentry"])
    before, after = standing(begun.frame), standing(ended.frame)
    mount = looked.call.value
    if mount is None:
        raise LookupError(f"nothing is mounted on {covered}")
    swapped = looked.call.parent.function if looked.call.parent is not None else ""
    rows = [
        Row("nd.last", quoted(before["last"])),
        Row("nd.path.mnt", called(begun.frame, before["path.mnt"]), before["path.mnt"], kind="Ref"),
        Row("dentry", called(begun.frame, covered), covered, kind="Ref"),
    ]
    graph.box("2 covered", "step_into() is called", rows, "task")
    key = f"[{before['path.mnt']}, {covered}]"
    rows = [Row("mount_hashtable", key, key_of(mount), kind="Ptr")]
    graph.box("3 looked up", f"{swapped}() calls __lookup_mnt()", rows, "task")
    rows = [
        Row("nd.path.mnt", called(ended.frame, after["path.mnt"]), after["path.mnt"], kind="Ref"),
        Row("nd.path.dentry", called(ended.frame, after["path.dentry"]), after["path.dentry"], kind="Ref"),
        Row("nd.inode", called(ended.frame, after["inode"])),
    ]
    graph.box("4 mounted", "step_into() returns", rows, "task")
    graph.arrow("2 covered", "3 looked up")
    graph.arrow("3 looked up", "4 mounted")
    places = graph_of_frame(looked.frame, LISTING).boxes | graph_of_frame(ended.frame, LISTING).boxes
    drawn = (before["path.mnt"], covered, key_of(mount), after["path.mnt"], after["path.dentry"])
    for cluster, title, keys in (
        ("5 below", "the filesystem that /adrian/mnt lies in", drawn[:2]),
        ("6 mount", "", drawn[2:3]),
        ("7 above", "the filesystem that is mounted there", drawn[3:]),
    ):
        supers = [places[key].rows[1].to for key in keys if places[key].title.startswith("Vfsmount")]
        for each in [*keys, *supers]:
            graph.boxes[each] = places[each]
            graph.boxes[each].cluster = cluster if title else ""
        if title:
            graph.clusters[cluster] = title
    graph.ranks.append(["1 calls", "2 covered", "3 looked up", "4 mounted"])
    tidy(graph, ended.frame)
    for box in graph.boxes.values():
        for row in box.rows:
            if row.name in ("d_parent", "s_root") or row.to not in graph.boxes:
                row.to, row.value = None, row.value if row.to is None else called(ended.frame, row.to)


def list_mount_steps(image: str | None = None) -> Walk:
    """Return the same step by step, up to the first line that ls prints."""
    with tree(image) as scene:
        return film(scene, lambda: next(ls(scene.process, "mnt", color=True)), "ls --color mnt", STEPS, LISTED)


def crossing(steps: list[Step]) -> tuple[Step, Step, Step]:
    """Return the moments of the openat() at which the walk steps into a covered dentry: call, look into the table, return."""
    inside = [step for step in steps if origin(step.call).function == "sys_openat"]
    for number, step in enumerate(inside):
        if step.call.function == "step_into" and step.what == "call":
            end = next(place for place in range(number + 1, len(inside)) if inside[place].call is step.call)
            looked = [other for other in inside[number:end] if other.call.function == "__lookup_mnt"]
            if looked:
                return step, looked[-1], inside[end]
    raise LookupError("openat() came to no dentry that something is mounted on")


def origin(call: Call) -> Call:
    """Return the outermost call around a call."""
    while call.parent is not None:
        call = call.parent
    return call
