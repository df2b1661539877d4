"""F9: the mount hash table, mounts, superblocks and root dentries, before and after a mount."""

from __future__ import annotations

from typing import Any

from vfslab.kernel.snapshot import Frame, take
from vfslab.viz.model import Graph
from vfslab.viz.objects import graph_of_frame, shows

MOUNTS = {
    "Kernel": ("mount_hashtable",),
    "Mount": ("mnt_parent", "mnt_mountpoint", "mnt", "mnt_devname", "mnt_count"),
    "Vfsmount": ("mnt_root", "mnt_sb", "mnt_flags"),
    "SuperBlock": ("s_id", "s_blocksize", "s_op", "s_root", "s_bdev", "s_type", "s_active"),
    "Dentry": ("d_name", "d_parent", "d_flags"),
    "BlockDevice": ("bd_device", "bd_nr_sectors"),
}


def mount_after(image: str | None = None) -> Graph:
    """Mount an image from a guest file on /adrian/mnt through a loop device: the mount table before and after."""
    import vfslab

    if image is None:
        content = vfslab.deck_image()
    else:
        with open(image, "rb") as source:
            content = source.read(1 << 28)
    with vfslab.boot(memory=len(content) * 2 + (32 << 20)) as kernel:
        process = kernel.process()
        process.makedirs("/adrian/img")
        process.mkdir("/adrian/mnt")
        put(process, "/adrian/img/src.img", content)
        before = moment(kernel)
        process.mount("/adrian/img/src.img", "/adrian/mnt", "ext4", "loop,ro")
        after = graph_of_frame(moment(kernel), MOUNTS, before=before)
        process.umount("/adrian/mnt")
    new = ", ".join(box.title for box in after.boxes.values() if box.mark)
    graph = side_by_side(graph_of_frame(before, MOUNTS), after)
    graph.alt = f"The mount hash table and what it leads to, before and after a mount on /adrian/mnt. New: {new}."
    return graph


def put(process: Any, path: str, content: bytes) -> None:
    """Write content to a file of the guest, zeros as holes."""
    fd = process.open(path, process.O_WRONLY | process.O_CREAT, 0o644)
    try:
        step = 1 << 16
        for at in range(0, len(content), step):
            piece = content[at : at + step]
            if piece.count(0) < len(piece):
                process.pwrite(fd, piece, at)
        process.ftruncate(fd, len(content))
    finally:
        process.close(fd)


def moment(kernel: Any) -> Frame:
    """Return a snapshot of the kernel's mount table and all that the view shows of it, mountpoints included."""
    live = kernel.kernel
    mounts = list(live.init_task.nsproxy.mnt_ns.mounts.values())
    drawn = {id(dentry) for mount in mounts for dentry in (mount.mnt_mountpoint, mount.mnt.mnt_root)}

    def follow(obj: Any, member: str, target: Any) -> bool:
        if type(target).__name__ == "Dentry" and id(target) not in drawn:
            return False
        return shows(MOUNTS, obj, member, target)

    return take([live, *mounts], follow)


def side_by_side(before: Graph, after: Graph) -> Graph:
    """Return one graph of two moments, each in a frame of its own."""
    graph = Graph("", clusters={"1 before": "before", "2 after": "after (marked: new or changed)"})
    for cluster, moment_graph in (("1 before", before), ("2 after", after)):
        for key, box in moment_graph.boxes.items():
            made = graph.box(f"{cluster[2:]} {key}", box.title, box.rows, box.group, cluster)
            made.mark = box.mark
            for row in box.rows:
                if row.to is not None:
                    row.to = f"{cluster[2:]} {row.to}"
    return graph
