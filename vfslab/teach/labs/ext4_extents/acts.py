"""What a scene does with its disk, and how it tells what came of it.

    mounted(k, p, disk)          the disk is on /mnt
    cat(k, p, path)              notes which disk blocks the file's content comes from
    pieces(k, p, path)           notes what filefrag would print (the ioctl FIEMAP)
    ask(k, p, path, lblk)        notes what ext4_map_blocks says of one file block: state, disk block, how far
    keeps(k, p, path)            notes the runs that the inode keeps, once it was read

The programs work through system calls; ask and keeps look into the kernel. None of them knows a right answer.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from vfslab.fs.ext4.ext4 import EXT4_I, EXT4_MAP_HOLE, EXT4_MAP_MAPPED, EXT4_MAP_UNWRITTEN, EXT4_SB
from vfslab.fs.ext4.inode import ext4_map_blocks
from vfslab.fs.file import fdget
from vfslab.fs.ioctl import FS_IOC_FIEMAP
from vfslab.kernel.errno import KernelError
from vfslab.kernel.sched import cpu
from vfslab.teach.labs.checks import Stage
from vfslab.teach.labs.ext4_extents.disk import BLOCK, Disk, shown, span
from vfslab.user import cat as program

STATES = MappingProxyType({EXT4_MAP_HOLE: "hole", EXT4_MAP_MAPPED: "written", EXT4_MAP_UNWRITTEN: "unwritten"})
FIEMAP_EXTENT_UNWRITTEN = 0x800
MANY = 1 << 40  # blocks


def mounted(k: Stage, p: Any, disk: Disk) -> None:
    """Attach a disk and mount it. Nothing of that asks for an extent."""
    k.attach("vda", bytes(disk.image), read_only=True)
    p.mkdir("/mnt")
    p.mount("/dev/vda", "/mnt", "ext4", "ro")


def pretend_bigger(p: Any) -> None:
    """Make the filesystem on /mnt believe that it has far more blocks: enough for numbers of more than 32 bits."""
    fd = p.open("/mnt", p.O_RDONLY)
    EXT4_SB(opened(p, fd).i_sb).s_blocks_count = MANY
    p.close(fd)


# --- programs -----------------------------------------------------------------------------------------------


def cat(k: Stage, p: Any, path: str, told: str = "") -> Any:
    """Note which disk blocks a file's content comes from; told describes its tree."""
    return k.note(f"cat {path}{why(told)}", lambda: shown(b"".join(program.cat(p, path))))


def pread(k: Stage, p: Any, path: str, first: int, count: int = 1, told: str = "") -> Any:
    """Note where some blocks of a file come from."""

    def read() -> list[str]:
        fd = p.open(path, p.O_RDONLY)
        try:
            return shown(p.pread(fd, count * BLOCK, first * BLOCK), first)
        finally:
            p.close(fd)

    return k.note(f"pread {path}, file block {span(first, count)}{why(told)}", read)


def pieces(k: Stage, p: Any, path: str, told: str = "") -> Any:
    """Note what FIEMAP says: ["0 to 2: 700 to 702", "5: 90, unwritten"], file blocks and disk blocks."""
    return k.note(f"filefrag {path}{why(told)}", filefrag, p, path)


def filefrag(p: Any, path: str, size: int = BLOCK) -> list[str]:
    """Return the pieces of a file, one line each: file blocks, disk blocks; size: of a block."""
    fd = p.open(path, p.O_RDONLY)
    try:
        lines = []
        for start, where, length, flags in p.ioctl(fd, FS_IOC_FIEMAP):
            count = length // size
            more = ", unwritten" if flags & FIEMAP_EXTENT_UNWRITTEN else ""
            lines.append(f"{span(start // size, count)}: {span(where // size, count)}{more}")
        return lines
    finally:
        p.close(fd)


# --- looking into the kernel --------------------------------------------------------------------------------


def opened(p: Any, fd: int) -> Any:
    """Return the inode behind a descriptor."""
    return inside(p, lambda: fdget(fd).f_inode)


def inside(p: Any, action: Any, *args: Any) -> Any:
    """Return what a function of the kernel gives, called as this process; an errno comes out as OSError."""
    kernel, task = p.task.kernel, p.task
    with kernel.baton:
        outer = cpu.current, cpu.kernel
        cpu.current, cpu.kernel = task, kernel
        try:
            return action(*args)
        except KernelError as error:
            raise OSError(error.errno, str(error)) from None
        finally:
            cpu.current, cpu.kernel = outer


def mapped(p: Any, path: str, lblk: int) -> str:
    """Return what ext4_map_blocks says of a file block, in words."""
    fd = p.open(path, p.O_RDONLY)
    try:
        state, block, count = inside(p, ext4_map_blocks, opened(p, fd), lblk)
    finally:
        p.close(fd)
    return f"{STATES.get(state, state)}, disk block {block}, {count} block{'s' * (count != 1)} from here on"


def ask(k: Stage, p: Any, path: str, lblk: int, told: str = "") -> Any:
    """Note what the kernel knows of one file block."""
    return k.note(f"ext4_map_blocks of {path}, file block {lblk}{why(told)}", mapped, p, path, lblk)


def keeps(k: Stage, p: Any, path: str, told: str = "") -> Any:
    """Note the runs that the kernel keeps of a file whose tree lies in its inode."""

    def kept() -> Any:
        fd = p.open(path, p.O_RDONLY)
        try:
            runs = EXT4_I(opened(p, fd)).i_extents
            return None if runs is None else [f"{run[0]}+{run[1]} at {run[2]} {STATES[run[3]]}" for run in runs]
        finally:
            p.close(fd)

    return k.note(f"i_extents of {path}{why(told)}", kept)


def why(told: str) -> str:
    return f" ({told})" if told else ""
