"""Imports go down. Calls go up only through pointers that objects hold: operation tables and completions.

Each file of vfslab belongs to one row of ROWS, by the longest prefix that fits. A row names what its files may import
of vfslab; a name that ends in "*" stands for the module and all below it. The rule holds for imports inside functions
too: a late import points up all the same. Only `if TYPE_CHECKING:` is free, because an annotation calls nothing.
"""

import ast
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "vfslab"

FORMATS = "vfslab.fs.*.format"  # the byte layouts of a filesystem, without its behaviour
BELOW_BLOCK = ["vfslab.kernel*", "vfslab.include*", "vfslab.lib*"]
BELOW_FS = ["vfslab.block*", "vfslab.mm*", *BELOW_BLOCK]
CONCRETE = ["vfslab.fs.ramfs*", "vfslab.fs.simplefs*", "vfslab.fs.ext4*", "vfslab.fs.jbd2*", "vfslab.fs.fuse*"]
CONCRETE += ["vfslab.fs.devtmpfs*"]
GUEST = ["vfslab.drivers*", "vfslab.fs*", "vfslab.init*", "vfslab.user*", *BELOW_FS]


class Row(NamedTuple):
    """What the files below one prefix may import, what they may not although a prefix allows it, and why."""

    may: list[str]
    never: list[str]
    why: str


def concrete(name, *more):
    """Return the row of one filesystem: the VFS and what is below, but no other filesystem."""
    other = [prefix for prefix in CONCRETE if prefix != f"vfslab.fs.{name}*" and prefix not in more]
    return Row(
        [f"vfslab.fs.{name}*", "vfslab.fs*", *more, *BELOW_FS], other, "a filesystem knows the VFS, no other filesystem"
    )


VFS_WHY = "the VFS knows no filesystem, and the block layer only in buffer, mpage, super and block_dev"
VFS = Row(["vfslab.fs*", "vfslab.mm*", *BELOW_BLOCK], CONCRETE, VFS_WHY)
VFS_WITH_BLOCK = Row(["vfslab.fs*", *BELOW_FS], CONCRETE, VFS_WHY)
ANYTHING = Row(["vfslab*"], [], "")

ROWS = {
    "vfslab.lib": Row(["vfslab.lib*"], [], "lib stands alone"),
    "vfslab.data": Row(["vfslab.data*"], [], "data stands alone"),
    "vfslab.include": Row(["vfslab.include*", "vfslab.lib*"], [], "include declares structures, nothing else"),
    "vfslab.kernel": Row(BELOW_BLOCK, [], "kernel is below block, mm and fs"),
    "vfslab.block": Row(["vfslab.block*", *BELOW_BLOCK], [], "block is below mm and fs"),
    "vfslab.mm": Row(["vfslab.mm*", *BELOW_BLOCK], [], "mm reaches filesystems only through mapping.a_ops"),
    "vfslab.fs": VFS,
    "vfslab.fs.buffer": VFS_WITH_BLOCK,
    "vfslab.fs.mpage": VFS_WITH_BLOCK,
    "vfslab.fs.super": VFS_WITH_BLOCK,
    "vfslab.fs.block_dev": VFS_WITH_BLOCK,
    "vfslab.fs.devtmpfs": concrete("devtmpfs"),
    "vfslab.fs.ramfs": concrete("ramfs"),
    "vfslab.fs.simplefs": concrete("simplefs"),
    "vfslab.fs.ext4": concrete("ext4", "vfslab.fs.jbd2*"),
    "vfslab.fs.jbd2": concrete("jbd2"),
    "vfslab.fs.fuse": concrete("fuse"),
    "vfslab.fs.fuse.virtio_fs": concrete("fuse", "vfslab.drivers*"),
    "vfslab.drivers": Row(["vfslab.drivers*", "vfslab.block*", *BELOW_BLOCK], [], "a driver knows block and below"),
    "vfslab.host": Row(
        ["vfslab.host*", "vfslab.lib*", "vfslab.include.uapi*"], [], "the other machine knows the wire, not the kernel"
    ),
    "vfslab.init": Row(GUEST, [], "init puts the guest together, and only the guest"),
    "vfslab.user": Row(
        ["vfslab.user*", "vfslab.kernel.syscall", "vfslab.include.uapi*"], [], "user space has system calls only"
    ),
    "vfslab.tools": Row(
        # include.uapi too: a tool that makes system calls needs their numbers, as every program of user/ does
        ["vfslab.tools*", "vfslab.lib*", "vfslab.include.uapi*", FORMATS, "vfslab.user*", "vfslab.init*"],
        [],
        "a tool reads bytes by their format.py, or boots a kernel and uses it from user space",
    ),
    "vfslab.viz": Row(
        ["vfslab.viz*", "vfslab.lib*", "vfslab.include*", "vfslab.kernel.trace*", "vfslab.kernel.snapshot"],
        [],
        "viz only renders what it is given",
    ),
    "vfslab.teach": ANYTHING,
    "vfslab.cli": ANYTHING,
    "vfslab.__main__": ANYTHING,
    "vfslab": ANYTHING,
}

# These name the whole house, but only when asked: starting them loads none of it.
LAZY = {
    "vfslab": ["vfslab.teach*", "vfslab.viz*", "vfslab.tools*", "vfslab.host*", "vfslab.cli*"],
    "vfslab.cli": ["vfslab.teach*", "vfslab.viz*", "vfslab.host*"],
}

# Packages of other people's, and who may use them. Everywhere else: the standard library.
OTHERS = {
    "crc32c": ["vfslab.lib"],
    "pypdf": ["vfslab.tools"],
    "tqdm": ["vfslab.cli", "vfslab.tools", "vfslab.teach.grading"],
    "graphviz": ["vfslab.viz", "vfslab.teach"],
    "pygraphviz": ["vfslab.viz"],
    "IPython": ["vfslab.viz", "vfslab.teach"],
    "ipywidgets": ["vfslab.viz", "vfslab.teach"],
    "anywidget": ["vfslab.viz", "vfslab.teach"],
    "traitlets": ["vfslab.viz", "vfslab.teach"],
    "nbclient": ["vfslab.teach"],
    "nbformat": ["vfslab.teach"],
    "jupyterlab": ["vfslab.cli"],
    "pytest": ["vfslab.teach.grading"],
    "nbval": ["vfslab.teach.grading"],
    "zmq": ["vfslab.teach.grading"],
    "jupyter_client": ["vfslab.teach.grading"],
    "ipykernel": ["vfslab.teach.grading"],
    "packaging": ["vfslab.teach.grading"],
    "distributed": ["vfslab.teach.grading"],
    "seccomp": ["vfslab.teach.grading.inside"],  # the file beside it: in the box it is no package
    "js": ["vfslab.viz"],
    "pyodide": ["vfslab.viz"],
}


class Import(NamedTuple):
    module: str
    line: int
    late: bool  # inside a function


def test_imports_go_down():
    broken = list(violations(PACKAGE))
    assert not broken, "\n".join(["imports that the layers do not allow:", *broken])


def test_every_file_has_a_row():
    names = [module_name(PACKAGE, path) for path in PACKAGE.rglob("*.py")]
    assert [name for name in names if row_of(name) is None] == []


# --- the check ------------------------------------------------------------------------------------


def violations(package):
    """Yield one line for each import below package that its row does not allow."""
    for path in sorted(package.rglob("*.py")):
        importer = module_name(package, path)
        for found in dict.fromkeys(imports(package, path, importer)):
            why = refusal(importer, found)
            if why:
                yield f"{path.relative_to(package.parent)}:{found.line} imports {found.module}: {why}"


def refusal(importer, found):
    """Return why importer may not import this, or None if it may."""
    if found.module.partition(".")[0] != "vfslab":
        return refusal_of_others(importer, found.module.partition(".")[0])
    prefix = row_of(importer)
    if prefix is None:
        return f"{importer} belongs to no row of ROWS"
    row = ROWS[prefix]
    if not any(matches(found.module, pattern) for pattern in row.may):
        return f"{row.why} ({prefix} may import {', '.join(row.may)})"
    if any(matches(found.module, pattern) for pattern in row.never):
        return row.why
    if not found.late and any(matches(found.module, pattern) for pattern in LAZY.get(importer, ())):
        return "this file loads that only when it is asked: move the import into the function"
    return None


def refusal_of_others(importer, top):
    """Return why importer may not use another project's package, or None for the standard library."""
    if top in sys.stdlib_module_names or any(matches(importer, f"{place}*") for place in OTHERS.get(top, ())):
        return None
    return "not in the standard library, and not listed in OTHERS for this file"


def row_of(module):
    """Return the longest prefix in ROWS that the module is or lies below, or None: a new folder needs a new row."""
    prefixes = [prefix for prefix in ROWS if matches(module, prefix if prefix == "vfslab" else f"{prefix}*")]
    return max(prefixes, key=len, default=None)


def matches(module, pattern):
    """Return whether module is what pattern names: "a.b" itself, "a.b*" with all below, "a.*.c" for any one between."""
    below = pattern.endswith("*") and not pattern.endswith(".*")
    wanted = pattern.rstrip("*").split(".")
    got = module.split(".")
    if len(got) < len(wanted) or (len(got) > len(wanted) and not below):
        return False
    return all(word in ("*", name) for word, name in zip(wanted, got, strict=False))


def module_name(package, path):
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(package, path, importer):
    """Yield every module that the file imports, late ones and importlib.import_module("...") too."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for node, late in walk(tree, late=False):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, late)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, importer, path.name == "__init__.py")
            for alias in node.names:
                yield Import(resolve(package, base, alias.name), node.lineno, late)
        elif name := imported_by_call(node):
            yield Import(name, node.lineno, late)


def walk(node, late):
    """Yield every node that may run, and whether it runs late, in a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test) and not child.orelse:
            continue
        inside = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield child, inside
        yield from walk(child, inside)


def absolute(node, importer, is_package):
    """Return the absolute name of the module in `from module import ...`."""
    if not node.level:
        return node.module
    parts = importer.split(".")
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join([*parts, node.module] if node.module else parts)


def resolve(package, base, name):
    """Return base.name if that is a module of the package, else base."""
    place = package.parent.joinpath(*base.split("."), name)
    return f"{base}.{name}" if place.with_suffix(".py").exists() or place.is_dir() else base


def imported_by_call(node):
    """Return the module that importlib.import_module("...") or __import__("...") names, if node is that call."""
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = ast.unparse(node.func).rpartition(".")[2]
        if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
            return node.args[0].value
    return None


# --- the check finds what it is for ---------------------------------------------------------------

PLANTED = [
    ("lib/ondisk.py", "from vfslab.kernel import errno"),
    ("include/fs.py", "import vfslab.kernel.errno"),
    ("include/fs.py", "def f():\n    from vfslab.fs import namei"),
    ("kernel/syscall.py", "from ..fs import namei"),
    ("kernel/syscall.py", "from vfslab import boot"),
    ("kernel/sched.py", "import importlib\nimportlib.import_module('vfslab.viz')"),
    ("block/bio.py", "from vfslab.mm import filemap"),
    ("block/bio.py", "from vfslab.fs.buffer import submit_bh"),
    ("mm/filemap.py", "from vfslab.fs import namei"),
    ("mm/filemap.py", "from vfslab.block import bio"),
    ("fs/namei.py", "from vfslab.block import bio"),
    ("fs/namei.py", "from .ext4 import inode"),
    ("fs/super.py", "from vfslab.fs.ramfs import inode"),
    ("fs/super.py", "from vfslab.fs import devtmpfs"),
    ("fs/namei.py", "from vfslab.drivers import loop"),
    ("fs/ext4/inode.py", "from vfslab.fs.ramfs import inode"),
    ("fs/jbd2/recovery.py", "from vfslab.fs.ext4 import inode"),
    ("fs/ext4/inode.py", "from vfslab.drivers import brd"),
    ("fs/fuse/dev.py", "from vfslab.drivers import virtio_ring"),
    ("drivers/loop.py", "from vfslab.fs import read_write"),
    ("host/vhost.py", "from vfslab.include import fs"),
    ("host/vhost.py", "from vfslab.kernel import errno"),
    ("init/main.py", "from vfslab.teach import livepatch"),
    ("init/main.py", "from vfslab.host import vhost"),
    ("user/ls.py", "from vfslab.fs import namei"),
    ("user/ls.py", "from vfslab.kernel import errno"),
    ("tools/dump.py", "from vfslab.fs.ext4 import inode"),
    ("tools/dump.py", "import vfslab"),
    ("tools/check.py", "from vfslab.fs.ext4 import fsck"),
    ("tools/get.py", "from vfslab.include import fs"),
    ("viz/graph.py", "from vfslab.kernel import sched"),
    ("__init__.py", "from vfslab.viz import graph"),
    ("cli.py", "import vfslab.teach.figures"),
    ("newfolder/a.py", "from vfslab.lib import ondisk"),
    ("fs/namei.py", "import numpy"),
    ("kernel/syscall.py", "import tqdm"),
]
ALLOWED = [
    (
        "lib/ondisk.py",
        "import struct\nfrom . import crc\ntry:\n    import crc32c\nexcept ImportError:\n    crc32c = None",
    ),
    ("include/fs.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from vfslab.fs import namei"),
    ("kernel/syscall.py", "from . import errno\nfrom vfslab.include.fs import Inode\nfrom ..lib import ondisk"),
    ("mm/filemap.py", "from vfslab.kernel import errno"),
    ("fs/namei.py", "from .dcache import d_lookup\nfrom vfslab.mm import filemap"),
    ("fs/buffer.py", "from vfslab.block import bio"),
    ("fs/devtmpfs.py", "from vfslab.fs import namei"),
    ("fs/ext4/super.py", "from vfslab.fs.jbd2 import recovery\nfrom vfslab.block import bio\nfrom . import inode"),
    ("fs/fuse/virtio_fs.py", "from vfslab.drivers import virtio_ring"),
    ("drivers/loop.py", "from vfslab.block import bio"),
    ("host/vhost.py", "import socket\nfrom vfslab.include.uapi import fuse\nfrom vfslab.lib import ondisk"),
    (
        "init/main.py",
        "from vfslab.fs.ext4 import super\nfrom vfslab.drivers import loop\nfrom vfslab.fs import devtmpfs",
    ),
    (
        "user/ls.py",
        "from vfslab.kernel.syscall import syscall\nfrom vfslab.include.uapi import stat\nfrom . import libc",
    ),
    ("tools/dump.py", "from vfslab.fs.ext4.format import ext4_inode\nfrom vfslab.init import main"),
    ("tools/get.py", "from vfslab.include.uapi import stat"),
    ("viz/graph.py", "from vfslab.kernel.trace import frames\nfrom vfslab.include import fs"),
    ("teach/figures/f1.py", "from vfslab.fs import namei\nfrom vfslab.viz import graph"),
    ("__init__.py", "def figure():\n    from vfslab.viz import graph"),
]
MODULES = """lib/crc.py lib/ondisk.py include/fs.py include/uapi/stat.py include/uapi/fuse.py kernel/errno.py kernel/sched.py
kernel/syscall.py kernel/trace/frames.py block/bio.py mm/filemap.py fs/namei.py fs/dcache.py fs/buffer.py fs/super.py
fs/devtmpfs.py fs/read_write.py fs/ext4/inode.py fs/ext4/super.py fs/ext4/format.py fs/jbd2/recovery.py fs/ramfs/inode.py
fs/fuse/dev.py drivers/loop.py drivers/brd.py drivers/virtio_ring.py host/vhost.py init/main.py user/libc.py viz/graph.py
teach/livepatch.py teach/figures/f1.py cli.py __init__.py""".split()


@pytest.fixture
def small_package(tmp_path):
    """Return a package of empty modules, one at least for each row."""
    for name in MODULES:
        path = tmp_path / "vfslab" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "vfslab"


@pytest.mark.parametrize("name, text", PLANTED)
def test_an_import_that_points_up_is_found(small_package, name, text):
    path = small_package / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    (message,) = violations(small_package)
    assert message.startswith(f"vfslab/{name}:{len(text.splitlines())} imports "), message


@pytest.mark.parametrize("name, text", ALLOWED)
def test_an_import_that_points_down_is_allowed(small_package, name, text):
    path = small_package / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert list(violations(small_package)) == []
