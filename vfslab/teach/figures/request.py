"""F1: what a read() passes on its way from the system call to the disk, from a trace of one.

    VFS ─▶ page cache ─▶ disk filesystem ─────┬─▶ mapping layer ─▶ block layer ─▶ scheduler ─▶ driver ─▶ disk
                     └─▶ block device as file ┘                submit_bio()

Two reads are traced, both cold: of a file, and of the device itself through its node in /dev. They differ in one layer
only, so the second adds no more than its functions there. There is no buffer cache beside the page cache: since 2.4 a
buffer head describes a piece of a cached page (fs/buffer.py is part of the mapping layer here).
"""

from __future__ import annotations

from typing import Any

from vfslab.include.mm_types import PAGE_SHIFT
from vfslab.kernel.trace import Call, Trace, function_graph
from vfslab.teach.figures import some_files, stage
from vfslab.viz.model import Graph, Row

# which lane a traced function belongs to: the longest prefix of its file wins
LANES = (
    ("fs/ext4/", "3 ext4", "Disk filesystem (fs/ext4)", "inode"),
    ("fs/jbd2/", "3 ext4", "Disk filesystem (fs/ext4)", "inode"),
    ("fs/mpage.py", "4 map", "Mapping layer (fs/mpage.py, fs/buffer.py)", "super"),
    ("fs/buffer.py", "4 map", "Mapping layer (fs/mpage.py, fs/buffer.py)", "super"),
    ("fs/block_dev.py", "3 file", "Block device as a file (fs/block_dev.py)", "file"),
    ("fs/", "1 vfs", "VFS (fs)", "dentry"),
    ("mm/", "2 mm", "Page cache (mm)", "mm"),
    ("block/blk_mq.py", "6 sched", "I/O scheduler (block/blk_mq.py)", "task"),
    ("block/blk_merge.py", "6 sched", "I/O scheduler (block/blk_mq.py)", "task"),
    ("block/", "5 block", "Generic block layer (block)", "block"),
    ("drivers/", "7 driver", "Block device driver (drivers)", "driver"),
)
ORDER = ("1 vfs", "2 mm", "3 ext4", "3 file", "4 map", "5 block", "6 sched", "7 driver")


def way_of_a_read(image: str | None = None, path: str | None = None) -> Graph:
    """Trace the first read() of a file (cold page cache) and lay it out in lanes; beside it, a read of the device."""
    with stage(image) as (kernel, process, device):
        path = path or some_files(process, 1)[0]
        trace, data = traced_read(kernel, process, path, 0)
        graph = lanes(trace, f'read(fd, 4096) of "{path}"')
        add_device(graph, traced_read(kernel, process, device, cold_page(kernel))[0], device)
        add_disk(graph, trace, kernel.kernel.disks[b"vda"])
        graph.boxes["1 vfs"].rows.append(Row("returned", f"{len(data)} bytes"))
    return graph


def traced_read(kernel: Any, process: Any, path: str, pos: int) -> tuple[Trace, bytes]:
    """Return the trace of one read of 4,096 bytes, and the bytes."""
    fd = process.open(path, process.O_RDONLY)
    process.lseek(fd, pos, process.SEEK_SET)
    with function_graph(kernel.kernel) as trace:
        data = process.read(fd, 4096)
    process.close(fd)
    return trace, data


def cold_page(kernel: Any) -> int:
    """Return the position of a page of the device that is not in its page cache yet."""
    disk = kernel.kernel.disks[b"vda"]
    part = next((part for part in disk.part_tbl.values() if part.bd_holder is not None), disk.part0)
    pages = part.bd_mapping.i_pages if part.bd_mapping is not None else {}
    return next(page for page in range(1, len(pages) + 2) if page not in pages) << PAGE_SHIFT


def add_device(graph: Graph, trace: Trace, device: str) -> None:
    """Add the lane of the block device as a file: its functions in the second trace, and between which lanes they stand."""
    rows, lane = [], "3 file"
    for call in trace.calls():
        if lane_of(call.where)[0] != lane or not worth_telling(call):
            continue
        rows.append(Row(f"* {call.function}"))
        above = lane_of(call.parent.where)[0] if call.parent is not None else lane
        if "1 vfs" < above < lane and above in graph.boxes:
            graph.arrow(above, lane, f"of {device}", "call")
        below = {lane_of(child.where)[0] for child in call.children} - {lane, *ORDER[:2]}
        for each in below & graph.boxes.keys():
            graph.arrow(lane, each, "", "call")
    if rows:
        graph.box(lane, next(title for _, name, title, _ in LANES if name == lane), rows, "file")


def add_disk(graph: Graph, trace: Trace, disk: Any) -> None:
    """Add the disk, with the requests that reached it."""
    points = [point for point in trace.points if point.name == "block_rq_issue"]
    rows = [Row("sectors", str(disk.part0.bd_nr_sectors))]
    rows += [Row("request", f"{point.values['bytes']} bytes at sector {point.values['sector']}") for point in points]
    graph.box("8 disk", f"Disk {disk.disk_name.decode()}", rows, "disk")
    last = [row for row in graph.boxes[ORDER[-1]].rows if row.to is None] if ORDER[-1] in graph.boxes else []
    if last and points:
        last[-1].to, last[-1].kind = "8 disk", "call"


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
    for name in ("count", "pos", "index", "iblock", "nr_pages"):
        if name in call.args:
            wanted.append(f"{name}={call.args[name]}")
    bio: Any = call.objects.get("bio")
    if bio is not None and hasattr(bio, "bi_size") and call.function == "submit_bio":
        wanted.append(repr(bio))
    if call.error:
        wanted.append(f"-{call.error}")
    return " ".join(wanted)
