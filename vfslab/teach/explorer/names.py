"""Names: entries of directories, wherever they are kept; the walk along a path; the names that lead to an inode.

entries(disk, ino, first)   the entries of a directory block by block, inline ones too
walk(disk, b"/a123/b456")   each step: in which directory, in which block, at which byte the name was found
Names(disk).of(16)          all paths of an inode, found by reading directories from the root on, with a limit
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from vfslab.fs.ext4.format import (
    EXT4_FT_DIR_CSUM,
    EXT4_INLINE_DATA_FL,
    EXT4_ROOT_INO,
    EXT4_XATTR_MAGIC,
    I_BLOCK_OFFSET,
    I_BLOCK_SIZE,
    ext4_dir_entry_2,
    ext4_xattr_entry,
)
from vfslab.include.uapi.stat import S_ISDIR, S_ISLNK
from vfslab.teach.explorer.maps import Budget, Run, runs
from vfslab.tools.image import ImageError
from vfslab.user.text import printable

MOST_LINKS = 40  # symlinks followed in one walk, as Linux does
MOST_STEPS = 256
MOST_DIR_BLOCKS = 4096  # read for one name
MOST_TREE = 3000  # directory blocks read to find the names of inodes
MOST_NAMES = 60_000
MOST_TARGET = 4096
SYSTEM_INDEX, SYSTEM_DATA = 7, b"data"

_read = ext4_dir_entry_2.reader("inode", "rec_len", "name_len", "file_type")


class Entry(NamedTuple):
    """One entry: at byte `at` of the bytes it was read from."""

    at: int
    inode: int
    rec_len: int
    file_type: int
    name: bytes

    @property
    def is_tail(self) -> bool:
        """True for the checksum at a block's end, which looks like an unused entry."""
        return not self.inode and self.file_type == EXT4_FT_DIR_CSUM and self.rec_len == 12


class Part(NamedTuple):
    """A piece of a directory: file block logical in disk block disk, or inline (disk 0) from byte base of the device."""

    logical: int
    disk: int
    base: int
    data: bytes
    entries: list[Entry]
    problem: str


def parse(data: bytes, start: int = 0, end: int | None = None) -> tuple[list[Entry], str]:
    """Return (entries of bytes start to end, why they end before)."""
    end = len(data) if end is None else end
    found: list[Entry] = []
    at = start
    while at + 8 <= end:
        ino, coded, length, kind = _read(data, at)
        rec_len = coded
        if len(data) >= 65536:  # 16 bits cannot hold 65536: blocks of 64 KiB use the two lowest bits
            rec_len = len(data) if coded in (0, 65535) else coded & 65532 | (coded & 3) << 16
        if rec_len < 8 or rec_len % 4 or at + rec_len > end or (length + 8 > rec_len and ino):
            return found, f"entry at byte {at:#x}: rec_len {coded}, name_len {length} cannot be"
        found.append(Entry(at, ino, rec_len, kind, bytes(data[at + 8 : at + 8 + min(length, rec_len - 8)])))
        at += rec_len
    return found, ""


def parts(disk: Any, ino: int, view: Any, budget: Budget, first: int = 0) -> Iterator[Part]:
    """Yield the pieces of a directory from file block first on; problems of its map go to the budget."""
    if view.i_flags & EXT4_INLINE_DATA_FL:
        yield from inline_parts(disk, ino, view)
        return
    blocks = -(-max(view.i_size, 0) // disk.block_size)
    for run in runs(disk, view, budget):
        if run.what != "data" or run.logical + run.count <= first:
            continue
        for step in range(max(0, first - run.logical), run.count):
            logical, number = run.logical + step, run.disk + step
            if logical >= blocks or not budget.take():
                return
            yield one_part(disk, logical, number)


def one_part(disk: Any, logical: int, number: int) -> Part:
    """Return one block of a directory."""
    try:
        data = disk.block(number)
    except ImageError as error:
        return Part(logical, number, number * disk.block_size, b"", [], str(error))
    return Part(logical, number, number * disk.block_size, data, *parse(data))


def inline_parts(disk: Any, ino: int, view: Any) -> Iterator[Part]:
    """Yield the entries that lie in i_block, then those in the attribute system.data."""
    base = disk.inode_offset(ino)
    data = bytes(view.buffer)
    yield Part(0, 0, base, data, *parse(data, I_BLOCK_OFFSET + 4, I_BLOCK_OFFSET + I_BLOCK_SIZE))
    start, size = inline_rest(data)
    if size:
        yield Part(0, 0, base, data, *parse(data, start, start + size))


def inline_rest(data: bytes) -> tuple[int, int]:
    """Return (offset, size) of the value of system.data behind an inode; (0, 0) if there is none."""
    for _, entry, name in attributes(data):
        if entry.e_name_index == SYSTEM_INDEX and name == SYSTEM_DATA and not entry.e_value_inum:
            start = ibody(data) + 4 + entry.e_value_offs
            if start + entry.e_value_size <= len(data):
                return start, entry.e_value_size
    return 0, 0


def ibody(data: bytes) -> int:
    """Return where the attributes behind an inode begin (their magic number), 0 if there are none."""
    if len(data) <= 130:
        return 0
    at = 128 + int.from_bytes(data[128:130], "little")
    found = int.from_bytes(data[at : at + 4], "little") if at + 4 <= len(data) and at > 128 else 0
    return at if found == EXT4_XATTR_MAGIC else 0


def attributes(data: bytes, start: int | None = None) -> Iterator[tuple[int, Any, bytes]]:
    """Yield (offset, entry, name without its prefix): of an inode's bytes, or from offset start of a block."""
    at = (ibody(data) + 4 if ibody(data) else len(data)) if start is None else start
    while at + ext4_xattr_entry.size <= len(data) and any(data[at : at + 4]):
        entry = ext4_xattr_entry(data, at)
        length = entry.e_name_len
        yield at, entry, data[at + ext4_xattr_entry.size : at + ext4_xattr_entry.size + length]
        at += ext4_xattr_entry.size + (length + 3) // 4 * 4


# --- the walk -------------------------------------------------------------------------------------


class Step(NamedTuple):
    """One name of a path: looked up in directory `dir`, found in block at byte offset, or not (ino 0, why)."""

    name: bytes
    dir: int
    block: int
    byte: int
    ino: int
    why: str


def find(disk: Any, dir_ino: int, name: bytes) -> Step:
    """Return where a name stands in a directory."""
    try:
        view = disk.inode(dir_ino)
        if not S_ISDIR(view.i_mode):
            return Step(name, dir_ino, 0, 0, 0, f"inode {dir_ino} is no directory")
        budget = Budget(MOST_DIR_BLOCKS)
        for part in parts(disk, dir_ino, view, budget):
            if part.disk == 0 and name == b".." and not part.logical:
                up = int.from_bytes(bytes(view.i_block)[:4], "little")
                return Step(name, dir_ino, 0, part.base + I_BLOCK_OFFSET, up, "")
            if name not in part.data:
                continue
            for entry in part.entries:
                if entry.name == name and entry.inode:
                    return Step(name, dir_ino, part.disk, part.base + entry.at, entry.inode, "")
        if budget.spent:
            return Step(name, dir_ino, 0, 0, 0, f"not among the first {MOST_DIR_BLOCKS} blocks of the directory")
    except ImageError as error:
        return Step(name, dir_ino, 0, 0, 0, str(error))
    return Step(name, dir_ino, 0, 0, 0, f"no such name in inode {dir_ino}")


def walk(disk: Any, path: bytes) -> tuple[int, list[Step]]:
    """Return (inode a path leads to or 0, the steps); symlinks on the way are followed, the last one is not."""
    left = [name for name in path.split(b"/") if name]
    ino, steps, followed = EXT4_ROOT_INO, list[Step](), 0
    while left:
        name = left.pop(0)
        if name == b"." or (name == b".." and ino == EXT4_ROOT_INO):
            continue
        step = find(disk, ino, name)
        steps.append(step)
        if not step.ino or len(steps) > MOST_STEPS:
            return 0, steps
        if left and (target := link_target(disk, step.ino)) is not None:
            followed += 1
            if followed > MOST_LINKS:
                steps.append(step._replace(ino=0, why=f"more than {MOST_LINKS} symlinks"))
                return 0, steps
            left = [part for part in target.split(b"/") if part] + left
            ino = EXT4_ROOT_INO if target.startswith(b"/") else ino
            continue
        ino = step.ino
    return ino, steps


def link_target(disk: Any, ino: int) -> bytes | None:
    """Return the target of a symlink; None if the inode is none or cannot be read."""
    try:
        view = disk.inode(ino)
        if not S_ISLNK(view.i_mode):
            return None
        return content(disk, view, MOST_TARGET).rstrip(b"\0")
    except ImageError:
        return None


def content(disk: Any, view: Any, most: int) -> bytes:
    """Return the first bytes of a file, symlink included, at most `most`; holes are zeros. ImageError."""
    size = min(max(view.i_size, 0), most)
    raw = bytes(view.buffer)
    if view.i_flags & EXT4_INLINE_DATA_FL:
        start, more = inline_rest(raw)
        return (bytes(view.i_block) + raw[start : start + more])[:size]
    if S_ISLNK(view.i_mode) and size < I_BLOCK_SIZE and not view.i_flags & 0x80000:
        return bytes(view.i_block)[:size]
    out = bytearray(size)
    blocks = -(-size // disk.block_size)
    for run in runs(disk, view, Budget(64)):
        if run.what == "data" and run.logical < blocks:
            for step in range(min(run.count, blocks - run.logical)):
                at = (run.logical + step) * disk.block_size
                out[at : at + disk.block_size] = disk.block(run.disk + step)[: size - at]
    return bytes(out)


# --- from inodes back to names ------------------------------------------------------------------------


class Names:
    """Which directories hold an entry for an inode; read once, breadth first from the root, with a limit."""

    def __init__(self, disk: Any):
        self.disk = disk
        self.entries: dict[int, list[tuple[int, bytes]]] = {}  # inode: (directory, name)
        self.complete = True
        self._read = False

    def read(self) -> None:
        """Read directories from the root on."""
        self._read = True
        budget, count = Budget(MOST_TREE), 0
        waiting, seen = [EXT4_ROOT_INO], {EXT4_ROOT_INO}
        for ino in waiting:
            try:
                view = self.disk.inode(ino)
                if not S_ISDIR(view.i_mode):
                    continue
                for part in parts(self.disk, ino, view, budget):
                    for entry in part.entries:
                        if not entry.inode or entry.name in (b".", b".."):
                            continue
                        count += 1
                        self.entries.setdefault(entry.inode, []).append((ino, entry.name))
                        if entry.file_type in (0, 2) and entry.inode not in seen:
                            seen.add(entry.inode)
                            waiting.append(entry.inode)
            except ImageError:
                continue
            if budget.spent or count > MOST_NAMES:
                self.complete = False
                return

    def of(self, ino: int, most: int = 16) -> list[str]:
        """Return the paths of an inode, as many as were found."""
        if not self._read:
            self.read()
        if ino == EXT4_ROOT_INO:
            return ["/"]
        return [self.path(parent, name) for parent, name in self.entries.get(ino, [])[:most]]

    def path(self, parent: int, name: bytes) -> str:
        """Return the path of a name in a directory; a loop of damaged directories ends after a while."""
        names, hops = [name], 0
        while parent != EXT4_ROOT_INO and hops < 256:
            parent, above = self.entries.get(parent, [(EXT4_ROOT_INO, b"...")])[0]
            names.append(above)
            hops += 1
        return "/" + "/".join(printable(part) for part in reversed(names))


def short_runs(found: list[Run]) -> list[Run]:
    """Return the runs that hold data, without nodes."""
    return [run for run in found if run.what in ("data", "unwritten")]
