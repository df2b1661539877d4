"""Names: how they come, go and move."""

import errno
import stat

import pytest

from tests.conformance.conftest import fails, get, opened, put

# --- mkdir and rmdir ------------------------------------------------------------------------------


def test_mkdir_makes_an_empty_directory(o, top):
    o.mkdir(f"{top}/a")
    assert stat.S_ISDIR(o.stat(f"{top}/a").st_mode)
    assert o.listdir(f"{top}/a") == []


def test_mkdir_takes_the_umask_from_its_mode(o, top):
    old = o.umask(0o027)
    o.mkdir(f"{top}/a", 0o777)
    assert stat.S_IMODE(o.stat(f"{top}/a").st_mode) == 0o750
    assert o.umask(old) == 0o027


def test_mkdir_of_a_name_that_exists_is_EEXIST(o, top):
    put(o, f"{top}/f")
    for name in ("f", ".", ".."):
        with fails(errno.EEXIST, f"{top}/{name}"):
            o.mkdir(f"{top}/{name}")


def test_mkdir_below_nothing_is_ENOENT(o, top):
    with fails(errno.ENOENT, f"{top}/a/b"):
        o.mkdir(f"{top}/a/b")


def test_mkdir_below_a_file_is_ENOTDIR(o, top):
    put(o, f"{top}/f")
    with fails(errno.ENOTDIR, f"{top}/f/a"):
        o.mkdir(f"{top}/f/a")


def test_mkdir_with_a_trailing_slash_works(o, top):
    o.mkdir(f"{top}/a/")
    assert o.path.isdir(f"{top}/a")


def test_mkdir_over_a_dangling_link_is_EEXIST(o, top):
    o.symlink("nowhere", f"{top}/l")
    with fails(errno.EEXIST):
        o.mkdir(f"{top}/l")


def test_a_name_of_255_bytes_is_possible_and_256_is_ENAMETOOLONG(o, top):
    o.mkdir(f"{top}/{'n' * 255}")
    assert o.listdir(top) == ["n" * 255]
    with fails(errno.ENAMETOOLONG):
        o.mkdir(f"{top}/{'n' * 256}")


def test_the_limit_of_a_name_counts_bytes(o, top):
    o.mkdir(f"{top}/{'é' * 127}")
    with fails(errno.ENAMETOOLONG):
        o.mkdir(f"{top}/{'é' * 128}")


def test_a_path_of_4096_bytes_is_ENAMETOOLONG(o, top):
    with fails(errno.ENAMETOOLONG):
        o.stat(f"{top}/" + "./" * 2048)


def test_an_empty_path_is_ENOENT(o, top):
    for call in (o.stat, o.lstat, o.mkdir, o.rmdir, o.unlink, o.listdir, o.chdir, o.readlink):
        with fails(errno.ENOENT, ""):
            call("")


def test_a_zero_in_a_path_is_a_ValueError(o, top):
    for name in (f"{top}/a\0b", f"{top}/a\0b".encode()):
        with pytest.raises(ValueError):
            o.stat(name)
        with pytest.raises(ValueError):
            o.mkdir(name)


def test_rmdir_removes_an_empty_directory(o, top):
    o.mkdir(f"{top}/a")
    o.rmdir(f"{top}/a")
    assert o.listdir(top) == []


def test_rmdir_of_a_full_directory_is_ENOTEMPTY(o, top):
    o.makedirs(f"{top}/a/b")
    with fails(errno.ENOTEMPTY, f"{top}/a"):
        o.rmdir(f"{top}/a")


def test_rmdir_of_a_file_is_ENOTDIR(o, top):
    put(o, f"{top}/f")
    with fails(errno.ENOTDIR, f"{top}/f"):
        o.rmdir(f"{top}/f")


def test_rmdir_of_dot_is_EINVAL_and_of_dotdot_ENOTEMPTY(o, top):
    o.mkdir(f"{top}/a")
    with fails(errno.EINVAL):
        o.rmdir(f"{top}/a/.")
    with fails(errno.ENOTEMPTY):
        o.rmdir(f"{top}/a/..")


def test_rmdir_of_the_root_is_EBUSY(o, top):
    with fails(errno.EBUSY, "/"):
        o.rmdir("/")


def test_rmdir_of_a_link_to_a_directory_is_ENOTDIR(o, top):
    o.mkdir(f"{top}/a")
    o.symlink("a", f"{top}/l")
    with fails(errno.ENOTDIR):
        o.rmdir(f"{top}/l")


def test_directories_count_their_subdirectories_as_links(o, top):
    before = o.stat(top).st_nlink
    o.mkdir(f"{top}/a")
    assert (o.stat(f"{top}/a").st_nlink, o.stat(top).st_nlink) == (2, before + 1)
    o.rmdir(f"{top}/a")
    assert o.stat(top).st_nlink == before


# --- unlink ---------------------------------------------------------------------------------------


def test_unlink_removes_a_file(o, top):
    put(o, f"{top}/f")
    o.unlink(f"{top}/f")
    assert not o.path.lexists(f"{top}/f")
    with fails(errno.ENOENT, f"{top}/f"):
        o.remove(f"{top}/f")


def test_unlink_of_a_directory_is_EISDIR(o, top):
    o.mkdir(f"{top}/a")
    with fails(errno.EISDIR, f"{top}/a"):
        o.unlink(f"{top}/a")


def test_unlink_removes_a_link_and_not_its_target(o, top):
    put(o, f"{top}/f", b"text")
    o.symlink("f", f"{top}/l")
    o.unlink(f"{top}/l")
    assert o.listdir(top) == ["f"]


def test_unlink_with_a_trailing_slash_is_ENOTDIR(o, top):
    put(o, f"{top}/f")
    with fails(errno.ENOTDIR):
        o.unlink(f"{top}/f/")


def test_a_file_removed_while_open_is_still_there_for_its_descriptor(o, top):
    put(o, f"{top}/f", b"still here")
    with opened(o, f"{top}/f", o.O_RDWR) as fd:
        o.unlink(f"{top}/f")
        assert o.fstat(fd).st_nlink == 0
        assert o.read(fd, 100) == b"still here"
        assert o.write(fd, b"!") == 1
        assert o.fstat(fd).st_size == 11


def test_a_name_can_be_used_again_at_once(o, top):
    put(o, f"{top}/f", b"first")
    with opened(o, f"{top}/f") as fd:
        o.unlink(f"{top}/f")
        put(o, f"{top}/f", b"second")
        assert o.read(fd, 10) == b"first"
    assert get(o, f"{top}/f") == b"second"


# --- link -----------------------------------------------------------------------------------------


def test_link_gives_a_file_a_second_name(o, top):
    put(o, f"{top}/f", b"text")
    o.link(f"{top}/f", f"{top}/g")
    one, other = o.stat(f"{top}/f"), o.stat(f"{top}/g")
    assert (one.st_ino, one.st_nlink) == (other.st_ino, 2)
    o.unlink(f"{top}/f")
    assert get(o, f"{top}/g") == b"text"
    assert o.stat(f"{top}/g").st_nlink == 1


def test_link_of_a_directory_is_EPERM(o, top):
    o.mkdir(f"{top}/a")
    with fails(errno.EPERM, f"{top}/a", f"{top}/b"):
        o.link(f"{top}/a", f"{top}/b")


def test_link_to_a_name_that_exists_is_EEXIST(o, top):
    put(o, f"{top}/f")
    put(o, f"{top}/g")
    with fails(errno.EEXIST, f"{top}/f", f"{top}/g"):
        o.link(f"{top}/f", f"{top}/g")


def test_link_of_nothing_is_ENOENT(o, top):
    with fails(errno.ENOENT, f"{top}/f", f"{top}/g"):
        o.link(f"{top}/f", f"{top}/g")


def test_link_of_a_symlink_is_a_second_name_of_the_link(o, top):
    put(o, f"{top}/f")
    o.symlink("f", f"{top}/l")
    o.link(f"{top}/l", f"{top}/m", follow_symlinks=False)
    assert o.readlink(f"{top}/m") == "f"
    assert o.lstat(f"{top}/l").st_nlink == 2


# --- symlink and readlink -------------------------------------------------------------------------


def test_readlink_gives_the_text_as_it_was_written(o, top):
    for number, text in enumerate(("f", "../x/./y//", "/", "nowhere at all", "é", "x" * 255, "y/" * 1000)):
        o.symlink(text, f"{top}/l{number}")
        assert o.readlink(f"{top}/l{number}") == text
        assert o.readlink(f"{top}/l{number}".encode()) == text.encode()
        assert o.lstat(f"{top}/l{number}").st_size == len(text.encode())


def test_a_symlink_has_mode_0777_and_the_type_of_a_link(o, top):
    o.symlink("f", f"{top}/l")
    assert o.lstat(f"{top}/l").st_mode == stat.S_IFLNK | 0o777


def test_readlink_of_what_is_no_link_is_EINVAL(o, top):
    put(o, f"{top}/f")
    for path in (f"{top}/f", top):
        with fails(errno.EINVAL, path):
            o.readlink(path)


def test_symlink_over_a_name_that_exists_is_EEXIST(o, top):
    put(o, f"{top}/f")
    with fails(errno.EEXIST, "text", f"{top}/f"):
        o.symlink("text", f"{top}/f")


def test_symlink_with_an_empty_text_is_ENOENT(o, top):
    with fails(errno.ENOENT, "", f"{top}/l"):
        o.symlink("", f"{top}/l")


def test_symlink_with_a_text_of_4096_bytes_is_ENAMETOOLONG(o, top):
    with fails(errno.ENAMETOOLONG):
        o.symlink("x" * 4096, f"{top}/l")


def test_symlinks_are_followed_relative_to_where_they_lie(o, top):
    o.makedirs(f"{top}/a/b")
    put(o, f"{top}/a/f", b"here")
    o.symlink("../f", f"{top}/a/b/l")
    assert get(o, f"{top}/a/b/l") == b"here"


def test_absolute_symlinks_start_at_the_root(o, top):
    put(o, f"{top}/f", b"here")
    o.symlink(f"{top}/f", f"{top}/l")
    assert get(o, f"{top}/l") == b"here"


def test_symlinks_in_the_middle_of_a_path_are_followed(o, top):
    o.makedirs(f"{top}/a/b")
    o.symlink("a", f"{top}/l")
    o.symlink("l/b", f"{top}/m")
    put(o, f"{top}/m/f", b"deep")
    assert get(o, f"{top}/a/b/f") == b"deep"


def test_a_chain_of_40_links_is_followed_and_41_is_ELOOP(o, top):
    put(o, f"{top}/0", b"end")
    for number in range(1, 42):
        o.symlink(str(number - 1), f"{top}/{number}")
    assert get(o, f"{top}/40") == b"end"
    with fails(errno.ELOOP, f"{top}/41"):
        o.stat(f"{top}/41")


def test_a_link_to_itself_is_ELOOP_but_can_be_looked_at(o, top):
    o.symlink("l", f"{top}/l")
    with fails(errno.ELOOP, f"{top}/l"):
        o.stat(f"{top}/l")
    assert o.readlink(f"{top}/l") == "l"


def test_a_dangling_link_is_ENOENT_when_followed(o, top):
    o.symlink("nowhere", f"{top}/l")
    with fails(errno.ENOENT, f"{top}/l"):
        o.stat(f"{top}/l")
    assert o.path.lexists(f"{top}/l") and not o.path.exists(f"{top}/l")


def test_lstat_with_a_trailing_slash_follows(o, top):
    o.mkdir(f"{top}/a")
    o.symlink("a", f"{top}/l")
    assert stat.S_ISLNK(o.lstat(f"{top}/l").st_mode)
    assert stat.S_ISDIR(o.lstat(f"{top}/l/").st_mode)


def test_a_file_with_a_trailing_slash_is_ENOTDIR(o, top):
    put(o, f"{top}/f")
    o.symlink("f", f"{top}/l")
    for name in ("f/", "l/", "f/.", "f/.."):
        with fails(errno.ENOTDIR):
            o.stat(f"{top}/{name}")


def test_dots_and_double_slashes_lead_nowhere_else(o, top):
    o.makedirs(f"{top}/a/b")
    want = o.stat(f"{top}/a").st_ino
    for name in ("a/.", "a/b/..", "./a", "a//", "a/b/../../a", ".//./a/./b/.././/"):
        assert o.stat(f"{top}/{name}").st_ino == want


def test_the_root_is_its_own_parent(o, top):
    assert o.stat("/..").st_ino == o.stat("/").st_ino == o.stat("/../../.").st_ino


# --- rename ---------------------------------------------------------------------------------------


def test_rename_moves_a_file(o, top):
    put(o, f"{top}/f", b"text")
    ino = o.stat(f"{top}/f").st_ino
    o.mkdir(f"{top}/a")
    o.rename(f"{top}/f", f"{top}/a/g")
    assert o.listdir(top) == ["a"]
    assert (o.stat(f"{top}/a/g").st_ino, get(o, f"{top}/a/g")) == (ino, b"text")


def test_rename_replaces_a_file(o, top):
    put(o, f"{top}/f", b"new")
    put(o, f"{top}/g", b"old")
    with opened(o, f"{top}/g") as fd:
        o.replace(f"{top}/f", f"{top}/g")
        assert o.read(fd, 10) == b"old"
        assert o.fstat(fd).st_nlink == 0
    assert get(o, f"{top}/g") == b"new"


def test_rename_of_nothing_is_ENOENT(o, top):
    with fails(errno.ENOENT, f"{top}/f", f"{top}/g"):
        o.rename(f"{top}/f", f"{top}/g")


def test_rename_of_a_file_over_a_directory_is_EISDIR(o, top):
    put(o, f"{top}/f")
    o.mkdir(f"{top}/a")
    with fails(errno.EISDIR, f"{top}/f", f"{top}/a"):
        o.rename(f"{top}/f", f"{top}/a")


def test_rename_of_a_directory_over_a_file_is_ENOTDIR(o, top):
    put(o, f"{top}/f")
    o.mkdir(f"{top}/a")
    with fails(errno.ENOTDIR):
        o.rename(f"{top}/a", f"{top}/f")


def test_rename_of_a_directory_over_an_empty_one_replaces_it(o, top):
    o.makedirs(f"{top}/a/x")
    o.mkdir(f"{top}/b")
    before = o.stat(top).st_nlink
    o.rename(f"{top}/a", f"{top}/b")
    assert o.listdir(f"{top}/b") == ["x"]
    assert o.stat(top).st_nlink == before - 1


def test_rename_over_a_full_directory_is_ENOTEMPTY(o, top):
    o.mkdir(f"{top}/a")
    o.makedirs(f"{top}/b/x")
    with fails(errno.ENOTEMPTY):
        o.rename(f"{top}/a", f"{top}/b")


def test_rename_of_a_directory_into_itself_is_EINVAL(o, top):
    o.makedirs(f"{top}/a/b")
    with fails(errno.EINVAL):
        o.rename(f"{top}/a", f"{top}/a/b/c")


def test_rename_over_an_ancestor_is_ENOTEMPTY(o, top):
    o.makedirs(f"{top}/a/b/c")
    with fails(errno.ENOTEMPTY):
        o.rename(f"{top}/a/b/c", f"{top}/a")


def test_rename_to_itself_does_nothing(o, top):
    put(o, f"{top}/f", b"text")
    o.rename(f"{top}/f", f"{top}/f")
    assert get(o, f"{top}/f") == b"text"


def test_rename_between_two_names_of_one_file_does_nothing(o, top):
    put(o, f"{top}/f")
    o.link(f"{top}/f", f"{top}/g")
    o.rename(f"{top}/f", f"{top}/g")
    assert sorted(o.listdir(top)) == ["f", "g"]


def test_rename_of_dot_is_EBUSY(o, top):
    o.mkdir(f"{top}/a")
    for one, other in (("a/.", "b"), ("a", "a/.."), ("a/..", "b")):
        with fails(errno.EBUSY):
            o.rename(f"{top}/{one}", f"{top}/{other}")


def test_rename_moves_a_link_and_not_what_it_leads_to(o, top):
    put(o, f"{top}/f")
    o.symlink("f", f"{top}/l")
    o.rename(f"{top}/l", f"{top}/m")
    assert sorted(o.listdir(top)) == ["f", "m"]
    assert o.readlink(f"{top}/m") == "f"


def test_rename_of_a_file_with_a_trailing_slash_is_ENOTDIR(o, top):
    put(o, f"{top}/f")
    with fails(errno.ENOTDIR):
        o.rename(f"{top}/f", f"{top}/g/")


def test_rename_moves_the_parent_of_a_directory(o, top):
    o.makedirs(f"{top}/a/x")
    o.mkdir(f"{top}/b")
    o.rename(f"{top}/a/x", f"{top}/b/y")
    assert o.stat(f"{top}/b/y/..").st_ino == o.stat(f"{top}/b").st_ino
    assert (o.stat(f"{top}/a").st_nlink, o.stat(f"{top}/b").st_nlink) == (2, 3)


def test_an_open_directory_follows_its_rename(o, top):
    o.mkdir(f"{top}/a")
    with opened(o, f"{top}/a") as fd:
        o.rename(f"{top}/a", f"{top}/b")
        put(o, f"{top}/b/f")
        assert o.listdir(fd) == ["f"]


# --- mknod ----------------------------------------------------------------------------------------


def test_mkfifo_makes_a_fifo(o, top):
    o.mkfifo(f"{top}/p", 0o640)
    assert o.stat(f"{top}/p").st_mode == stat.S_IFIFO | 0o640


def test_mknod_makes_a_regular_file_by_default(o, top):
    o.mknod(f"{top}/f", 0o600)
    assert o.stat(f"{top}/f").st_mode == stat.S_IFREG | 0o600
    o.mknod(f"{top}/s", stat.S_IFSOCK | 0o600)
    assert stat.S_ISSOCK(o.stat(f"{top}/s").st_mode)


def test_mknod_of_a_directory_is_EPERM_and_of_nonsense_EINVAL(o, top):
    with fails(errno.EPERM, None):
        o.mknod(f"{top}/d", stat.S_IFDIR | 0o700)
    with fails(errno.EINVAL):
        o.mknod(f"{top}/d", 0o110000 | 0o700)


def test_mknod_of_a_name_that_exists_is_EEXIST(o, top):
    put(o, f"{top}/f")
    with fails(errno.EEXIST):
        o.mknod(f"{top}/f")
    with fails(errno.EEXIST):
        o.mkfifo(f"{top}/f")


# --- names are bytes ------------------------------------------------------------------------------


def test_names_that_are_no_text_survive(o, top):
    name = b"\xff\xfe bytes"
    put(o, top.encode() + b"/" + name)
    assert o.listdir(top) == [o.fsdecode(name)]
    assert o.listdir(top.encode()) == [name]
    assert o.path.isfile(top + "/" + o.listdir(top)[0])


def test_upper_and_lower_case_are_different_names(o, top):
    put(o, f"{top}/a", b"1")
    put(o, f"{top}/A", b"2")
    assert sorted(o.listdir(top)) == ["A", "a"]


def test_paths_may_be_bytes_or_PathLike(o, top):
    import pathlib

    o.mkdir(pathlib.PurePosixPath(top) / "a")
    o.mkdir(f"{top}/a/b".encode())
    with fails(errno.EEXIST, f"{top}/a"):
        o.mkdir(pathlib.PurePosixPath(top) / "a")
    with fails(errno.EEXIST, f"{top}/a".encode()):
        o.mkdir(f"{top}/a".encode())


def test_other_types_of_paths_are_a_TypeError(o, top):
    for call in (o.mkdir, o.lstat, o.unlink, o.readlink):
        for path in (None, 1.5, 3, [top]):
            with pytest.raises(TypeError):
                call(path)
