"""Names on a terminal: what is printable stays, everything else is shown as an escape.

A file name may hold any byte but `/` and NUL, so it may hold terminal commands too.
"""

from __future__ import annotations

import os

from vfslab.include.uapi.stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFSOCK


def printable(name: str | bytes) -> str:
    """Return a name with control characters and undecodable bytes written as \\xNN."""
    text = os.fsdecode(name) if isinstance(name, bytes) else name
    out = []
    for char in text:
        if char == "\\":
            out.append("\\\\")
        elif "\udc80" <= char <= "\udcff":
            out.append(f"\\x{ord(char) - 0xDC00:02x}")
        elif char.isprintable():
            out.append(char)
        else:
            out.append("".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass")))
    return "".join(out)


def filemode(mode: int) -> str:
    """Return a mode as ls -l writes it, such as "drwxr-xr-x"."""
    kinds = {S_IFDIR: "d", S_IFLNK: "l", S_IFBLK: "b", S_IFCHR: "c", S_IFIFO: "p", S_IFSOCK: "s"}
    out = [kinds.get(mode & S_IFMT, "-")]
    for shift, special, letter in ((6, 0o4000, "s"), (3, 0o2000, "s"), (0, 0o1000, "t")):
        bits = mode >> shift & 7
        run = "x" if bits & 1 else "-"
        if mode & special:
            run = letter if bits & 1 else letter.upper()
        out += ["r" if bits & 4 else "-", "w" if bits & 2 else "-", run]
    return "".join(out)


def timestamp(ns: int) -> str:
    """Return a time in UTC as "2021-11-22 09:30:00.000000000", for any year."""
    seconds, fraction = divmod(ns, 1_000_000_000)
    days, rest = divmod(seconds, 86400)
    year, month, day = civil(days)
    return f"{year:04d}-{month:02d}-{day:02d} {rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}.{fraction:09d}"


def civil(days: int) -> tuple[int, int, int]:
    """Return (year, month, day) of a day counted from 1970-01-01; datetime would stop at the year 9999."""
    era, day_of_era = divmod(days + 719468, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1
