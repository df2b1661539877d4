"""check: read everything in an image, verify every checksum and structure.

    mount, journal replayed in memory ─▶ fsck: what the filesystem says of itself ─▶ walk: every name, every byte

Exit status 0: clean. 1: damage, one line for each place. 2: not usable, one line. The image is only read.
With a manifest, each entry reached is told as a dictionary: path, type, size, sha256 of the first 64 MiB of
a file, target of a symlink, err with the name of the errno where it could not be read.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from typing import Any

from vfslab.tools.image import ImageError, mounted, without_device
from vfslab.tools.progress import Bars
from vfslab.tools.walk import Walk
from vfslab.user.text import printable

Progress = Callable[[str, int], Any]  # (what is counted, how many more)
KERN_CRIT = 2  # the level at which ext4 logs damage


@dataclasses.dataclass
class CheckResult:
    """exit_code 0, 1 or 2; lines about damage, or the one line of 2; notices are no damage; counts of what was read."""

    exit_code: int
    lines: list[str]
    notices: list[str] = dataclasses.field(default_factory=list)
    entries: int = 0
    read: int = 0


def check_image(
    source: Any, manifest: Callable[[dict], Any] | None = None, progress: Progress | None = None, options: str = "ro"
) -> CheckResult:
    """Check an image: a name such as disk.img#1, its bytes, or a file object. manifest is called for each entry."""
    progress = progress or (lambda what, amount: None)
    try:
        with mounted(source, options) as image:
            return check_mounted(image, manifest, progress)
    except ImageError as error:
        return CheckResult(2, ["vfslab: " + printable(str(error))])


def check_mounted(image: Any, manifest: Callable[[dict], Any] | None, progress: Progress) -> CheckResult:
    """Check an image that is mounted."""
    from vfslab.init.machine import fsck

    notices = image.notices()
    log = image.kernel.kernel.log
    at_mount = [without_device(text) for level, text in log if level <= KERN_CRIT]
    problems, more = fsck(image.kernel, lambda inodes: progress("inodes", inodes))
    log.clear()  # what fsck has met is in its problems
    walk = Walk(image, manifest, progress)
    walk.run()
    lines = combine([*at_mount, *problems], walk.lines)
    return CheckResult(1 if lines else 0, [printable(line) for line in lines], notices + more, walk.entries, walk.read)


def combine(problems: list[str], walked: list[str]) -> list[str]:
    """Return all lines: a problem that a path of the walk tells too is told with the path alone."""
    told = "\n".join(walked)
    return [*dict.fromkeys(problem for problem in problems if problem not in told), *walked]


# --- the command ----------------------------------------------------------------------------------


def main(spec: str, manifest: bool = False, progress: bool = False, options: str = "ro") -> int:
    """Check an image and print what was found; return the exit status."""
    out = sys.stderr if manifest else sys.stdout
    with Bars(progress) as bars:
        result = check_image(spec, print_entry if manifest else None, bars.advance, options)
    if result.exit_code == 2:
        print(result.lines[0], file=sys.stderr)
        return 2
    for line in result.lines:
        out.write(shown(line, out))
    if not result.exit_code and not manifest:
        for notice in result.notices:
            out.write(shown("notice: " + printable(notice), out))
        out.write(shown(f"{printable(spec)}: clean, {result.entries} entries, {result.read} bytes of data read", out))
    out.flush()
    return result.exit_code


def print_entry(entry: dict) -> None:
    """Print one entry of the manifest as a line of JSON."""
    sys.stdout.write(json.dumps(entry) + "\n")


def shown(line: str, out: Any) -> str:
    """Return a line with what the terminal's encoding lacks written as escapes."""
    encoding = out.encoding or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding) + "\n"
