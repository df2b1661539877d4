"""F2 and F15: the objects of the VFS between a descriptor and the disk, from a running kernel."""

from __future__ import annotations

from typing import Any

from vfslab.fs.dcache import d_aliases
from vfslab.fs.ext4.format import EXT4_EXTENTS_FL, I_BLOCK_OFFSET, ext4_extent, ext4_extent_header
from vfslab.kernel.snapshot import key_of
from vfslab.teach.figures import MOUNTPOINT, some_files, stage
from vfslab.teach.figures.ondisk import entries
from vfslab.tools.raw import RawExt4
from vfslab.user.text import printable
from vfslab.viz.layouts import layout_box
from vfslab.viz.model import Graph, Row
from vfslab.viz.objects import graph_of

OPEN_FILES = {
    "TaskStruct": ("pid", "comm", "files"),
    "FilesStruct": ("fdt",),
    "File": ("f_pos", "f_flags", "f_count", "f_path", "f_inode"),
    "Path": ("dentry",),
    "Dentry": ("d_name", "d_inode", "d_count"),
    "Inode": ("i_ino", "i_nlink", "i_size", "i_count"),
}
ABSTRACTIONS = {
    "FilesStruct": ("fdt",),
    "File": ("f_pos", "f_count", "f_path"),
    "Path": ("dentry",),
    "Dentry": ("d_name", "d_inode", "d_count"),
    "Inode": ("i_ino", "i_nlink", "i_size", "i_mapping"),
    "AddressSpace": ("nrpages", "i_pages"),
    "Folio": ("index", "nr_pages", "mem"),
}


def open_files(image: str | None = None) -> Graph:
    """Two processes open two files, one of them twice: three open files, two dentries, two inodes, and the disk."""
    with stage(image) as (kernel, first, device):
        one, other = two_files(first)
        second = kernel.process()
        held = [(first, first.open(one, 0)), (first, first.open(other, 0)), (second, second.open(one, 0))]
        tasks = [first.task, second.task]
        graph = graph_of(tasks, OPEN_FILES, alt="")
        inodes = [
            task.files.fdt[fd].f_inode for (_, fd), task in zip(held, (tasks[0], tasks[0], tasks[1]), strict=True)
        ]
        add_disk(graph, RawExt4(first, device), inodes)
        for process, fd in held:
            process.close(fd)
    graph.clusters.update(disk="on the disk")
    graph.alt = (
        f"Two processes, three open files, of {one} twice and of {other} once: each open file leads to a dentry, "
        "the dentry to an inode in memory, and this to the inode on the disk."
    )
    return graph


def add_entry(graph: Graph, raw: RawExt4, dentry: Any, inode_key: str) -> None:
    """Add the directory entry on the disk that a dentry stands for."""
    parent = dentry.d_parent.d_inode.i_ino
    for ino, name in entries(raw, raw.inode(parent), parent):
        if name == dentry.d_name:
            key = f"entry{parent} {name.decode(errors='replace')}"
            rows = [Row("inode", str(ino), inode_key, kind="disk"), Row("name", f'"{printable(name)}"')]
            graph.box(key, f"ext4_dir_entry_2 in directory {parent}", rows, "disk", "disk")
            if key_of(dentry) in graph.boxes:
                graph.boxes[key_of(dentry)].rows.append(Row("read from", "", key, kind="disk"))


def two_files(process: Any) -> tuple[str, str]:
    """Return the paths of two files that are not the same inode, or one path twice if there is only one."""
    paths = some_files(process, 200)
    first = process.lstat(paths[0]).st_ino
    return paths[0], next((path for path in paths if process.lstat(path).st_ino != first), paths[0])


def add_disk(graph: Graph, raw: RawExt4, inodes: list) -> None:
    """Add the on-disk inodes that the given inodes were read from."""
    try:
        for inode in dict.fromkeys(inodes):
            key = f"disk{inode.i_ino}"
            at = raw.inode_offset(inode.i_ino)
            layout_box(
                graph,
                key,
                raw.inode(inode.i_ino),
                ("i_mode", "i_size", "i_links_count"),
                f"ext4_inode {inode.i_ino}",
                address=at,
            )
            graph.boxes[key].cluster = "disk"
            graph.boxes[key_of(inode)].rows.append(Row("read from", "", key, kind="disk"))
            for dentry in d_aliases(inode):
                add_entry(graph, raw, dentry, key)
    finally:
        raw.close()


def abstractions(image: str | None = None) -> Graph:
    """One file under two names, opened under each; one of the descriptors is a dup: four kinds of objects, four ways to share."""
    with stage(image) as (_kernel, process, device):
        one, other = two_names(process)
        fd = process.open(one, 0)
        again = process.dup(fd)
        linked = process.open(other, 0)
        process.read(fd, 16)
        files = process.task.files
        inode = files.fdt[fd].f_inode
        graph = graph_of([files], ABSTRACTIONS)
        raw = RawExt4(process, device)
        try:
            add_storage(graph, raw, inode)
        finally:
            raw.close()
        for each in (fd, again, linked):
            process.close(each)
    graph.clusters.update(disk="the same on storage")
    shared = "one inode under two names" if one != other else "one name opened twice"
    graph.alt = (
        f"Descriptors {fd} and {again} are a dup and share one open file; descriptor {linked} has its own. "
        f"{shared}: {one} and {other}. The inode's page cache holds the data; on storage, entries, inode and blocks."
    )
    return graph


def two_names(process: Any) -> tuple[str, str]:
    """Return two paths of one inode, or one path twice if the image has no hard link."""
    seen: dict[tuple[int, int], str] = {}
    for path in some_files(process, 200):
        st = process.lstat(path)
        if (st.st_dev, st.st_ino) in seen:
            return seen[st.st_dev, st.st_ino], path
        seen[st.st_dev, st.st_ino] = path
    only = some_files(process, 1, MOUNTPOINT)[0]
    return only, only


def add_storage(graph: Graph, raw: RawExt4, inode: Any) -> None:
    """Add what the disk has of the same file: the inode and its data blocks."""
    view = raw.inode(inode.i_ino)
    box = layout_box(
        graph,
        "ondisk",
        view,
        ("i_mode", "i_size", "i_links_count"),
        f"ext4_inode {inode.i_ino}",
        address=raw.inode_offset(inode.i_ino),
    )
    box.cluster = "disk"
    graph.boxes[key_of(inode)].rows.append(Row("read from", "", "ondisk", kind="disk"))
    header = ext4_extent_header(view.buffer, I_BLOCK_OFFSET)
    if view.i_flags & EXT4_EXTENTS_FL and header.eh_entries and not header.eh_depth:
        extent = ext4_extent(view.buffer, I_BLOCK_OFFSET + 12)
        box.rows.append(Row("i_block", f"extent of {extent.ee_len} blocks", "data", kind="disk"))
        rows = [Row("byte", f"{extent.ee_start * raw.block_size:#x}")]
        graph.box("data", f"data: block {extent.ee_start}", rows, "disk", "disk")
