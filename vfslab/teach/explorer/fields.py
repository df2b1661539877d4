"""Bytes with the names of their fields: the layouts of format.py, opened over a piece of the device.

Which fields lead somewhere (a block number, an inode number) is told by FIELD_LINKS.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vfslab.fs.ext4.format import (
    FILE_TYPES,
    dx_countlimit,
    dx_entry,
    dx_node,
    dx_root,
    dx_tail,
    ext4_dir_entry_2,
    ext4_dir_entry_tail,
    ext4_extent,
    ext4_extent_header,
    ext4_extent_idx,
    ext4_extent_tail,
    ext4_inode,
    ext4_xattr_entry,
    ext4_xattr_header,
    ext4_xattr_ibody_header,
)
from vfslab.fs.jbd2.format import (
    JBD2_COMMIT_BLOCK,
    JBD2_DESCRIPTOR_BLOCK,
    JBD2_FEATURE_INCOMPAT_64BIT,
    JBD2_FEATURE_INCOMPAT_CSUM_V2,
    JBD2_FEATURE_INCOMPAT_CSUM_V3,
    JBD2_FLAG_LAST_TAG,
    JBD2_FLAG_SAME_UUID,
    JBD2_MAGIC_NUMBER,
    JBD2_REVOKE_BLOCK,
    JBD2_SUPERBLOCK_V1,
    JBD2_SUPERBLOCK_V2,
    commit_header,
    journal_block_tag,
    journal_block_tag3,
    journal_header,
    journal_revoke_header,
    journal_superblock,
)
from vfslab.lib.ondisk import Layout
from vfslab.teach.explorer.checksums import tree_entries
from vfslab.teach.explorer.maps import EXT_INIT_MAX_LEN, read_node
from vfslab.teach.explorer.names import attributes, ibody, parse
from vfslab.teach.explorer.page import Dump, Span
from vfslab.user.text import printable

LONGEST = 96  # characters of a value
WINDOW = 4096  # bytes that one dump shows
MOST_SPANS = 1400


def _extent(view: Any) -> str:
    count = view.ee_len - EXT_INIT_MAX_LEN if view.ee_len > EXT_INIT_MAX_LEN else view.ee_len
    return f"blocks {view.ee_start}-{view.ee_start + count - 1}" if count > 1 else f"block {view.ee_start}"


# member: view -> address; no address where the number is 0
FIELD_LINKS = {
    "i_file_acl_lo": lambda view: view.i_file_acl and f"block {view.i_file_acl}",
    "ei_leaf_lo": lambda view: f"block {view.ei_leaf}",
    "ee_start_lo": _extent,
    "inode": lambda view: view.inode and f"inode {view.inode}",
    "dot_inode": lambda view: view.dot_inode and f"inode {view.dot_inode}",
    "dotdot_inode": lambda view: view.dotdot_inode and f"inode {view.dotdot_inode}",
    "bg_block_bitmap_lo": lambda view: view.bg_block_bitmap and f"block {view.bg_block_bitmap}",
    "bg_inode_bitmap_lo": lambda view: view.bg_inode_bitmap and f"block {view.bg_inode_bitmap}",
    "bg_inode_table_lo": lambda view: view.bg_inode_table and f"block {view.bg_inode_table}",
    "s_mmp_block": lambda view: view.s_mmp_block and f"block {view.s_mmp_block}",
    "e_value_inum": lambda view: view.e_value_inum and f"inode {view.e_value_inum}",
    "s_block_group_nr": lambda view: f"group {view.s_block_group_nr}",
}
INODE_MEMBERS = ("s_first_ino", "s_journal_inum", "s_last_orphan", "s_usr_quota_inum", "s_grp_quota_inum",
                 "s_prj_quota_inum", "s_lpf_ino", "s_orphan_file_inum")  # fmt: skip


def address_of(view: Any, name: str) -> str:
    """Return where a member leads, or an empty string."""
    if name in INODE_MEMBERS:
        return f"inode {getattr(view, name)}" if getattr(view, name) else ""
    return (name in FIELD_LINKS and FIELD_LINKS[name](view)) or ""


def spans_of(view: Layout, group: str = "") -> list[Span]:
    """Return a span for each member of a view."""
    label = group or type(view).__name__
    return [
        Span(row.offset, row.size, row.name, short(row.shown), row.doc, label, address_of(view, row.name))
        for row in view.rows()
    ]


def short(text: Any, most: int = LONGEST) -> str:
    """Return words as they may be shown: nothing that controls a terminal, not too long."""
    shown = printable(text if isinstance(text, bytes) else str(text))
    return shown if len(shown) <= most else shown[: most - 3] + "..."


# --- one structure after another ------------------------------------------------------------------------


def inode_spans(data: bytes) -> list[Span]:
    """Return the fields of an inode: its members, what i_block holds, the attributes behind it."""
    extra = int.from_bytes(data[128:130], "little") if len(data) > 130 else 0
    view = ext4_inode(data[: min(len(data), 128 + extra)])
    spans = spans_of(view)
    tree = node_spans(data, 0x28, 60, "i_block") if view.i_flags & 0x80000 else []
    if tree:
        spans = [span for span in spans if span.name != "i_block"]
    elif not view.i_flags & 0x10000000 and view.i_mode >> 12 in (4, 8) and any(bytes(view.i_block)):
        spans = [span for span in spans if span.name != "i_block"]
        tree = number_spans(data, 0x28, 60, "i_block", ("indirect", "double-indirect", "triple-indirect"))
    spans += tree
    if ibody(data):
        spans += spans_of(ext4_xattr_ibody_header(data, ibody(data)))
        spans += attribute_spans(data, None, ibody(data) + 4)
    return sorted(spans)


def node_spans(data: bytes, start: int, size: int, where: str = "") -> list[Span]:
    """Return the fields of a node of an extent tree; none if it is not one."""
    node = read_node(data[start : start + size])
    if node.problem and not node.entries:
        return []
    group = f"{where + ' ' if where else ''}ext4_extent_header"
    spans = spans_of(ext4_extent_header(data, start), group)
    kind = ext4_extent_idx if node.depth else ext4_extent
    for place in range(min(node.entries, size // 12 - 1)):
        spans += spans_of(kind(data, start + 12 * (place + 1)), f"{kind.__name__}[{place}]")
    tail = start + 12 * (1 + node.room)
    if size > 60 and tail + 4 <= start + size:
        spans += spans_of(ext4_extent_tail(data, tail))
    return spans


def number_spans(data: bytes, start: int, size: int, group: str, names: tuple[str, ...] = ()) -> list[Span]:
    """Return a span for each block number that is not 0, of a table or of i_block."""
    spans = []
    for place in range(size // 4):
        at = start + 4 * place
        number = int.from_bytes(data[at : at + 4], "little")
        name = names[place - 12] if names and place >= 12 else f"[{place}]"
        if number:
            spans.append(Span(at, 4, name, str(number), "block number", group, f"block {number}"))
    return spans


def attribute_spans(data: bytes, start: int | None, base: int) -> list[Span]:
    """Return the entries of extended attributes with their names and values; e_value_offs counts from base."""
    spans: list[Span] = []
    for at, entry, name in attributes(data, start):
        prefix = ext4_xattr_entry.e_name_index.enum.get(entry.e_name_index, "")
        label = short(os_text(prefix) + os_text(name))
        spans += spans_of(entry, f"ext4_xattr_entry {label}")
        if name:
            spans.append(
                Span(at + 16, len(name), "name", short(name), "without its prefix", f"ext4_xattr_entry {label}")
            )
        value = base + entry.e_value_offs
        if entry.e_value_size and not entry.e_value_inum and value + entry.e_value_size <= len(data):
            shown = short(repr(data[value : value + min(entry.e_value_size, 64)])[1:])
            spans.append(Span(value, entry.e_value_size, "value", shown, f"of {label}", f"value of {label}"))
        if len(spans) > MOST_SPANS:
            break
    return spans


def os_text(name: str | bytes) -> str:
    """Return a name as text without anything that controls a terminal."""
    return printable(name)


def directory_spans(data: bytes, start: int = 0, end: int | None = None) -> list[Span]:
    """Return the entries of a directory block, names included, or the hash tree in it."""
    if start == 0 and tree_entries(data):
        return tree_spans(data)
    spans: list[Span] = []
    for entry in parse(data, start, end)[0]:
        if entry.is_tail:
            spans += spans_of(ext4_dir_entry_tail(data, entry.at))
            continue
        name = printable(entry.name)
        group = f'ext4_dir_entry_2 "{short(name)}"' if entry.inode else "ext4_dir_entry_2 (unused)"
        spans += spans_of(ext4_dir_entry_2(data, entry.at), group)
        if entry.name:
            kind = FILE_TYPES.get(entry.file_type, "")
            address = f"inode {entry.inode}" if entry.inode else ""
            spans.append(Span(entry.at + 8, len(entry.name), "name", short(name), kind, group, address))
        if len(spans) > MOST_SPANS:
            break
    return spans


def tree_spans(data: bytes) -> list[Span]:
    """Return the fields of a block of a hash tree."""
    start = tree_entries(data)
    spans = spans_of(dx_root(data) if start == 32 else dx_node(data))
    limits = dx_countlimit(data, start)
    spans += spans_of(limits)
    for place in range(1, min(limits.count, (len(data) - start) // 8)):
        spans += spans_of(dx_entry(data, start + 8 * place), f"dx_entry[{place}]")
        if len(spans) > MOST_SPANS:
            return spans
    if start + 8 * limits.limit + 8 <= len(data):
        spans += spans_of(dx_tail(data, start + 8 * limits.limit))
    return spans


def journal_spans(data: bytes, features: int | None = None) -> list[Span]:
    """Return the fields of a block of the journal that begins with its magic number; none for data.

    features: s_feature_incompat of the journal's superblock, to read the tags and revoked blocks by.
    """
    if int.from_bytes(data[:4], "big") != JBD2_MAGIC_NUMBER:
        return []
    kind = int.from_bytes(data[4:8], "big")
    layouts: dict[int, type[Layout]] = {
        JBD2_COMMIT_BLOCK: commit_header,
        JBD2_REVOKE_BLOCK: journal_revoke_header,
        JBD2_SUPERBLOCK_V1: journal_superblock,
        JBD2_SUPERBLOCK_V2: journal_superblock,
        JBD2_DESCRIPTOR_BLOCK: journal_header,
    }
    spans = spans_of(layouts.get(kind, journal_header)(data))
    if features is not None and kind == JBD2_DESCRIPTOR_BLOCK:
        for number, (at, size, block) in enumerate(tags(features, data)):
            spans.append(Span(at, size, f"tag {number}", str(block), "where a block of data belongs", "journal_block_tag",
                              f"block {block}"))  # fmt: skip
    if features is not None and kind == JBD2_REVOKE_BLOCK:
        size = 8 if features & JBD2_FEATURE_INCOMPAT_64BIT else 4
        for at in range(
            journal_revoke_header.size, min(journal_revoke_header(data).r_count, len(data)) - size + 1, size
        ):
            block = int.from_bytes(data[at : at + size], "big")
            spans.append(
                Span(at, size, "block", str(block), "not to be replayed from before", "revoked", f"block {block}")
            )
    return spans[:MOST_SPANS]


def tags(features: int, data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (offset, bytes, block of the filesystem) of the tags of a descriptor block, as the features shape them."""
    at, wide = journal_header.size, features & JBD2_FEATURE_INCOMPAT_64BIT
    while at + journal_block_tag3.size <= len(data):
        if features & JBD2_FEATURE_INCOMPAT_CSUM_V3:
            tag: Any = journal_block_tag3(data, at)
            size = tag.size
        else:
            tag = journal_block_tag(data, at)
            size = (12 if wide else 8) + (2 if features & JBD2_FEATURE_INCOMPAT_CSUM_V2 else 0)
        yield at, size, tag.t_block if wide else tag.t_blocknr
        at += size + (0 if tag.t_flags & JBD2_FLAG_SAME_UUID else 16)  # a UUID follows
        if tag.t_flags & JBD2_FLAG_LAST_TAG:
            return


def attribute_block_spans(data: bytes) -> list[Span]:
    """Return the fields of a block of extended attributes."""
    return sorted(spans_of(ext4_xattr_header(data)) + attribute_spans(data, ext4_xattr_header.size, 0))


# --- a window on them -------------------------------------------------------------------------------------


def window(base: int, data: bytes, spans: list[Span], marked: int = -1, unit: str = "") -> Dump:
    """Return a dump of at most WINDOW bytes: those around the marked one, of a block that is larger.

    unit: the address of the whole; the windows beside this one are linked with it.
    """
    spans = sorted(span for span in spans if span.offset < len(data))
    if len(data) <= WINDOW:
        return Dump(base, data, spans[:MOST_SPANS], marked)
    start = max(0, marked) // WINDOW * WINDOW
    end = min(start + WINDOW, len(data))
    seen = [span._replace(offset=span.offset - start) for span in spans if start <= span.offset < end]
    dump = Dump(base + start, data[start:end], seen[:MOST_SPANS], marked - start if marked >= 0 else -1)
    if unit:
        dump.before = f"byte {base + start - WINDOW:#x}" if start else ""
        dump.after = f"byte {base + end:#x}" if end < len(data) else ""
    return dump
