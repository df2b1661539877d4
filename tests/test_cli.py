"""The command line: what it prints, how it ends, and that no input ends in a traceback."""

import errno
import os
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import images
from tests.images import e2fs
from vfslab.cli import main
from vfslab.tools.get import get, safe

pytestmark = pytest.mark.needs_program("mke2fs", "debugfs")
TOP = Path(__file__).resolve().parents[1]
BIG = bytes(range(256)) * 20_000


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """An image with names that are terminal commands, links, holes, a big file, two groups and a backup superblock."""
    work = tmp_path_factory.mktemp("cli")
    tree = work / "tree"
    (tree / "etc" / "deep").mkdir(parents=True)
    (tree / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    (tree / "big").write_bytes(BIG)
    (tree / "esc\x1b[31mred\n").write_text("x")
    os.symlink("/etc/hosts", tree / "absolute")
    os.symlink("../../../../etc/hosts", tree / "etc" / "outward")
    os.mkfifo(tree / "fifo")
    os.chmod(tree / "etc" / "hosts", 0o640)
    with open(tree / "sparse", "wb") as file:
        file.seek(3 << 20)
        file.write(b"end")
    path = work / "disk.img"
    e2fs.mke2fs(path, "24M", "-t", "ext4", "-b", "1024", "-d", tree)
    return path


@pytest.fixture
def damaged(image, tmp_path):
    """The image with a wrong checksum in the inode of /big."""
    path = images.copy_of(image, tmp_path / "damaged.img")
    where = e2fs.ask(path, "imap /big").split("located at block ")[1]
    block, offset = where.split(", offset ")
    with open(path, "r+b") as file:
        file.seek(int(block) * 1024 + int(offset.split()[0], 16) + 2)
        file.write(b"\x77")
    return path


def run(capfd, *words):
    """Return (exit status, stdout, stderr) of a command run in this process."""
    status = main([os.fspath(word) for word in words])
    out, err = capfd.readouterr()
    assert "Traceback" not in err
    return status, out, err


def command(*words, **more):
    """Return the finished process of a command run as a program."""
    words = [sys.executable, "-m", "vfslab", *map(os.fspath, words)]
    return subprocess.run(words, capture_output=True, cwd=TOP, timeout=60, **more)


# --- what they print ------------------------------------------------------------------------------


def test_ls(image, capfd):
    assert run(capfd, "ls", image, "/etc") == (0, "deep\nhosts\noutward\n", "")
    status, out, _ = run(capfd, "ls", "-la", image, "/etc")
    assert status == 0 and "-rw-r----- " in out and "outward -> ../../../../etc/hosts" in out
    assert run(capfd, "ls", "-R", image, "/etc")[1].splitlines()[0] == "/etc:"


def test_dotdot_of_the_root_is_the_root(image, capfd):
    lines = run(capfd, "ls", "-ai", image)[1].splitlines()
    assert lines[0].split() == ["2", "."] and lines[1].split() == ["2", ".."]


def test_names_that_command_terminals_are_escaped(image, capfd):
    for words in (("ls", image), ("ls", "-l", image), ("tree", image), ("check", image)):
        status, out, _ = run(capfd, *words)
        assert status == 0 and "\x1b" not in out
        assert words[0] == "check" or "esc\\x1b[31mred\\x0a" in out


def test_tree(image, capfd):
    status, out, _ = run(capfd, "tree", image)
    assert status == 0 and out.startswith("/\n├── ") and "│   ├── hosts\n" in out
    assert out.splitlines()[-1] == "3 directories, 7 files"
    assert len(run(capfd, "tree", image, "-L", "1")[1]) < len(out)


def test_cat_gives_the_bytes_and_links_stay_in_the_image(image, capfdbinary):
    assert main(["cat", os.fspath(image), "/etc/hosts", "absolute", "/etc/outward"]) == 0
    assert capfdbinary.readouterr().out == b"127.0.0.1 localhost\n" * 3
    assert main(["cat", os.fspath(image), "/big"]) == 0
    assert capfdbinary.readouterr().out == BIG


def test_stat(image, capfd):
    status, out, _ = run(capfd, "stat", image, "/absolute", "/big")
    assert status == 0 and "File: /absolute -> /etc/hosts" in out and f"Size: {len(BIG)}" in out


def test_dump_and_hexdump(image, capfd):
    status, out, _ = run(capfd, "dump", image)
    assert status == 0 and "Group 2:" in out and "descriptor at byte 0x" in out
    assert "Group 0:" not in run(capfd, "dump", "--super", image)[1]
    assert "s_magic" in run(capfd, "hexdump", image, "--super")[1]
    assert run(capfd, "hexdump", image, "--inode", "2")[1].startswith("inode 2: ")


def test_check(image, damaged, capfd):
    assert run(capfd, "check", image)[0] == 0
    status, out, err = run(capfd, "check", damaged)
    assert status == 1 and "/big" in out and "checksum" in out and not err


def test_figure_list_and_files(image, tmp_path, capfd):
    status, out, _ = run(capfd, "figure", "--list")
    assert status == 0 and {"F1", "F5"} <= {line.split()[0] for line in out.splitlines()}
    status, out, _ = run(capfd, "figure", "F5", image)
    assert status == 0 and out.startswith("F5")
    assert run(capfd, "figure", "F5", "-o", tmp_path / "f.dot")[0] == 0
    assert (tmp_path / "f.dot").read_text().startswith("digraph")


def test_doctor_tells_what_is_there(capfd):
    _, out, _ = run(capfd, "doctor")
    assert "a kernel boots, mounts the shipped image" in out and out.splitlines()[-1].startswith(
        ("complete", "not complete")
    )


# --- get --------------------------------------------------------------------------------------------


def test_get_copies_a_tree(image, tmp_path, capfd):
    target = tmp_path / "out"
    status, _, err = run(capfd, "get", image, "/", target)
    assert status == 1 and err == "vfslab: /fifo: a device, FIFO or socket, left out\n"
    assert (target / "big").read_bytes() == BIG and (target / "etc" / "hosts").stat().st_mode & 0o777 == 0o640
    assert os.readlink(target / "absolute") == "/etc/hosts"
    assert (target / "sparse").stat().st_size == (3 << 20) + 3
    assert (target / "sparse").stat().st_blocks * 512 < 1 << 20
    assert not [name for name in os.listdir(target) if name.endswith(".part")]


def test_get_overwrites_nothing(image, tmp_path, capfd):
    (tmp_path / "hosts").write_text("mine")
    status, _, err = run(capfd, "get", image, "/etc/hosts", tmp_path)
    assert status == 1 and "not overwritten" in err and (tmp_path / "hosts").read_text() == "mine"
    os.symlink(tmp_path / "elsewhere", tmp_path / "link")
    assert run(capfd, "get", image, "/etc/hosts", tmp_path / "link")[0] == 1
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc/passwd", "../../x", "nul\0"])
def test_a_name_that_leads_out_is_refused(name, tmp_path):
    with pytest.raises(OSError) as caught:
        safe(name)
    assert caught.value.errno == errno.EUCLEAN

    class Hostile:
        """A process whose directory lists the name."""

        def lstat(self, path):
            return os.stat_result((0o040755 if path == "/d" else 0o100644, 5, 1, 1, 0, 0, 1, 0, 0, 0))

        def listdir(self, path):
            return [name]

    told = []
    os.mkdir(tmp_path / "box")
    target = tmp_path / "box" / "d"
    assert get(SimpleNamespace(inside=Hostile()), "/d", str(target), lambda path, what: told.append(what)) == 1
    assert told and sorted(os.listdir(tmp_path)) == ["box"] and os.listdir(target) == []


# --- bad input ------------------------------------------------------------------------------------


def partitioned(path, image):
    """Make a disk with the image as its first partition and an empty second one."""
    size = image.stat().st_size // 512
    entries = struct.pack("<B3sB3sII", 0, b"", 0x83, b"", 2048, size) + struct.pack(
        "<B3sB3sII", 0, b"", 0x83, b"", 2048 + size, 2048
    )
    with open(path, "wb") as disk:
        disk.write(bytes(446) + entries + bytes(32) + b"\x55\xaa")
        disk.seek(2048 * 512)
        disk.write(image.read_bytes())
        disk.truncate((2048 + size + 2048) * 512)
    return path


def test_partitions(image, tmp_path, capfd):
    disk = partitioned(tmp_path / "disk.img", image)
    status, _, err = run(capfd, "ls", disk)
    assert status == 2 and f"{disk}#1: 24.0 MiB" in err and f"{disk}#2: 1.0 MiB" in err and err.count("\n") == 1
    assert run(capfd, "cat", f"{disk}#1", "/etc/hosts")[:2] == (0, "127.0.0.1 localhost\n")
    assert run(capfd, "check", f"{disk}#1")[0] == 0
    status, _, err = run(capfd, "ls", f"{disk}#9")
    assert status == 2 and "no such partition" in err and "#1" in err
    status, _, err = run(capfd, "ls", f"{disk}#2")
    assert status == 2 and "no ext4 filesystem" in err


@pytest.mark.parametrize(
    "words",
    [("ls",), ("tree",), ("cat", "/x"), ("stat", "/x"), ("dump",), ("hexdump", "--super"), ("check",), ("get", "/x")],
)
def test_what_is_no_image_is_one_line_and_2(words, image, tmp_path, capfd):
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("no image at all\n" * 1000)
    (tmp_path / "short").write_bytes(b"x" * 700)
    (tmp_path / "cut").write_bytes(image.read_bytes()[: 1 << 20])
    os.mkfifo(tmp_path / "fifo")
    for name in ("absent", "empty", "text", "short", "cut", "fifo", ".", "cut#1", "nul\0name"):
        if name == "cut" and words[0] in ("dump", "hexdump"):
            continue  # what is there of it can be shown
        status, out, err = run(capfd, words[0], f"{tmp_path}/{name}", *words[1:])
        assert (status, out, err.count("\n")) == (2, "", 1), (name, out, err)
        assert err.startswith("vfslab: ") and "\0" not in err


def test_lost_superblock_names_the_backup_that_works(image, tmp_path, capfd):
    path = images.copy_of(image, tmp_path / "lost.img")
    with open(path, "r+b") as file:
        file.seek(1024)
        file.write(bytes(1024))
    status, _, err = run(capfd, "ls", path)
    assert status == 2 and "8193" in err and err.count("\n") == 1
    assert run(capfd, "cat", "-o", "sb=8193", path, "/etc/hosts")[:2] == (0, "127.0.0.1 localhost\n")


def test_damaged_file_is_1_and_one_line_with_its_place(damaged, capfd):
    status, out, err = run(capfd, "cat", damaged, "/big")
    assert (status, out) == (1, "") and err.count("\n") == 1
    assert err.startswith("vfslab: /big: ") and "inode " in err and "checksum" in err
    status, out, err = run(capfd, "cat", damaged, "/big", "/etc/hosts", "/absent", "/etc")
    assert status == 1 and out == "127.0.0.1 localhost\n" and err.count("\n") == 3


def test_unknown_figures_and_endings(tmp_path, capfd):
    for words in (("figure", "F99"), ("figure", "F5", "-o", tmp_path / "x.bmp"), ("figure", "F5", "/nowhere.img")):
        status, _, err = run(capfd, *words)
        assert status == 2 and err.startswith("vfslab: ") and err.count("\n") == 1


# --- as a program ---------------------------------------------------------------------------------


def test_as_a_program(image):
    done = command("cat", image, "/big")
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout == BIG
    done = command("ls", image, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and b"esc\\x1b" in done.stdout
    assert command("--version").stdout.startswith(b"vfslab ")


@pytest.mark.parametrize("words", [("cat", "/big"), ("tree",), ("check", "--manifest"), ("dump",)])
def test_a_reader_that_leaves_is_no_error(image, words):
    words = [sys.executable, "-m", "vfslab", words[0], os.fspath(image), *words[1:]]
    done = subprocess.run(
        ["sh", "-c", '"$@" | head -c 10 >/dev/null', "sh", *words], capture_output=True, cwd=TOP, timeout=60
    )
    assert done.stderr == b""


def test_interrupt_is_one_line_and_130(image, capfd, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("vfslab.cli.opened", interrupt)
    assert run(capfd, "ls", image) == (130, "", "vfslab: interrupted\n")
