"""F17 and F19: the three caches of the VFS, and what a read of four bytes leaves in one of them.

    F17   system calls ─▶ file ─▶ dentry ─▶ inode      a filesystem is called through its tables,
                            │       │         │         and only for what a cache does not hold
                       page cache  dentry   inode cache
    F19   pread(fd, 4, 0x1006) ─▶ one page from 0x1000 ─▶ pread(fd, 4, 0x100a): no filesystem, no request

Two things differ from the usual drawing of F17. The page cache hangs on the inode (i_mapping) and not on the open file,
which only has a shorter way to it (f_mapping): that is why it outlives close(). And it caches block devices too: each has
an inode with pages of its own. (Linux finds dentries and inodes in one hash table each for all filesystems; here a directory
holds its part of the one, d_children, and a superblock its part of the other.)

In F19 one page is what a read in the middle of a file brings. A page is the least, not the most: a read at the start of a
file, or one that goes on where the last one ended, looks like a stream, and read-ahead brings more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from vfslab.drivers.hostdisk import running
from vfslab.fs.super import drop_super_caches
from vfslab.include import mm_types
from vfslab.include.mm_types import PAGE_SHIFT, PAGE_SIZE
from vfslab.kernel.snapshot import key_of
from vfslab.kernel.trace import Call, Trace, function_graph
from vfslab.teach.figures import some_files, stage
from vfslab.teach.figures.parts import add_moment, functions, in_dentry_cache, in_inode_cache
from vfslab.teach.figures.request import lane_of, worth_telling
from vfslab.user.text import printable
from vfslab.viz.model import Box, Graph, Row
from vfslab.viz.objects import graph_of

VFS_OBJECTS = {
    "File": ("f_pos", "f_path.dentry", "f_mapping"),
    "Dentry": ("d_name", "d_inode"),
    "Inode": ("i_ino", "i_nlink", "i_size", "i_op", "i_sb", "i_mapping"),
}
ONE_FILE = {
    "File": ("f_mapping",),
    "AddressSpace": ("a_ops", "nrpages", "i_pages"),
    "Folio": ("index", "nr_pages", "flags"),
}
FLAGS = tuple((name[3:].lower(), bit) for name, bit in vars(mm_types).items() if name.startswith("PG_"))
FIRST, SECOND, COUNT = 0x1006, 0x100A, 4
MOST_CALLS = 32


# --- F17 ------------------------------------------------------------------------------------------


def vfs_and_its_caches(image: str | None = None) -> Graph:
    """Stat, open and read a file of each of two filesystems, twice; draw the objects, the caches and the drivers."""
    with stage(image) as (kernel, process, _device):
        path, note = some_files(process, 1)[0], "/note"
        forget(kernel.kernel)
        fd = process.open(note, process.O_CREAT | process.O_WRONLY)
        process.write(fd, b"a note\n")
        process.close(fd)
        scenes = [Scene(kernel.kernel, process, path), Scene(kernel.kernel, process, note)]
        graph = graph_of([scene.file for scene in scenes], VFS_OBJECTS)
        graph.rankdir = "TB"
        for scene in scenes:
            add_driver(graph, scene)
            if scene.sb.s_bdev is None:  # numbers of such an inode count all that were made since boot
                box = graph.boxes[key_of(scene.inode)]
                box.title = box.title.split(" ino ")[0]
                box.rows[:] = [row for row in box.rows if row.name != "i_ino"]
        add_caches(graph, scenes)
        add_calls(graph, scenes)
    graph.clusters.update({"2 vfs": "Virtual File System", "3 drivers": "filesystem drivers"})
    graph.alt = (
        f"System calls on {path} and {note} lead to open files, these to dentries, these to inodes. Beside them the caches: "
        "dentries by parent and name, inodes by number, pages by inode and index. Where a cache held nothing, the filesystem "
        "driver was called, through a member of its tables; the second time it was not."
    )
    return graph


def forget(kernel: Any) -> None:
    """Empty the caches of all filesystems of what nobody uses, as writing 2 to /proc/sys/vm/drop_caches does.

    Finding a file to read has filled them.
    """
    with running(kernel):
        for sb in list(kernel.super_blocks):
            if sb.s_bdev is not None:
                drop_super_caches(sb)


class Scene:
    """One file: what its system calls made the kernel call, the first time and again, and the open file it leaves."""

    def __init__(self, kernel: Any, process: Any, path: str) -> None:
        self.path, self.calls = path, {}
        held: list[int] = []
        for name, act in (
            ("stat", lambda: process.stat(path)),
            ("open", lambda: held.append(process.open(path, process.O_RDONLY))),
            ("read", lambda: process.pread(held[0], 16, 0)),
        ):
            self.calls[name] = traced(kernel, act), traced(kernel, act)
        process.close(held[1])
        self.file = process.task.files.fdt[held[0]]
        self.inode = self.file.f_inode
        self.sb = self.inode.i_sb

    def operations(self) -> dict[str, str]:
        """Return {function: member} of all the tables through which the VFS reaches this file's filesystem."""
        folder = self.file.f_path.dentry.d_parent.d_inode
        found: dict[str, str] = {}
        for name, table in (
            ("i_op", folder.i_op), ("i_op", self.inode.i_op), ("s_op", self.sb.s_op),
            ("i_fop", self.inode.i_fop), ("a_ops", self.inode.i_mapping.a_ops),
        ):  # fmt: skip
            found |= {function: f"{name}.{member}" for member, function in functions(table)}
        return found

    def called(self) -> tuple[Counter, Counter]:
        """Return how often each function of the tables was called: the first time, and again."""
        known, first, again = self.operations(), Counter[str](), Counter[str]()
        for pair in self.calls.values():
            for trace, count in zip(pair, (first, again), strict=True):
                count.update(call.function for call in trace.calls() if call.function in known)
        return first, again


def traced(kernel: Any, act: Callable) -> Trace:
    """Return what ran while act() did."""
    with function_graph(kernel) as trace:
        act()
    return trace


def add_driver(graph: Graph, scene: Scene) -> None:
    """Add a filesystem's box: the members of its tables that were called, how often the first time and again."""
    known, (first, again) = scene.operations(), scene.called()
    rows = [
        Row(known[function], f"{function}: {first[function]}, again {again[function]}")
        for function in sorted(first, key=known.__getitem__)
    ]
    name = printable(scene.sb.s_type.name)
    rows.insert(0, Row("s_id", f'"{printable(scene.sb.s_id)}"'))
    graph.box(driver_key(scene), f"{name} (SuperBlock#{scene.sb._nr})", rows, "super", "3 drivers")


def driver_key(scene: Scene) -> str:
    """Return the key of the box of a scene's filesystem."""
    return f"driver {key_of(scene.sb)}"


def times(count: int) -> str:
    """Return "1 call", "2 calls"."""
    return f"{count} call{'' if count == 1 else 's'}"


def add_caches(graph: Graph, scenes: list[Scene]) -> None:
    """Add the dentry cache, the inode caches and the pages, each with what it holds of the objects drawn."""
    for box in graph.boxes.values():
        box.cluster = box.cluster or "2 vfs"
    dentries = graph.box("dentry cache", "dentry cache: d_children of each directory", (), "dentry", "2 vfs")
    for scene in scenes:
        dentry = scene.file.f_path.dentry
        if in_dentry_cache(dentry):
            label = f'"{printable(dentry.d_name)}" below "{printable(dentry.d_parent.d_name)}"'
            dentries.rows.append(Row(label, "", key_of(dentry), kind="Ptr"))
        held = scene.sb.s_inode_hashtable
        title = f"inode cache of {printable(scene.sb.s_id)}"
        inodes = Box(f"inode cache {key_of(scene.sb)}", title, [], "inode", "2 vfs")
        inodes.rows.append(Row("s_inode_hashtable", f"{len(held)} inodes"))
        if held:  # a filesystem in memory finds no inode by number
            graph.boxes[inodes.key] = inodes
        if in_inode_cache(scene.inode):
            inodes.rows.append(Row(f"[{scene.inode.i_ino}]", "", key_of(scene.inode), kind="Ptr"))
        pages = add_pages(graph, scene.inode.i_mapping)
        for row in (*graph.boxes[key_of(scene.file)].rows, *graph.boxes[key_of(scene.inode)].rows):
            if row.name in ("f_mapping", "i_mapping"):
                row.to = pages.key
            elif row.name == "i_sb":
                row.to = driver_key(scene)
        for cache, member in ((dentries, "i_op.lookup"), (inodes, "s_op.alloc_inode"), (pages, "a_ops.")):
            on_a_miss(graph, cache, scene, member)
    dentries.rows.sort(key=lambda row: row.kind == "call")


def add_pages(graph: Graph, mapping: Any) -> Box:
    """Add the pages of one inode, which open file and inode point to."""
    box = graph.box(key_of(mapping), f"page cache: AddressSpace#{mapping._nr}", (), "mm", "2 vfs")
    box.rows.append(Row("nrpages", str(mapping.nrpages)))
    for folio in dict.fromkeys(mapping.i_pages.values()):
        box.rows.append(Row(f"i_pages[{folio.index}]", f"Folio#{folio._nr}, {folio.nr_pages * PAGE_SIZE} bytes"))
    return box


def on_a_miss(graph: Graph, cache: Box, scene: Scene, member: str) -> None:
    """Say whom the VFS called when the cache held nothing, if it did."""
    for row in graph.boxes[driver_key(scene)].rows:
        if row.name.startswith(member) and (function := row.value.split(":")[0]):
            cache.rows.append(Row("if missing", function, driver_key(scene), row.name, "call"))


def add_calls(graph: Graph, scenes: list[Scene]) -> None:
    """Add the system calls: what each one asked of the driver and of the disk, the first time and again."""
    for scene in scenes:
        rows, known = [], scene.operations()
        for name, pair in scene.calls.items():
            first, again = (sum(call.function in known for call in trace.calls()) for trace in pair)
            disk, later = (sum(point.name == "block_rq_issue" for point in trace.points) for trace in pair)
            rows.append(Row(name, f"{times(first)}, {disk} to the disk; again {again}, {later}"))
        box = graph.box(f"calls {scene.path}", f"system calls on {scene.path}", rows, "user")
        box.rows[-1].to, box.rows[-1].kind = key_of(scene.file), "call"


# --- F19 ------------------------------------------------------------------------------------------


def a_page_for_four_bytes(image: str | None = None, path: str | None = None) -> Graph:
    """Read four bytes at 0x1006 of a file nobody has read, then four at 0x100a: what ran, and what is cached after each."""
    from vfslab.data import small_image

    graph, ran, moments = Graph("", rankdir="TB"), [], []
    with stage(image, small_image) as (kernel, process, _device):
        path = path or longest(process)
        fd = process.open(path, process.O_RDONLY)
        file = process.task.files.fdt[fd]
        for number, pos in enumerate((FIRST, SECOND), 1):
            with function_graph(kernel.kernel) as trace:
                data = process.pread(fd, COUNT, pos)
            title = f"{number}. pread(fd, {COUNT}, {pos:#x}) of {path}"
            moments.append((f"{number}", title, moment(trace, file, pos, data)))
            ran.append(trace)
    for each in moments:
        add_moment(graph, *each)
    asked, silent = (sum(is_filesystem(call) for call in trace.calls()) for trace in ran)
    graph.alt = (
        f"The first read of {COUNT} bytes at {FIRST:#x} calls {times(asked).replace('call', 'function')} of the filesystem, and "
        f"one page from {FIRST & ~(PAGE_SIZE - 1):#x} on comes into the page cache. The second, at {SECOND:#x}, calls "
        f"{silent}: the bytes are copied from the same folio."
    )
    return graph


def longest(process: Any) -> str:
    """Return the path of a file with both places in it: one without holes if there is one."""
    paths = some_files(process, 20, least=SECOND + COUNT)
    return max(paths, key=lambda path: process.stat(path).st_blocks * 512 / process.stat(path).st_size)


def is_filesystem(call: Call) -> bool:
    """True for a function of a filesystem, of the mapping layer or of anything below."""
    return lane_of(call.where)[0] > "2 mm"


def moment(trace: Trace, file: Any, pos: int, data: bytes) -> Graph:
    """Return the graph of one read: the functions that ran, the pages that are cached now, and the bytes handed over."""
    graph = graph_of([file], ONE_FILE)
    for key, box in list(graph.boxes.items()):
        if key.startswith("Folio"):
            tell_folio(box, file.f_mapping, pos, data)
        if key == key_of(file):
            del graph.boxes[key]
    calls = add_trace(graph, trace)
    below = sum(is_filesystem(call) for call in trace.calls())
    calls.rows.append(Row("filesystem and below", f"{times(below)}" if below else "not called"))
    for point in trace.points:
        if point.name == "block_rq_issue":
            add_request(graph, calls, point)
    for row in calls.rows:
        if row.name.strip() == "filemap_read":
            row.to, row.kind = key_of(file.f_mapping), "call"
    hexed = f'{data.hex(" ")}  "{printable(data)}"'
    graph.box("buffer", "the caller's buffer", [Row(f"{len(data)} bytes", hexed)], "user")
    return graph


def add_trace(graph: Graph, trace: Trace) -> Box:
    """Add the functions that ran, with the layer of each; helpers are left out if there are many."""
    every = list(trace.calls())
    told = [call for call in every if len(every) <= 8 or worth_telling(call)]
    rows = [Row(" " * c.depth + c.function, lane_of(c.where)[1].split(" (")[0]) for c in told[:MOST_CALLS]]
    if len(told) > MOST_CALLS:
        rows.append(Row(f"and {len(told) - MOST_CALLS} more"))
    return graph.box("ran", "functions that ran", rows, "task")


def tell_folio(box: Box, mapping: Any, pos: int, data: bytes) -> None:
    """Add to a folio's box which bytes of the file it holds, its flags by name, and the bytes that were asked for."""
    for row in box.rows:
        if row.name == "flags":
            row.value = ", ".join(name for name, bit in FLAGS if int(row.value, 16) & bit) or "none"
    folio = mapping.i_pages[int(next(row.value for row in box.rows if row.name == "index"))]
    start = folio.index << PAGE_SHIFT
    box.rows.append(Row("bytes of the file", f"{start:#x} to {start + len(folio.mem) - 1:#x}"))
    if start <= pos < start + len(folio.mem):
        piece = bytes(folio.mem[pos - start : pos - start + len(data)])
        label = f"mem[{pos - start:#05x}:{pos - start + len(data):#05x}]"
        box.rows.append(Row(label, piece.hex(" "), "buffer", kind="call"))


def add_request(graph: Graph, calls: Box, point: Any) -> None:
    """Add one request to the driver, and the arrow from the function that issued it."""
    key = f"request {point.values['sector']}"
    rows = [Row(name, str(point.values[name])) for name in ("sector", "bytes")]
    graph.box(key, "request to the disk", rows, "block")
    for row in calls.rows:
        if row.name.strip() == point.call.function and row.to is None:
            row.to, row.kind = key, "call"
            break
