"""Make the image that the book's first chapters read: 16 MiB of ext4 with six files.

    mke2fs  ->  an empty filesystem          debugfs -w  ->  the tree in it

    /            2     a123/                12    a123/b456/               13
    lost+found  11       b456               13      test.c                 16
    a123        12       hello.c            15      test-hard-link.c       16
    a789        17       hello-hard-link.c  15      test-soft-link.c -> test.c  14

Neither root nor a mount is needed. Identifiers and times are fixed, so one
version of e2fsprogs makes the same bytes each time.

    python make_deck_image.py deck.img      the image
    python make_deck_image.py deck.img.gz   the same, compressed, as the package carries it
"""

import gzip
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SIZE = 16 << 20
TIME = 1635724800  # 2021-11-01 00:00:00 UTC
UUID = "64656b20-7666-736c-6162-202065787434"
HASH_SEED = "5eed0001-0002-4003-8004-000500060007"

HELLO_C = b"""\
/* Print a line and say whether that worked. */
#include <stdio.h>

int main(void)
{
    return puts("hello, world") < 0;
}
"""

# Exactly 100 bytes: the size that the slides show for inode 16.
TEST_C = b"""\
#include <unistd.h>

int main(void)
{
    char lines[100];

    return read(0, lines, 100) < 100;
}
"""

# The defaults of e2fsprogs 1.47.0, written out so that another version's file does not change the image.
MKE2FS_CONF = """\
[defaults]
    base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
    default_mntopts = acl,user_xattr
    enable_periodic_fsck = 0
    blocksize = 4096
    inode_size = 256
    inode_ratio = 16384
[fs_types]
    ext4 = {
        features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
    }
    small = {
        blocksize = 1024
        inode_ratio = 4096
    }
"""

# debugfs gives a new file the first free inode. Inodes that a later line shall
# get are marked as used (seti) until then, and so each number comes out as on
# the slides while the names keep their order in the directory.
# `ln` enters a name without counting it: links_count is set by hand.
TREE = f"""\
set_current_time @{TIME}
mkdir a123
mkdir a123/b456
seti <14>
write hello.c a123/hello.c
ln <15> a123/hello-hard-link.c
set_inode_field <15> links_count 2
cd a123/b456
write test.c test.c
ln <16> test-hard-link.c
set_inode_field <16> links_count 2
freei <14>
symlink test-soft-link.c test.c
cd /
mkdir a789
"""


def run(*command, cwd, stdin=""):
    """Run one program of e2fsprogs; its output is shown only when it fails."""
    env = {
        "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin",
        "MKE2FS_CONFIG": str(cwd / "mke2fs.conf"),
        "E2FSPROGS_FAKE_TIME": str(TIME),
        "SOURCE_DATE_EPOCH": str(TIME),
        "TZ": "UTC",
        "LC_ALL": "C",
        "DEBUGFS_PAGER": "__none__",
    }
    done = subprocess.run(command, cwd=cwd, input=stdin, env=env, text=True, capture_output=True)
    # debugfs goes on after a failed request and returns 0, so what it says on stderr counts.
    said = [line for line in done.stderr.splitlines() if not line.startswith(("debugfs 1.", "128-byte inodes"))]
    if done.returncode or said:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}: {' '.join(said)}")


def make_deck_image(path):
    """Write the image to path."""
    path = Path(path).resolve()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "mke2fs.conf").write_text(MKE2FS_CONF)
        for source, text in (("hello.c", HELLO_C), ("test.c", TEST_C)):
            (work / source).write_bytes(text)
            (work / source).chmod(0o644)
        with open(path, "wb") as image:
            image.truncate(SIZE)
        options = ("-U", UUID, "-E", f"hash_seed={HASH_SEED},root_owner=0:0,lazy_itable_init=1")
        run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "128", *options, path, cwd=work)
        run("debugfs", "-w", "-f", "-", path, cwd=work, stdin=TREE)


def main(target):
    """Make the image at target, compressed if its name ends in .gz."""
    if not target.endswith(".gz"):
        return make_deck_image(target)
    with tempfile.TemporaryDirectory() as name:
        image = Path(name) / "deck.img"
        make_deck_image(image)
        Path(target).write_bytes(gzip.compress(image.read_bytes(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_deck_image.py TARGET.img or TARGET.img.gz")
    main(sys.argv[1])
