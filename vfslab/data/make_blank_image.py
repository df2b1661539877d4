"""Make the image that the lab on extent trees plants its trees into: 2 MiB of ext4 with blocks of 1 KiB and empty files.

    a b c ... p     sixteen empty files, whose trees are still to be planted
    /               mapped with block numbers, as in ext2: it is found without any extent

mke2fs -d makes it, and debugfs maps the root directory anew; neither root nor a mount is needed. Identifiers and
times are fixed, so one version of e2fsprogs makes the same bytes each time.

    python -m vfslab.data.make_blank_image blank.img.gz
"""

import gzip
import os
import sys
import tempfile
from pathlib import Path

from vfslab.data.make_climb_image import MKE2FS_CONF, TIME, run

SIZE, BLOCK = 2 << 20, 1024
NAMES = "abcdefghijklmnop"
UUID = "626c616e-6b20-7666-736c-616220657874"
HASH_SEED = "5eed0004-0002-4003-8004-000500060007"
FEATURES = "none,extent,filetype,sparse_super,large_file,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize"
I_BLOCK_WORDS = (*range(12), "IND", "DIND", "TIND")  # as debugfs names them


def make_blank_image(path):
    """Write the image to path."""
    path = Path(path).resolve()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "mke2fs.conf").write_text(MKE2FS_CONF)
        tree = work / "tree"
        tree.mkdir()
        for each in NAMES:
            (tree / each).touch()
        for each in (*tree.iterdir(), tree):
            each.chmod(0o755 if each.is_dir() else 0o644)
            os.utime(each, (TIME, TIME))
        with open(path, "wb") as image:
            image.truncate(SIZE)
        options = ("-U", UUID, "-E", f"hash_seed={HASH_SEED},root_owner=0:0", "-m", "0", "-N", "32", "-O", FEATURES)
        run(
            "mke2fs",
            "-q",
            "-F",
            "-t",
            "ext4",
            "-T",
            "small",
            *options,
            "-b",
            str(BLOCK),
            "-I",
            "256",
            "-d",
            tree,
            path,
            cwd=work,
        )
        block = run("debugfs", "-R", "bmap <2> 0", path, cwd=work).split()[0]
        run("debugfs", "-w", "-f", "-", path, cwd=work, stdin=edits(block))
        run("e2fsck", "-fn", path, cwd=work)


def edits(block):
    """Return debugfs requests: the root directory is one block, mapped by its number; a change time that can be chosen."""
    lines = ["set_inode_field <2> flags 0"]
    lines += [f"set_inode_field <2> block[{place}] {0 if place else block}" for place in I_BLOCK_WORDS]
    for name in ("<2>", *(f"/{each}" for each in NAMES)):
        lines += [f"set_inode_field {name} ctime @{TIME}", f"set_inode_field {name} ctime_extra 0"]
    return "\n".join(lines) + "\n"


def main(target):
    """Make the image at target, compressed if its name ends in .gz."""
    if not target.endswith(".gz"):
        return make_blank_image(target)
    with tempfile.TemporaryDirectory() as name:
        image = Path(name) / "blank.img"
        make_blank_image(image)
        Path(target).write_bytes(gzip.compress(image.read_bytes(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_blank_image.py TARGET.img or TARGET.img.gz")
    main(sys.argv[1])
