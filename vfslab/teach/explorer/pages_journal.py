"""The page of the journal: its superblock, then its blocks as they lie in the ring."""

from __future__ import annotations

from typing import Any

from vfslab.fs.jbd2.format import (
    BLOCK_TYPES,
    JBD2_COMMIT_BLOCK,
    JBD2_MAGIC_NUMBER,
    commit_header,
    journal_header,
    journal_superblock,
)
from vfslab.teach.explorer.fields import journal_spans, tags, window
from vfslab.teach.explorer.inodes import timestamp
from vfslab.teach.explorer.maps import place_of
from vfslab.teach.explorer.page import Link, Page, Rich, Table, to_block, to_inode
from vfslab.tools.image import ImageError
from vfslab.user.text import printable

PER_PAGE = 256  # blocks of the log on one page
MOST_TAGS = 12


def journal(image: Any, start: int | None = None) -> Page:
    """Return the journal from one of its blocks on."""
    number = image.disk.sb.s_journal_inum
    page = Page("journal", "The journal")
    found = image.places.journal()
    if not found:
        page.no("There is no journal inside this filesystem, or its inode cannot be read.")
        return page
    try:
        data = image.disk.block(place_of(found, 0))
    except ImageError as error:
        page.bad(f"The journal's superblock cannot be read: {printable(str(error))}")
        return page
    jsb = journal_superblock(data)
    facts = page.facts()
    facts.add("Inode", to_inode(number, f"inode {number}"))
    facts.add("Superblock", to_block(place_of(found, 0), f"block {place_of(found, 0)}"))
    if jsb.h_magic != JBD2_MAGIC_NUMBER:
        page.bad(f"h_magic is {jsb.h_magic:#010x}, not 0xc03b3998: this is no journal.")
    facts.add("Blocks", f"{jsb.s_maxlen} of {jsb.s_blocksize} bytes, the log from block {jsb.s_first} on")
    facts.add(
        "To replay",
        f"from block {jsb.s_start} on, transaction {jsb.s_sequence}" if jsb.s_start else "nothing (s_start is 0)",
    )
    facts.add("Features", journal_superblock.s_feature_incompat.show(jsb.s_feature_incompat))
    first = start if start is not None else 0
    page.parts.append(log(image, found, jsb, first))
    page.marks = [(run.disk, run.disk + run.count - 1) for run in found if run.what == "data"]
    page.dump = window(place_of(found, 0) * image.disk.block_size, data, journal_spans(data))
    return page


def log(image: Any, found: list[Any], jsb: Any, first: int) -> Table:
    """Return the blocks of the log that begin with the journal's magic number, PER_PAGE blocks of it at a time."""
    table = Table("The log", ["block of the log", "block", "transaction", "what", "tells of"])
    last = min(first + PER_PAGE, sum(run.count for run in found if run.what == "data"), max(jsb.s_maxlen, 1))
    for logical in range(max(first, 1), last):
        number = place_of(found, logical)
        try:
            data = image.disk.block(number) if number else b""
        except ImageError:
            data = b""
        if len(data) < 12 or journal_header(data).h_magic != JBD2_MAGIC_NUMBER:
            continue
        head = journal_header(data)
        what = BLOCK_TYPES.get(head.h_blocktype, f"type {head.h_blocktype}")
        table.rows.append(
            [str(logical), to_block(number), str(head.h_sequence), what, told(jsb, head.h_blocktype, data)]
        )
    links: list[Rich] = [
        f"Blocks {max(first, 1)} to {last - 1} of the log were looked at; blocks of data are not listed. "
    ]
    if first:
        links += [Link("before", f"journal {max(0, first - PER_PAGE)}"), " "]
    if last < jsb.s_maxlen:
        links.append(Link("after", f"journal {last}"))
    table.note = links
    return table


def told(jsb: Any, kind: int, data: bytes) -> Rich:
    """Return what a block of the log tells: the blocks that a descriptor stands for, the time of a commit."""
    if kind == JBD2_COMMIT_BLOCK:
        commit = commit_header(data)
        return f"committed {timestamp(commit.h_commit_sec * 1_000_000_000).partition('.')[0]} UTC"
    if kind != 1:
        return ""
    out: list[Rich] = []
    for count, (_, _, block) in enumerate(tags(jsb.s_feature_incompat, data)):
        if count == MOST_TAGS:
            return [*out, " ..."]
        out += [" " if out else "", to_block(block)]
    return out
