"""Pages of the image as a whole: superblock, groups, block map."""

from __future__ import annotations

from typing import Any

from vfslab.fs.ext4.format import EXT4_RESIZE_INO, SUPERBLOCK_OFFSET, ext4_group_desc, ext4_super_block
from vfslab.teach.explorer import checksums
from vfslab.teach.explorer.blockmap import bits_text, block_cells
from vfslab.teach.explorer.checksums import Pair
from vfslab.teach.explorer.fields import short, spans_of, window
from vfslab.teach.explorer.page import (
    Cells,
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
from vfslab.teach.explorer.places import KINDS
from vfslab.tools.dump import free_inodes, free_text, super_lines
from vfslab.tools.image import ImageError, size_text
from vfslab.user.text import printable

PER_PAGE = 64
SHORTLY = "In short"
MOST_RANGES = 24
MOST_OWNED = 1 << 16  # blocks whose owners are looked up for one page
LETTERED, LETTERED_COLUMNS = 1024, 32  # a map of so few cells has its letters in them


def overview(image: Any) -> Page:
    """Return the page of the superblock: what the image is, what is wrong with it, where to go."""
    page = Page("super", f"{image.name}: superblock")
    disk = image.disk
    if disk is None:
        page.bad(printable(image.wrong or ""))
        page.bad("No copy of the superblock was found: there are bytes to look at, nothing more.")
        page.say(Link("What a kernel says of it", "mount"), ", ", Link("bytes from the beginning", "byte 0"))
        page.dump = window(SUPERBLOCK_OFFSET, image.first_super(), spans_of(ext4_super_block(image.first_super())))
        return page
    notes_of(image, page)
    summary(image, page.facts(SHORTLY))
    ways(image, page.facts("Ways in"))
    facts = page.facts("All that dumpe2fs tells")
    facts.rows = [(label, short(value, 400)) for label, value in super_lines(disk)]
    data = bytes(disk.sb.buffer)
    page.dump = window(disk.super_at, data, spans_of(ext4_super_block(data)))
    page.marks = [(disk.super_at // disk.block_size,) * 2]
    return page


def notes_of(image: Any, page: Page) -> None:
    """Say what is odd about the superblock."""
    disk = image.disk
    if image.wrong:
        page.bad(printable(image.wrong))
        where = disk.super_at // disk.block_size
        page.bad("This is the copy in ", to_block(where), f": mount with the option sb={disk.super_at // 1024}.")
    for text in disk.findings:
        page.bad(text)
    verdict(page, checksums.superblock(disk, bytes(disk.sb.buffer)), "the superblock")
    if disk.needs_recovery:
        page.say("The journal holds changes that are not yet where they belong (needs_recovery): a mount would replay ",
                 "them first. Here the disk is shown as it lies. ", Link("journal", "journal"))  # fmt: skip
    if disk.sb.s_state & 2:
        page.bad(f"The kernel has noted errors here ({disk.sb.s_error_count} of them): run e2fsck.")


def verdict(page: Page, pair: Pair, what: str) -> None:
    """Add a note if a checksum is wrong."""
    if pair and pair[0] != pair[1]:
        page.bad(f"The checksum of {what} is wrong: {pair[0]:#x} is stored, {pair[1]:#x} would be right.")


def told(pair: Pair) -> str:
    """Return a checksum in words."""
    if pair is None:
        return "none (the feature is off)"
    return f"{pair[0]:#x}, right" if pair[0] == pair[1] else f"{pair[0]:#x}, WRONG: {pair[1]:#x} would be right"


def summary(image: Any, facts: Facts) -> None:
    """Add the lines that the overview at the side shows too."""
    disk, sb = image.disk, image.disk.sb
    label = short(sb.s_volume_name.split(b"\0")[0])
    facts.add("Image", printable(image.name), f", {size_text(image.size)}", f', "{label}"' if label else "")
    facts.add("Blocks", Link(f"{disk.blocks}", "map"), f" of {disk.block_size} bytes")
    facts.add("Groups", Link(f"{disk.groups}", "groups"), f" of {sb.s_blocks_per_group} blocks")
    facts.add(
        "Inodes", Link(f"{sb.s_inodes_count}", "inodes"), f" of {disk.inode_size} bytes, {sb.s_free_inodes_count} free"
    )
    facts.add("State", "clean" if sb.s_state & 1 else "not clean", ", with errors" if sb.s_state & 2 else "")


def ways(image: Any, facts: Facts) -> None:
    """Add links to the places where one begins."""
    disk = image.disk
    facts.add("Root directory", to_inode(2, "inode 2"), ", ", Link("its entries", "dir 2"), ", ", Link("/", "/"))
    for what, number in disk.linked_inodes():
        extra = [", ", Link("the log", "journal")] if what == "journal" else []
        facts.add(what.capitalize(), to_inode(number, f"inode {number}"), *extra)
    facts.add("Block map", Link("all blocks", "map"))
    facts.add("First group", to_group(0, "group 0"))
    copies = [group for group in range(1, min(disk.groups, 1024)) if disk.has_super(group)]
    if copies:
        links: list[Rich] = []
        for group in copies[:12]:
            links += [", " if links else "", to_block(disk.first_block(group))]
        facts.add("Copies of the superblock", "blocks ", *links, " ..." if len(copies) > 12 else "")
    facts.add("A kernel's word", Link("mount it and check its metadata", "mount"))
    facts.add("What can be typed", Link("help", "help"))


# --- groups ---------------------------------------------------------------------------------------


def groups(image: Any, start: int | None = None) -> Page:
    """Return the list of groups from one on."""
    disk, first = image.disk, min(start or 0, max(0, image.disk.groups - 1))
    page = Page(f"groups {first}", f"Block groups {first} to {min(first + PER_PAGE, disk.groups) - 1} of {disk.groups}")
    table = Table("", ["group", "blocks", "block bitmap", "inode bitmap", "inode table", "free blocks", "free inodes",
                       "directories"])  # fmt: skip
    for group in range(first, min(first + PER_PAGE, disk.groups)):
        low, high = disk.group_range(group)
        try:
            desc = disk.desc(group)
        except ImageError as error:
            table.rows.append(
                [to_group(group), to_blocks(low, high - low + 1), printable(str(error)), "", "", "", "", ""]
            )
            continue
        table.rows.append(
            [
                to_group(group),
                to_blocks(low, high - low + 1),
                to_block(desc.block_bitmap),
                to_block(desc.inode_bitmap),
                to_block(desc.inode_table),
                str(desc.free_blocks),
                str(desc.free_inodes),
                str(desc.dirs),
            ]
        )
    ways_on: list[Rich] = []
    if first:
        ways_on += [Link("groups before", f"groups {max(0, first - PER_PAGE)}"), " "]
    if first + PER_PAGE < disk.groups:
        ways_on.append(Link("groups after", f"groups {first + PER_PAGE}"))
        last = (disk.groups - 1) // PER_PAGE * PER_PAGE
        ways_on += [" ", Link("last groups", f"groups {last}")]
    table.note = ways_on
    page.parts.append(table)
    return page


def group(image: Any, number: int) -> Page:
    """Return the page of one group."""
    disk = image.disk
    raw = bytes(disk.group_desc(number).buffer)
    at, desc = disk.group_desc_offset(number), disk.desc(number)
    low, high = disk.group_range(number)
    page = Page(f"group {number}", f"Block group {number}: blocks {low} to {high}")
    facts = page.facts()
    pair = checksums.descriptor(disk, number, raw)
    facts.add(
        "Descriptor", "byte ", to_byte(at), " in block ", to_block(at // disk.block_size), ", checksum ", told(pair)
    )
    verdict(page, pair, f"the descriptor of group {number}")
    neighbours: list[Rich] = [to_group(number - 1, f"group {number - 1}"), " "] if number else []
    if number + 1 < disk.groups:
        neighbours.append(to_group(number + 1, f"group {number + 1}"))
    if neighbours:
        facts.add("Neighbours", *neighbours)
    first_ino = number * disk.sb.s_inodes_per_group + 1
    last_ino = first_ino + min(disk.sb.s_inodes_per_group, 8 * disk.block_size) - 1
    facts.add("Inodes", Link(f"{first_ino}-{last_ino}", f"inodes {first_ino}-{last_ino}"))
    facts.add(
        "Free",
        f"{desc.free_blocks} {'clusters' if disk.per_cluster > 1 else 'blocks'}, {desc.free_inodes} inodes; {desc.dirs} directories",
    )
    bitmap_checks(image, page, facts, number, desc)
    facts.add("Free blocks", free_blocks(disk, number, desc))
    facts.add("Free inodes", ranges(free_inodes(disk, number, disk.group_desc(number))))
    table = Table("Its parts", ["what", "blocks", "byte", "lies in"])
    for place in image.places.of_group(number):
        table.rows.append(
            [
                KINDS[place.kind][1],
                to_blocks(place.first, place.count),
                to_byte(place.first * disk.block_size),
                home(disk, place.first, number),
            ]
        )
        page.marks.append((place.first, place.first + place.count - 1))
    page.parts.append(table)
    if low <= high:
        image.owners.within(low, min(high, low + MOST_OWNED))
        page.parts.append(cells(image, low, high, f"Blocks {low} to {high}"))
        page.marks.append((low, high))
    view = ext4_group_desc(raw)
    page.dump = window(at, raw, spans_of(view))
    return page


def free_blocks(disk: Any, number: int, desc: Any) -> str:
    """Return the ranges of free blocks of a group in words."""
    if disk.never_written(desc)[0]:
        return "all but those of its own parts: the bitmap was never written"
    low, high = disk.group_range(number)
    count = max(0, min(high - low + 1, 8 * disk.block_size * disk.per_cluster))
    text = bits_text(disk, number, 0, count)
    if text.startswith(b"?"):
        return "the bitmap cannot be read"
    return ranges(free_text(text.decode().replace(".", "0").replace("u", "1").replace("?", "1"), low, 1))


def bitmap_checks(image: Any, page: Page, facts: Facts, number: int, desc: Any) -> None:
    """Add the checksums of a group's bitmaps, and notes on what is wrong with them."""
    disk = image.disk
    view = disk.group_desc(number)
    never = disk.never_written(desc)
    for what, block, stored, bits, empty in (
        ("block bitmap", desc.block_bitmap, view.bg_block_bitmap_csum, disk.sb.s_clusters_per_group, never[0]),
        ("inode bitmap", desc.inode_bitmap, view.bg_inode_bitmap_csum, disk.sb.s_inodes_per_group, never[1]),
    ):
        try:
            data = disk.block(block)
        except ImageError as error:
            page.bad(f"The {what} cannot be read: {printable(str(error))}")
            continue
        if empty:
            facts.add(what.capitalize(), to_block(block, f"block {block}"), ", never written (its flag says so)")
            continue
        pair = checksums.bitmap(disk, stored, data, bits)
        facts.add(what.capitalize(), to_block(block, f"block {block}"), ", checksum ", told(pair))
        verdict(page, pair, f"the {what} of group {number}")


def ranges(text: str) -> str:
    """Return the first ranges of a list of them, and how many there are more."""
    found = text.split(", ")
    if len(found) <= MOST_RANGES:
        return text or "none"
    return ", ".join(found[:MOST_RANGES]) + f" ... and {len(found) - MOST_RANGES} ranges more"


def home(disk: Any, block: int, group: int) -> Rich:
    """Return in which group a block lies, if it is another one."""
    found = disk.group_of(block)
    if found == group:
        return "this group"
    return "no group" if found is None else to_group(found, f"group {found}")


# --- the map --------------------------------------------------------------------------------------


def whole_map(image: Any) -> Page:
    """Return the map of all blocks."""
    page = blocks(image, 0, image.disk.end - 1)
    page.title = f"Block map of {image.name}"
    return page


def blocks(image: Any, first: int, last: int) -> Page:
    """Return the map of a range of blocks, and a table of what lies there."""
    disk = image.disk
    first, last = min(first, last), max(first, last)
    if first >= disk.end:
        raise ImageError(f"{image.name}: block {first}: they are numbered 0 to {disk.end - 1}")
    last = min(last, disk.end - 1)
    page = Page(f"blocks {first}-{last}", f"Blocks {first} to {last}")
    answer = image.owners.within(first, last) if last - first < MOST_OWNED or image.owners.small else None
    page.parts.append(cells(image, first, last, ""))
    page.marks = [(first, last)]
    page.parts.append(contents(image, first, last, answer))
    return page


def cells(image: Any, first: int, last: int, heading: str) -> Cells:
    """Return the map of a range, with large cells if they are few."""
    if last - first < LETTERED:
        return block_cells(image, first, last, heading, LETTERED, LETTERED_COLUMNS)
    return block_cells(image, first, last, heading)


def contents(image: Any, first: int, last: int, answer: Any) -> Table:
    """Return a table of what lies in a range of blocks, with a limit."""
    disk = image.disk
    table = Table("What lies here", ["blocks", "what", "of"])
    rows: list[tuple[int, int, str, Rich]] = []
    for place in image.places.within(first, last):
        rows.append((place.first, place.count, KINDS[place.kind][1], to_group(place.group, f"group {place.group}")))
    reserved = [place for place in image.places.within(first, last) if place.kind == "reserved"]
    for claim in answer.claims if answer else image.owners.known(first, last):
        if claim.ino == EXT4_RESIZE_INO and any(0 <= claim.first - place.first < place.count for place in reserved):
            continue  # that inode is how the kernel keeps them: one line for all of them is enough
        what = {"data": claim.kind, "unwritten": f"{claim.kind}, unwritten", "attributes": "extended attributes"}
        where = f", file block {claim.logical}" if claim.what in ("data", "unwritten") else ""
        rows.append(
            (
                claim.first,
                claim.count,
                what.get(claim.what, claim.what),
                [to_inode(claim.ino, f"inode {claim.ino}"), where],
            )
        )
    rows.sort(key=lambda row: row[:3])
    for start, count, what, owner in rows[: 4 * PER_PAGE]:
        table.rows.append([to_blocks(start, count), what, owner])
    notes: list[Rich] = []
    if len(rows) > 4 * PER_PAGE:
        notes.append(f"{len(rows) - 4 * PER_PAGE} more are not listed: choose a smaller range. ")
    if answer is None:
        notes.append("Owners are looked up for up to 65536 blocks at a time: choose a smaller range. ")
    elif not answer.complete:
        notes.append(
            f"The inodes of {answer.read} of {disk.groups} groups were read: other blocks may have owners too. "
        )
    if image.places.unread:
        notes.append(f"{image.places.unread} descriptors could not be read. ")
    table.note = notes
    return table
