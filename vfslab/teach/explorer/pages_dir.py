"""Pages of directories, of the walk along a path, and of the names of an inode."""

from __future__ import annotations

from typing import Any

from vfslab.fs.ext4.format import EXT4_ENCRYPT_FL, FILE_TYPES, HASHES
from vfslab.include.uapi.stat import S_ISDIR
from vfslab.teach.explorer import checksums, pages_inode
from vfslab.teach.explorer.fields import directory_spans, inode_spans, tree_spans, window
from vfslab.teach.explorer.names import Part, walk
from vfslab.teach.explorer.page import MOST_ROWS, Facts, Link, Page, Rich, Table, to_block, to_byte, to_inode
from vfslab.teach.explorer.pages_image import verdict
from vfslab.user.text import printable


def directory(image: Any, number: int, start: int | None = None) -> Page:
    """Return the entries of a directory from one of its blocks on, as many as fit on a page."""
    view = image.inode(number)
    first = start or 0
    page = Page(f"dir {number}", f"Directory: inode {number}")
    facts = page.facts()
    facts.add("Inode", to_inode(number, f"inode {number}"), f", {view.i_size} bytes")
    paths = image.names.of(number, 1)
    if paths:
        facts.add("Path", Link(paths[0], paths[0]))
    if not S_ISDIR(view.i_mode):
        page.no(f"Inode {number} is no directory.")
        return page
    if view.i_flags & EXT4_ENCRYPT_FL:
        page.say("The names are encrypted: what stands here is not what a user with the key sees.")
    table = Table("Entries", ["name", "inode", "type", "block", "byte"])
    shown: Part | None = None
    for part in image.directory(number, first):
        if len(table.rows) and len(table.rows) + len(part.entries) > MOST_ROWS:
            table.note = [Link(f"entries from its block {part.logical} on", f"dir {number} from {part.logical}")]
            break
        rows(image, page, table, number, view, part)
        shown = shown or part
    if first:
        table.note = [Link("from the beginning", f"dir {number}"), "  ", *([table.note] if table.note else [])]
    page.parts.append(table)
    if shown is None:
        page.bad("There is no block of it that can be read." if not first else "There is no such block.")
        page.dump = window(image.disk.inode_offset(number), bytes(view.buffer), inode_spans(bytes(view.buffer)))
    elif shown.disk:
        page.dump = window(shown.base, shown.data, directory_spans(shown.data), -1, f"block {shown.disk}")
        hash_tree(page, facts, shown)
    else:
        page.dump = window(shown.base, shown.data, inode_spans(shown.data)[:0] + inline_spans(shown))
    return page


def inline_spans(part: Part) -> list[Any]:
    """Return the fields of an inode, and of the entries in its i_block."""
    data = part.data
    whole = [span for span in inode_spans(data) if span.name != "i_block"]
    return sorted(whole + directory_spans(data, 0x28 + 4, 0x28 + 60))


def rows(image: Any, page: Page, table: Table, number: int, view: Any, part: Part) -> None:
    """Add the entries of one block, and notes on what is wrong with it."""
    if part.problem:
        page.bad(f"Block {part.logical} of the directory: {printable(part.problem)}.")
    if part.disk and part.data:
        pair = checksums.directory(image.disk, number, view.i_generation, part.data)
        verdict(page, pair, f"block {part.logical} of the directory")
        page.marks.append((part.disk, part.disk))
    for entry in part.entries[: 4 * MOST_ROWS]:
        if not entry.inode:
            continue
        name = printable(entry.name) or "(empty)"
        link: Rich = to_inode(entry.inode)
        if not 1 <= entry.inode <= image.disk.sb.s_inodes_count:
            page.bad(f"The entry {name[:40]!r} leads to inode {entry.inode}, which there is not.")
        where: Rich = to_block(part.disk) if part.disk else "in the inode"
        table.rows.append([Link(name, f"inode {entry.inode}"), link, FILE_TYPES.get(entry.file_type, "?"), where,
                           to_byte(part.base + entry.at)])  # fmt: skip


def hash_tree(page: Page, facts: Facts, part: Part) -> None:
    """Add what the root of the hash tree says, if this is it."""
    if checksums.tree_entries(part.data) != 32:
        return
    spans = {span.name: span for span in tree_spans(part.data)}
    kind = HASHES.get(part.data[28], "unknown")
    facts.add("Hash tree", f"{kind}, {part.data[30]} level{'' if part.data[30] == 1 else 's'} between root and leaves, "
              f"{spans['count'].shown} of {spans['limit'].shown} entries in use")  # fmt: skip


def path(image: Any, wanted: bytes) -> Page:
    """Return the walk along a path, step by step, and then the page of the inode it ends at."""
    ino, steps = walk(image.disk, wanted)
    table = Table("The walk", ["name", "looked up in", "found in block", "at byte", "gives"])
    for step in steps:
        gives: Rich = to_inode(step.ino, f"inode {step.ino}") if step.ino else printable(step.why)
        where: Rich = to_block(step.block) if step.block else ("the inode" if step.ino else "")
        table.rows.append([printable(step.name), to_inode(step.dir, f"inode {step.dir}"), where,
                           to_byte(step.byte) if step.ino else "", gives])  # fmt: skip
    if not steps:
        table.note = ["The root directory is always ", to_inode(2, "inode 2"), "."]
    shown = printable(wanted)
    if not ino:
        page = Page(shown, f"{shown}: not found")
        page.no(printable(steps[-1].why if steps else "no path"))
        last = steps[-1].dir if steps else 2
        page.say("The directory where it ended: ", Link(f"entries of inode {last}", f"dir {last}"))
    else:
        page = pages_inode.inode(image, ino)
        page.title = f"{shown}: {page.title[0].lower()}{page.title[1:]}"
    page.parts.insert(0, table)
    page.marks = [(step.block, step.block) for step in steps if step.block] + page.marks
    return page


def names(image: Any, number: int) -> Page:
    """Return all paths of an inode."""
    view = image.inode(number)
    page = Page(f"names {number}", f"Names of inode {number}")
    table = Table("", ["path", "in directory"])
    for path_of, (parent, _) in zip(
        image.names.of(number, MOST_ROWS), image.names.entries.get(number, []), strict=False
    ):
        table.rows.append([Link(path_of, path_of), to_inode(parent, f"inode {parent}")])
    table.note = f"i_links_count is {view.i_links_count}."
    if not image.names.complete:
        table.note += " Not all directories were read: there may be more."
    page.parts.append(table)
    return page
