"""Directories: listing them, walking them, being in them."""

import errno
import os
import stat

import pytest

from tests.conformance.conftest import fails, opened, put

# --- listing --------------------------------------------------------------------------------------


def test_listdir_gives_each_name_once_without_dots(o, top):
    names = {f"file {number}" for number in range(300)} | {".hidden", "..twodots", "ü"}
    for name in names:
        put(o, f"{top}/{name}")
    listed = o.listdir(top)
    assert len(listed) == len(names) and set(listed) == names


def test_listdir_answers_in_the_type_it_is_asked(o, top):
    put(o, f"{top}/a")
    assert o.listdir(top) == ["a"]
    assert o.listdir(top.encode()) == [b"a"]
    with opened(o, top) as fd:
        assert o.listdir(fd) == ["a"]
        assert o.listdir(fd) == ["a"]
    o.chdir(top)
    assert o.listdir() == o.listdir(".") == o.listdir(None) == ["a"]
    assert o.listdir(b".") == [b"a"]


def test_listdir_of_a_file_is_ENOTDIR(o, top):
    put(o, f"{top}/f")
    with fails(errno.ENOTDIR, f"{top}/f"):
        o.listdir(f"{top}/f")
    with opened(o, f"{top}/f") as fd, fails(errno.ENOTDIR):
        o.listdir(fd)


def test_listdir_of_nothing_is_ENOENT(o, top):
    with fails(errno.ENOENT, f"{top}/none"):
        o.listdir(f"{top}/none")


def test_listdir_follows_links(o, top):
    o.makedirs(f"{top}/a/b")
    o.symlink("a", f"{top}/l")
    assert o.listdir(f"{top}/l") == ["b"]


def test_a_removed_directory_is_empty_for_who_has_it_open(o, top):
    o.mkdir(f"{top}/a")
    with opened(o, f"{top}/a") as fd:
        o.rmdir(f"{top}/a")
        assert o.fstat(fd).st_nlink == 0
        assert o.listdir(fd) == []
        with fails(errno.ENOENT):
            o.open("f", o.O_WRONLY | o.O_CREAT, dir_fd=fd)


def test_scandir_knows_types_and_numbers(o, top):
    put(o, f"{top}/f")
    o.mkdir(f"{top}/d")
    o.symlink("d", f"{top}/l")
    o.symlink("none", f"{top}/n")
    o.mkfifo(f"{top}/p")
    with o.scandir(top) as entries:
        seen = {entry.name: entry for entry in entries}
    facts = {name: (e.is_file(), e.is_dir(), e.is_symlink()) for name, e in seen.items()}
    assert facts == {
        "f": (True, False, False),
        "d": (False, True, False),
        "l": (False, True, True),
        "n": (False, False, True),
        "p": (False, False, False),
    }
    assert not seen["l"].is_dir(follow_symlinks=False)
    for name, entry in seen.items():
        assert entry.path == os.fspath(entry) == f"{top}/{name}"
        assert entry.inode() == o.lstat(entry.path).st_ino
        assert entry.stat(follow_symlinks=False) == o.lstat(entry.path)
    assert seen["l"].stat() == o.stat(f"{top}/d")
    with fails(errno.ENOENT):
        seen["n"].stat()
    assert repr(seen["f"]) == "<DirEntry 'f'>"


def test_scandir_of_bytes_and_descriptors(o, top):
    put(o, f"{top}/f")
    assert [(e.name, e.path) for e in o.scandir(top.encode())] == [(b"f", top.encode() + b"/f")]
    with opened(o, top) as fd:
        entries = list(o.scandir(fd))
        assert [(e.name, e.path, e.stat().st_size) for e in entries] == [("f", "f", 0)]
    assert [e.path for e in o.scandir(top + "/")] == [f"{top}/f"]


def test_scandir_ends_when_it_is_closed(o, top):
    put(o, f"{top}/f")
    iterator = o.scandir(top)
    iterator.close()
    assert list(iterator) == []


def test_names_removed_while_listing_do_not_hide_others(o, top):
    names = {f"{number:04}" for number in range(2000)}
    for name in names:
        put(o, f"{top}/{name}")
    seen = set()
    with o.scandir(top) as entries:
        for entry in entries:
            seen.add(entry.name)
            o.unlink(entry.path)
    assert seen == names
    assert o.listdir(top) == []


def test_names_made_while_listing_show_at_most_once(o, top):
    names = {f"{number:04}" for number in range(1500)}
    for name in names:
        put(o, f"{top}/{name}")
    seen = []
    with o.scandir(top) as entries:
        for number, entry in enumerate(entries):
            seen.append(entry.name)
            if number < 100:
                put(o, f"{top}/new{number}")
    assert len(seen) == len(set(seen)) and names <= set(seen)


# --- walking --------------------------------------------------------------------------------------


@pytest.fixture
def tree(o, top):
    o.makedirs(f"{top}/a/b")
    o.mkdir(f"{top}/c")
    put(o, f"{top}/a/f")
    put(o, f"{top}/a/b/g")
    o.symlink("../a", f"{top}/c/l")
    return top


def test_walk_goes_top_down_and_bottom_up(o, tree):
    down = [(path, sorted(dirs), sorted(files)) for path, dirs, files in o.walk(tree)]
    want = {(tree, "ac", ""), (f"{tree}/a", "b", "f"), (f"{tree}/a/b", "", "g"), (f"{tree}/c", "l", "")}
    assert {(path, "".join(dirs), "".join(files)) for path, dirs, files in down} == want
    assert down[0][0] == tree
    up = [path for path, _, _ in o.walk(tree, topdown=False)]
    assert up[-1] == tree and up.index(f"{tree}/a/b") < up.index(f"{tree}/a")


def test_walk_enters_links_only_when_told(o, tree):
    assert f"{tree}/c/l" not in [path for path, _, _ in o.walk(tree)]
    assert f"{tree}/c/l/b" in [path for path, _, _ in o.walk(tree, followlinks=True)]


def test_walk_can_be_pruned(o, tree):
    seen = []
    for path, dirs, _ in o.walk(tree):
        seen.append(path)
        dirs[:] = [name for name in dirs if name != "a"]
    assert seen == [tree, f"{tree}/c"]


def test_walk_reports_errors_to_onerror(o, top):
    errors = []
    assert list(o.walk(f"{top}/none", onerror=errors.append)) == []
    assert [error.errno for error in errors] == [errno.ENOENT]


def test_makedirs_and_removedirs(o, top):
    o.makedirs(f"{top}/a/b/c")
    o.makedirs(f"{top}/a/b", exist_ok=True)
    with fails(errno.EEXIST):
        o.makedirs(f"{top}/a/b")
    put(o, f"{top}/keep")
    o.removedirs(f"{top}/a/b/c")
    assert o.listdir(top) == ["keep"]
    with fails(errno.EEXIST):
        o.makedirs(f"{top}/keep", exist_ok=True)


def test_renames_makes_and_removes_directories(o, top):
    o.makedirs(f"{top}/a/b")
    put(o, f"{top}/a/b/f")
    put(o, f"{top}/keep")
    o.renames(f"{top}/a/b/f", f"{top}/x/y/f")
    assert sorted(o.listdir(top)) == ["keep", "x"]
    assert o.listdir(f"{top}/x/y") == ["f"]


# --- being somewhere ------------------------------------------------------------------------------


def test_chdir_moves_where_relative_names_begin(o, top):
    o.makedirs(f"{top}/a/b")
    o.chdir(f"{top}/a")
    assert o.getcwd() == f"{top}/a" and o.getcwdb() == f"{top}/a".encode()
    o.chdir("b")
    assert o.getcwd() == f"{top}/a/b"
    o.chdir("../..")
    assert o.getcwd() == top
    with opened(o, f"{top}/a") as fd:
        o.chdir(fd)
        assert o.getcwd() == f"{top}/a"
        o.fchdir(fd)


def test_getcwd_shows_no_links(o, top):
    o.mkdir(f"{top}/a")
    o.symlink("a", f"{top}/l")
    o.chdir(f"{top}/l")
    assert o.getcwd() == f"{top}/a"


def test_getcwd_follows_a_rename(o, top):
    o.mkdir(f"{top}/a")
    o.chdir(f"{top}/a")
    o.rename(f"{top}/a", f"{top}/b")
    assert o.getcwd() == f"{top}/b"
    put(o, "f")
    assert o.listdir(f"{top}/b") == ["f"]


def test_a_removed_working_directory_is_ENOENT(o, top):
    o.mkdir(f"{top}/a")
    o.chdir(f"{top}/a")
    o.rmdir(f"{top}/a")
    with fails(errno.ENOENT):
        o.getcwd()
    with fails(errno.ENOENT):
        put(o, "f")
    assert stat.S_ISDIR(o.stat(".").st_mode)
    o.chdir("..")
    assert o.getcwd() == top


def test_chdir_to_a_file_is_ENOTDIR(o, top):
    put(o, f"{top}/f")
    with fails(errno.ENOTDIR, f"{top}/f"):
        o.chdir(f"{top}/f")
    with opened(o, f"{top}/f") as fd, fails(errno.ENOTDIR):
        o.fchdir(fd)


def test_chdir_wants_search_permission(o, top, other):
    o.mkdir(f"{top}/a")
    o.chmod(f"{top}/a", 0o766)
    with other(1000, 1000) as user, fails(errno.EACCES):
        user.chdir(f"{top}/a")


# --- the *at calls --------------------------------------------------------------------------------


def test_every_call_with_dir_fd_starts_there(o, top):
    o.mkdir(f"{top}/a")
    with opened(o, f"{top}/a") as a, opened(o, top) as t:
        o.mkdir("d", dir_fd=a)
        o.symlink("d", "l", dir_fd=a)
        assert o.readlink("l", dir_fd=a) == "d"
        o.mknod("f", dir_fd=a)
        o.mkfifo("p", dir_fd=a)
        o.link("f", "g", src_dir_fd=a, dst_dir_fd=t)
        o.rename("f", "h", src_dir_fd=a, dst_dir_fd=t)
        o.chmod("p", 0o600, dir_fd=a)
        o.utime("p", (1, 1), dir_fd=a)
        assert (o.stat("p", dir_fd=a).st_mtime, o.lstat("l", dir_fd=a).st_size) == (1, 1)
        assert o.access("p", o.F_OK, dir_fd=a) and not o.access("f", o.F_OK, dir_fd=a)
        o.unlink("p", dir_fd=a)
        o.remove("l", dir_fd=a)
        o.rmdir("d", dir_fd=a)
    assert (o.listdir(f"{top}/a"), sorted(o.listdir(top))) == ([], ["a", "g", "h"])


def test_an_absolute_path_makes_dir_fd_meaningless(o, top):
    put(o, f"{top}/f")
    assert o.stat(f"{top}/f", dir_fd=999).st_size == 0


# --- os.path --------------------------------------------------------------------------------------


def test_path_asks_about_files(o, top):
    o.mkdir(f"{top}/d")
    put(o, f"{top}/f", b"text")
    o.symlink("f", f"{top}/l")
    o.symlink("none", f"{top}/n")
    path = o.path
    assert [path.isdir(f"{top}/{name}") for name in "dfln"] == [True, False, False, False]
    assert [path.isfile(f"{top}/{name}") for name in "dfln"] == [False, True, True, False]
    assert [path.islink(f"{top}/{name}") for name in "dfln"] == [False, False, True, True]
    assert [path.exists(f"{top}/{name}") for name in "dfln"] == [True, True, True, False]
    assert path.getsize(f"{top}/l") == 4
    assert path.samefile(f"{top}/f", f"{top}/l") and not path.samefile(f"{top}/f", top)
    assert path.ismount("/") and not path.ismount(f"{top}/d")
    assert path.getmtime(f"{top}/f") == o.stat(f"{top}/f").st_mtime


def test_realpath_follows_links_and_keeps_what_is_missing(o, top):
    o.makedirs(f"{top}/a/b")
    o.symlink("a/b", f"{top}/l")
    o.symlink("loop", f"{top}/loop")
    o.chdir(top)
    assert o.path.realpath("l/../x/y") == f"{top}/a/x/y"
    assert o.path.realpath(f"{top}/l".encode()) == f"{top}/a/b".encode()
    assert o.path.abspath("x/../y") == f"{top}/y"
    assert o.path.relpath(f"{top}/a/b", f"{top}/x") == "../a/b"
    with fails(errno.ENOENT):
        o.path.realpath(f"{top}/none/x", strict=True)
    with fails(errno.ELOOP):
        o.path.realpath(f"{top}/loop", strict=True)
