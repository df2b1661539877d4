"""F4 to F6: ext4 on the disk, from the bytes of a real image.

    F4   inode numbers 1 to 10: what each is for, and what the image has there
    F5   superblock ─▶ group descriptor ─▶ inode bitmap, inode table ─▶ bytes of inode 2 ─▶ the root's directory block
    F6   directory blocks ◀─▶ inode table ─▶ data

All numbers are read from the device. A directory's block holds directory entries; the dentry of the kernel is another
thing and exists in memory only. `..` of the root leads to the root itself: where `ls -ia` in a mounted root shows another
number for `..`, it is that of the directory above the mountpoint, in another filesystem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from vfslab.fs.ext4.format import (
    EXT4_EXTENTS_FL,
    EXT4_INLINE_DATA_FL,
    EXT4_ROOT_INO,
    I_BLOCK_OFFSET,
    ext4_dir_entry_2,
    ext4_extent,
    ext4_extent_header,
    ext4_extent_idx,
    ext4_inode,
)
from vfslab.include.uapi.stat import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, S_ISDIR, S_ISLNK, S_ISREG
from vfslab.teach.figures import stage
from vfslab.tools.raw import RawExt4
from vfslab.user.text import filemode, printable
from vfslab.viz.layouts import layout_box
from vfslab.viz.model import Graph, Row

# what each reserved inode is for: kernel documentation, "Special inodes"
PURPOSES = (
    "does not exist: there is no inode 0",
    "list of defective blocks",
    "root directory",
    "user quota",
    "group quota",
    "boot loader",
    "undelete directory",
    'reserved group descriptors ("resize inode")',
    "journal",
    '"exclude" inode, for snapshots',
    "replica inode, never merged",
)
MOST_BOXES, MOST_ENTRIES = 24, 16
# what dumpe2fs begins with, as far as the address of an inode depends on it or a reader will compare it
SUPER_FIELDS = (
    "s_magic", "s_blocks_count", "s_inodes_count", "s_free_blocks_count", "s_free_inodes_count", "s_log_block_size",
    "s_blocks_per_group", "s_inodes_per_group", "s_first_ino", "s_inode_size",
)  # fmt: skip


def opened(image: str | None, shipped: Callable[[], bytes] | None = None) -> Iterator[tuple[Any, RawExt4]]:
    """Yield one (kernel handle, raw device) and close both afterwards; shipped as for stage()."""
    with stage(image, shipped) as (kernel, process, device):
        raw = RawExt4(process, device)
        try:
            yield kernel, raw
        finally:
            raw.close()


def reserved_inodes(image: str | None = None) -> Graph:
    """Draw the reserved inodes: what each is for, and what the image's inode table holds there."""
    graph = Graph("")
    rows = [Row(f" 0 {PURPOSES[0]}")]
    for _, raw in opened(image):
        for ino in range(1, raw.sb.s_first_ino):
            view = raw.inode(ino)
            purpose = PURPOSES[ino] if ino < len(PURPOSES) else "reserved"
            held = (
                f"{filemode(view.i_mode)}, {view.i_size} bytes, links {view.i_links_count}" if view.i_mode else "unused"
            )
            rows.append(Row(f"{ino:>2} {purpose}", held))
        first = raw.sb.s_first_ino
        view = raw.inode(first)
        what = dict(entries(raw, raw.inode(EXT4_ROOT_INO), EXT4_ROOT_INO)).get(first, b"")
        held = f"{printable(what) or 'no name in the root'}, {filemode(view.i_mode)}, {view.i_size} bytes"
        rows.append(Row(f"{first:>2} first that is not reserved (s_first_ino)", held))
    graph.box("table", "inode number and purpose, and what is there", rows, "disk")
    graph.alt = (
        "Table of the reserved inodes 0 to 10 with their purpose and content, and inode 11, the first for files."
    )
    return graph


def inode_address(image: str | None = None) -> Graph:
    """Draw how the bytes of inode 2 are found: superblock, group descriptor, bitmap, table, address, fields."""
    graph, ino = Graph("", rankdir="TB"), EXT4_ROOT_INO
    for _, raw in opened(image):
        bs, desc = raw.block_size, raw.group_desc(0)
        box = layout_box(graph, "super", raw.sb, SUPER_FIELDS, address=1024)
        box.rows.append(Row("descriptors follow", "", "desc", kind="disk"))
        names = ("bg_block_bitmap", "bg_inode_bitmap", "bg_inode_table", "bg_free_inodes_count", "bg_checksum")
        box = layout_box(graph, "desc", desc, names, title="ext4_group_desc 0", address=raw.group_desc_offset(0))
        for row in box.rows:
            row.to, row.kind = {"bg_inode_bitmap": "bitmap", "bg_inode_table": "address"}.get(row.name), "disk"
        bitmap = raw.block(desc.bg_inode_bitmap)
        used = bytes(bitmap[: -(-raw.sb.s_inodes_per_group // 8)])
        at = desc.bg_inode_bitmap * bs
        rows = [Row("address", f"{desc.bg_inode_bitmap} * {bs} = {at} ({at:#x})")]
        for start in range(0, min(16, len(used)), 4):
            rows.append(
                Row(f"{at + start:#x}: inodes {start * 8 + 1}-{start * 8 + 32}", used[start : start + 4].hex(" "))
            )
        rows.append(Row("in use", in_use(used, raw.sb.s_inodes_per_group)))
        graph.box("bitmap", f"inode bitmap of group 0, block {desc.bg_inode_bitmap}", rows, "disk")
        place = raw.inode_offset(ino)
        rows = [
            Row("group", f"({ino} - 1) / {raw.sb.s_inodes_per_group} = {(ino - 1) // raw.sb.s_inodes_per_group}"),
            Row("index", f"({ino} - 1) % {raw.sb.s_inodes_per_group} = {(ino - 1) % raw.sb.s_inodes_per_group}"),
            Row(
                "address",
                f"{desc.bg_inode_table} * {bs} + {raw.inode_size} * ({ino} - 1) = {place:#x}",
                "inode",
                kind="disk",
            ),
        ]
        graph.box("address", f"where inode {ino} lies", rows, "user")
        add_bytes(graph, raw.inode(ino), ino, place)
        add_directory(graph, raw, ino)
    graph.alt = (
        f"The superblock leads to group descriptor 0, this to the inode bitmap and to inode {ino} at byte {place:#x}, whose "
        "fields are laid over its bytes. Its extent leads to the block with the names in the root directory."
    )
    return graph


def add_bytes(graph: Graph, view: ext4_inode, ino: int, address: int) -> None:
    """Add a box with the bytes of an inode and the field each belongs to, the extent tree opened."""
    rows = []
    extents = bool(view.i_flags & EXT4_EXTENTS_FL)
    data = bytes(view.buffer)
    for row in ext4_inode(data[:128]).rows():
        if row.name == "i_block" and extents:
            header = ext4_extent_header(data, I_BLOCK_OFFSET)
            inner = list(header.rows())
            kind = ext4_extent_idx if header.eh_depth else ext4_extent
            for place in range(min(header.eh_entries, 4)):
                inner += kind(data, I_BLOCK_OFFSET + 12 * (place + 1)).rows()
            rows += [
                Row(f"{address + r.offset:#x} {data[r.offset : r.offset + r.size].hex(' ')}", f"{r.name} = {r.shown}")
                for r in inner
            ]
        else:
            shown = data[row.offset : row.offset + row.size]
            text = shown[:8].hex(" ") + (" .." if len(shown) > 8 else "")
            rows.append(Row(f"{address + row.offset:#x} {text}", f"{row.name} = {row.shown}"))
    graph.box("inode", f"ext4_inode {ino} at {address:#x}", rows, "disk")


def add_directory(graph: Graph, raw: RawExt4, ino: int) -> None:
    """Add the entries of a directory, and the arrow to their block from the extent in the inode's box."""
    rows = [Row(printable(name), str(child)) for child, name in entries(raw, raw.inode(ino), ino)[:MOST_ENTRIES]]
    block = raw.first_file_block(ino) if raw.inode(ino).i_flags & EXT4_EXTENTS_FL else 0
    graph.box("dir", f"block {block}: ext4_dir_entry_2, name and inode", rows, "disk")
    for row in graph.boxes["inode"].rows:
        if row.value.startswith("ee_start_lo = ") and row.value.endswith(f" {block}"):
            row.to, row.kind = "dir", "disk"


def in_use(bitmap: bytes, count: int) -> str:
    """Return the runs of set bits of an inode bitmap as inode numbers."""
    bits = "".join(f"{byte:08b}"[::-1] for byte in bitmap)[:count]
    runs: list[str] = []
    place = 0
    while (start := bits.find("1", place)) >= 0 and len(runs) < 8:
        end = bits.find("0", start)
        place = len(bits) if end < 0 else end
        runs.append(f"{start + 1}-{place}" if place > start + 1 else str(start + 1))
    return "inodes " + ", ".join(runs) if runs else "none"


def entries(raw: RawExt4, view: ext4_inode, ino: int) -> list[tuple[int, bytes]]:
    """Return (inode, name) of a directory's entries, from the blocks its extents name."""
    found = []
    for data in directory_blocks(raw, view):
        at = 0
        while at + 8 <= len(data):
            entry = ext4_dir_entry_2(data, at)
            length = entry.rec_len or 65536
            if length < 8:
                break
            if entry.inode:
                found.append((entry.inode, bytes(data[at + 8 : at + 8 + entry.name_len])))
            at += length
    return found


def directory_blocks(raw: RawExt4, view: ext4_inode) -> Iterator[bytes]:
    """Yield the blocks of a directory whose extents lie in its inode (or its first direct blocks)."""
    if view.i_flags & EXT4_INLINE_DATA_FL or not S_ISDIR(view.i_mode):
        return
    if view.i_flags & EXT4_EXTENTS_FL:
        header = ext4_extent_header(view.buffer, I_BLOCK_OFFSET)
        if header.eh_depth == 0:
            for place in range(min(header.eh_entries, 4)):
                extent = ext4_extent(view.buffer, I_BLOCK_OFFSET + 12 * (place + 1))
                for block in range(extent.ee_start, extent.ee_start + min(extent.ee_len, 8)):
                    yield raw.block(block)
    else:
        for place in range(12):
            block = int.from_bytes(view.i_block[4 * place : 4 * place + 4], "little")
            if block:
                yield raw.block(block)


def names_and_inodes(image: str | None = None) -> Graph:
    """Draw inodes and directory blocks: which name leads to which inode, and where links meet."""
    graph = Graph("")
    graph.clusters.update({"1 blocks": "directory blocks", "2 table": "inode table", "3 data": "file data"})
    for _, raw in opened(image):
        waiting, seen = [(EXT4_ROOT_INO, "/")], {EXT4_ROOT_INO}
        while waiting and len(graph.boxes) < MOST_BOXES:
            ino, path = waiting.pop(0)
            view = raw.inode(ino)
            add_inode(graph, raw, ino, view, path)
            if not S_ISDIR(view.i_mode):
                continue
            rows = []
            for child, name in entries(raw, view, ino)[:MOST_ENTRIES]:
                rows.append(Row(printable(name), str(child), f"inode{child}", kind="disk"))
                if name not in (b".", b"..") and child not in seen:
                    seen.add(child)
                    waiting.append((child, f"{path.rstrip('/')}/{printable(name)}"))
            graph.box(f"dir{ino}", f"directory block of {path}: name, inode", rows, "dentry", "1 blocks")
    by_name(graph)
    links = sum(
        1 for box in graph.boxes.values() for row in box.rows if row.name == "i_links_count" and row.value != "1"
    )
    graph.alt = f"Directory entries point to inodes by number; {links} inodes have more than one name. Each directory's inode points to its block."
    return graph


def add_inode(graph: Graph, raw: RawExt4, ino: int, view: ext4_inode, path: str) -> None:
    """Add the box of one inode: type, link count, size, and where its data is."""
    kind = {S_IFDIR: "directory", S_IFREG: "file", S_IFLNK: "symbolic link"}.get(view.i_mode & S_IFMT, "special file")
    rows = [Row("i_mode", f"0{view.i_mode:o}: {kind}"), Row("i_links_count", str(view.i_links_count))]
    rows.append(Row("i_size", str(view.i_size)))
    if S_ISLNK(view.i_mode) and view.i_size < 60:
        target = printable(bytes(view.i_block[: view.i_size]))
        rows.append(Row("i_block", f'"{target}" (the target itself)'))
    elif S_ISDIR(view.i_mode):
        rows.append(Row("i_block", "", f"dir{ino}", kind="disk"))
    elif view.i_flags & EXT4_EXTENTS_FL and view.i_mode & S_IFMT:
        extent = ext4_extent(view.buffer, I_BLOCK_OFFSET + 12)
        first = ext4_extent_header(view.buffer, I_BLOCK_OFFSET)
        single = first.eh_entries and not first.eh_depth
        rows.append(Row("i_block", f"block {extent.ee_start}" if single else "extent tree"))
        if single and S_ISREG(view.i_mode):
            rows[-1].to, rows[-1].kind = f"data{ino}", "disk"
            begins = Row("begins with", printable(raw.block(extent.ee_start)[: min(16, view.i_size)]))
            graph.box(f"data{ino}", f"data of {path}", [begins], "disk", "3 data")
    graph.box(f"inode{ino}", f"inode {ino} at {raw.inode_offset(ino):#x}", rows, "inode", "2 table")


def by_name(graph: Graph) -> None:
    """Let soft links to a name in their own directory point to that name: they lead to an entry, not to an inode."""
    for folder in [box for box in graph.boxes.values() if box.cluster == "1 blocks"]:
        names = {row.name for row in folder.rows}
        for entry in folder.rows:
            inode = graph.boxes.get(entry.to or "")
            for row in inode.rows if inode is not None else ():
                if row.name == "i_block" and row.value.startswith('"') and row.value.split('"')[1] in names:
                    row.to, row.row, row.kind = folder.key, row.value.split('"')[1], "back"
