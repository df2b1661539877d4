"""F3 to F6: ext4 on the disk, from the bytes of a real image."""

from __future__ import annotations

from collections.abc import Iterator
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
from vfslab.include.uapi.stat import S_IFMT, S_ISDIR, S_ISLNK, S_ISREG
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
MOST_BOXES = 24


def opened(image: str | None) -> Iterator[tuple[Any, RawExt4]]:
    """Yield one (kernel handle, raw device) and close both afterwards."""
    with stage(image) as (kernel, process, device):
        raw = RawExt4(process, device)
        try:
            yield kernel, raw
        finally:
            raw.close()


def block_group(image: str | None = None) -> Graph:
    """Draw block group 0, an inode with extents, and its tree down to the disk blocks."""
    graph = Graph("")
    for _, raw in opened(image):
        bs, desc = raw.block_size, raw.group_desc(0)
        table = -(-raw.sb.s_inodes_per_group * raw.inode_size // bs)
        parts = [
            ("boot sector", 0, 0),
            ("superblock", raw.super_block_number(), 1),
            ("group descriptors", raw.super_block_number() + 1, -(-raw.groups * raw.desc_size // bs)),
            (
                "reserved GDT blocks",
                raw.super_block_number() + 1 + -(-raw.groups * raw.desc_size // bs),
                raw.sb.s_reserved_gdt_blocks,
            ),
            ("block bitmap", desc.bg_block_bitmap, 1),
            ("inode bitmap", desc.bg_inode_bitmap, 1),
            ("inode table", desc.bg_inode_table, table),
        ]
        rows = []
        for label, block, count in parts:
            at = 1024 if label == "superblock" else block * bs
            if label == "boot sector":
                rows.append(Row(label, "bytes 0 to 1023"))
            elif count:
                rows.append(Row(label, f"block {block}{f'-{block + count - 1}' if count > 1 else ''}, byte {at:#x}"))
        last = min(raw.first_block(0) + raw.sb.s_blocks_per_group, raw.blocks) - 1
        rows.append(
            Row(
                "addressed by one group",
                f"{raw.sb.s_blocks_per_group} x {bs} bytes = {raw.sb.s_blocks_per_group * bs >> 20} MiB",
            )
        )
        graph.box("group", f"Block group 0: blocks {raw.first_block(0)}-{last}", rows, "disk")
        layout_box(
            graph,
            "super",
            raw.sb,
            ("s_inodes_count", "s_blocks_count", "s_free_blocks_count", "s_free_inodes_count"),
            address=1024,
        )
        ino = deepest(raw)
        view = raw.inode(ino)
        names = ("i_mode", "i_uid", "i_gid", "i_size", "i_atime", "i_ctime", "i_mtime", "i_links_count", "i_flags")
        box = layout_box(graph, "inode", view, names, title=f"ext4_inode {ino}", address=raw.inode_offset(ino))
        box.rows.append(Row("i_block", "extent tree", to="node", kind="Embedded"))
        next(row for row in rows if row.name == "inode table").to = "inode"
        next(row for row in rows if row.name == "superblock").to = "super"
        add_extent_node(
            graph, raw, "node", view.buffer, I_BLOCK_OFFSET, "in i_block", raw.inode_offset(ino) + I_BLOCK_OFFSET
        )
    graph.alt = (
        f"Block group 0 with its parts and their byte addresses; inode {ino}; its extent tree of "
        f"{sum(1 for key in graph.boxes if key.startswith('node'))} nodes down to the disk blocks."
    )
    return graph


def deepest(raw: RawExt4) -> int:
    """Return the inode among the first 4,096 that has the deepest extent tree, then the most entries."""
    best, found = (-1, -1), EXT4_ROOT_INO
    for ino in range(raw.sb.s_first_ino, min(raw.sb.s_inodes_count, 4096) + 1):
        view = raw.inode(ino)
        if view.i_links_count and view.i_flags & EXT4_EXTENTS_FL and S_ISREG(view.i_mode):
            header = ext4_extent_header(view.buffer, I_BLOCK_OFFSET)
            best, found = max((best, found), ((header.eh_depth, header.eh_entries), ino))
    return found


def add_extent_node(graph: Graph, raw: RawExt4, key: str, data: Any, start: int, where: str, address: int) -> None:
    """Add a box for a node of an extent tree and, as far as there is room, for what hangs below it."""
    header = ext4_extent_header(data, start)
    box = layout_box(graph, key, header, title=f"ext4_extent_header {where}", address=address)
    for place in range(min(header.eh_entries, 6)):
        at = start + 12 * (place + 1)
        if header.eh_depth:
            index = ext4_extent_idx(data, at)
            below = f"{key}.{place}"
            box.rows.append(
                Row(
                    f"ext4_extent_idx[{place}]",
                    f"ei_block={index.ei_block} ei_leaf={index.ei_leaf}",
                    below,
                    kind="disk",
                )
            )
            if len(graph.boxes) < MOST_BOXES:
                block = index.ei_leaf
                add_extent_node(graph, raw, below, raw.block(block), 0, f"in block {block}", block * raw.block_size)
        else:
            extent = ext4_extent(data, at)
            length = extent.ee_len if extent.ee_len <= 32768 else extent.ee_len - 32768
            kind = "" if extent.ee_len <= 32768 else ", unwritten"
            data_key = f"{key}.data{place}"
            box.rows.append(
                Row(
                    f"ext4_extent[{place}]",
                    f"ee_block={extent.ee_block} ee_len={extent.ee_len:#06x} ee_start={extent.ee_start}",
                    data_key,
                    kind="disk",
                )
            )
            if len(graph.boxes) < MOST_BOXES:
                last = extent.ee_start + length - 1
                rows = [Row("file blocks", f"{extent.ee_block}-{extent.ee_block + length - 1}{kind}")]
                rows.append(Row("bytes", f"{extent.ee_start * raw.block_size:#x}-{(last + 1) * raw.block_size - 1:#x}"))
                graph.box(data_key, f"Disk blocks {extent.ee_start}-{last}", rows, "disk")
    if header.eh_entries > 6:
        box.rows.append(Row("", f"and {header.eh_entries - 6} more entries"))


def reserved_inodes(image: str | None = None) -> Graph:
    """Draw the reserved inodes: what each is for, and what the image's inode table holds there."""
    graph = Graph("")
    rows = [Row("0", PURPOSES[0])]
    for _, raw in opened(image):
        for ino in range(1, raw.sb.s_first_ino):
            view = raw.inode(ino)
            purpose = PURPOSES[ino] if ino < len(PURPOSES) else "reserved"
            held = (
                f"{filemode(view.i_mode)}, {view.i_size} bytes, links {view.i_links_count}" if view.i_mode else "unused"
            )
            rows.append(Row(str(ino), f"{purpose}: {held}"))
        first = raw.sb.s_first_ino
        view = raw.inode(first)
        what = dict(entries(raw, raw.inode(EXT4_ROOT_INO), EXT4_ROOT_INO)).get(first, b"")
        held = f"{printable(what) or 'no name in the root'}, {filemode(view.i_mode)}, {view.i_size} bytes"
        rows.append(Row(str(first), f"first inode not reserved (s_first_ino): {held}"))
    graph.box("table", "inode number and purpose", rows, "disk")
    graph.alt = (
        "Table of the reserved inodes 0 to 10 with their purpose and content, and inode 11, the first for files."
    )
    return graph


def inode_address(image: str | None = None) -> Graph:
    """Draw how the bytes of inode 2 are found: superblock, group descriptor, bitmap, table, address, fields."""
    graph, ino = Graph(""), EXT4_ROOT_INO
    for _, raw in opened(image):
        bs, desc = raw.block_size, raw.group_desc(0)
        names = (
            "s_magic",
            "s_blocks_count",
            "s_inodes_count",
            "s_log_block_size",
            "s_inodes_per_group",
            "s_inode_size",
        )
        box = layout_box(graph, "super", raw.sb, names, address=1024)
        box.rows.append(Row("descriptors follow", "", "desc", kind="disk"))
        names = ("bg_block_bitmap", "bg_inode_bitmap", "bg_inode_table", "bg_free_inodes_count", "bg_checksum")
        box = layout_box(graph, "desc", desc, names, title="ext4_group_desc 0", address=raw.group_desc_offset(0))
        for row in box.rows:
            target = {"bg_inode_bitmap": "bitmap", "bg_inode_table": "address"}.get(row.name)
            row.to, row.kind = target, "disk"
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
    graph.alt = f"The superblock leads to group descriptor 0, this to the inode bitmap and to inode {ino} at byte {place:#x}, whose fields are laid over its bytes."
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


def in_use(bitmap: bytes, count: int) -> str:
    """Return the runs of set bits of an inode bitmap as inode numbers."""
    bits = "".join(f"{byte:08b}"[::-1] for byte in bitmap)[:count]
    runs, place = [], 0
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
    graph.clusters.update(table="inode table", blocks="directory blocks")
    for _, raw in opened(image):
        waiting, seen = [(EXT4_ROOT_INO, "/")], {EXT4_ROOT_INO}
        while waiting and len(graph.boxes) < MOST_BOXES:
            ino, path = waiting.pop(0)
            view = raw.inode(ino)
            add_inode(graph, raw, ino, view)
            if not S_ISDIR(view.i_mode):
                continue
            rows = []
            for child, name in entries(raw, view, ino)[:16]:
                rows.append(Row(printable(name), str(child), f"inode{child}", kind="disk"))
                if name not in (b".", b"..") and child not in seen:
                    seen.add(child)
                    waiting.append((child, f"{path.rstrip('/')}/{printable(name)}"))
            graph.box(f"dir{ino}", f"directory block of {path}: name, inode", rows, "dentry", "blocks")
    links = sum(
        1 for box in graph.boxes.values() for row in box.rows if row.name == "i_links_count" and row.value != "1"
    )
    graph.alt = f"Directory entries point to inodes by number; {links} inodes have more than one name. Each directory's inode points to its block."
    return graph


def add_inode(graph: Graph, raw: RawExt4, ino: int, view: ext4_inode) -> None:
    """Add the box of one inode: type, link count, size, and where its data is."""
    at = raw.inode_offset(ino)
    rows = [Row("i_mode", f"0{view.i_mode:o} {filemode(view.i_mode)}"), Row("i_links_count", str(view.i_links_count))]
    rows.append(Row("i_size", str(view.i_size)))
    if S_ISLNK(view.i_mode) and view.i_size < 60:
        target = printable(bytes(view.i_block[: view.i_size]))
        rows.append(Row("i_block", f'"{target}" (the target itself)'))
    elif S_ISDIR(view.i_mode):
        rows.append(Row("i_block", "", f"dir{ino}", kind="disk"))
    elif view.i_flags & EXT4_EXTENTS_FL and view.i_mode & S_IFMT:
        extent = ext4_extent(view.buffer, I_BLOCK_OFFSET + 12)
        first = ext4_extent_header(view.buffer, I_BLOCK_OFFSET)
        rows.append(
            Row("i_block", f"block {extent.ee_start}" if first.eh_entries and not first.eh_depth else "extent tree")
        )
    graph.box(f"inode{ino}", f"inode {ino} at {at:#x}", rows, "inode", "table")
