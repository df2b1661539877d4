"""Pages of inodes: one, many, and the map of one."""

from __future__ import annotations

from typing import Any

from vfslab.fs.ext4.format import EXT4_EA_INODE_FL, EXT4_EXTENTS_FL, EXT4_INDEX_FL, INODE_FLAGS
from vfslab.include.uapi.stat import S_ISDIR, S_ISLNK, S_ISREG
from vfslab.teach.explorer import checksums
from vfslab.teach.explorer.blockmap import bit_cells
from vfslab.teach.explorer.explored import Limit
from vfslab.teach.explorer.fields import inode_spans, short, window
from vfslab.teach.explorer.inodes import PURPOSES, device_number, is_inline, kind_of, when
from vfslab.teach.explorer.maps import is_mapped
from vfslab.teach.explorer.names import attributes, content, ibody, link_target, short_runs
from vfslab.teach.explorer.page import (
    MOST_ROWS,
    Facts,
    Link,
    Page,
    Rich,
    Table,
    to_block,
    to_blocks,
    to_byte,
    to_group,
    to_inode,
)
from vfslab.teach.explorer.pages_image import told, verdict
from vfslab.tools.image import ImageError
from vfslab.user.text import filemode, printable

FEW, PREVIEW = 12, 240


def inode(image: Any, number: int) -> Page:
    """Return the page of one inode: how its place is computed, what it says, where its data lies."""
    disk = image.disk
    at, view = disk.inode_offset(number), image.inode(number)
    raw = bytes(view.buffer)
    page = Page(f"inode {number}", f"Inode {number}")
    place(image, page.facts("Where it lies"), number, at)
    facts = page.facts("What it says")
    used = disk.inode_used(number)
    if not view.i_links_count and not used:
        facts.add("In use", "no", ": its bytes are left from a file that was deleted" if any(raw) else "")
    said(image, page, facts, number, view)
    pair = checksums.inode(disk, number, raw)
    facts.add("Checksum", told(pair))
    if any(raw) or used:
        verdict(page, pair, f"inode {number}")
    if used is False and view.i_links_count and number >= disk.sb.s_first_ino:
        page.bad("It has names, but the inode bitmap says that it is free.")
    name_lines(image, page, facts, number, view, bool(used))
    attribute_lines(facts, raw, view)
    data(image, page, number, view)
    what = PURPOSES.get(number) if number < max(11, disk.sb.s_first_ino) else None
    page.title = f"Inode {number}: {kind_of(view.i_mode) if view.i_mode else what or 'not in use'}"
    if what and view.i_mode:
        page.title += f", {what}"
    page.dump = window(at, raw, inode_spans(raw))
    page.marks.append((at // disk.block_size, at // disk.block_size))
    return page


def place(image: Any, facts: Facts, number: int, at: int) -> None:
    """Add the way to an inode's bytes, step by step."""
    disk = image.disk
    per_group = disk.sb.s_inodes_per_group
    group, index = divmod(number - 1, per_group)
    table = disk.desc(group).inode_table
    facts.add("Group", f"({number} - 1) / {per_group} = ", to_group(group, f"group {group}"), f", index {index}")
    facts.add("Inode table", "from ", to_block(table, f"block {table}"), " on")
    facts.add("Byte", f"{table} * {disk.block_size} + {index} * {disk.inode_size} = {at} = ", to_byte(at),
              " in ", to_block(at // disk.block_size, f"block {at // disk.block_size}"))  # fmt: skip
    links: list[Rich] = [to_inode(number - 1), " "] if number > 1 else []
    if number < disk.sb.s_inodes_count:
        links.append(to_inode(number + 1))
    facts.add("Neighbours", *links)


def said(image: Any, page: Page, facts: Facts, number: int, view: Any) -> None:
    """Add what the members say, as stat(1) would."""
    purpose = f", {PURPOSES[number]}" if number < max(11, image.disk.sb.s_first_ino) and number in PURPOSES else ""
    facts.add("Type", f"{kind_of(view.i_mode)}{purpose}, mode {filemode(view.i_mode)} (0{view.i_mode:o})")
    facts.add("Size", f"{view.i_size} bytes")
    facts.add("Links", str(view.i_links_count))
    facts.add("Owner", f"user {view.i_uid32}, group {view.i_gid32}")
    facts.add(
        "Flags",
        " ".join(name for bit, name in INODE_FLAGS.items() if view.i_flags & bit) or "none",
        f" ({view.i_flags:#x})",
    )
    facts.add("Space", f"i_blocks {view.i_blocks}", " blocks" if view.i_flags & 0x40000 else " sectors of 512 bytes")
    for which, label in (("atime", "Read"), ("mtime", "Written"), ("ctime", "Changed"), ("crtime", "Made")):
        if when(view, which):
            facts.add(label, f"{when(view, which)} UTC")
    if view.i_dtime:
        facts.add("Deleted", f"i_dtime {view.i_dtime}")
    if view.i_generation:
        facts.add("Generation", str(view.i_generation))
    if device_number(view):
        facts.add("Device", device_number(view))
    if view.i_file_acl:
        facts.add("Attributes in", to_block(view.i_file_acl, f"block {view.i_file_acl}"))
    if S_ISLNK(view.i_mode):
        target = link_target(image.disk, number)
        facts.add("Target", short(target) if target is not None else "cannot be read")


def name_lines(image: Any, page: Page, facts: Facts, number: int, view: Any, used: bool) -> None:
    """Add the paths that lead to an inode."""
    paths = image.names.of(number, FEW)
    if paths:
        shown: list[Rich] = []
        for path in paths:
            shown += [", " if shown else "", Link(path, path)]
        facts.add("Names", *shown)
    elif used and number >= image.disk.sb.s_first_ino:
        facts.add("Names", "none found" + ("" if image.names.complete else " in the directories that were read"))
    counted, links = len(image.names.entries.get(number, ())), view.i_links_count
    own = number < image.disk.sb.s_first_ino or number in image.owners.special or view.i_flags & EXT4_EA_INODE_FL
    if image.names.complete and S_ISREG(view.i_mode) and used and not own and counted != links:
        page.bad(f"{counted} names were found, but i_links_count is {links}.")


def attribute_lines(facts: Facts, raw: bytes, view: Any) -> None:
    """Add the attributes that lie behind the inode's members."""
    if not ibody(raw):
        return
    names = []
    for _, entry, name in attributes(raw):
        prefix = type(entry).e_name_index.enum.get(entry.e_name_index, "")
        names.append(f"{prefix}{printable(name)} ({entry.e_value_size} bytes)")
        if len(names) == FEW:
            break
    facts.add("Attributes here", short(", ".join(names) or "none"))


def data(image: Any, page: Page, number: int, view: Any) -> None:
    """Add where the data of an inode lies, and the first of it."""
    if S_ISDIR(view.i_mode):
        facts = page.facts("As a directory")
        facts.add(
            "Entries",
            Link("all of them", f"dir {number}"),
            ", by a hash tree too" if view.i_flags & EXT4_INDEX_FL else "",
        )
    if is_inline(view):
        page.facts("Its data").add("Lies", "in the inode itself: in i_block, then in the attribute system.data")
    elif not is_mapped(view.i_mode, view.i_flags, view.i_size):
        if S_ISLNK(view.i_mode):
            page.facts("Its data").add("Lies", "in i_block: the target itself")
        return preview(image, page, view)
    elif any(bytes(view.i_block)):
        found, problems = image.extents(number, 512)
        tell(page, problems)
        table = run_table("Its data", found, FEW)
        kind = "an extent tree" if view.i_flags & EXT4_EXTENTS_FL else "block numbers"
        table.note = [f"i_block holds {kind}. ", Link("The whole map", f"extents {number}")]
        page.parts.append(table)
        page.marks += [(run.disk, run.disk + run.count - 1) for run in found[:MOST_ROWS]]
        holes(page, image, found)
    return preview(image, page, view)


def tell(page: Page, problems: list[str]) -> None:
    """Add what is wrong with a map, or why it is not shown whole."""
    for problem in problems:
        (page.say if isinstance(problem, Limit) else page.bad)(printable(problem))


def holes(page: Page, image: Any, found: list[Any]) -> None:
    """Say it if a run leaves the filesystem."""
    for run in found:
        if run.disk + run.count > image.disk.end or run.disk == 0:
            page.bad(f"Its map leads to blocks {run.disk}-{run.disk + run.count - 1}: there are no such blocks.")
            return


def preview(image: Any, page: Page, view: Any) -> None:
    """Add the first bytes of a regular file."""
    if not S_ISREG(view.i_mode) or not view.i_size or view.i_flags & 0x800:
        return
    try:
        first = content(image.disk, view, PREVIEW)
    except ImageError as error:
        page.bad(f"Its content cannot be read: {printable(str(error))}")
        return
    if b"\0" in first:
        return  # no text: its blocks are shown as bytes
    facts = page.facts("It begins")
    for number, line in enumerate(first.split(b"\n")[:FEW], 1):
        facts.add(f"line {number}", printable(line.replace(b"\t", b"    "))[: 2 * FEW + PREVIEW])


def run_table(heading: str, found: list[Any], most: int) -> Table:
    """Return the first runs of a map as a table."""
    table = Table(heading, ["file blocks", "disk blocks", "what"])
    for run in found[:most]:
        shown = f"{run.logical}-{run.logical + run.count - 1}" if run.count > 1 else str(run.logical)
        table.rows.append([shown if run.what in ("data", "unwritten") else f"from {run.logical} on",
                           to_blocks(run.disk, run.count), run.what])  # fmt: skip
    if len(found) > most:
        table.rows.append([f"... {len(found) - most} more", "", ""])
    return table


# --- the map of one file --------------------------------------------------------------------------


def extents(image: Any, number: int, start: int | None = None) -> Page:
    """Return the map of an inode: its runs from one on, nodes of the tree and tables among them."""
    found, problems = image.extents(number)
    view = image.inode(number)
    first = min(start or 0, max(0, len(found) - 1))
    page = Page(f"extents {number}", f"The map of inode {number}")
    tell(page, problems)
    facts = page.facts()
    facts.add("Inode", to_inode(number, f"inode {number}"), f", {kind_of(view.i_mode)}, {view.i_size} bytes")
    kept = short_runs(found)
    nodes = len(found) - len(kept)
    kind = "extent tree" if view.i_flags & EXT4_EXTENTS_FL else "indirect blocks"
    facts.add("Kind", f"{kind}, {len(kept)} runs, {nodes} nodes or tables of a block each")
    facts.add("Blocks", f"{sum(run.count for run in kept)} of data, {image.disk.block_size} bytes each")
    if is_inline(view):
        facts.add("Lies", "in the inode: it needs no map")
    table = run_table("", found[first : first + MOST_ROWS], MOST_ROWS)
    links: list[Rich] = [Link("before", f"extents {number} from {max(0, first - MOST_ROWS)}"), " "] if first else []
    if first + MOST_ROWS < len(found):
        links += [Link("after", f"extents {number} from {first + MOST_ROWS}"), f" ({len(found)} in all)"]
    table.note = links
    page.parts.append(table)
    page.marks = [(run.disk, run.disk + run.count - 1) for run in found[first : first + MOST_ROWS]]
    holes(page, image, found)
    page.dump = window(image.disk.inode_offset(number), bytes(view.buffer), inode_spans(bytes(view.buffer)), 0x28)
    return page


# --- many inodes ------------------------------------------------------------------------------------


def inodes(image: Any, first: int | None = None, last: int | None = None) -> Page:
    """Return the inodes in use from one number to another, as many as fit on a page."""
    disk = image.disk
    first = max(1, first or 1)
    last = min(last or disk.inodes, disk.inodes)
    if first > last:
        raise ImageError(f"{image.name}: inode {first}: they are numbered 1 to {disk.sb.s_inodes_count}")
    page = Page(f"inodes {first}-{last}", f"Inodes {first} to {last}")
    table = Table("In use", ["inode", "mode", "links", "size", "what", "name"])
    bits, reached = scan(image, first, last, table)
    if bits:
        page.parts.append(bit_cells(bits, "inode", first, len(bits), ""))
    if reached < last:
        table.note = [Link("inodes after", f"inodes {reached + 1}-{last}")]
    page.parts.append(table)
    return page


def scan(image: Any, first: int, last: int, table: Table) -> tuple[str, int]:
    """Fill the table with inodes in use; return (a bit for each inode looked at, the last of the table)."""
    disk, bits, reached = image.disk, "", last
    per_group = disk.sb.s_inodes_per_group
    for group in range((first - 1) // per_group, min((last - 1) // per_group + 1, (first - 1) // per_group + 64)):
        start = group * per_group + 1
        low, high = max(first, start), min(last, start + min(per_group, 8 * disk.block_size) - 1)
        try:
            text = "".join(f"{byte:08b}"[::-1] for byte in disk.inode_bits(group))
        except ImageError as error:
            table.rows.append(["", "", "", "", printable(str(error)), ""])
            text = ""
        part = text[low - start : high - start + 1].ljust(high - low + 1, "0")
        for place, bit in enumerate(part):
            if bit == "1" and reached == last:
                if len(table.rows) >= MOST_ROWS:
                    reached = low + place - 1
                    break
                table.rows.append(inode_row(image, low + place))
        bits += part
    if first + len(bits) - 1 < reached:
        reached = first + len(bits) - 1
    return bits, reached


def inode_row(image: Any, number: int) -> list[Rich]:
    """Return the line of one inode."""
    try:
        view = image.inode(number)
    except ImageError as error:
        return [to_inode(number), "", "", "", printable(str(error)), ""]
    special = PURPOSES.get(number, "") if number < 11 else ""
    paths = image.names.of(number, 1)
    name: Rich = Link(paths[0], paths[0]) if paths else special
    return [
        to_inode(number),
        filemode(view.i_mode),
        str(view.i_links_count),
        str(view.i_size),
        kind_of(view.i_mode),
        name,
    ]
