"""Make the image that chapter 3 climbs on: 20 MiB of ext4 with blocks of 1 KiB, and a file for each rung.

    hello.txt        one extent                      docs/         a directory out of which a name was removed
    poem.txt         four extents, no hole           many/         names in a hash tree (dir_index)
    holes.txt        two extents, a hole between     empty.txt     no extent at all
    unwritten.txt    written, then reserved blocks, behind which an old letter still lies
    deep.txt         100 extents: a tree of depth 1  deeper.txt    400 extents: depth 2

    mke2fs -d  ->  files and directories     e2fsck -D  ->  the hash tree     debugfs -w  ->  what no program leaves behind

Neither root nor a mount is needed. Identifiers and times are fixed, so one version of e2fsprogs makes the same
bytes each time.

    python make_climb_image.py climb.img.gz     compressed, as the package carries it
"""

import gzip
import os
import subprocess
import sys
import tempfile
from pathlib import Path

BLOCK = 1024
TIME = 1635724800  # 2021-11-01 00:00:00 UTC
UUID = "636c696d-6220-7666-736c-616220657874"
HASH_SEED = "5eed0003-0002-4003-8004-000500060007"
FEATURES = (
    "none,extent,filetype,sparse_super,large_file,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize,dir_index"
)

HELLO = "One extent is enough for me.\n"
POEM = "I lie in pieces, line by line,\nand each in another place:\nwho reads me needs four extents,\nin order, without haste.\n"
LETTER = "An old letter. Its file was deleted, its blocks were not wiped.\n"
NEW = "I was given the inode of a file that had been removed.\n"
WRITTEN = "This block was written; those behind it are only reserved.\n"


# Nothing is left to the file of the machine that this runs on; -O on the command line says all.
MKE2FS_CONF = """\
[fs_types]
    ext4 = {
        inode_ratio = 4096
    }
    small = {
        blocksize = 1024
    }
"""


def block(text):
    """Return text filled up to one block by repetition, so that every byte of it is text."""
    return (text * (BLOCK // len(text) + 1))[: BLOCK - 1] + "\n"


def sparse(path, count):
    """Write count blocks of text with a hole of one block behind each."""
    with open(path, "w") as file:
        for number in range(count):
            file.seek(2 * number * BLOCK)
            file.write(block(f"block {2 * number} of {path.name}. "))


def tree(top):
    """Write what mke2fs -d copies: all but what has to lie in a special way."""
    top.mkdir()
    (top / "hello.txt").write_text(HELLO)
    (top / "empty.txt").write_text("")
    with open(top / "holes.txt", "w") as file:
        file.write(block("before the hole. "))
        file.seek(5 * BLOCK)
        file.write("behind the hole.\n")
    sparse(top / "deep.txt", 100)
    sparse(top / "deeper.txt", 400)
    (top / "docs").mkdir()
    for name in ("first", "removed", "last"):
        (top / "docs" / name).write_text(f"{name}\n")
    (top / "many").mkdir()
    for number in range(60):
        (top / "many" / f"entry-with-a-name-of-some-length-{number:02}").write_text(f"{number}\n")
    for path in [top, *top.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (TIME, TIME))


# new.txt gets the inode of docs/removed, the first that is free. The letter's blocks are free when they are reserved for
# unwritten.txt. Then free blocks are made scarce, so that poem.txt falls into four pieces.
REQUESTS = f"""\
set_current_time @{TIME}
rm docs/removed
write letter letter
rm letter
write new new.txt
write written unwritten.txt
fallocate unwritten.txt 1 4
set_inode_field new.txt mode 0100644
set_inode_field unwritten.txt size {5 * BLOCK}
set_inode_field unwritten.txt mode 0100644
{{scatter}}write poem.txt poem.txt
set_inode_field poem.txt mode 0100644
"""


def run(*command, cwd, stdin="", fine=(0,)):
    """Run one program of e2fsprogs; its output is shown only when it fails."""
    env = {
        "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin",
        "MKE2FS_CONFIG": str(cwd / "mke2fs.conf"),
        "E2FSPROGS_FAKE_TIME": str(TIME),
        "E2FSCK_TIME": str(TIME),
        "SOURCE_DATE_EPOCH": str(TIME),
        "TZ": "UTC",
        "LC_ALL": "C",
        "DEBUGFS_PAGER": "__none__",
    }
    done = subprocess.run(command, cwd=cwd, input=stdin, env=env, text=True, capture_output=True)
    said = [line for line in done.stderr.splitlines() if not line.startswith(("debugfs 1.", "e2fsck 1."))]
    if done.returncode not in fine or said:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}: {' '.join(said)} {done.stdout}")
    return done.stdout


def same_times():
    """Return debugfs requests against the one time that mke2fs -d copies and nobody can set: ctime."""
    last = 11 + 70  # of the inodes made by tree()
    fields = (("ctime", f"@{TIME}"), ("ctime_extra", "0"))
    return "".join(f"set_inode_field <{ino}> {name} {value}\n" for ino in range(11, last + 1) for name, value in fields)


def free_blocks(image, cwd):
    """Return the first free blocks, as debugfs finds them."""
    said = run("debugfs", "-R", "ffb 60", image, cwd=cwd)
    return [int(word) for word in said.split(":")[1].split()]


def scatter(free):
    """Return two lists of debugfs requests: take all but four of the first free blocks, and give them back."""
    keep = {free[place] for place in (3, 9, 20, 31)}
    taken = [number for number in free[:50] if number not in keep]
    return "".join(f"setb {number}\n" for number in taken), "".join(f"freeb {number}\n" for number in taken)


def make_climb_image(path):
    """Write the image to path."""
    path = Path(path).resolve()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "mke2fs.conf").write_text(MKE2FS_CONF)
        tree(work / "tree")
        (work / "letter").write_text("".join(block(LETTER) for _ in range(6)))
        (work / "new").write_text(NEW)
        (work / "written").write_text(block(WRITTEN))
        (work / "poem.txt").write_text("".join(block(line + "\n") for line in POEM.splitlines()))
        with open(path, "wb") as image:
            image.truncate(20 << 20)
        options = ("-U", UUID, "-E", f"hash_seed={HASH_SEED},root_owner=0:0,lazy_itable_init=1", "-m", "0", "-N", "96")
        options += ("-O", FEATURES, "-b", str(BLOCK), "-I", "256", "-d", str(work / "tree"))
        run("mke2fs", "-q", "-F", "-t", "ext4", *options, path, cwd=work)
        run("debugfs", "-w", "-f", "-", path, cwd=work, stdin=same_times())
        run("e2fsck", "-fyD", path, cwd=work, fine=(0, 1))
        first, second = REQUESTS.split("{scatter}")
        run("debugfs", "-w", "-f", "-", path, cwd=work, stdin=first)
        take, give_back = scatter(free_blocks(path, work))
        run("debugfs", "-w", "-f", "-", path, cwd=work, stdin=take + second + give_back)
        run("e2fsck", "-fy", path, cwd=work, fine=(0, 1))


def main(target):
    """Make the image at target, compressed if its name ends in .gz."""
    if not target.endswith(".gz"):
        return make_climb_image(target)
    with tempfile.TemporaryDirectory() as name:
        image = Path(name) / "climb.img"
        make_climb_image(image)
        Path(target).write_bytes(gzip.compress(image.read_bytes(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_climb_image.py TARGET.img or TARGET.img.gz")
    main(sys.argv[1])
