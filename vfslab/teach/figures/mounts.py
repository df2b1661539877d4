"""F9: the mount hash table, mounts, superblocks and root dentries, before and after a mount."""

from __future__ import annotations

from typing import Any

from vfslab.kernel.snapshot import Frame, take
from vfslab.viz.model import Graph
from vfslab.viz.objects import graph_of_frame

MOUNTS = {
    "Kernel": ("mount_hashtable",),
    "Mount": ("mnt_parent", "mnt_mountpoint", "mnt", "mnt_devname", "mnt_count"),
    "Vfsmount": ("mnt_root", "mnt_sb", "mnt_flags"),
    "SuperBlock": ("s_id", "s_blocksize", "s_op", "s_root", "s_bdev", "s_type", "s_active"),
    "Dentry": ("d_name", "d_parent", "d_flags"),
    "BlockDevice": ("bd_device", "bd_nr_sectors"),
    "FileSystemType": ("name",),
}


def mount_after(image: str | None = None) -> Graph:
    """Mount an image from a guest file on /adrian/mnt through a loop device; what is new or changed is marked."""
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
        graph = graph_of_frame(moment(kernel), MOUNTS, before=before)
        process.umount("/adrian/mnt")
    marked = [box.title for box in graph.boxes.values() if box.mark]
    graph.alt = f"The mount hash table and what it leads to after a mount on /adrian/mnt. New since before: {', '.join(marked)}."
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
    """Return a snapshot of the kernel's mounts and what they point to, mountpoints' dentries included."""
    wanted = frozenset(MOUNTS)
    live = kernel.kernel
    roots = [live, *live.mount_hashtable.values()]
    namespace = live.init_task.nsproxy.mnt_ns
    roots += namespace.mounts.values()
    dentries = {id(mount.mnt_mountpoint) for mount in roots[1:]} | {id(mount.mnt.mnt_root) for mount in roots[1:]}

    def follow(obj: Any, member: str, target: Any) -> bool:
        kind = type(target).__name__
        if kind == "Dentry":
            return id(target) in dentries
        return kind in wanted

    return take(roots, follow)
