"""What one may type into the address line, and the page it leads to.

    super · groups · group 0 · map · blocks 0-4095 · block 35 · inodes 1-32 · inode 16 · extents 16 · dir 2
    names 16 · journal · mount · /a123/b456/test.c · byte 0x23680 · help

A number may be decimal or hexadecimal (0x...). An address that makes no sense gives a page that says what does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from vfslab.kernel.errno import KernelError
from vfslab.lib.kstruct import KernelBug
from vfslab.lib.ondisk import FormatError
from vfslab.teach.explorer import pages_block, pages_dir, pages_image, pages_inode, pages_journal, pages_mount
from vfslab.teach.explorer.page import Link, Page
from vfslab.tools.image import ImageError
from vfslab.user.text import printable

NUMBER = r"(0x[0-9a-f]{1,16}|\d{1,20})"
LONGEST = 8192

HELP = (
    ("super", "the superblock, and the way to everything else"),
    ("groups", "all block groups; groups 64: from group 64 on"),
    ("group 0", "one group: its bitmaps, inode table, blocks"),
    ("map", "the block map; blocks 0-4095: a part of it"),
    ("block 35", "one block: what it is, who owns it, its bytes; block 35 effort 8: search longer for its owner"),
    ("inodes", "the inodes in use; inodes 17-48: a part of them"),
    ("inode 2", "one inode: its members, its bytes, where its data lies"),
    ("extents 2", "the map of one file, node by node"),
    ("dir 2", "the entries of a directory; dir 2 from 8: from its block 8 on"),
    ("names 2", "all paths of an inode"),
    ("/", "a path, looked up name by name; odd bytes are written \\xNN"),
    ("journal", "the log: its superblock and blocks; journal 64: from its block 64 on"),
    ("mount", "what a kernel says: the mount, and a check of the metadata"),
    ("byte 0x400", "the structure that a byte of the device belongs to"),
)

# pattern of an address: (function that makes the page, does it need a superblock)
FORMS: tuple[tuple[str, Callable[..., Page], bool], ...] = (
    (r"|super|superblock|overview", pages_image.overview, False),
    (rf"groups(?: (?:from )?{NUMBER})?", pages_image.groups, True),
    (rf"group {NUMBER}", pages_image.group, True),
    (r"map|blocks", pages_image.whole_map, True),
    (rf"blocks {NUMBER} ?(?:-|to) ?{NUMBER}", pages_image.blocks, True),
    (rf"block {NUMBER}(?: effort {NUMBER})?", pages_block.block, False),
    (rf"byte {NUMBER}", pages_block.byte, False),
    (r"inodes", pages_inode.inodes, True),
    (rf"inodes {NUMBER} ?(?:-|to) ?{NUMBER}", pages_inode.inodes, True),
    (rf"inode {NUMBER}", pages_inode.inode, True),
    (rf"extents {NUMBER}(?: from {NUMBER})?", pages_inode.extents, True),
    (rf"dir {NUMBER}(?: from {NUMBER})?", pages_dir.directory, True),
    (rf"names {NUMBER}", pages_dir.names, True),
    (r"mount", pages_mount.mount, False),
    (rf"journal(?: (?:from )?{NUMBER})?", pages_journal.journal, True),
)


def tidy(address: str) -> str:
    """Return an address as it is kept in the history: one blank between words, small letters; a path as it is."""
    address = address[:LONGEST]
    if address.lstrip().startswith("/"):
        return address.strip("\r\n")
    return " ".join(address.replace("#", " ").split()).lower()


def page_of(image: Any, address: str) -> Page:
    """Return the page of an address; whatever is wrong with the image or the address is told on it."""
    address = tidy(address)
    try:
        image.refresh()
        page = answer(image, address)
    except (ImageError, FormatError) as error:
        page = trouble(address, str(error))
    except (OSError, KernelError, KernelBug) as error:
        text = getattr(error, "strerror", None) or str(error)
        page = trouble(address, f"{image.name} cannot be read any more: {text}")
    page.address = address or "super"
    return page


def answer(image: Any, address: str) -> Page:
    """Return the page of a tidy address. ImageError or FormatError if the image has no answer."""
    for pattern, make, needs_super in FORMS:
        found = re.fullmatch(pattern, address)
        if found:
            if needs_super and image.disk is None:
                return trouble(address, f"there is no superblock to go by ({image.wrong})")
            return make(image, *(int(text, 0) if text else None for text in found.groups()))
    if address.startswith("/"):
        if image.disk is None:
            return trouble(address, f"there is no superblock to go by ({image.wrong})")
        return pages_dir.path(image, unescaped(address))
    return help_page(None if address == "help" else address)


def unescaped(path: str) -> bytes:
    """Return the bytes of a path in which odd ones are written \\xNN, as printable() writes them."""
    raw = os.fsencode(path)
    return re.sub(rb"\\(x[0-9a-f]{2}|\\)", lambda found: _byte(found[1]), raw)


def _byte(escape: bytes) -> bytes:
    return b"\\" if escape == b"\\" else bytes([int(escape[1:], 16)])


def trouble(address: str, why: str) -> Page:
    """Return a page that says what is wrong."""
    page = Page(address, printable(address) or "superblock")
    page.no(printable(why))
    page.say("Elsewhere: ", Link("superblock", "super"), ", ", Link("help", "help"))
    return page


def help_page(unknown: str | None) -> Page:
    """Return the page that lists all forms of an address; unknown: what was typed instead of one."""
    page = Page("help", "What can be typed here")
    if unknown is not None:
        hint = " (block, inode, group or byte?)" if re.fullmatch(NUMBER, unknown) else ""
        page.no(f"{printable(unknown)[:80]!r} is no address{hint}.")
    facts = page.facts("Addresses")
    for form, meaning in HELP:
        facts.rows.append((form, [Link(form, form), ": ", meaning]))
    keys = page.facts("Keys")
    keys.add("Alt+Left, Alt+Right", "back and forward")
    keys.add("/", "into the address line")
    keys.add("arrows, Home, End, Enter", "in a map: from cell to cell, and into one")
    keys.add("Tab", "from link to link; among the fields of the bytes the arrows lead on, Enter follows a field")
    return page
