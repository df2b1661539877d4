"""Pages of one block and of one byte."""

from __future__ import annotations

from typing import Any

from vfslab.fs.ext4.format import (
    EXT4_EXT_MAGIC,
    EXT4_ORPHAN_BLOCK_MAGIC,
    EXT4_RESIZE_INO,
    EXT4_XATTR_MAGIC,
    SUPERBLOCK_OFFSET,
    ext4_super_block,
    mmp_struct,
)
from vfslab.fs.jbd2.format import journal_superblock
from vfslab.lib.ondisk import FormatError
from vfslab.teach.explorer import checksums
from vfslab.teach.explorer.blockmap import bit_cells, bits_of
from vfslab.teach.explorer.fields import (
    attribute_block_spans,
    directory_spans,
    inode_spans,
    journal_spans,
    node_spans,
    number_spans,
    spans_of,
    window,
)
from vfslab.teach.explorer.inodes import summary
from vfslab.teach.explorer.maps import place_of
from vfslab.teach.explorer.names import parse
from vfslab.teach.explorer.page import Link, Page, Rich, Span, to_block, to_byte, to_group, to_inode
from vfslab.teach.explorer.pages_image import told, verdict
from vfslab.teach.explorer.places import KINDS
from vfslab.tools.image import ImageError
from vfslab.user.text import printable

BARE_BLOCK = 4096  # bytes of a block when no superblock tells


def block(image: Any, number: int, effort: int | None = None, marked: int = -1) -> Page:
    """Return the page of a block; marked: a byte in it to point at."""
    disk = image.disk
    if disk is None:
        return bare(image, number, marked)
    answer = image.block(number, effort or 1)
    data, base = disk.block(number), number * disk.block_size
    page = Page(f"block {number}", f"Block {number}")
    page.marks = [(number, number)]
    facts = page.facts()
    facts.add("Bytes", to_byte(base), f" to {base + disk.block_size - 1:#x}")
    around(image, facts, number)
    home = disk.group_of(number)
    if home is not None:
        low = disk.first_block(home)
        facts.add("Lies in", to_group(home, f"group {home}"), f", its block {number - low}")
    words = {True: "in use", False: "free", None: "nothing: there is none, or it was never written"}
    facts.add("Bitmap says", words[answer.used])
    what, spans = "", list[Span]()
    for place in answer.places:
        name = KINDS[place.kind][1]
        facts.add("Is", f"{name} of ", to_group(place.group, f"group {place.group}"), part_of(place, number))
        what = what or name
        spans = spans or place_spans(image, place, number, data, page)
    owners(image, page, facts, number, answer)
    for claim in answer.owners.claims:
        what = what or claim_name(claim)
        spans = spans or claim_spans(image, claim, number, data, page)
    conflicts(page, answer)
    if not answer.places and not answer.owners.claims:
        seems, guess = recognised(data)
        spans = guess
        if seems and any(data):
            facts.add("Looks like", seems)
        what = "free" if answer.used is False else "in use" if answer.used else ""
    if not any(data):
        facts.add("Holds", "zeros only")
    page.title = f"Block {number}: {what}" if what else f"Block {number}"
    page.dump = window(base, data, spans, marked, f"block {number}")
    return page


def around(image: Any, facts: Any, number: int) -> None:
    """Add links to the blocks before and behind."""
    links: list[Rich] = [to_block(number - 1), " "] if number else []
    if number + 1 < image.disk.end:
        links.append(to_block(number + 1))
    facts.add("Neighbours", *links, "  ", Link("in the map", _near(image, number)))


def _near(image: Any, number: int) -> str:
    start = max(0, number // 512 * 512)
    return f"blocks {start}-{min(start + 511, image.disk.end - 1)}"


def part_of(place: Any, number: int) -> str:
    """Return which part of several blocks this one is."""
    return f", block {number - place.first} of {place.count}" if place.count > 1 else ""


def claim_name(claim: Any) -> str:
    """Return what a claimed block is."""
    return {"data": claim.kind, "unwritten": f"{claim.kind}, unwritten", "attributes": "extended attributes"}.get(
        claim.what, "extent node" if claim.what == "node" else claim.what
    )


def owners(image: Any, page: Page, facts: Any, number: int, answer: Any) -> None:
    """Add who owns the block, and how far it was searched."""
    for claim in answer.owners.claims:
        inside = number - claim.first
        where: list[Rich] = []
        if claim.what in ("data", "unwritten"):
            where = [f": its file block {claim.logical + inside}"]
            if claim.what == "unwritten":
                where.append(", unwritten: reads as zeros, whatever stands here")
        else:
            where = [f": {claim_name(claim)}"]
        paths = image.names.of(claim.ino, 1)
        facts.add(
            "Owner",
            to_inode(claim.ino, f"inode {claim.ino}"),
            f" ({claim.kind})",
            f" {paths[0]}" if paths else "",
            *where,
        )
        if claim.what in ("data", "unwritten"):
            beside: list[Rich] = (
                [to_block(number - 1, f"file block {claim.logical + inside - 1}"), " "] if inside else []
            )
            if inside + 1 < claim.count:
                beside.append(to_block(number + 1, f"file block {claim.logical + inside + 1}"))
            facts.add("In the file", *beside, " ", Link("all of its map", f"extents {claim.ino}"))
    if answer.owners.claims or answer.places:
        return
    if answer.owners.complete:
        facts.add("Owner", "none: no inode's map leads here")
        if answer.used and image.disk.per_cluster > 1:
            page.say(
                f"It may be the rest of a cluster of {image.disk.per_cluster} blocks, of which a file needs others."
            )
        elif answer.used:
            page.bad("The bitmap says in use, but nobody owns the block.")
    else:
        more = min(64, 8 * max(1, answer.owners.read // max(1, image.disk.groups // 64)))
        facts.add("Owner", f"not found among the inodes of {answer.owners.read} of {image.disk.groups} groups. ",
                  Link("Search longer", f"block {number} effort {more}"))  # fmt: skip


def conflicts(page: Page, answer: Any) -> None:
    """Say it if two own the block, or an owner has a block that is free."""
    foreign = {claim.ino for claim in answer.owners.claims if claim.ino != EXT4_RESIZE_INO}
    shared = all(
        claim.what == "attributes" for claim in answer.owners.claims
    )  # a block of attributes may be: h_refcount
    if len(foreign) > 1 and not shared:
        page.bad(f"{len(foreign)} inodes claim this block: {', '.join(map(str, sorted(foreign)[:16]))}")
    kinds = {(place.kind, place.group) for place in answer.places} - {("boot", 0)}
    if len(kinds) > 1:
        page.bad("The descriptors claim this block for more than one thing.")
    if foreign and kinds and not {kind for kind, _ in kinds} <= {"reserved"}:
        page.bad("An inode claims a block that the filesystem needs for itself.")
    if answer.used is False and (foreign or kinds):
        page.bad("The bitmap says that this block is free, but it is in use.")


# --- fields -----------------------------------------------------------------------------------------


def place_spans(image: Any, place: Any, number: int, data: bytes, page: Page) -> list[Span]:
    """Return the fields of a block of the filesystem's own; bitmaps get a map of their bits, too."""
    disk = image.disk
    if place.kind == "super":
        start = SUPERBLOCK_OFFSET % disk.block_size if place.group == 0 else 0
        copy = data[start : start + 1024]
        verdict(page, checksums.superblock(disk, copy), "this superblock")
        return spans_of(ext4_super_block(data, start))
    if place.kind == "descriptors":
        return descriptor_rows(image, place, number)
    if place.kind == "table":
        return inode_rows(image, place, number, data)
    if place.kind == "inode bitmap":
        first = place.group * disk.sb.s_inodes_per_group + 1
        count = min(disk.sb.s_inodes_per_group, 8 * disk.block_size)
        page.parts.append(bit_cells(bits_of(data), "inode", first, count, f"Inodes {first} to {first + count - 1}"))
        return bit_spans(data, f"inodes {first}-{first + count - 1}", count)
    if place.kind == "block bitmap":
        low, high = disk.group_range(place.group)
        count = min(max(1, high - low + 1), 8 * disk.block_size * disk.per_cluster)
        page.parts.append(
            bit_cells(bits_of(data), "block", low, count, f"Blocks {low} to {low + count - 1}", disk.per_cluster)
        )
        return bit_spans(data, f"blocks {low}-{low + count - 1}", -(-count // disk.per_cluster))
    return []


def bit_spans(data: bytes, told: str, count: int) -> list[Span]:
    """Return the two fields of a bitmap: bits that count, and those behind them."""
    used = min(count // 8, len(data))
    spans = [
        Span(0, used, "bits", told, "one bit for each, the lowest bit of a byte first; 1 is in use", "bitmap", told)
    ]
    if used < len(data):
        shown = "all set" if set(data[used:]) == {0xFF} else "not all set"
        spans.append(
            Span(used, len(data) - used, "padding", shown, "bits behind the last one are set by mke2fs", "bitmap")
        )
    return spans


def descriptor_rows(image: Any, place: Any, number: int) -> list[Span]:
    """Return a span for each group whose descriptor stands in this block."""
    disk = image.disk
    per_block = disk.block_size // disk.desc_size
    if disk.uses_meta_bg(place.group):
        first = place.group // per_block * per_block
    else:
        first = (number - place.first) * per_block
    rows = []
    for slot in range(min(per_block, max(0, disk.groups - first))):
        shown = f"descriptor of group {first + slot}"
        doc = "" if number == disk.group_desc_offset(first + slot) // disk.block_size else "a copy"
        rows.append(
            Span(
                slot * disk.desc_size,
                disk.desc_size,
                f"[{slot}]",
                shown,
                doc,
                "ext4_group_desc",
                f"group {first + slot}",
            )
        )
    return rows


def inode_rows(image: Any, place: Any, number: int, data: bytes) -> list[Span]:
    """Return a span for each inode in a block of an inode table."""
    disk = image.disk
    per_block = max(1, disk.block_size // disk.inode_size)
    first = place.group * disk.sb.s_inodes_per_group + 1 + (number - place.first) * per_block
    rows = []
    for slot in range(per_block):
        ino, raw = first + slot, data[slot * disk.inode_size : (slot + 1) * disk.inode_size]
        rows.append(
            Span(
                slot * disk.inode_size, disk.inode_size, f"inode {ino}", summary(raw), "", "ext4_inode", f"inode {ino}"
            )
        )
    return rows


def claim_spans(image: Any, claim: Any, number: int, data: bytes, page: Page) -> list[Span]:
    """Return the fields of a block that an inode owns."""
    disk = image.disk
    generation = image.disk.inode(claim.ino).i_generation
    if claim.what == "attributes":
        verdict(page, checksums.attributes(disk, number, data), "this block of attributes")
        return attribute_block_spans(data)
    if claim.what == "node":
        verdict(page, checksums.extent_node(disk, claim.ino, generation, data), "this node")
        return node_spans(data, 0, len(data))
    if claim.what not in ("data", "unwritten"):
        return number_spans(data, 0, len(data), claim.what)
    if claim.kind == "directory" and claim.what == "data":
        pair = checksums.directory(disk, claim.ino, generation, data)
        page.parts[0].add("Checksum", told(pair))
        verdict(page, pair, "this block of the directory")
        entries, problem = parse(data)
        if problem:
            page.bad(f"The entries break off: {problem}.")
        return directory_spans(data)
    if claim.kind == "journal":
        return journal_spans(data, journal_features(image))
    return recognised(data)[1] if claim.kind == "own" else []


def journal_features(image: Any) -> int:
    """Return s_feature_incompat of the journal's superblock, 0 if it cannot be read."""
    try:
        return journal_superblock(image.disk.block(place_of(image.places.journal(), 0))).s_feature_incompat
    except ImageError:
        return 0


def recognised(data: bytes) -> tuple[str, list[Span]]:
    """Return (what a block looks like by its magic numbers, its fields)."""
    if int.from_bytes(data[56:58], "little") == 0xEF53:
        return "a superblock", spans_of(ext4_super_block(data))
    if int.from_bytes(data[:2], "little") == EXT4_EXT_MAGIC:
        return "a node of an extent tree", node_spans(data, 0, len(data))
    if int.from_bytes(data[:4], "little") == EXT4_XATTR_MAGIC:
        return "extended attributes", attribute_block_spans(data)
    if data[:4] == mmp_magic():
        return "multiple mount protection", spans_of(mmp_struct(data))
    if int.from_bytes(data[-8:-4], "little") == EXT4_ORPHAN_BLOCK_MAGIC:
        return "a block of the orphan file", number_spans(data, 0, len(data) - 8, "inodes")
    if journal_spans(data):
        return "a block of a journal", journal_spans(data)
    entries, problem = parse(data)
    if entries and not problem and entries[0].inode and any(entry.name for entry in entries):
        return "a directory", directory_spans(data)
    return "", []


def mmp_magic() -> bytes:
    """Return the first bytes of a block of multiple mount protection."""
    return (0x004D4D50).to_bytes(4, "little")


# --- one byte ------------------------------------------------------------------------------------------


def byte(image: Any, offset: int) -> Page:
    """Return the page of a byte: the structure it belongs to, and the byte pointed at."""
    disk = image.disk
    if not 0 <= offset < image.size:
        raise ImageError(f"{image.name}: byte {offset:#x} lies beyond the end ({image.size} bytes)")
    if disk is None:
        return bare(image, offset // BARE_BLOCK, offset % BARE_BLOCK)
    number, inside = divmod(offset, disk.block_size)
    if number >= disk.end:
        return bare(image, offset // BARE_BLOCK, offset % BARE_BLOCK)
    page = block(image, number, marked=inside)
    page.title = f"Byte {offset:#x}, in {page.title[0].lower()}{page.title[1:]}"
    found = next((span for span in page.dump.spans if span.offset <= page.dump.marked < span.offset + span.size), None)
    facts = page.parts[0]
    facts.rows.insert(0, ("Block", [to_block(number), f", {inside} bytes in ({inside:#x})"]))
    if found and found.group == "ext4_inode" and found.address:
        start = inside - found.offset
        raw = disk.block(number)[found.offset : found.offset + disk.inode_size]
        page.dump = window(number * disk.block_size + found.offset, raw, inode_spans(raw), start)
        facts.rows.insert(1, ("Inode", [Link(found.address, found.address), f", {start} bytes in"]))
        found = next((span for span in page.dump.spans if span.offset <= start < span.offset + span.size), None)
    if found:
        facts.rows.insert(1, ("Field", f"{found.group}.{found.name} = {found.shown}"))
    return page


def bare(image: Any, number: int, marked: int = -1) -> Page:
    """Return a page of bytes alone: there is no superblock to say what they are, or they lie behind the filesystem."""
    base = number * BARE_BLOCK
    data = image.bytes(base, BARE_BLOCK)
    if not data:
        raise ImageError(f"{image.name}: byte {base:#x} lies beyond the end ({image.size} bytes)")
    page = Page(f"byte {base:#x}", f"Bytes from {base:#x} on")
    facts = page.facts()
    try:
        seems, spans = recognised(data)
    except FormatError:
        seems, spans = "", []
    facts.add("Looks like", seems or "nothing that is recognised")
    links: list[Rich] = [to_byte(base - BARE_BLOCK), " "] if base else []
    if base + BARE_BLOCK < image.size:
        links.append(to_byte(base + BARE_BLOCK))
    facts.add("Neighbours", *links)
    if image.disk is None:
        page.say(printable(f"Without a superblock the size of a block is not known: {BARE_BLOCK} bytes are shown."))
    else:
        page.say("These bytes lie behind the last block of the filesystem.")
    page.dump = window(base, data, spans, marked)
    return page
