"""F12: a partitioned disk, from the node in /dev through the block layer to the driver: who points to whom.

    node's inode ─ i_rdev ─▶ bdev_map ─▶ block_device ─ bd_disk ─▶ gendisk ─ queue ─▶ request_queue ─ mq_ops ─▶ driver
                                             └ bd_mapping ─▶ the device's own inode (page cache) ◀─ f_mapping ─ open file

The scene opens the nodes of the whole disk and of its first partition and draws while they are open. Three things differ
from drawings of 2020: a partition is a block_device (until 5.10 it was an hd_struct), a partition finds its disk through
bd_disk (bd_contains is gone, bdev_whole() is bd_disk->part0), and the page cache is reached through bd_mapping (bd_inode is
gone since 6.10). The disk has always been a gendisk; genhd was the name of a header, never of a structure.

Left out: what happens when the disk is pulled out while a file on it is open.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vfslab.block.partitions.msdos import MSDOS_LABEL_MAGIC, msdos_label, msdos_partition
from vfslab.fs.block_dev import def_blk_fops
from vfslab.include.blk_types import BlockDevice
from vfslab.kernel.snapshot import key_of, table_names, take
from vfslab.teach.figures.parts import class_of, device_number, fold, gather, loops, point, table_box
from vfslab.viz.model import Box, Graph
from vfslab.viz.objects import graph_of_frame, shows

DISK_OBJECTS = {
    "Kernel": ("bdev_map",),
    "File": ("f_inode", "f_mapping", "f_op"),
    "Inode": ("i_mode", "i_rdev", "i_size", "i_fop", "i_data"),
    "AddressSpace": ("host", "nrpages", "a_ops"),
    "BlockDevice": (
        "bd_device", "bd_dev", "bd_partno", "bd_start_sect", "bd_nr_sectors", "bd_openers", "bd_mapping", "bd_disk",
        "bd_queue",
    ),
    "Gendisk": ("disk_name", "major", "first_minor", "minors", "part0", "part_tbl", "fops", "queue", "private_data"),
    "RequestQueue": ("disk", "elevator", "nr_requests", "mq_ops", "queuedata"),
    "HostDisk": ("disk", "source", "size"),
}  # fmt: skip
BACK = ("disk", "part0", "part_tbl", "bd_mapping")  # the picture runs from the node to the driver
SECTOR, FIRST = 512, 2048  # the first partition begins at 1 MiB, where partitioning tools put it
LINUX, SWAP = 0x83, 0x82


def disk_and_driver(image: str | None = None) -> Graph:
    """Open a disk and its first partition; draw the objects of VFS, block layer and driver that stand for them."""
    with plugged_in(image) as (kernel, disk, partno):
        process = kernel.process()
        nodes = ["/dev/" + part.bd_device.decode() for part in (disk.part0, disk.part_tbl[partno])]
        held = {node: process.open(node, process.O_RDONLY) for node in nodes}
        for fd in held.values():
            process.pread(fd, 512, 1024)
        files = {node: process.task.files.fdt[fd] for node, fd in held.items()}
        graph = picture(kernel.kernel, files, disk)
    parts = sum(class_of(box) == "BlockDevice" for box in graph.boxes.values())
    graph.alt = (
        f"Open files of {' and '.join(held)}: each node's inode holds a device number, under which the kernel "
        f"finds a block_device. There are {parts}, one for the whole disk (part0) and one for each partition. All point to one "
        "gendisk and one request_queue; these point to the driver's tables of functions and to its own structure."
    )
    return graph


@contextmanager
def plugged_in(image: str | None) -> Iterator[tuple[Any, Any, int]]:
    """Boot a kernel with a disk as vda; give (kernel handle, gendisk, number of the part to open).

    The image that ships gets a partition table, made here. One's own is taken as it is, partitioned or not.
    """
    import vfslab
    from vfslab.tools.image import ImageError, check_usable, choose_partition, split

    name, wanted = split(image) if image is not None else ("", None)
    if image is not None:
        check_usable(name)
    with vfslab.boot() as kernel:
        try:
            kernel.attach("vda", name or partitioned(vfslab.deck_image()), read_only=True)
        except OSError as error:
            raise ImageError(f"{name}: {error.strerror or error}") from None
        disk = kernel.kernel.disks[b"vda"]
        if wanted is not None:
            choose_partition(kernel, name, wanted)
        yield kernel, disk, wanted if wanted is not None else min((n for n in disk.part_tbl if n), default=0)


def partitioned(content: bytes) -> bytearray:
    """Return a disk with an MBR of two partitions: the content, and behind it 1 MiB for swapping."""
    begin, room = FIRST * SECTOR, FIRST * SECTOR
    disk = bytearray(begin + len(content) + room)
    disk[begin : begin + len(content)] = content
    msdos_label(disk).magic = MSDOS_LABEL_MAGIC
    sectors = len(content) // SECTOR
    for slot, (kind, start, count) in enumerate(((LINUX, FIRST, sectors), (SWAP, FIRST + sectors, room // SECTOR))):
        entry = msdos_partition(disk, 446 + 16 * slot)
        entry.sys_ind, entry.start_sect, entry.nr_sects = kind, start, count
    return disk


def picture(kernel: Any, files: dict[str, Any], disk: Any) -> Graph:
    """Return the graph of what open files {node: file} and the disk lead to, in three frames."""
    ours = {id(part) for part in disk.part_tbl.values()}

    def follow(obj: Any, member: str, target: Any) -> bool:
        return shows(DISK_OBJECTS, obj, member, target) and (type(target) is not BlockDevice or id(target) in ours)

    graph = graph_of_frame(take([*files.values(), kernel, disk], follow), DISK_OBJECTS)
    graph.rankdir = "TB"
    fold(graph, "AddressSpace")
    loops(graph)
    names = table_names()
    tables: tuple[tuple[Any, str], ...]
    tables = (def_blk_fops, "file"), (disk.fops, "driver"), (disk.queue.mq_ops, "driver")
    for table, group in tables:
        table_box(graph, table, names[id(table)], group)
        point(graph, ("f_op", "fops", "mq_ops"), names[id(table)])
    for node, file in files.items():
        graph.boxes[key_of(file)].title += f" {node}"
    for box in graph.boxes.values():
        tidy(box, graph, kernel)
    vfs, block = ("Kernel", "File", "Inode"), ("BlockDevice", "Gendisk", "RequestQueue")
    gather(graph, "1 vfs", "VFS", lambda box: class_of(box) in vfs or box.group == "file")
    gather(graph, "2 block", "block layer", lambda box: class_of(box) in block)
    gather(graph, "3 driver", "device driver", lambda box: box.group == "driver")
    return graph


def tidy(box: Box, graph: Graph, kernel: Any) -> None:
    """Show device numbers as major and minor; say which inode is which; leave other disks and an unused cache out."""
    cached = any(row.name == "i_data.a_ops" and row.value != "NULL" for row in box.rows)
    if class_of(box) == "Kernel":
        box.rows[:] = [row for row in box.rows if row.to in graph.boxes]
    if class_of(box) == "HostDisk":
        box.group = "driver"
    if class_of(box) == "BlockDevice":
        box.title += " " + box.rows[0].value.strip('"')
    if class_of(box) == "Inode":
        node = any(row.name == "i_rdev" and row.value != "0" for row in box.rows)
        role = "of the device" if cached else "of the node in /dev" if node else ""
        box.title = f"{box.title.split(' ino ')[0]} {role}"
        box.rows[:] = [row for row in box.rows if row.name != "i_data.host" and (cached or "i_data" not in row.name)]
    for row in box.rows:
        if row.name.split("[")[0] in BACK:
            row.kind = "back"
            row.value = row.value or str(row.to)
        if row.name == "bd_queue":  # the disk's queue, one step closer: told, not drawn
            row.to = None
        if row.name in ("i_rdev", "bd_dev"):
            row.value = device_number(int(row.value))
            if row.name == "i_rdev" and not cached:  # no pointer: the number is looked up
                row.to, row.row, row.kind = key_of(kernel), f"bdev_map[{row.value}]", "disk"
        elif row.name.startswith("bdev_map["):
            row.name = f"bdev_map[{device_number(int(row.name[9:-1]))}]"
