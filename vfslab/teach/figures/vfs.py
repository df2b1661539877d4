"""F2 and F15: the objects of the VFS between a descriptor and the disk, from a running kernel.

    task ─▶ descriptors ─▶ open file ─▶ dentry (dentry cache) ─▶ inode (inode cache)     in memory
                                          ┊                        ┊
                               directory entry ─────────▶ inode in the inode table       on the disk

What stands on the disk in a directory is a directory entry (ext4_dir_entry_2), not a dentry: dentries exist in memory
only, also for names that are not on the disk and for filesystems that have no disk. An object stands in the frame of a
cache only if it is found there. Linux chains them in two hash tables (dentries in hlist_bl, with a bit as lock; inodes in
hlist); here a directory's d_children and a superblock's s_inode_hashtable are the parts of those tables.
"""

from __future__ import annotations

from typing import Any

from vfslab.fs.dcache import d_aliases
from vfslab.fs.ext4.format import (
    EXT4_EXTENTS_FL,
    I_BLOCK_OFFSET,
    SUPERBLOCK_OFFSET,
    ext4_extent,
    ext4_extent_header,
)
from vfslab.kernel.snapshot import key_of
from vfslab.teach.figures import MOUNTPOINT, some_files, stage
from vfslab.teach.figures.ondisk import entries
from vfslab.teach.figures.parts import class_of, gather, in_dentry_cache, in_inode_cache, loops
from vfslab.tools.raw import RawExt4
from vfslab.user.text import printable
from vfslab.viz.layouts import layout_box
from vfslab.viz.model import Graph, Row
from vfslab.viz.objects import graph_of

OPEN_FILES = {
    "TaskStruct": ("pid", "comm", "files"),
    "FilesStruct": ("fdt",),
    "File": ("f_pos", "f_flags", "f_count", "f_path.dentry"),
    "Dentry": ("d_name", "d_inode", "d_count"),
    "Inode": ("i_ino", "i_nlink", "i_size", "i_count"),
}
ABSTRACTIONS = {
    "FilesStruct": ("fdt",),
    "File": ("f_pos", "f_count", "f_path.dentry"),
    "Dentry": ("d_name", "d_inode", "d_count"),
    "Inode": ("i_ino", "i_mode", "i_nlink", "i_size", "i_sb", "i_mapping"),
    "SuperBlock": ("s_id", "s_blocksize"),
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
        graph = graph_of(tasks, OPEN_FILES)
        graph.rankdir = "TB"
        files = [process.task.files.fdt[fd] for process, fd in held]
        mark_caches(graph, [file.f_path.dentry for file in files])
        add_disk(graph, RawExt4(first, device), [file.f_inode for file in files])
        for process, fd in held:
            process.close(fd)
    graph.clusters["4 disk"] = "on the disk: directory entries and inode table"
    graph.alt = (
        f"Two processes, three open files, of {one} twice and of {other} once: each open file leads to a dentry, "
        "the dentry to an inode in memory, and this to the inode on the disk."
    )
    return graph


def mark_caches(graph: Graph, dentries: list) -> None:
    """Put dentries and inodes into the frame of the cache that they are found in; open files stand in one of their own."""
    cached = {key_of(dentry) for dentry in dentries if in_dentry_cache(dentry)}
    cached |= {key_of(dentry.d_inode) for dentry in dentries if in_inode_cache(dentry.d_inode)}
    gather(graph, "1 files", "open files", lambda box: class_of(box) == "File")
    gather(graph, "2 dentries", "dentry cache", lambda box: class_of(box) == "Dentry" and box.key in cached)
    gather(graph, "3 inodes", "inode cache", lambda box: class_of(box) == "Inode" and box.key in cached)


def add_entry(graph: Graph, raw: RawExt4, dentry: Any, inode_key: str) -> None:
    """Add the directory entry on the disk that a dentry stands for."""
    parent = dentry.d_parent.d_inode.i_ino
    for ino, name in entries(raw, raw.inode(parent), parent):
        if name == dentry.d_name:
            key = f"entry{parent} {name.decode(errors='replace')}"
            rows = [Row("inode", str(ino), inode_key, kind="disk"), Row("name", f'"{printable(name)}"')]
            graph.box(key, f"ext4_dir_entry_2 in directory {parent}", rows, "disk", "4 disk")
            graph.boxes[key_of(dentry)].rows.append(Row("read from", "", key, kind="disk"))


def two_files(process: Any) -> tuple[str, str]:
    """Return the paths of two files that are not the same inode, or one path twice if there is only one."""
    paths = some_files(process, 200)
    first = process.lstat(paths[0]).st_ino
    return paths[0], next((path for path in paths if process.lstat(path).st_ino != first), paths[0])


def add_disk(graph: Graph, raw: RawExt4, inodes: list) -> None:
    """Add the on-disk inodes that the given inodes were read from, and the directory entries of their dentries."""
    for inode in dict.fromkeys(inodes):
        key = f"disk{inode.i_ino}"
        title, at = f"ext4_inode {inode.i_ino}", raw.inode_offset(inode.i_ino)
        names = ("i_mode", "i_size", "i_links_count")
        layout_box(graph, key, raw.inode(inode.i_ino), names, title, address=at).cluster = "4 disk"
        graph.boxes[key_of(inode)].rows.append(Row("read from", "", key, kind="disk"))
        for dentry in d_aliases(inode):
            if key_of(dentry) in graph.boxes:
                add_entry(graph, raw, dentry, key)


def tell_data(graph: Graph, inode: Any) -> None:
    """Say what the cached pages of an inode begin with."""
    for folio in dict.fromkeys(inode.i_mapping.i_pages.values()):
        if key_of(folio) in graph.boxes:
            graph.boxes[key_of(folio)].rows.append(Row("begins with", printable(bytes(folio.mem[:12]))))


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
        graph.rankdir = "TB"
        loops(graph)
        tell_data(graph, inode)
        add_storage(graph, RawExt4(process, device), inode)
        for each in (fd, again, linked):
            process.close(each)
    graph.clusters["4 disk"] = "the same on storage"
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
    """Add what the disk has of the same: superblock, directory entries, inode and the blocks of data."""
    add_disk(graph, raw, [inode])
    names = ("s_blocks_count", "s_inodes_count", "s_log_block_size")
    layout_box(graph, "ondisk super", raw.sb, names, address=SUPERBLOCK_OFFSET).cluster = "4 disk"
    if key_of(inode.i_sb) in graph.boxes:
        graph.boxes[key_of(inode.i_sb)].rows.append(Row("read from", "", "ondisk super", kind="disk"))
    view, box = raw.inode(inode.i_ino), graph.boxes[f"disk{inode.i_ino}"]
    header = ext4_extent_header(view.buffer, I_BLOCK_OFFSET)
    if view.i_flags & EXT4_EXTENTS_FL and header.eh_entries and not header.eh_depth:
        extent = ext4_extent(view.buffer, I_BLOCK_OFFSET + 12)
        first, count = extent.ee_start, extent.ee_len
        box.rows.append(Row("i_block", f"extent of {count} block{'' if count == 1 else 's'}", "data", kind="disk"))
        start = raw.block(first)[:12]
        rows = [Row("byte", f"{first * raw.block_size:#x}"), Row("begins with", printable(start))]
        graph.box(
            "data", f"data: block {first}{'' if count == 1 else f' to {first + count - 1}'}", rows, "disk", "4 disk"
        )
