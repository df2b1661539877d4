"""What a kernel says of the image: it is mounted read-only, its metadata checked, and each line linked.

The explorer itself reads bytes. Here a kernel is booted for a moment, so that one sees what a mount would refuse,
replay or complain of. Of large images only the mount is done; `vfslab check` reads all.
"""

from __future__ import annotations

import re
from typing import Any

from vfslab.teach.explorer.page import Link, Page, Rich, Table
from vfslab.tools.image import ImageError, mounted, without_device
from vfslab.user.text import printable

MOST_INODES = 5000  # in use: up to here the metadata is checked, too
MOST_LINES = 200
PLACE = re.compile(r"\b(inode|block|group) (\d{1,20})\b")
KERN_CRIT = 2  # the level at which ext4 logs damage


def mount(image: Any) -> Page:
    """Return what the mount and the check of the metadata have to say."""
    page = Page("mount", f"What a kernel says of {printable(image.name)}")
    if image.given is None:
        page.no("This is a device of a running kernel: its log is in that kernel.")
        return page
    few = image.disk is not None and image.disk.inodes - image.disk.sb.s_free_inodes_count <= MOST_INODES
    lines, notices = [], []
    try:
        with mounted(image.given) as opened:
            log = opened.kernel.kernel.log
            notices = opened.notices()
            lines = [without_device(text) for level, text in log if level <= KERN_CRIT]
            if few:
                from vfslab.init.machine import fsck

                problems, more = fsck(opened.kernel, lambda count: None)
                lines += problems
                notices += more
    except ImageError as error:
        page.no("It cannot be mounted: ", *linked(str(error).removeprefix("image: ")))
        return page
    page.say(
        "It can be mounted read-only. ",
        "" if few else "It is large: its metadata was not checked. `vfslab check` does it.",
    )
    for heading, found in (("Notices", notices), ("Damage", lines)):
        if found:
            table = Table(heading, ["line"], [[linked(line)] for line in found[:MOST_LINES]])
            table.note = f"{len(found) - MOST_LINES} more" if len(found) > MOST_LINES else ""
            page.parts.append(table)
    if lines:
        page.bad(f"{len(lines)} line{'s' if len(lines) > 1 else ''} of damage.")
    elif few:
        page.say("Its metadata is right: every checksum and structure was looked at.")
    return page


def linked(line: str) -> list[Rich]:
    """Return a line of the log in which "inode 12", "block 35" and "group 0" are links."""
    out: list[Rich] = []
    place = 0
    line = printable(line)
    for found in PLACE.finditer(line):
        out += [line[place : found.start()], Link(found[0], f"{found[1]} {found[2]}")]
        place = found.end()
    return [*out, line[place:]]
