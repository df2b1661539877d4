"""F1: what a read() passes on its way from the system call to the host's file, from a trace of one."""

from __future__ import annotations

from typing import Any

from vfslab.kernel.trace import Call, Trace, function_graph
from vfslab.teach.figures import some_files, stage
from vfslab.viz.model import Graph, Row

# which lane a traced function belongs to: the longest prefix of its file wins
LANES = (
    ("fs/ext4/", "3 ext4", "Disk filesystem (fs/ext4)", "inode"),
    ("fs/jbd2/", "3 ext4", "Disk filesystem (fs/ext4)", "inode"),
    ("fs/mpage.py", "4 map", "Mapping layer (fs/mpage.py, fs/buffer.py)", "super"),
    ("fs/buffer.py", "4 map", "Mapping layer (fs/mpage.py, fs/buffer.py)", "super"),
    ("fs/block_dev.py", "4 map", "Mapping layer (fs/mpage.py, fs/buffer.py)", "super"),
    ("fs/", "1 vfs", "VFS (fs)", "dentry"),
    ("mm/", "2 mm", "Page cache (mm)", "mm"),
    ("block/", "5 block", "Generic block layer (block)", "block"),
    ("drivers/", "6 driver", "Block device driver (drivers)", "driver"),
)
ORDER = ("1 vfs", "2 mm", "3 ext4", "4 map", "5 block", "6 driver")


def way_of_a_read(image: str | None = None, path: str | None = None) -> Graph:
    """Trace the first read() of a file (cold page cache) and lay it out in lanes."""
    with stage(image) as (kernel, process, _device):
        path = path or some_files(process, 1)[0]
        fd = process.open(path, process.O_RDONLY)
        with function_graph(kernel.kernel) as trace:
            data = process.read(fd, 4096)
        process.close(fd)
    return lanes(trace, f'read(fd, 4096) of "{path}" returns {len(data)} bytes')


def lane_of(where: str) -> tuple[str, str, str]:
    """Return (lane, its title, its colour group) of a file of the kernel."""
    for prefix, lane, title, group in LANES:
        if where.startswith(prefix):
            return lane, title, group
    return "1 vfs", "VFS (fs)", "dentry"


def lanes(trace: Trace, title: str) -> Graph:
    """Return a trace as lanes: a box for each layer, a row for each call in order, arrows where a call changes lanes.

    Helpers are left out: calls that call nothing themselves, unless it is with them that the way goes down.
    """
    graph = Graph(title, rankdir="TB")
    places: dict[int, tuple[str, Row]] = {}
    rows: dict[str, list[Row]] = {}
    heads: dict[str, tuple[str, str]] = {}
    steps = 0
    for call in trace.calls():
        lane, lane_title, group = lane_of(call.where)
        above, caller = places[id(call.parent)] if call.parent is not None else (lane, None)
        if not worth_telling(call):
            continue
        steps += 1
        row = Row(f"{steps:>2} {call.function}", told(call))
        places[id(call)] = lane, row
        heads[lane] = lane_title, group
        rows.setdefault(lane, []).append(row)
        if above != lane and caller is not None and caller.to is None:
            caller.to, caller.row, caller.kind = lane, row.name, "call" if lane > above else "return"
    for lane in ORDER:
        if lane in rows:
            graph.box(lane, heads[lane][0], rows[lane], heads[lane][1])
    layers = ", ".join(heads[lane][0] for lane in ORDER if lane in rows)
    graph.alt = f"{title}. {steps} calls, from top to bottom through: {layers}."
    return graph


def worth_telling(call: Call) -> bool:
    """True unless a call is a helper: calls nothing itself, and it is not with it that the way goes down."""
    lane = lane_of(call.where)[0]
    above = lane if call.parent is None else lane_of(call.parent.where)[0]
    return bool(call.children or call.error or lane > above or lane == above == ORDER[-1])


def told(call: Call) -> str:
    """Return what is worth telling of a call beside its name: sizes and places, and how it ended."""
    wanted: list[str] = []
    for name in ("count", "pos", "index", "iblock", "nr_pages", "5 block"):
        if name in call.args:
            wanted.append(f"{name}={call.args[name]}")
    bio: Any = call.objects.get("bio")
    if bio is not None and hasattr(bio, "bi_size") and call.function == "submit_bio":
        wanted.append(repr(bio))
    if call.error:
        wanted.append(f"-{call.error}")
    return " ".join(wanted)
