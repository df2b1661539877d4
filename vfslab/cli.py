"""The command line: `vfslab COMMAND ...`.

    vfslab tree disk.img            vfslab cat disk.img#1 /etc/hosts
    vfslab check disk.img           vfslab figure F5 -o f5.svg

Exit status: 0 all went well, 1 damage or an entry that could not be read, 2 not usable.
What goes wrong is one line on stderr, `vfslab: what, where`. Images are opened read-only.
"""

from __future__ import annotations

import argparse
import errno
import gc
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from vfslab.tools.image import Image, ImageError, attached, mounted, without_device
from vfslab.user.text import printable


class Unusable(Exception):
    """Something was asked for that cannot be done; its text is the one line for the person."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit status. No input ends in a traceback."""
    parser = build_parser()
    gc.set_threshold(100_000, 50, 50)  # a process of our own, that makes many objects and little garbage
    args, rest = parser.parse_known_args(argv)
    if hasattr(args, "args"):
        args.args = rest  # lab and book pass on what they do not know
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if not hasattr(args, "run"):
        parser.print_help()
        return 2
    try:
        status = args.run(args)
        sys.stdout.flush()
        return status or 0
    except (ImageError, Unusable) as error:
        return complain(str(error), 2)
    except BrokenPipeError:
        sys.stdout = None  # type: ignore[assignment] - the reader (head, less) has left
        return 0
    except KeyboardInterrupt:
        return complain("interrupted", 130)
    except MemoryError:
        return complain("out of memory", 2)
    except OSError as error:
        where = f", {error.filename}" if error.filename is not None else ""
        return complain(f"{error.strerror or error}{where}", 2)


def complain(text: str, status: int) -> int:
    """Print one line on stderr and return the exit status."""
    print("vfslab: " + printable(text), file=sys.stderr)
    return status


def emit(lines: Iterable[str]) -> None:
    """Print lines as they come, what the terminal's encoding lacks as escapes; who makes them is closed in any case."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        for text in lines:
            sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    finally:
        if isinstance(lines, Generator):
            lines.close()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="vfslab",
        description="A Linux storage stack in Python: look into ext4 images, check them, draw them, learn from them.",
        epilog="IMAGE is a file or block device; disk.img#1 is its first partition. Images are never written to.",
    )
    from vfslab import __version__

    parser.add_argument("--version", action="version", version=f"vfslab {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, run: Callable[[Any], int | None], help: str, image: bool = True) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help)
        made.set_defaults(run=run)
        if image:
            made.add_argument("image", metavar="IMAGE", help="image file, block device, or either with #PARTITION")
        return made

    ls = command("ls", run_ls, "list a directory of an image")
    ls.add_argument("path", nargs="*", default=["/"], help="paths in the image (default /)")
    ls.add_argument("-l", dest="long", action="store_true", help="modes, links, owners, sizes and times")
    ls.add_argument("-a", dest="all", action="store_true", help="names that begin with a dot too")
    ls.add_argument("-i", dest="inode", action="store_true", help="inode numbers")
    ls.add_argument("-R", dest="recursive", action="store_true", help="all directories below too")
    ls.add_argument("--color", action="store_true", help="names in the colours of their kinds")

    tree = command("tree", run_tree, "draw the tree of an image")
    tree.add_argument("path", nargs="?", default="/", help="where to begin (default /)")
    tree.add_argument("-L", dest="depth", type=int, help="go down at most this many levels")
    tree.add_argument("-i", dest="inode", action="store_true", help="inode numbers")

    cat = command("cat", run_cat, "print the content of files of an image")
    cat.add_argument("path", nargs="+", help="files in the image")

    stat = command("stat", run_stat, "show what an inode of an image says")
    stat.add_argument("path", nargs="+", help="paths in the image")

    get = command("get", run_get, "copy a file or a tree out of an image")
    get.add_argument("path", help="path in the image")
    get.add_argument("target", nargs="?", help="where to put it (default: its name, here)")

    dump = command("dump", run_dump, "print the superblock and the groups, with byte addresses")
    dump.add_argument("--super", dest="only_super", action="store_true", help="the superblock only")

    hexdump = command("hexdump", run_hexdump, "print bytes of an image with the names of their fields")
    what = hexdump.add_mutually_exclusive_group(required=True)
    what.add_argument("--super", dest="super", action="store_true", help="the superblock")
    what.add_argument("--group", type=int, metavar="N", help="descriptor of block group N")
    what.add_argument("--inode", type=int, metavar="N", help="inode N")
    what.add_argument("--block", type=int, metavar="N", help="block N, as what it is found to be")

    check = command("check", run_check, "read everything, verify every checksum and structure")
    check.add_argument(
        "--manifest", action="store_true", help="JSON lines on stdout, one for each entry; damage on stderr"
    )
    check.add_argument("--quiet", action="store_true", help="no progress bar")

    for reading in (ls, tree, cat, stat, get, check):
        reading.add_argument("-o", dest="options", metavar="OPTIONS", help="mount options, such as sb=8193 or noload")

    figure = command("figure", run_figure, "draw a figure from live objects", image=False)
    figure.add_argument("figure", nargs="?", metavar="F", help="which one, such as F5")
    figure.add_argument("image", nargs="?", metavar="IMAGE", help="of which image (default: the one that ships)")
    figure.add_argument(
        "-o", dest="output", metavar="FILE", help="write FILE: .svg, .dot or .txt (default: the text twin)"
    )
    figure.add_argument("--step", type=int, metavar="N", help="step N of a figure that moves, such as F8")
    figure.add_argument("--list", action="store_true", help="list the figures")

    grade = command("grade", run_grade, "check your own notebook of a lab, or grade those of a class", image=False)
    grade.add_argument("submissions", nargs="+", metavar="NOTEBOOK", help="notebooks, folders or zip archives of them")
    grade.add_argument(
        "--lab", help="grade: which lab; needs -o. Without it, the shown checks run on your own notebook"
    )
    grade.add_argument("-o", dest="output", metavar="FILE", help="the report, a CSV with a line for each submission")
    grade.add_argument("--html", metavar="FOLDER", help="pages that say why, one for each submission")
    grade.add_argument("--gradebook", metavar="FILE", help="the scores as `nbgrader export` writes them")
    grade.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="how many side by side (default: as many as cores)"
    )
    grade.add_argument("--seconds", type=float, default=90, help="how long one submission may take (default 90)")
    grade.add_argument(
        "--backend", choices=["bubblewrap", "namespaces"], help="which isolation (default: the first that works)"
    )
    grade.add_argument("--unsafe", action="store_true", help="without isolation: submissions can do all that you can")
    grade.add_argument("--dask", metavar="ADDRESS", help="spread over a Dask cluster, such as tcp://10.0.0.1:8786")
    grade.add_argument("--quiet", action="store_true", help="no progress bar")

    command("lab", run_lab, "open JupyterLab on the book", image=False).set_defaults(args=[])
    command("book", run_book, "build the static book", image=False).set_defaults(args=[])
    course = command("course", run_course, "an instructor's work with the labs", image=False)
    course.add_argument("what", choices=("list", "release"), help="list the labs, or write their students' edition")
    course.add_argument("labs", nargs="*", metavar="LAB", help="which labs (default: all)")
    course.add_argument("-o", dest="output", metavar="DIR", help="release: into this folder")
    course.add_argument(
        "--from-step", type=int, default=1, metavar="N", help="release: with the steps before N filled in"
    )
    course.add_argument("--force", action="store_true", help="release: replace notebooks that are there already")
    command("doctor", run_doctor, "tell whether the installation is complete", image=False)
    return parser


# -- commands that read a mounted image ----------------------------------------------------------


def opened(args: Any) -> Any:
    """Return the context of the image that the arguments name, mounted."""
    return mounted(args.image, options_of(args))


def options_of(args: Any) -> str:
    """Return the mount options: always read-only."""
    return "ro," + args.options if args.options else "ro"


def each(image: Image, paths: list[str], show: Callable[[str], None]) -> int:
    """Call show for each path; report those that fail by one line each; return the exit status."""
    status = 0
    for path in paths:
        try:
            show("/" + path.lstrip("/"))
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            status = complain(f"{path}: {explain(image, error)}", 1)
    return status


def explain(image: Image, error: OSError) -> str:
    """Return an errno's text, with the kernel's own words about the damage if it has any."""
    if error.errno in (errno.EUCLEAN, errno.EBADMSG, errno.EIO):
        damage = [without_device(text) for level, text in image.kernel.kernel.log if level <= 3]
        if damage:
            return f"{error.strerror}: {damage[-1]}"
    return error.strerror or str(error)


def run_ls(args: Any) -> int:
    from vfslab.user.ls import ls

    with opened(args) as image:

        def show(path: str) -> None:
            if len(args.path) > 1 and not args.recursive:
                emit([f"{printable(path)}:"])
            chosen = {name: getattr(args, name) for name in ("long", "all", "inode", "recursive", "color")}
            emit(ls(image.inside, path, **chosen))

        return each(image, args.path, show)


def run_tree(args: Any) -> int:
    from vfslab.user.tree import tree

    with opened(args) as image:
        return each(image, [args.path], lambda path: emit(tree(image.inside, path, depth=args.depth, inode=args.inode)))


def run_cat(args: Any) -> int:
    from vfslab.user.cat import cat

    with opened(args) as image:
        out = sys.stdout.buffer

        def show(path: str) -> None:
            for piece in cat(image.inside, path):
                out.write(piece)
            out.flush()

        return each(image, args.path, show)


def run_stat(args: Any) -> int:
    from vfslab.user.stat import stat

    with opened(args) as image:
        return each(image, args.path, lambda path: emit(stat(image.inside, path)))


def run_get(args: Any) -> int:
    from vfslab.tools.get import get

    with opened(args) as image:

        def report(path: str, what: OSError | str) -> int:
            return complain(f"{path}: {explain(image, what) if isinstance(what, OSError) else what}", 1)

        name = os.path.basename(args.path.rstrip("/")) or "root"
        return get(image, args.path, args.target or name, report, progress=sys.stderr.isatty())


# -- commands that look at bytes ---------------------------------------------------------------------


def run_dump(args: Any) -> int:
    from vfslab.tools.dump import dump

    with raw_device(args) as (process, device):
        emit(dump(process, device, only_super=args.only_super))
    return 0


def run_hexdump(args: Any) -> int:
    from vfslab.tools.hexdump import hexdump

    with raw_device(args) as (process, device):
        emit(hexdump(process, device, inode=args.inode, block=args.block, group=args.group, super=args.super))
    return 0


@contextmanager
def raw_device(args: Any) -> Iterator[tuple[Any, str]]:
    """Attach the image without mounting it; give (process, device). Errors name the image, not the device."""
    with attached(args.image) as (machine, device):
        try:
            yield machine.process(), device
        except ImageError as error:
            raise ImageError(str(error).replace(device, args.image, 1)) from None


def run_check(args: Any) -> int:
    from vfslab.tools.check import main as check

    progress = not args.quiet and sys.stderr.isatty()
    return check(args.image, manifest=args.manifest, progress=progress, options=options_of(args))


# -- pictures, book, lab ------------------------------------------------------------------------------


def run_figure(args: Any) -> int:
    from vfslab.teach.figures import FIGURES, draw

    if args.list or args.figure is None:
        emit(f"{name:<4} {figure.title}" for name, figure in FIGURES.items())
        return 0
    name = args.figure.upper()
    if name not in FIGURES:
        raise Unusable(f"{args.figure}: no such figure; there are {', '.join(FIGURES)}")
    graph = draw(name, args.image) if args.step is None else figure_step(name, args.image, args.step)
    kind = os.path.splitext(args.output)[1] if args.output else ".txt"
    if kind == ".txt":
        from vfslab.viz.text import to_text

        content = to_text(graph)
    elif kind == ".dot":
        from vfslab.viz.dot import to_dot

        content = to_dot(graph)
    elif kind == ".svg":
        from vfslab.viz.dot import to_dot
        from vfslab.viz.render import NoEngine, to_svg

        try:
            content = to_svg(to_dot(graph), graph.description(), graph.title)
        except NoEngine as error:
            raise Unusable(f"{name}: {error}") from None
    else:
        raise Unusable(f"{args.output}: the name must end in .svg, .dot or .txt")
    if args.output:
        with open(args.output, "w", encoding="utf-8") as out:
            out.write(content)
    else:
        emit([content.rstrip("\n")])
    return 0


def figure_step(name: str, image: str | None, number: int) -> Any:
    """Return one step, counted from 1, of a figure that moves."""
    from vfslab.teach.figures import steps

    try:
        timeline = steps(name, image)
    except ValueError as error:
        raise Unusable(str(error)) from None
    if not 1 <= number <= len(timeline):
        raise Unusable(f"{name} --step {number}: there are steps 1 to {len(timeline)}")
    return timeline.graph(number - 1)


def run_grade(args: Any) -> int:
    from vfslab.teach.grading.command import grade

    return grade(args, Unusable)


def run_lab(args: Any) -> int:
    from vfslab.tools.launch import lab

    return lab(args.args)


def run_book(args: Any) -> int:
    from vfslab.tools.launch import book

    return book(args.args)


def run_course(args: Any) -> int:
    from pathlib import Path

    from vfslab.teach.labs.course import listing, release
    from vfslab.teach.labs.model import NoLab

    try:
        if args.what == "list":
            emit(listing(args.labs))
        elif args.output is None:
            raise Unusable("course release needs a folder: -o DIR")
        else:
            emit(map(str, release(args.labs, Path(args.output), args.from_step, args.force)))
    except NoLab as error:
        raise Unusable(str(error)) from None
    return 0


def run_doctor(args: Any) -> int:
    from vfslab.teach.doctor import doctor

    lines, complete = doctor()
    emit(lines)
    return 0 if complete else 1
