"""hexdump: bytes of an image beside the names of the fields they belong to, from the declarations.

hexdump(process, "/dev/vda", inode=2)       an inode, its extent tree in i_block opened
hexdump(process, "/dev/vda", block=4)       a block, as what it is recognised to be
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vfslab.fs.ext4.format import (
    EXT4_EXT_MAGIC,
    EXT4_EXTENTS_FL,
    EXT4_FT_DIR_CSUM,
    EXT4_XATTR_MAGIC,
    I_BLOCK_OFFSET,
    I_BLOCK_SIZE,
    SUPERBLOCK_OFFSET,
    ext4_dir_entry_2,
    ext4_dir_entry_tail,
    ext4_extent,
    ext4_extent_header,
    ext4_extent_idx,
    ext4_group_desc,
    ext4_inode,
    ext4_super_block,
    ext4_xattr_entry,
    ext4_xattr_header,
    ext4_xattr_ibody_header,
)
from vfslab.lib.ondisk import Layout
from vfslab.tools.raw import RawExt4
from vfslab.user.text import printable

WIDTH = 16


def hexdump(
    process: Any,
    device: str,
    *,
    inode: int | None = None,
    block: int | None = None,
    group: int | None = None,
    super: bool = False,
) -> Iterator[str]:
    """Yield annotated lines for one thing on the device. ImageError if it lies beyond the end."""
    raw = RawExt4(process, device)
    try:
        if super:
            yield f"superblock at byte {SUPERBLOCK_OFFSET:#x}"
            yield from annotate(raw.sb.buffer, SUPERBLOCK_OFFSET, [ext4_super_block(raw.sb.buffer)])
        elif group is not None:
            desc, at = raw.group_desc(group), raw.group_desc_offset(group)
            yield f"descriptor of group {group} at byte {at:#x} = block {at // raw.block_size}, {at % raw.block_size} bytes in"
            yield from annotate(desc.buffer, at, [ext4_group_desc(desc.buffer)])
        elif inode is not None:
            yield from inode_lines(raw, inode)
        elif block is not None:
            data, at = raw.block(block), block * raw.block_size
            kind, views = recognise(raw, block, data)
            yield f"block {block} at byte {at:#x}: {kind}"
            yield from annotate(data, at, views)
    finally:
        raw.close()


def inode_lines(raw: RawExt4, ino: int) -> Iterator[str]:
    """Yield how the address of an inode comes about, then its bytes."""
    at = raw.inode_offset(ino)
    group, index = divmod(ino - 1, raw.sb.s_inodes_per_group)
    table = raw.group_desc(group).bg_inode_table
    yield f"inode {ino}: ({ino} - 1) / {raw.sb.s_inodes_per_group} = group {group}, index {index}"
    yield f"inode table of group {group}: block {table}"
    yield f"{table} * {raw.block_size} + {raw.inode_size} * {index} = {at} ({at:#x})"
    view = raw.inode(ino)
    extra = view.i_extra_isize if raw.inode_size > 130 else 0
    data = bytes(view.buffer)
    views: list[Layout] = [ext4_inode(data[: min(len(data), 128 + extra)])]
    if view.i_flags & EXT4_EXTENTS_FL:
        views += extent_views(data, I_BLOCK_OFFSET, I_BLOCK_SIZE)
    behind = 128 + extra
    if extra and behind + 4 <= len(data) and ext4_xattr_ibody_header(data, behind).h_magic == EXT4_XATTR_MAGIC:
        views += [ext4_xattr_ibody_header(data, behind), *xattr_views(data, behind + 4)]
    yield from annotate(data, at, views)


def recognise(raw: RawExt4, number: int, data: bytes) -> tuple[str, list[Layout]]:
    """Return what a block seems to be, and views over its structures."""
    if number == raw.super_block_number():
        return "superblock", [ext4_super_block(data, SUPERBLOCK_OFFSET % raw.block_size)]
    if number == raw.super_block_number() + 1:
        count = min(raw.groups, len(data) // raw.desc_size)
        return "group descriptors", [ext4_group_desc(data, n * raw.desc_size) for n in range(count)]
    if int.from_bytes(data[:2], "little") == EXT4_EXT_MAGIC:
        return "node of an extent tree", extent_views(data, 0, len(data))
    if int.from_bytes(data[:4], "little") == EXT4_XATTR_MAGIC:
        return "extended attributes", [ext4_xattr_header(data), *xattr_views(data, ext4_xattr_header.size)]
    entries = directory_views(data)
    if entries:
        return "directory", entries
    return "data, or nothing that is recognised", []


def extent_views(data: bytes, start: int, size: int) -> list[Layout]:
    """Return views over the header and the entries of an extent tree's node."""
    header = ext4_extent_header(data, start)
    if header.eh_magic != EXT4_EXT_MAGIC:
        return []
    kind = ext4_extent_idx if header.eh_depth else ext4_extent
    room = min(header.eh_entries, size // 12 - 1)
    return [header, *(kind(data, start + 12 * (place + 1)) for place in range(room))]


def xattr_views(data: bytes, start: int) -> list[Layout]:
    """Return views over the entries of extended attributes, up to the four zero bytes that end them."""
    views: list[Layout] = []
    while start + ext4_xattr_entry.size <= len(data) and data[start : start + 4] != b"\0\0\0\0":
        entry = ext4_xattr_entry(data, start)
        views.append(entry)
        start += ext4_xattr_entry.size + (entry.e_name_len + 3) // 4 * 4
    return views


def directory_views(data: bytes) -> list[Layout]:
    """Return views over the entries of a directory block; empty if the bytes do not chain up as one."""
    views: list[Layout] = []
    at = 0
    while at + 8 <= len(data):
        entry = ext4_dir_entry_2(data, at)
        length = entry.rec_len or 65536
        if length < 8 or length % 4 or at + length > len(data) or entry.name_len + 8 > length:
            return []
        tail = entry.inode == 0 and length == 12 and entry.file_type == EXT4_FT_DIR_CSUM
        views.append(ext4_dir_entry_tail(data, at) if tail else entry)
        at += length
    return views if any(getattr(view, "inode", 0) for view in views) else []


def annotate(data: bytes, base: int, views: list[Layout]) -> Iterator[str]:
    """Yield a line for each member of each view, its bytes first; bytes between views as plain lines."""
    covered = 0
    for view in views:
        if view.offset > covered:
            yield from plain(data, base, covered, view.offset)
        yield f"{'':10}  {type(view).__name__}{name_of(view)}"
        for row in view.rows():
            shown = data[row.offset : row.offset + row.size]
            text = shown[:WIDTH].hex(" ") + (f" .. {row.size} bytes" if row.size > WIDTH else "")
            yield f"{base + row.offset:#010x}  {text:<47}  {row.name:<24} {printable(row.shown)[:80]}"
            covered = max(covered, row.offset + row.size)
        covered = max(covered, view.offset + type(view).size if view.offset + type(view).size <= len(data) else covered)
    yield from plain(data, base, covered, len(data))


def name_of(view: Layout) -> str:
    """Return the name that follows a directory or attribute entry."""
    length = (
        getattr(view, "name_len", None) if isinstance(view, ext4_dir_entry_2) else getattr(view, "e_name_len", None)
    )
    if length is None:
        return ""
    start = view.offset + type(view).size
    return "  " + printable(bytes(view.buffer[start : start + length]))


def plain(data: bytes, base: int, start: int, end: int) -> Iterator[str]:
    """Yield lines of 16 bytes with their text; a run of equal lines is shown once and a star."""
    before, starred = None, False
    for at in range(start, end, WIDTH):
        line = data[at : min(at + WIDTH, end)]
        if line == before and at + WIDTH < end:
            if not starred:
                yield "*"
            starred = True
            continue
        before, starred = line, False
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        yield f"{base + at:#010x}  {line.hex(' '):<47}  |{text}|"
