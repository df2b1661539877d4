"""The small programs of the lab's notebook: they print, and what goes wrong is one line.

    sh = Shell(k, climb_image())       the image is /dev/vda
    sh.mount()                         mounts it anew, so that nothing is remembered
    sh.ls("/mnt"); sh.cat("/mnt/hello.txt"); sh.peek("/mnt/deep.txt"); sh.filefrag("/mnt/deep.txt")
    sh.i_block("poem.txt")             the 60 bytes of a file's inode, read from the device without any of your functions
    sh.damaged("deep.txt", (byte, new bytes))    what cat says on a changed copy of the image

fields(i_block) prints a node member by member, as the layouts of fs/ext4/format.py have it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vfslab.fs.ext4.format import EXT4_ROOT_INO, ext4_dir_entry_2, ext4_extent, ext4_extent_header, ext4_extent_idx
from vfslab.teach.labs.checks import TooLong, at_most
from vfslab.teach.labs.ext4_extents import acts
from vfslab.tools.raw import RawExt4
from vfslab.user.cat import cat

LIMIT = 10.0  # seconds


class Shell:
    """One process on a kernel that has an image of ext4 as /dev/vda."""

    def __init__(self, k: Any, image: bytes):
        self.k, self.image, self.p, self.late = k, bytes(image), k.process(), False
        k.attach("vda", self.image, read_only=True)
        self.p.mkdir("/mnt")
        self.raw = RawExt4(self.p, "/dev/vda")

    # -- programs ------------------------------------------------------------------------------------

    def mount(self) -> None:
        """Mount the image on /mnt anew."""
        p = self.p

        def mount() -> None:
            if p.path.ismount("/mnt"):
                p.umount("/mnt")
            p.mount("/dev/vda", "/mnt", "ext4", "ro")
            print("mounted")

        self.run("mount", mount)

    def ls(self, path: str = "/mnt") -> None:
        """Print the names in a directory."""
        self.run(f"ls {path}", lambda: print(*sorted(self.p.listdir(path))))

    def cat(self, path: str, most: int = 200) -> None:
        """Print how a file begins."""
        self.run(f"cat {path}", lambda: print(text(b"".join(cat(self.p, path)), most)))

    def peek(self, path: str, most: int = 8) -> None:
        """Print how each block of a file begins, the first ones."""

        def peek() -> None:
            content = b"".join(cat(self.p, path))
            size = self.raw.block_size
            for at in range(0, min(len(content), most * size), size):
                print(f"  {at // size:3}  {first_line(content[at : at + size])}")
            if len(content) > most * size:
                print(f"  ... {len(content)} bytes in all")

        self.run(f"cat {path}", peek)

    def filefrag(self, path: str, most: int = 8) -> None:
        """Print the pieces of a file: file blocks, disk blocks."""

        def show() -> None:
            lines = acts.filefrag(self.p, path)
            print(*lines[:most], *([f"... {len(lines)} pieces in all"] if len(lines) > most else []), sep="\n")

        self.run(f"filefrag {path}", show)

    def ask(self, path: str, lblk: int) -> None:
        """Print what the kernel says of one block of a file: hole, written or unwritten, where, and how far."""
        self.run(f"block {lblk} of {path}", lambda: print(acts.mapped(self.p, path, lblk)))

    def nodes_read(self, path: str, lblk: int) -> int:
        """Print and return how many nodes of the tree the kernel reads to find one block of a file."""
        from vfslab.kernel.trace import function_graph

        def count() -> None:
            with function_graph(self.k.kernel, functions=["read_extent_tree_block"]) as trace:
                acts.mapped(self.p, path, lblk)
            found.append(len(trace.find("read_extent_tree_block")))
            print(f"block {lblk}: {found[0]} nodes read")

        found: list[int] = []
        self.run(f"block {lblk} of {path}", count)
        return sum(found)

    def run(self, words: str, action: Callable[[], Any]) -> None:
        """Do something; an errno, a function still to be written and an endless loop are one line each."""
        try:
            with at_most(LIMIT, self):
                action()
        except OSError as error:
            print(f"{words}: {error.strerror}")
        except NotImplementedError as reminder:
            print(f"{words}: still to be written ({reminder})")
        except TooLong:
            print(f"{words}: no end after {LIMIT:.0f} seconds. Does a length come out as 0?")

    # -- bytes -----------------------------------------------------------------------------------------

    def i_block(self, path: str) -> bytes:
        """Return the 60 bytes of i_block of a file of the root directory, from the device itself."""
        return bytes(self.raw.inode(self.number(path)).i_block)

    def number(self, name: str) -> int:
        """Return the inode number of a file of the root directory, read from the directory's block."""
        block, at = self.raw.block(self.raw.first_file_block(EXT4_ROOT_INO)), 0
        while at < len(block):
            entry = ext4_dir_entry_2(block, at)
            if entry.inode and block[at + entry.size : at + entry.size + entry.name_len] == name.encode():
                return entry.inode
            at += entry.rec_len
        raise LookupError(f"there is no {name} in the root directory")

    def damaged(self, path: str, *changes: tuple[int, bytes]) -> None:
        """Print what cat says of a file on a copy of the image with some bytes changed: (byte, new bytes)."""
        copy, p = bytearray(self.image), self.p
        for at, new in changes:
            copy[at : at + len(new)] = new
        self.k.attach("vdb", bytes(copy), read_only=True)
        p.makedirs("/copy", exist_ok=True)
        try:
            self.run("mount", lambda: p.mount("/dev/vdb", "/copy", "ext4", "ro"))
            if p.path.ismount("/copy"):
                before = len(self.k.dmesg())
                self.run(f"cat {path}", lambda: self.show_copy(path))
                for line in self.k.dmesg()[before:][-1:]:
                    print(f"  log: {line}")
                p.umount("/copy")
        finally:
            self.k.detach("vdb")

    def show_copy(self, path: str) -> None:
        """Print how the first blocks of a file of the changed copy begin; what the functions fall over is one line."""
        size = self.raw.block_size
        try:
            content = b"".join(cat(self.p, f"/copy/{path}"))
        except (OSError, NotImplementedError):
            raise
        except Exception as error:
            print(f"cat {path}: your functions fell over it: {type(error).__name__}: {error}")
            return
        print(f"cat {path}:")
        for at in range(0, min(len(content), 4 * size), size):
            print(f"  {at // size:3}  {first_line(content[at : at + size])}")


def first_line(piece: bytes) -> str:
    """Return how a block begins: its first line, or its bytes where they are no text."""
    if not any(piece):
        return f"{len(piece)} zeros"
    if any(byte < 32 and byte not in b"\n\t" or byte > 126 for byte in piece[:60]):
        return f"{piece[:16].hex(' ')} ..."
    return text(piece, 60).splitlines()[0]


def text(data: bytes, most: int) -> str:
    """Return how bytes begin, as text."""
    return data[:most].decode(errors="replace").rstrip("\n") + (" ..." if len(data) > most else "")


def fields(node: bytes) -> None:
    """Print a node of an extent tree, member by member: its header, and the entries in use."""
    header = ext4_extent_header(node)
    layout = ext4_extent_idx if header.eh_depth else ext4_extent
    told("header", node, header)
    for place in range(header.eh_entries):
        told(f"entry {place}", node, layout(node, 12 + 12 * place))


def told(name: str, node: bytes, view: Any) -> None:
    """Print the 12 bytes of a header or an entry, and its members."""
    print(f"{name}: {node[view.offset : view.offset + 12].hex(' ')}")
    print(
        "   ",
        ", ".join(
            f"{row.name} {row.value:#x}" if row.name == "eh_magic" else f"{row.name} {row.value}" for row in view.rows()
        ),
    )
