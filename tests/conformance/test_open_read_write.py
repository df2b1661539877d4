"""Open files: flags, positions, reading, writing, sizes and holes."""

import errno
import os
import stat

import pytest

from tests.conformance.conftest import fails, get, opened, put

# --- open -----------------------------------------------------------------------------------------


def test_open_makes_a_file_with_the_mode_less_the_umask(o, top):
    o.umask(0o077)
    o.close(o.open(f"{top}/f", o.O_WRONLY | o.O_CREAT, 0o4777))
    assert o.stat(f"{top}/f").st_mode == stat.S_IFREG | 0o4700


def test_open_of_nothing_is_ENOENT(o, top):
    with fails(errno.ENOENT, f"{top}/f"):
        o.open(f"{top}/f", o.O_RDONLY)


def test_O_EXCL_of_a_name_that_exists_is_EEXIST(o, top):
    put(o, f"{top}/f")
    o.symlink("nowhere", f"{top}/l")
    for name in ("f", "l"):
        with fails(errno.EEXIST, f"{top}/{name}"):
            o.open(f"{top}/{name}", o.O_WRONLY | o.O_CREAT | o.O_EXCL)


def test_O_CREAT_through_a_dangling_link_makes_the_target(o, top):
    o.symlink("f", f"{top}/l")
    put(o, f"{top}/l", b"text")
    assert get(o, f"{top}/f") == b"text"


def test_O_TRUNC_empties_a_file(o, top):
    put(o, f"{top}/f", b"text")
    o.close(o.open(f"{top}/f", o.O_WRONLY | o.O_TRUNC))
    assert o.stat(f"{top}/f").st_size == 0


def test_a_file_made_without_permissions_can_be_written_by_its_maker(o, top, other):
    o.chmod(top, 0o777)
    with other(1000, 1000) as o:
        fd = o.open(f"{top}/f", o.O_RDWR | o.O_CREAT, 0)
        assert o.write(fd, b"text") == 4
        o.close(fd)
        with fails(errno.EACCES):
            o.open(f"{top}/f", o.O_RDONLY)


def test_open_of_a_directory_for_writing_is_EISDIR(o, top):
    for flags in (o.O_WRONLY, o.O_RDWR, o.O_RDONLY | o.O_CREAT, o.O_RDONLY | o.O_TRUNC):
        with fails(errno.EISDIR, top):
            o.open(top, flags)


def test_O_DIRECTORY_of_a_file_is_ENOTDIR(o, top):
    put(o, f"{top}/f")
    with fails(errno.ENOTDIR):
        o.open(f"{top}/f", o.O_RDONLY | o.O_DIRECTORY)


def test_O_NOFOLLOW_of_a_link_is_ELOOP(o, top):
    put(o, f"{top}/f")
    o.symlink("f", f"{top}/l")
    with fails(errno.ELOOP):
        o.open(f"{top}/l", o.O_RDONLY | o.O_NOFOLLOW)


def test_O_DIRECTORY_and_O_NOFOLLOW_of_a_link_is_ENOTDIR(o, top):
    o.mkdir(f"{top}/a")
    o.symlink("a", f"{top}/l")
    with fails(errno.ENOTDIR):
        o.open(f"{top}/l", o.O_RDONLY | o.O_NOFOLLOW | o.O_DIRECTORY)


def test_O_CREAT_with_a_trailing_slash_is_EISDIR(o, top):
    with fails(errno.EISDIR):
        o.open(f"{top}/f/", o.O_WRONLY | o.O_CREAT)


def test_O_PATH_is_good_for_stat_and_chdir_but_not_for_reading(o, top):
    put(o, f"{top}/f", b"text")
    with opened(o, f"{top}/f", o.O_PATH) as fd:
        assert o.fstat(fd).st_size == 4
        for call in (lambda: o.read(fd, 1), lambda: o.write(fd, b"x"), lambda: o.lseek(fd, 0, 0), lambda: o.fsync(fd)):
            with fails(errno.EBADF):
                call()
        with fails(errno.EBADF):
            o.fchmod(fd, 0o600)
    with opened(o, top, o.O_PATH) as fd:
        o.fchdir(fd)
        assert o.stat("f").st_size == 4


def test_O_PATH_with_O_NOFOLLOW_opens_a_link_itself(o, top):
    o.symlink("text of it", f"{top}/l")
    with opened(o, f"{top}/l", o.O_PATH | o.O_NOFOLLOW) as fd:
        assert stat.S_ISLNK(o.fstat(fd).st_mode)
        assert o.readlink("", dir_fd=fd) == "text of it"


def test_O_TMPFILE_makes_a_file_without_a_name(o, top):
    with opened(o, top, o.O_TMPFILE | o.O_RDWR, 0o600) as fd:
        assert o.write(fd, b"text") == 4
        assert (o.fstat(fd).st_nlink, o.fstat(fd).st_size) == (0, 4)
        assert o.listdir(top) == []


def test_O_TMPFILE_must_be_writable(o, top):
    with fails(errno.EINVAL):
        o.open(top, o.O_TMPFILE | o.O_RDONLY)


def test_open_of_a_socket_is_ENXIO(o, top):
    o.mknod(f"{top}/s", stat.S_IFSOCK | 0o600)
    with fails(errno.ENXIO):
        o.open(f"{top}/s", o.O_RDONLY)


def test_open_with_dir_fd_starts_there(o, top):
    o.mkdir(f"{top}/a")
    with opened(o, f"{top}/a") as a:
        o.close(o.open("f", o.O_WRONLY | o.O_CREAT, dir_fd=a))
        assert o.listdir(f"{top}/a") == ["f"]
        assert o.stat(f"{top}/a", dir_fd=a).st_ino == o.fstat(a).st_ino


def test_dir_fd_of_a_file_is_ENOTDIR_and_of_nothing_EBADF(o, top):
    put(o, f"{top}/f")
    with opened(o, f"{top}/f") as fd, fails(errno.ENOTDIR, "g"):
        o.open("g", o.O_RDONLY, dir_fd=fd)
    with fails(errno.EBADF, "g"):
        o.stat("g", dir_fd=999)


def test_descriptors_are_the_lowest_free_numbers(o, top):
    put(o, f"{top}/f")
    fds = [o.open(f"{top}/f", o.O_RDONLY) for _ in range(4)]
    assert fds == sorted(fds)  # one after the other, but where this test's own process has some in use
    o.close(fds[1])
    assert o.dup(fds[3]) == fds[1]


def test_a_closed_descriptor_is_EBADF(o, top):
    put(o, f"{top}/f")
    fd = o.open(f"{top}/f", o.O_RDWR)
    o.close(fd)
    calls = (
        lambda: o.close(fd),
        lambda: o.read(fd, 1),
        lambda: o.pread(fd, 1, 0),
        lambda: o.write(fd, b""),
        lambda: o.lseek(fd, 0, 0),
        lambda: o.fstat(fd),
        lambda: o.fsync(fd),
        lambda: o.ftruncate(fd, 0),
        lambda: o.fchmod(fd, 0o600),
        lambda: o.fchown(fd, 0, 0),
        lambda: o.fchdir(fd),
        lambda: o.dup(fd),
        lambda: o.dup2(fd, fd + 1),
        lambda: o.fstatvfs(fd),
    )
    for call in calls:
        with fails(errno.EBADF, None):
            call()
    for call in (o.stat, o.statvfs, o.chdir, lambda fd: o.chmod(fd, 0), o.listxattr):
        with fails(errno.EBADF, fd):
            call(fd)
    for call in (o.listdir, o.scandir, o.utime, lambda fd: o.truncate(fd, 0)):
        with fails(errno.EBADF, None):
            call(fd)


# --- dup ------------------------------------------------------------------------------------------


def test_dup_shares_the_position_and_open_does_not(o, top):
    put(o, f"{top}/f", b"0123456789")
    with opened(o, f"{top}/f") as fd, opened(o, f"{top}/f") as own:
        twin = o.dup(fd)
        assert o.read(fd, 3) == b"012"
        assert o.read(twin, 3) == b"345"
        assert o.lseek(fd, 0, o.SEEK_CUR) == 6
        assert o.read(own, 3) == b"012"
        o.close(twin)


def test_dup2_closes_what_was_there(o, top):
    put(o, f"{top}/f", b"f")
    put(o, f"{top}/g", b"g")
    with opened(o, f"{top}/f") as f, opened(o, f"{top}/g") as g:
        assert o.dup2(f, g) == g
        assert o.read(g, 5) == b"f"
        assert o.dup2(f, f) == f


def test_descriptors_are_not_inheritable_unless_asked(o, top):
    with opened(o, top) as fd:
        assert not o.get_inheritable(fd)
        twin = o.dup(fd)
        assert not o.get_inheritable(twin)
        o.set_inheritable(twin, True)
        assert o.get_inheritable(twin)
        assert o.get_inheritable(o.dup2(fd, twin))
        assert not o.get_inheritable(o.dup2(fd, twin, inheritable=False))
        o.close(twin)


def test_closerange_ignores_errors(o, top):
    fd = o.open(top, o.O_RDONLY)
    o.closerange(fd, fd + 10)
    with fails(errno.EBADF):
        o.fstat(fd)


# --- read -----------------------------------------------------------------------------------------


def test_read_goes_on_where_it_stopped_and_ends_empty(o, top):
    put(o, f"{top}/f", b"0123456789")
    with opened(o, f"{top}/f") as fd:
        assert [o.read(fd, 4) for _ in range(4)] == [b"0123", b"4567", b"89", b""]


def test_pread_leaves_the_position(o, top):
    put(o, f"{top}/f", b"0123456789")
    with opened(o, f"{top}/f") as fd:
        assert o.pread(fd, 3, 5) == b"567"
        assert o.pread(fd, 3, 9) == b"9"
        assert o.pread(fd, 3, 10) == b""
        assert o.pread(fd, 3, 1 << 40) == b""
        assert o.lseek(fd, 0, o.SEEK_CUR) == 0


def test_read_of_nothing_is_empty(o, top):
    put(o, f"{top}/f", b"text")
    with opened(o, f"{top}/f") as fd:
        assert o.read(fd, 0) == b""
        assert o.pread(fd, 0, 0) == b""


def test_negative_counts_and_offsets_are_EINVAL(o, top):
    put(o, f"{top}/f", b"text")
    with opened(o, f"{top}/f", o.O_RDWR) as fd:
        for call in (
            lambda: o.read(fd, -1),
            lambda: o.pread(fd, -1, 0),
            lambda: o.pread(fd, 1, -1),
            lambda: o.pwrite(fd, b"x", -1),
            lambda: o.lseek(fd, -1, o.SEEK_SET),
            lambda: o.lseek(fd, -5, o.SEEK_END),
            lambda: o.lseek(fd, 0, 99),
            lambda: o.ftruncate(fd, -1),
        ):
            with fails(errno.EINVAL):
                call()


def test_read_of_a_directory_is_EISDIR(o, top):
    with opened(o, top) as fd:
        with fails(errno.EISDIR):
            o.read(fd, 10)
        with fails(errno.EISDIR):
            o.pread(fd, 10, 0)


def test_read_of_a_file_open_for_writing_only_is_EBADF(o, top):
    with opened(o, f"{top}/f", o.O_WRONLY | o.O_CREAT) as fd, fails(errno.EBADF):
        o.read(fd, 1)
    with opened(o, f"{top}/f") as fd:
        with fails(errno.EBADF):
            o.write(fd, b"x")
        with fails(errno.EINVAL):
            o.ftruncate(fd, 0)


def test_readv_fills_buffers_in_order(o, top):
    put(o, f"{top}/f", b"0123456789")
    with opened(o, f"{top}/f") as fd:
        buffers = [bytearray(3), bytearray(0), bytearray(4), bytearray(10)]
        assert o.readv(fd, buffers) == 10
        assert (buffers[0], buffers[2], buffers[3][:3]) == (b"012", b"3456", b"789")
        assert o.readv(fd, buffers) == 0
        assert o.preadv(fd, [bytearray(2), buffers[2]], 4) == 6
        assert buffers[2] == b"6789"
        assert o.lseek(fd, 0, o.SEEK_CUR) == 10


# --- write ----------------------------------------------------------------------------------------


def test_write_moves_the_position_and_grows_the_file(o, top):
    with opened(o, f"{top}/f", o.O_RDWR | o.O_CREAT) as fd:
        assert o.write(fd, b"01234") == 5
        assert o.write(fd, bytearray(b"567")) == 3
        assert o.write(fd, memoryview(b"89")) == 2
        assert o.lseek(fd, 0, o.SEEK_CUR) == o.fstat(fd).st_size == 10
    assert get(o, f"{top}/f") == b"0123456789"


def test_pwrite_leaves_the_position(o, top):
    put(o, f"{top}/f", b"0123456789")
    with opened(o, f"{top}/f", o.O_RDWR) as fd:
        assert o.pwrite(fd, b"abc", 4) == 3
        assert o.read(fd, 20) == b"0123abc789"


def test_writev_writes_buffers_one_after_the_other(o, top):
    with opened(o, f"{top}/f", o.O_RDWR | o.O_CREAT) as fd:
        assert o.writev(fd, [b"012", b"", bytearray(b"34")]) == 5
        assert o.pwritev(fd, [b"a", b"b"], 1) == 2
    assert get(o, f"{top}/f") == b"0ab34"


def test_O_APPEND_writes_at_the_end_wherever_the_position_is(o, top):
    put(o, f"{top}/f", b"one")
    with opened(o, f"{top}/f", o.O_RDWR | o.O_APPEND) as fd:
        assert o.lseek(fd, 0, o.SEEK_CUR) == 0
        o.write(fd, b"two")
        assert o.lseek(fd, 0, o.SEEK_CUR) == 6
        o.lseek(fd, 0, o.SEEK_SET)
        o.write(fd, b"three")
    assert get(o, f"{top}/f") == b"onetwothree"


def test_pwrite_to_an_O_APPEND_file_goes_to_the_end_as_linux_has_it(o, top):
    put(o, f"{top}/f", b"one")
    with opened(o, f"{top}/f", o.O_RDWR | o.O_APPEND) as fd:
        o.pwrite(fd, b"two", 0)
    assert get(o, f"{top}/f") == b"onetwo"


def test_a_large_file_reads_back_as_it_was_written(o, top):
    data = bytes(range(256)) * 4096 + b"tail"
    put(o, f"{top}/f", data)
    assert get(o, f"{top}/f") == data
    with opened(o, f"{top}/f") as fd:
        assert o.pread(fd, 5000, 1000000) == data[1000000:1005000]


def test_an_empty_write_changes_nothing(o, top):
    put(o, f"{top}/f", b"text")
    before = o.stat(f"{top}/f")
    with opened(o, f"{top}/f", o.O_RDWR) as fd:
        assert o.write(fd, b"") == 0
        assert o.pwrite(fd, b"", 1000) == 0
    after = o.stat(f"{top}/f")
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


# --- holes ----------------------------------------------------------------------------------------


def test_what_was_skipped_reads_as_zeros(o, top):
    with opened(o, f"{top}/f", o.O_RDWR | o.O_CREAT) as fd:
        o.pwrite(fd, b"end", 100000)
        assert o.fstat(fd).st_size == 100003
        assert o.pread(fd, 100003, 0) == bytes(100000) + b"end"
        assert o.fstat(fd).st_blocks < 100000 // 512


def test_SEEK_DATA_and_SEEK_HOLE_tell_data_from_holes(o, top):
    step = 65536
    with opened(o, f"{top}/f", o.O_RDWR | o.O_CREAT) as fd:
        o.pwrite(fd, b"x" * step, step)
        o.pwrite(fd, b"x" * step, 3 * step)
        o.ftruncate(fd, 5 * step)
        seek = o.lseek
        assert seek(fd, 0, o.SEEK_DATA) == step
        assert seek(fd, step + 5, o.SEEK_DATA) == step + 5
        assert seek(fd, 2 * step, o.SEEK_DATA) == 3 * step
        assert seek(fd, 0, o.SEEK_HOLE) == 0
        assert seek(fd, step, o.SEEK_HOLE) == 2 * step
        assert seek(fd, 3 * step + 1, o.SEEK_HOLE) == 4 * step
        for offset, whence in ((4 * step, o.SEEK_DATA), (5 * step, o.SEEK_DATA), (5 * step, o.SEEK_HOLE)):
            with fails(errno.ENXIO):
                seek(fd, offset, whence)


def test_a_file_without_holes_has_one_at_its_end(o, top):
    put(o, f"{top}/f", b"x" * 5000)
    with opened(o, f"{top}/f") as fd:
        assert o.lseek(fd, 10, o.SEEK_DATA) == 10
        assert o.lseek(fd, 10, o.SEEK_HOLE) == 5000
        with fails(errno.ENXIO):
            o.lseek(fd, 5000, o.SEEK_DATA)


def test_lseek_goes_beyond_the_end_and_changes_nothing(o, top):
    put(o, f"{top}/f", b"text")
    with opened(o, f"{top}/f") as fd:
        assert o.lseek(fd, 1000, o.SEEK_SET) == 1000
        assert o.lseek(fd, 10, o.SEEK_CUR) == 1010
        assert o.lseek(fd, -1, o.SEEK_END) == 3
        assert o.read(fd, 10) == b"t"
        assert o.fstat(fd).st_size == 4


# --- truncate -------------------------------------------------------------------------------------


def test_truncate_cuts_and_extends_with_zeros(o, top):
    put(o, f"{top}/f", b"0123456789" * 1000)
    o.truncate(f"{top}/f", 5)
    assert get(o, f"{top}/f") == b"01234"
    o.truncate(f"{top}/f", 8)
    assert get(o, f"{top}/f") == b"01234\0\0\0"
    with opened(o, f"{top}/f", o.O_RDWR) as fd:
        o.ftruncate(fd, 2)
        o.truncate(fd, 4)
        assert o.pread(fd, 10, 0) == b"01\0\0"


def test_truncate_follows_links(o, top):
    put(o, f"{top}/f", b"text")
    o.symlink("f", f"{top}/l")
    o.truncate(f"{top}/l", 1)
    assert get(o, f"{top}/f") == b"t"


def test_truncate_of_a_directory_is_EISDIR(o, top):
    with fails(errno.EISDIR, top):
        o.truncate(top, 0)


def test_truncate_to_a_negative_length_is_EINVAL(o, top):
    put(o, f"{top}/f")
    with fails(errno.EINVAL, f"{top}/f"):
        o.truncate(f"{top}/f", -1)


def test_a_position_beyond_a_cut_reads_as_the_end(o, top):
    put(o, f"{top}/f", b"x" * 10000)
    with opened(o, f"{top}/f", o.O_RDWR) as fd:
        o.lseek(fd, 9000, o.SEEK_SET)
        o.ftruncate(fd, 10)
        assert o.read(fd, 10) == b""
        assert o.write(fd, b"y") == 1
        assert o.fstat(fd).st_size == 9001
        assert o.pread(fd, 20, 5) == b"x" * 5 + bytes(15)


def test_posix_fallocate_makes_the_file_that_long(o, top):
    put(o, f"{top}/f", b"text")
    with opened(o, f"{top}/f", o.O_RDWR) as fd:
        o.posix_fallocate(fd, 100000, 1000)
        assert o.fstat(fd).st_size == 101000
        assert o.pread(fd, 10, 0) == b"text" + bytes(6)
        with fails(errno.EINVAL):
            o.posix_fallocate(fd, 0, 0)
        with fails(errno.EINVAL):
            o.posix_fallocate(fd, -1, 10)
    with opened(o, f"{top}/f") as fd, fails(errno.EBADF):
        o.posix_fallocate(fd, 0, 10)


# --- from file to file ----------------------------------------------------------------------------


def test_copy_file_range_copies_at_positions_or_offsets(o, top):
    put(o, f"{top}/f", b"0123456789")
    with opened(o, f"{top}/f") as f, opened(o, f"{top}/g", o.O_RDWR | o.O_CREAT) as g:
        assert o.copy_file_range(f, g, 4) == 4
        assert o.copy_file_range(f, g, 2, offset_src=8, offset_dst=0) == 2
        assert (o.lseek(f, 0, 1), o.lseek(g, 0, 1)) == (4, 4)
        assert o.copy_file_range(f, g, 100) == 6
        assert o.copy_file_range(f, g, 100) == 0
        assert o.pread(g, 20, 0) == b"8923456789"


def test_copy_file_range_within_a_file_must_not_overlap(o, top):
    put(o, f"{top}/f", b"0123456789")
    with opened(o, f"{top}/f", o.O_RDWR) as fd:
        with fails(errno.EINVAL):
            o.copy_file_range(fd, fd, 5, offset_src=0, offset_dst=3)
        assert o.copy_file_range(fd, fd, 3, offset_src=0, offset_dst=5) == 3
        assert o.pread(fd, 20, 0) == b"0123401289"


def test_copy_file_range_wants_a_file_open_for_writing(o, top):
    put(o, f"{top}/f", b"text")
    with opened(o, f"{top}/f") as one, opened(o, f"{top}/f") as other, opened(o, top) as directory:
        with fails(errno.EBADF):
            o.copy_file_range(one, other, 1)
        with fails(errno.EISDIR):
            o.copy_file_range(directory, other, 1)


def test_sendfile_copies_from_an_offset_or_the_position(o, top):
    put(o, f"{top}/f", b"0123456789")
    with opened(o, f"{top}/f") as f, opened(o, f"{top}/g", o.O_RDWR | o.O_CREAT) as g:
        assert o.sendfile(g, f, 5, 3) == 3
        assert o.lseek(f, 0, 1) == 0
        assert o.sendfile(g, f, None, 2) == 2
        assert (o.lseek(f, 0, 1), o.pread(g, 20, 0)) == (2, b"56701")


def test_fsync_and_fdatasync_work_on_files_and_directories(o, top):
    put(o, f"{top}/f", b"text")
    for path in (f"{top}/f", top):
        with opened(o, path) as fd:
            o.fsync(fd)
            o.fdatasync(fd)


def test_two_descriptors_see_each_others_writes_at_once(o, top):
    with opened(o, f"{top}/f", o.O_RDWR | o.O_CREAT) as one, opened(o, f"{top}/f", o.O_RDWR) as other:
        o.write(one, b"hello")
        assert o.read(other, 10) == b"hello"
        o.ftruncate(other, 0)
        assert o.fstat(one).st_size == 0


def test_all_descriptors_used_up_is_EMFILE(o, top, world):
    if world.name == "linux":
        import resource

        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    fds = []
    try:
        with fails(errno.EMFILE, top):
            for _ in range(2000):
                fds.append(o.open(top, o.O_RDONLY))
        with fails(errno.EMFILE):
            o.dup(fds[0])
    finally:
        for fd in fds:
            o.close(fd)
        if world.name == "linux":
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(fds) > 100


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
def test_the_hosts_own_flags_are_understood(o, top, flags):
    put(o, f"{top}/f", b"text")
    fd = o.open(f"{top}/f", flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    o.close(fd)
    with fails(errno.ENOTDIR):
        o.open(f"{top}/f", flags | os.O_DIRECTORY)
