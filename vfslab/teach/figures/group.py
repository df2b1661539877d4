"""F3: a block group with the byte address of each part, an inode, and extent trees down to the blocks of the disk.

    block group 0 ─▶ superblock
          └─ inode table ─▶ inode ─ i_block ─▶ header, extents                               ─▶ disk blocks
                                               header, indexes ─▶ index node ─▶ leaf, extents ─▶ disk blocks

The deck's files are so small that a tree is one leaf inside the inode. So that an index node can be seen, the tree of a
file in 400 pieces stands beside it, from the second image that ships; of one's own image, the deepest tree there is.

A group addresses (blocks per group) x (block size) bytes: 128 MiB with blocks of 4 KiB only, 8 MiB with 1 KiB. And not
every group begins with a superblock and descriptors: with sparse_super only groups 0, 1 and powers of 3, 5 and 7 do.
"""

from __future__ import annotations

from typing import Any

from vfslab.data import small_image
from vfslab.fs.ext4.format import (
    EXT4_EXTENTS_FL,
    EXT4_ROOT_INO,
    I_BLOCK_OFFSET,
    SUPERBLOCK_OFFSET,
    ext4_extent,
    ext4_extent_header,
    ext4_extent_idx,
)
from vfslab.include.uapi.stat import S_ISREG
from vfslab.teach.figures.ondisk import opened
from vfslab.tools.raw import RawExt4
from vfslab.viz.layouts import layout_box
from vfslab.viz.model import Box, Graph, Row

INODE_FIELDS = ("i_mode", "i_uid", "i_gid", "i_size", "i_atime", "i_ctime", "i_mtime", "i_links_count", "i_flags")
SUPER_FIELDS = ("s_inodes_count", "s_blocks_count", "s_free_blocks_count", "s_free_inodes_count")
INODE_UNINIT = 1  # bg_flags: no inode of the group has ever been used
FOLLOWED, SHOWN = 2, 3  # entries of a node: so many are followed down, so many are named
UNWRITTEN = 32768  # ee_len above this: blocks that are reserved, but not written


def block_group(image: str | None = None) -> Graph:
    """Draw block group 0, an inode with extents, and its tree down to the disk blocks."""
    graph = Graph(
        "", rankdir="TB", clusters={"1 disk": "the image", "2 second": "a file in many pieces, on the second image"}
    )
    for _, raw in opened(image):
        add_group(graph, raw, "1 disk")
        ino = deepest(raw)
        add_file(graph, raw, ino, "", "1 disk")
        next(row for row in graph.boxes["group"].rows if row.name == "inode table").to = "inode"
    if image is None:
        for _, raw in opened(None, small_image):
            add_file(graph, raw, deepest(raw), "second ", "2 second")
    nodes = sum(box.title.startswith("ext4_extent_header") for box in graph.boxes.values())
    graph.alt = (
        f"Block group 0 with its parts and their byte addresses; inode {ino} with its extent tree. In all {nodes} nodes of "
        "extent trees are shown, down to the disk blocks."
    )
    return graph


def add_group(graph: Graph, raw: RawExt4, cluster: str) -> None:
    """Add block group 0, part by part, and the superblock."""
    bs, desc, first = raw.block_size, raw.group_desc(0), raw.super_block_number()
    descriptors = -(-raw.groups * raw.desc_size // bs)
    parts = (
        ("group descriptors", first + 1, descriptors),
        ("reserved GDT blocks", first + 1 + descriptors, raw.sb.s_reserved_gdt_blocks),
        ("block bitmap", desc.bg_block_bitmap, 1),
        ("inode bitmap", desc.bg_inode_bitmap, 1),
        ("inode table", desc.bg_inode_table, -(-raw.sb.s_inodes_per_group * raw.inode_size // bs)),
    )
    rows = [Row("boot sector", f"bytes 0 to {SUPERBLOCK_OFFSET - 1}")]
    rows.append(Row("superblock", f"block {first}, byte {SUPERBLOCK_OFFSET:#x}", "super", kind="disk"))
    for label, block, count in parts:
        if count:
            rows.append(Row(label, f"block {numbers(block, count)}, byte {block * bs:#x}", kind="disk"))
    size = raw.sb.s_blocks_per_group * bs
    rows.append(Row("addressed by one group", f"{raw.sb.s_blocks_per_group} x {bs} bytes = {size >> 20} MiB"))
    rows.append(Row("groups on this disk", str(raw.groups)))
    last = min(raw.first_block(0) + raw.sb.s_blocks_per_group, raw.blocks) - 1
    graph.box("group", f"Block group 0: blocks {raw.first_block(0)}-{last}", rows, "disk", cluster)
    layout_box(graph, "super", raw.sb, SUPER_FIELDS, cluster=cluster, address=SUPERBLOCK_OFFSET)


def numbers(first: int, count: int) -> str:
    """Return "19" or "35-162"."""
    return str(first) if count == 1 else f"{first}-{first + count - 1}"


def deepest(raw: RawExt4) -> int:
    """Return the inode among the first 4,096 that has the deepest extent tree, then the most entries."""
    best, found = (-1, -1), EXT4_ROOT_INO
    for ino in used_inodes(raw, 4096):
        view = raw.inode(ino) if ino >= raw.sb.s_first_ino else None
        if view is not None and view.i_links_count and view.i_flags & EXT4_EXTENTS_FL and S_ISREG(view.i_mode):
            header = ext4_extent_header(view.buffer, I_BLOCK_OFFSET)
            best, found = max((best, found), ((header.eh_depth, header.eh_entries), ino))
    return found


def used_inodes(raw: RawExt4, limit: int) -> list[int]:
    """Return the numbers up to limit that are marked in the inode bitmaps."""
    found, per_group = [], raw.sb.s_inodes_per_group
    for group in range(min(raw.groups, -(-limit // per_group))):
        desc = raw.group_desc(group)
        if not desc.bg_flags & INODE_UNINIT:
            bits = raw.block(desc.bg_inode_bitmap)
            found += [group * per_group + n + 1 for n in range(per_group) if bits[n >> 3] >> (n & 7) & 1]
    return [ino for ino in found if ino <= limit]


def add_file(graph: Graph, raw: RawExt4, ino: int, prefix: str, cluster: str) -> None:
    """Add an inode and its extent tree."""
    view, at = raw.inode(ino), raw.inode_offset(ino)
    box = layout_box(graph, f"{prefix}inode", view, INODE_FIELDS, f"ext4_inode {ino}", cluster=cluster, address=at)
    box.rows.append(Row("i_block", "extent tree", to=f"{prefix}node", kind="Embedded"))
    add_node(graph, raw, f"{prefix}node", view.buffer, I_BLOCK_OFFSET, "in i_block", at + I_BLOCK_OFFSET, cluster)


def add_node(
    graph: Graph, raw: RawExt4, key: str, data: Any, start: int, where: str, address: int, cluster: str
) -> None:
    """Add a box for a node of an extent tree and, for its first entries, for what hangs below them."""
    header = ext4_extent_header(data, start)
    title = f"ext4_extent_header {where}"
    box = layout_box(graph, key, header, title=title, cluster=cluster, address=address)
    followed = FOLLOWED if header.eh_depth or not where.startswith("in block") else 1
    for place in range(min(header.eh_entries, SHOWN)):
        at, below = start + 12 * (place + 1), f"{key}.{place}"
        view = ext4_extent_idx(data, at) if header.eh_depth else ext4_extent(data, at)
        add_entry(box, view, place, below)
        if place >= followed:
            continue
        if isinstance(view, ext4_extent_idx):
            block = view.ei_leaf
            add_node(graph, raw, below, raw.block(block), 0, f"in block {block}", block * raw.block_size, cluster)
        else:
            add_blocks(graph, raw, below, view, cluster)
    if header.eh_entries > SHOWN:
        box.rows.append(Row("", f"and {header.eh_entries - SHOWN} more"))


def add_entry(box: Box, view: ext4_extent | ext4_extent_idx, place: int, below: str) -> None:
    """Add an entry of a node: the first with all its fields, the others in one row."""
    name = f"{type(view).__name__}[{place}]"
    if place == 0:
        box.rows.append(Row(name))
        box.rows += [Row(f"  {row.name}", row.shown) for row in view.rows()]
        pointer = next(row for row in box.rows if row.name.endswith(("leaf_lo", "start_lo")))
        pointer.to, pointer.kind = below, "disk"
    elif isinstance(view, ext4_extent_idx):
        box.rows.append(Row(name, f"from {view.ei_block}, in {view.ei_leaf}", below, kind="disk"))
    else:
        told = f"from {view.ee_block}, {view.ee_len} at {view.ee_start}"
        box.rows.append(Row(name, told, below, kind="disk"))


def add_blocks(graph: Graph, raw: RawExt4, key: str, extent: ext4_extent, cluster: str) -> None:
    """Add the disk blocks that an extent names."""
    length = extent.ee_len if extent.ee_len <= UNWRITTEN else extent.ee_len - UNWRITTEN
    state = "" if extent.ee_len <= UNWRITTEN else ", unwritten"
    first, end = extent.ee_start * raw.block_size, (extent.ee_start + length) * raw.block_size
    rows = [Row("file blocks", numbers(extent.ee_block, length) + state), Row("bytes", f"{first:#x}-{end - 1:#x}")]
    graph.box(key, f"Disk block{'s' if length > 1 else ''} {numbers(extent.ee_start, length)}", rows, "disk", cluster)
