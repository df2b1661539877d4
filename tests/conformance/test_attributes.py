"""Attributes: stat, times, permissions, owners, extended attributes."""

import errno
import os
import stat
import time

import pytest

from tests.conformance.conftest import fails, get, opened, put

MODE_BITS = 0o7777

# --- stat -----------------------------------------------------------------------------------------


def test_stat_lstat_and_fstat_agree(o, top):
    put(o, f"{top}/f", b"text")
    with opened(o, f"{top}/f") as fd:
        results = [o.stat(f"{top}/f"), o.lstat(f"{top}/f"), o.fstat(fd), o.stat(fd)]
    assert all(result == results[0] for result in results)
    assert isinstance(results[0], os.stat_result)


def test_stat_result_has_times_in_three_forms(o, top):
    put(o, f"{top}/f")
    o.utime(f"{top}/f", ns=(1_234_567_890_123_456_789, 987_654_321_000_000_001))
    result = o.stat(f"{top}/f")
    assert (result.st_atime_ns, result.st_mtime_ns) == (1_234_567_890_123_456_789, 987_654_321_000_000_001)
    assert (result.st_atime, result.st_mtime) == (1234567890.123456789, 987654321.000000001)
    assert (result[stat.ST_ATIME], result[stat.ST_MTIME]) == (1234567890, 987654321)
    assert result.st_blksize >= 512 and result.st_blocks == 0 and result.st_rdev == 0


def test_a_new_file_has_one_link_no_bytes_and_its_makers_ids(o, top):
    put(o, f"{top}/f")
    result = o.stat(f"{top}/f")
    assert (result.st_nlink, result.st_size, result.st_uid, result.st_gid) == (1, 0, o.geteuid(), o.getegid())
    assert result.st_dev == o.stat(top).st_dev


def test_different_files_have_different_numbers(o, top):
    for name in "abc":
        put(o, f"{top}/{name}")
    assert len({o.stat(f"{top}/{name}").st_ino for name in "abc"}) == 3


def test_stat_of_a_descriptor_takes_no_dir_fd(o, top):
    with opened(o, top) as fd:
        with pytest.raises(ValueError):
            o.stat(fd, dir_fd=fd)
        with pytest.raises(ValueError):
            o.stat(fd, follow_symlinks=False)


def test_stat_counts_blocks_of_512_bytes(o, top):
    put(o, f"{top}/f", b"x" * 10000)
    with opened(o, f"{top}/f") as fd:
        o.fsync(fd)
    assert 20 <= o.stat(f"{top}/f").st_blocks <= 32


# --- times ----------------------------------------------------------------------------------------


def now(o, top):
    """Return the time of day as files get it."""
    put(o, f"{top}/.clock")
    result = o.stat(f"{top}/.clock").st_mtime_ns
    o.unlink(f"{top}/.clock")
    return result


def tick():
    """Wait until the clock of files has surely moved on."""
    time.sleep(0.012)


def test_writing_sets_mtime_and_ctime(o, top):
    put(o, f"{top}/f", b"text")
    o.utime(f"{top}/f", (1, 1))
    before = now(o, top)
    with opened(o, f"{top}/f", o.O_WRONLY) as fd:
        o.write(fd, b"x")
    result = o.stat(f"{top}/f")
    assert result.st_mtime_ns >= before and result.st_ctime_ns >= before and result.st_atime == 1


def test_reading_sets_atime_if_it_was_not_after_mtime(o, top):
    put(o, f"{top}/f", b"text")
    o.utime(f"{top}/f", (1, 2))
    tick()
    before = now(o, top)
    get(o, f"{top}/f")
    assert o.stat(f"{top}/f").st_atime_ns >= before


def test_reading_again_leaves_a_young_atime(o, top):
    put(o, f"{top}/f", b"text")
    tick()
    get(o, f"{top}/f")
    first = o.stat(f"{top}/f").st_atime_ns
    tick()
    get(o, f"{top}/f")
    assert o.stat(f"{top}/f").st_atime_ns == first


def test_reading_with_O_NOATIME_leaves_atime(o, top):
    put(o, f"{top}/f", b"text")
    o.utime(f"{top}/f", (1, 2))
    with opened(o, f"{top}/f", o.O_RDONLY | o.O_NOATIME) as fd:
        o.read(fd, 10)
    assert o.stat(f"{top}/f").st_atime == 1


def test_making_and_removing_names_sets_the_directorys_times(o, top):
    o.mkdir(f"{top}/a")
    for change in (
        lambda: put(o, f"{top}/a/f"),
        lambda: o.link(f"{top}/a/f", f"{top}/a/g"),
        lambda: o.rename(f"{top}/a/g", f"{top}/a/h"),
        lambda: o.unlink(f"{top}/a/h"),
        lambda: o.mkdir(f"{top}/a/d"),
        lambda: o.rmdir(f"{top}/a/d"),
        lambda: o.symlink("x", f"{top}/a/l"),
    ):
        o.utime(f"{top}/a", (1, 1))
        change()
        assert o.stat(f"{top}/a").st_mtime > 1


def test_link_unlink_rename_and_chmod_set_ctime(o, top):
    put(o, f"{top}/f")
    with opened(o, f"{top}/f") as fd:
        for change in (
            lambda: o.link(f"{top}/f", f"{top}/g"),
            lambda: o.unlink(f"{top}/g"),
            lambda: o.chmod(f"{top}/f", 0o600),
            lambda: o.rename(f"{top}/f", f"{top}/h"),
        ):
            before = o.fstat(fd).st_ctime_ns
            tick()
            change()
            assert o.fstat(fd).st_ctime_ns > before


def test_truncate_sets_mtime(o, top):
    put(o, f"{top}/f", b"text")
    for length in (3, 10):
        o.utime(f"{top}/f", (1, 1))
        o.truncate(f"{top}/f", length)
        assert o.stat(f"{top}/f").st_mtime > 1


def test_utime_takes_seconds_nanoseconds_or_now(o, top):
    put(o, f"{top}/f")
    o.utime(f"{top}/f", (10, 20.5))
    result = o.stat(f"{top}/f")
    assert (result.st_atime_ns, result.st_mtime_ns) == (10_000_000_000, 20_500_000_000)
    o.utime(f"{top}/f", ns=(-1, -1_000_000_001))
    result = o.stat(f"{top}/f")
    assert (result.st_atime_ns, result.st_mtime_ns) == (-1, -1_000_000_001)
    before = now(o, top)
    o.utime(f"{top}/f")
    assert o.stat(f"{top}/f").st_mtime_ns >= before


def test_utime_of_a_link_itself(o, top):
    put(o, f"{top}/f")
    o.symlink("f", f"{top}/l")
    o.utime(f"{top}/l", (1, 2), follow_symlinks=False)
    assert o.lstat(f"{top}/l").st_mtime == 2
    assert o.stat(f"{top}/l").st_mtime > 2


def test_utime_wants_two_times_or_two_ns_and_not_both(o, top):
    put(o, f"{top}/f")
    with pytest.raises(ValueError):
        o.utime(f"{top}/f", (1, 1), ns=(1, 1))
    for bad in (1, (1,), [1, 2]):
        with pytest.raises(TypeError):
            o.utime(f"{top}/f", bad)


def test_utime_of_nothing_is_ENOENT(o, top):
    with fails(errno.ENOENT, None):
        o.utime(f"{top}/f")


# --- permissions ----------------------------------------------------------------------------------


def test_chmod_changes_twelve_bits(o, top):
    put(o, f"{top}/f")
    for mode in (0, 0o777, 0o4755, 0o2755, 0o1777, 0o7777, 0o640):
        o.chmod(f"{top}/f", mode)
        assert o.stat(f"{top}/f").st_mode & MODE_BITS == mode
    with opened(o, f"{top}/f") as fd:
        o.fchmod(fd, 0o600)
        o.chmod(fd, 0o601)
    assert o.stat(f"{top}/f").st_mode & MODE_BITS == 0o601


def test_chmod_follows_links(o, top):
    put(o, f"{top}/f")
    o.symlink("f", f"{top}/l")
    o.chmod(f"{top}/l", 0o600)
    assert o.stat(f"{top}/f").st_mode & MODE_BITS == 0o600
    assert o.lstat(f"{top}/l").st_mode & MODE_BITS == 0o777


def test_chown_changes_owner_and_group_and_minus_one_keeps(o, top, other):
    put(o, f"{top}/f")
    o.chown(f"{top}/f", 1000, 2000)
    assert o.stat(f"{top}/f")[4:6] == (1000, 2000)
    o.chown(f"{top}/f", -1, 3000)
    assert o.stat(f"{top}/f")[4:6] == (1000, 3000)
    with opened(o, f"{top}/f") as fd:
        o.fchown(fd, 5, -1)
    assert o.stat(f"{top}/f")[4:6] == (5, 3000)


def test_lchown_changes_the_link(o, top, other):
    put(o, f"{top}/f")
    o.symlink("f", f"{top}/l")
    o.lchown(f"{top}/l", 7, 8)
    o.chown(f"{top}/l", 9, 10)
    assert o.lstat(f"{top}/l")[4:6] == (7, 8)
    assert o.stat(f"{top}/f")[4:6] == (9, 10)


def test_chown_takes_set_id_bits_away(o, top, other):
    put(o, f"{top}/f")
    o.chmod(f"{top}/f", 0o6755)
    o.chown(f"{top}/f", 1000, 1000)
    assert o.stat(f"{top}/f").st_mode & MODE_BITS == 0o755


def test_writing_takes_set_id_bits_away_from_who_may_not_keep_them(o, top, other):
    put(o, f"{top}/f", b"text")
    o.chown(f"{top}/f", 1000, 1000)
    o.chmod(f"{top}/f", 0o6755)
    with other(1000, 1000) as user, opened(user, f"{top}/f", user.O_WRONLY) as fd:
        user.write(fd, b"x")
    assert o.stat(f"{top}/f").st_mode & MODE_BITS == 0o755


def test_only_the_owner_may_chmod(o, top, other):
    put(o, f"{top}/f")
    with other(1000, 1000) as user, fails(errno.EPERM, f"{top}/f"):
        user.chmod(f"{top}/f", 0o777)
    o.chown(f"{top}/f", 1000, 1000)
    with other(1000, 1000) as user:
        user.chmod(f"{top}/f", 0o600)


def test_nobody_but_root_may_give_files_away(o, top, other):
    put(o, f"{top}/f")
    o.chown(f"{top}/f", 1000, 1000)
    with other(1000, 1000, (50,)) as user:
        with fails(errno.EPERM):
            user.chown(f"{top}/f", 1001, -1)
        with fails(errno.EPERM):
            user.chown(f"{top}/f", -1, 60)
        user.chown(f"{top}/f", -1, 50)
    assert o.stat(f"{top}/f")[4:6] == (1000, 50)


def test_owner_group_and_others_have_bits_of_their_own(o, top, other):
    put(o, f"{top}/f", b"text")
    o.chown(f"{top}/f", 1000, 50)
    for mode, uid, groups, allowed in (
        (0o400, 1000, (), True),
        (0o044, 1000, (50,), False),
        (0o040, 1001, (50,), True),
        (0o404, 1001, (50,), False),
        (0o004, 1001, (), True),
        (0o440, 1001, (), False),
    ):
        o.chmod(f"{top}/f", mode)
        with other(uid, uid, groups) as user:
            if allowed:
                assert get(user, f"{top}/f") == b"text"
            else:
                with fails(errno.EACCES, f"{top}/f"):
                    user.open(f"{top}/f", user.O_RDONLY)


def test_root_reads_what_nobody_may(o, top, other):
    put(o, f"{top}/f", b"text", 0)
    assert get(o, f"{top}/f") == b"text"
    assert o.access(f"{top}/f", o.R_OK | o.W_OK)
    assert not o.access(f"{top}/f", o.X_OK)


def test_search_permission_is_asked_of_every_directory(o, top, other):
    o.makedirs(f"{top}/a/b")
    put(o, f"{top}/a/b/f", b"text")
    o.chmod(f"{top}/a", 0o744)
    with other(1000, 1000) as user:
        assert user.listdir(f"{top}/a") == ["b"]
        for call in (
            lambda: user.stat(f"{top}/a/b/f"),
            lambda: user.chdir(f"{top}/a"),
            lambda: user.stat(f"{top}/a/."),
        ):
            with fails(errno.EACCES):
                call()
        o_mode = user.stat(f"{top}/a").st_mode & MODE_BITS
        assert o_mode == 0o744


def test_listing_wants_read_permission(o, top, other):
    o.makedirs(f"{top}/a/b")
    o.chmod(f"{top}/a", 0o711)
    with other(1000, 1000) as user:
        with fails(errno.EACCES, f"{top}/a"):
            user.listdir(f"{top}/a")
        assert user.listdir(f"{top}/a/b") == []


def test_making_and_removing_want_write_permission_on_the_directory(o, top, other):
    put(o, f"{top}/f")
    with other(1000, 1000) as user:
        for call in (
            lambda: user.mkdir(f"{top}/a"),
            lambda: user.unlink(f"{top}/f"),
            lambda: user.rename(f"{top}/f", f"{top}/g"),
            lambda: user.symlink("x", f"{top}/l"),
            lambda: user.open(f"{top}/new", user.O_WRONLY | user.O_CREAT),
        ):
            with fails(errno.EACCES):
                call()


def test_the_sticky_bit_protects_files_of_others(o, top, other):
    o.chmod(top, 0o1777)
    put(o, f"{top}/f", b"", 0o666)
    with other(1000, 1000) as user:
        put(user, f"{top}/own")
        for call in (lambda: user.unlink(f"{top}/f"), lambda: user.rename(f"{top}/own", f"{top}/f")):
            with fails(errno.EPERM):
                call()
        user.unlink(f"{top}/own")


def test_a_set_gid_directory_hands_its_group_down(o, top, other):
    o.mkdir(f"{top}/a")
    o.chown(f"{top}/a", 1000, 77)
    o.chmod(f"{top}/a", 0o2777)
    with other(1000, 1000) as user:
        put(user, f"{top}/a/f")
        user.mkdir(f"{top}/a/d")
    assert o.stat(f"{top}/a/f").st_gid == o.stat(f"{top}/a/d").st_gid == 77
    assert o.stat(f"{top}/a/d").st_mode & stat.S_ISGID


def test_access_asks_for_what_the_user_may(o, top, other):
    put(o, f"{top}/f", b"", 0o754)
    o.chown(f"{top}/f", 0, 50)
    with other(1000, 1000, (50,)) as user:
        assert user.access(f"{top}/f", user.F_OK)
        assert user.access(f"{top}/f", user.R_OK | user.X_OK)
        assert not user.access(f"{top}/f", user.W_OK)
        assert user.access(f"{top}/f", user.R_OK, effective_ids=True)
    assert not o.access(f"{top}/nothing", o.F_OK)


def test_a_foreign_user_may_set_times_to_now_if_it_may_write(o, top, other):
    put(o, f"{top}/f")
    o.chmod(f"{top}/f", 0o666)
    with other(1000, 1000) as user:
        user.utime(f"{top}/f")
        with fails(errno.EPERM):
            user.utime(f"{top}/f", (1, 1))
    o.chmod(f"{top}/f", 0o644)
    with other(1000, 1000) as user, fails(errno.EACCES):
        user.utime(f"{top}/f")


# --- extended attributes --------------------------------------------------------------------------


def test_xattrs_are_set_read_listed_and_removed(o, top):
    put(o, f"{top}/f")
    o.setxattr(f"{top}/f", "user.one", b"1")
    o.setxattr(f"{top}/f", b"user.two", b"\0\xff" * 500)
    assert o.getxattr(f"{top}/f", "user.one") == b"1"
    assert o.getxattr(f"{top}/f", "user.two") == b"\0\xff" * 500
    assert sorted(o.listxattr(f"{top}/f")) == ["user.one", "user.two"]
    o.removexattr(f"{top}/f", "user.one")
    assert o.listxattr(f"{top}/f") == ["user.two"]


def test_xattrs_work_on_descriptors_and_directories(o, top):
    with opened(o, top) as fd:
        o.setxattr(fd, "user.a", b"x")
        assert o.getxattr(fd, "user.a") == o.getxattr(top, "user.a") == b"x"
        assert o.listxattr(fd) == ["user.a"]
        o.removexattr(fd, "user.a")


def test_an_absent_xattr_is_ENODATA(o, top):
    with fails(errno.ENODATA, top):
        o.getxattr(top, "user.none")
    with fails(errno.ENODATA, top):
        o.removexattr(top, "user.none")


def test_XATTR_CREATE_and_XATTR_REPLACE_insist(o, top):
    with fails(errno.ENODATA):
        o.setxattr(top, "user.a", b"1", o.XATTR_REPLACE)
    o.setxattr(top, "user.a", b"1", o.XATTR_CREATE)
    with fails(errno.EEXIST):
        o.setxattr(top, "user.a", b"2", o.XATTR_CREATE)
    o.setxattr(top, "user.a", b"3", o.XATTR_REPLACE)
    assert o.getxattr(top, "user.a") == b"3"


def test_xattr_names_have_known_prefixes(o, top):
    for name in ("colour", "foo.bar"):
        with fails(errno.EOPNOTSUPP):
            o.setxattr(top, name, b"x")
    with fails(errno.ERANGE):
        o.setxattr(top, "user." + "n" * 251, b"x")
    with fails(errno.EINVAL):
        o.setxattr(top, "user.", b"x")


def test_links_have_no_user_xattrs(o, top):
    o.symlink("nowhere", f"{top}/l")
    with fails(errno.EPERM):
        o.setxattr(f"{top}/l", "user.a", b"x", follow_symlinks=False)
    assert o.listxattr(f"{top}/l", follow_symlinks=False) == []


def test_trusted_xattrs_are_for_root(o, top, other):
    put(o, f"{top}/f", b"", 0o666)
    o.setxattr(f"{top}/f", "trusted.a", b"x")
    o.setxattr(f"{top}/f", "user.b", b"y")
    assert sorted(o.listxattr(f"{top}/f")) == ["trusted.a", "user.b"]
    with other(1000, 1000) as user:
        assert user.listxattr(f"{top}/f") == ["user.b"]
        with fails(errno.ENODATA):
            user.getxattr(f"{top}/f", "trusted.a")
        with fails(errno.EPERM):
            user.setxattr(f"{top}/f", "trusted.b", b"x")


# --- the filesystem -------------------------------------------------------------------------------


def test_statvfs_gives_block_size_and_name_length(o, top):
    result = o.statvfs(top)
    assert result.f_bsize >= 512 and result.f_namemax == 255
    with opened(o, top) as fd:
        assert o.fstatvfs(fd).f_bsize == o.statvfs(fd).f_bsize == result.f_bsize
    with fails(errno.ENOENT, f"{top}/none"):
        o.statvfs(f"{top}/none")
