"""F9: the mount hash table, mounts, superblocks and root dentries, before and after a mount.

    mount_hashtable[parent vfsmount, mountpoint dentry] ─▶ mount ─ mnt.mnt_root ─▶ root dentry
                                                             └──── mnt.mnt_sb ───▶ super_block

A vfsmount is embedded in its mount and drawn inside it. The dentry of the mountpoint is not replaced by the mount: it is
covered, has DCACHE_MOUNTED set, and stays where it was, below its parents. In Linux the entries of one bucket are chained
through mnt_hash (next, pprev); here the table is a dict, so the key is shown instead of the chain.
"""

from __future__ import annotations

from typing import Any

from vfslab.include.dcache import DCACHE_MOUNTED
from vfslab.kernel.snapshot import Frame, take
from vfslab.teach.figures.parts import add_moment, class_of, fold, loops
from vfslab.viz.model import Graph
from vfslab.viz.objects import graph_of_frame, shows

MOUNTS = {
    "Kernel": ("mount_hashtable",),
    "Mount": ("mnt_devname", "mnt_parent", "mnt_mountpoint", "mnt", "mnt_count"),
    "Vfsmount": ("mnt_root", "mnt_sb", "mnt_flags"),
    "SuperBlock": ("s_type", "s_op", "s_blocksize", "s_maxbytes", "s_root", "s_bdev", "s_fs_info", "s_active"),
    "Dentry": ("d_name", "d_parent", "d_inode", "d_sb", "d_flags"),
    "BlockDevice": ("bd_device", "bd_nr_sectors"),
    "FileSystemType": ("name",),
}
LARGEST = 256 << 20  # the image lies in the guest's memory
BACK = ("mnt_parent", "s_root", "d_parent", "d_sb")  # the picture runs from the table to the root dentries


def mount_after(image: str | None = None) -> Graph:
    """Mount an image from a guest file on /adrian/mnt through a loop device: the mount table before and after."""
    import vfslab

    content = vfslab.deck_image() if image is None else content_of(image)
    with vfslab.boot(memory=len(content) * 2 + (32 << 20)) as kernel:
        process = kernel.process()
        process.makedirs("/adrian/img")
        process.mkdir("/adrian/mnt")
        put(process, "/adrian/img/src.img", content)
        root = process.task.fs.root.dentry
        covered = root.d_children[b"adrian"].d_children[b"mnt"]
        before = moment(kernel, covered)
        process.mount("/adrian/img/src.img", "/adrian/mnt", "ext4", "loop,ro")
        after = picture(moment(kernel, covered), before)
        process.umount("/adrian/mnt")
    new = ", ".join(box.title for box in after.boxes.values() if box.mark)
    graph = Graph("")  # what is declared last stands on top
    add_moment(graph, "2", "2. after the mount (marked: new or changed)", after)
    add_moment(graph, "1", "1. before the mount", picture(before))
    graph.alt = f"The mount hash table and what it leads to, before and after a mount on /adrian/mnt. New: {new}."
    return graph


def picture(frame: Frame, before: Frame | None = None) -> Graph:
    """Return the graph of one moment, the vfsmounts within their mounts; what differs from `before` is marked."""
    graph = graph_of_frame(frame, MOUNTS, before=before)
    fold(graph, "Vfsmount")
    loops(graph)
    entries = graph_of_frame(before, MOUNTS).boxes[next(iter(before))].rows if before is not None else []
    old = {row.name for row in entries}
    for box in list(graph.boxes.values()):
        for row in box.rows:
            if row.name in BACK:
                row.kind = "back"
            if row.name == "d_flags":
                mounted = int(row.value, 16) & DCACHE_MOUNTED
                row.value += " (DCACHE_MOUNTED)" if mounted else ""
            elif row.name.startswith("mount_hashtable["):
                row.mark = before is not None and row.name not in old
            elif row.name == "s_type" and row.to in graph.boxes:
                row.value, row.to = graph.boxes[row.to].rows[0].value, None
            elif row.name == "d_sb":  # the same for all dentries of a filesystem: told, not drawn
                row.to = None
        if class_of(box) == "FileSystemType":
            del graph.boxes[box.key]
    return graph


def content_of(image: str) -> bytes:
    """Return the bytes of an image, or of one partition of it ("disk.img#1"); ImageError if it cannot be used."""
    from vfslab.tools.image import ImageError, attached

    with attached(image) as (machine, device):
        process = machine.process()
        fd = process.open(device, process.O_RDONLY)
        size = process.lseek(fd, 0, process.SEEK_END)
        if size > LARGEST:
            raise ImageError(
                f"{image}: {size} bytes are too much to be put into a file of the guest, {LARGEST >> 20} MiB at most"
            )
        return process.pread(fd, size, 0)


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


def moment(kernel: Any, covered: Any) -> Frame:
    """Return a snapshot of the kernel's mount table and all that the view shows of it, and of the dentry to be covered."""
    live = kernel.kernel
    mounts = list(live.init_task.nsproxy.mnt_ns.mounts.values())
    drawn = {id(mount.mnt.mnt_root) for mount in mounts}
    for dentry in (covered, *(mount.mnt_mountpoint for mount in mounts)):
        while id(dentry) not in drawn:  # a mountpoint is drawn with the directories above it: /adrian/mnt
            drawn.add(id(dentry))
            dentry = dentry.d_parent

    def follow(obj: Any, member: str, target: Any) -> bool:
        if type(target).__name__ == "Dentry" and id(target) not in drawn:
            return False
        return shows(MOUNTS, obj, member, target)

    return take([live, *mounts, covered], follow)
