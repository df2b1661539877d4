"""ls, cat, stat, tree over os itself, beside the programs of the same name; and what they do with names that are terminal commands."""

import os
import stat as st
import subprocess
from pathlib import Path

import pytest

from vfslab.user.cat import cat
from vfslab.user.ls import ls
from vfslab.user.stat import stat
from vfslab.user.text import civil, filemode, printable, timestamp
from vfslab.user.tree import tree

ENV = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC", "TERM": "xterm"}


@pytest.fixture
def place(tmp_path):
    """A small tree with every kind of thing that needs no rights."""
    (tmp_path / "dir" / "below").mkdir(parents=True)
    (tmp_path / "dir" / "file").write_bytes(b"abc" * 1000)
    (tmp_path / ".hidden").touch()
    (tmp_path / "set").touch()
    os.chmod(tmp_path / "set", 0o4754)
    os.symlink("dir/file", tmp_path / "link")
    os.mkfifo(tmp_path / "fifo")
    os.utime(tmp_path / "set", ns=(0, -1_500_000_001))
    return str(tmp_path)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, env=ENV, check=True).stdout.splitlines()


def test_ls_names_as_ls_does(place):
    assert list(ls(os, place)) == run("ls", "-1", place)
    assert list(ls(os, place, all=True)) == run("ls", "-1a", place)


def test_ls_long_has_the_fields_of_ls(place):
    theirs = [line.split() for line in run("ls", "-lna", "--time-style=+%Y-%m-%d %H:%M", place)[1:]]
    ours = [line.split() for line in ls(os, place, long=True, all=True)]
    assert ours == theirs


def test_ls_inode_numbers(place):
    assert [line.split() for line in ls(os, place, inode=True)] == [line.split() for line in run("ls", "-1i", place)]


def test_ls_recursive_as_ls_does(place):
    assert list(ls(os, place, recursive=True)) == run("ls", "-1R", place)


def test_ls_color_gives_each_kind_the_colour_that_ls_gives_it(place):
    for name, mode in (("run", 0o755), ("group", 0o654), ("sgid", 0o2755), ("nobody", 0o644)):
        (Path(place) / name).touch()
        os.chmod(f"{place}/{name}", mode)
    for name, mode in (("sticky", 0o1777), ("open", 0o777), ("kept", 0o1755)):
        (Path(place) / name).mkdir()
        os.chmod(f"{place}/{name}", mode)
    theirs = run("ls", "-1", "--color=always", place)
    theirs[0] = theirs[0].removeprefix("\x1b[0m")  # ls resets the terminal before its first colour
    ours = list(ls(os, place, color=True))
    assert ours == theirs and "\x1b[01;34mdir\x1b[0m" in ours and "nobody" in ours


def test_ls_of_a_file_and_of_nothing(place):
    assert list(ls(os, f"{place}/set")) == [f"{place}/set"]
    with pytest.raises(FileNotFoundError):
        list(ls(os, f"{place}/absent"))


def test_stat_as_stat_does(place):
    for name in ("dir", "dir/file", "link", "fifo", "set"):
        ours = "\n".join(stat(os, f"{place}/{name}"))
        values = run("stat", "-c", "%s\n%b\n%i\n%h\n%a\n%A\n%u\n%g\n%F\n%y", f"{place}/{name}")
        for value in [*values[:4], *values[5:8], values[8].replace("regular empty file", "regular file"), values[9]]:
            assert value in ours, (name, value)
    assert f"{place}/link -> dir/file" in next(stat(os, f"{place}/link"))


def test_stat_of_a_device():
    text = "\n".join(stat(os, "/dev/null"))
    assert "character special file" in text and "Device type: 1,3" in text


def test_cat_gives_every_byte_in_pieces(place):
    big = os.path.join(place, "big")
    with open(big, "wb") as file:
        file.write(os.urandom(1 << 20) * 2 + b"end")
    pieces = list(cat(os, big))
    with open(big, "rb") as file:
        assert b"".join(pieces) == file.read()
    assert [len(piece) for piece in pieces] == [1 << 20, 1 << 20, 3]
    with pytest.raises(IsADirectoryError):
        list(cat(os, place))


def test_tree_draws_and_counts(place):
    assert list(tree(os, place))[1:] == [
        "├── .hidden",
        "├── dir",
        "│   ├── below",
        "│   └── file",
        "├── fifo",
        "├── link -> dir/file",
        "└── set",
        "",
        "2 directories, 5 files",
    ]
    assert list(tree(os, place, depth=1))[-1] == "1 directory, 4 files"


def test_tree_does_not_enter_a_directory_that_is_above():
    """A damaged image can hold a loop; here an os-like object plays one."""

    class Loop:
        def stat(self, path):
            return os.stat_result((st.S_IFDIR | 0o755, 2, 1, 2, 0, 0, 0, 0, 0, 0))

        lstat = stat

        def listdir(self, path):
            return ["again"]

    lines = list(tree(Loop(), "/"))
    assert lines[1:] == ["└── again  [a directory above: not entered again]", "", "1 directory, 0 files"]


def test_a_name_cannot_command_the_terminal(tmp_path):
    names = [
        b"esc\x1b]0;title\x07",
        b"tab\tnew\nline",
        b"bad\xff",
        "düne".encode(),
        b"back\\slash",
        "rtl\u202etxt".encode(),
    ]
    for name in names:
        open(os.path.join(os.fsencode(tmp_path), name), "w").close()
    shown = (
        list(ls(os, str(tmp_path)))
        + list(tree(os, str(tmp_path)))
        + list(stat(os, os.fsdecode(os.fsencode(tmp_path) + b"/" + names[0])))
    )
    for line in shown:
        assert line.isprintable(), repr(line)
    assert "düne" in shown and "bad\\xff" in shown and "esc\\x1b]0;title\\x07" in shown and "back\\\\slash" in shown


def test_printable_is_one_to_one():
    names = [bytes([byte]) for byte in range(1, 256)] + [b"\\x41", b"A"]
    assert len({printable(name) for name in names}) == len(set(names))


@pytest.mark.parametrize(
    "mode", [0o100644, 0o40755, 0o120777, 0o20660, 0o60660, 0o10600, 0o140700, 0o104755, 0o102644, 0o41777, 0o41776]
)
def test_modes_as_python_writes_them(mode):
    assert filemode(mode) == st.filemode(mode)


def test_times_beyond_what_datetime_can():
    assert timestamp(0) == "1970-01-01 00:00:00.000000000"
    assert timestamp(-1) == "1969-12-31 23:59:59.999999999"
    assert timestamp(((1 << 34) - (1 << 31) - 1) * 10**9) == "2446-05-10 22:38:55.000000000"
    assert civil(2932897) == (10000, 1, 1)
