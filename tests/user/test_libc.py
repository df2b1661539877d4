"""A process: the names of os, its own constants, and what os lacks."""

import errno
import os
import stat
import threading

import pytest

import vfslab
from tests.conformance.conftest import fails
from vfslab.user import abi


@pytest.fixture
def kernel():
    with vfslab.boot() as kernel:
        yield kernel


@pytest.fixture
def p(kernel):
    return kernel.process()


def put(p, path, data=b""):
    fd = p.open(path, p.O_WRONLY | p.O_CREAT | p.O_TRUNC, 0o644)
    p.write(fd, data)
    p.close(fd)


NAMES_OF_OS = """open read pread readv preadv write pwrite writev pwritev lseek close closerange dup dup2 stat lstat fstat
statvfs fstatvfs access listdir scandir mkdir makedirs rmdir removedirs unlink remove rename renames replace link symlink
readlink chmod fchmod chown lchown fchown utime truncate ftruncate mknod mkfifo chdir fchdir getcwd getcwdb chroot umask
sync fsync fdatasync posix_fallocate getxattr setxattr listxattr removexattr copy_file_range sendfile fork walk fsencode
fsdecode fspath path stat_result DirEntry get_inheritable set_inheritable get_blocking set_blocking isatty makedev major
minor getpid getuid geteuid getgid getegid getgroups O_RDONLY O_CREAT O_EXCL O_DIRECTORY O_NOFOLLOW O_PATH SEEK_SET
SEEK_DATA SEEK_HOLE F_OK R_OK W_OK X_OK""".split()


def test_a_process_has_the_names_of_os(p):
    assert [name for name in NAMES_OF_OS if not hasattr(p, name)] == []
    assert [name for name in NAMES_OF_OS if not hasattr(os, name)] == []


def test_a_process_has_the_hosts_constants(p):
    for name in NAMES_OF_OS:
        if name.isupper():
            assert getattr(p, name) == getattr(os, name)
    with pytest.raises(AttributeError):
        p.O_NONSENSE  # noqa: B018


def test_flags_of_a_host_with_other_numbers_are_translated(monkeypatch):
    arm64 = {"O_DIRECTORY": 0o40000, "O_NOFOLLOW": 0o100000, "O_DIRECT": 0o200000}
    for name, number in arm64.items():
        monkeypatch.setattr(os, name, number)
    monkeypatch.setattr(abi, "TRANSLATIONS", abi.translations())
    assert abi.open_flags(arm64["O_DIRECTORY"] | os.O_CREAT) == 0o200000 | 0o100
    assert abi.open_flags(arm64["O_NOFOLLOW"] | os.O_WRONLY) == 0o400001
    assert abi.open_flags(arm64["O_DIRECT"]) == 0o40000


def test_flags_that_a_host_lacks_have_numbers_of_their_own(monkeypatch):
    monkeypatch.delattr(os, "O_PATH")
    number = abi.host_flag("O_PATH")
    assert number > 1 << 31
    monkeypatch.setattr(abi, "TRANSLATIONS", abi.translations())
    assert abi.open_flags(number | os.O_CLOEXEC) == 0o12000000


def test_a_stat_result_is_the_same_by_position_and_by_name():
    class Stat:
        mode, ino, dev, nlink, uid, gid, size, rdev, blksize, blocks = 0o100644, 2, 3, 4, 5, 6, 7, 8, 4096, 16
        atime_sec, atime_nsec, mtime_sec, mtime_nsec, ctime_sec, ctime_nsec = -1, 999_999_999, 1, 1, 2, 500_000_000
        atime, mtime, ctime = -1, 1_000_000_001, 2_500_000_000

    one, other = abi.stat_result(Stat), abi.stat_result_by_name(Stat)
    for name in dir(one):
        if name.startswith("st_"):
            assert getattr(one, name) == getattr(other, name), name
    assert tuple(one) == tuple(other)


def test_errors_are_those_of_the_host(p):
    with pytest.raises(FileNotFoundError) as caught:
        p.stat("/none")
    assert caught.value.args == (errno.ENOENT, os.strerror(errno.ENOENT))
    assert caught.value.filename == "/none"
    assert not isinstance(caught.value, vfslab.KernelError)


def test_openat2_limits_the_walk(p):
    p.makedirs("/a/b")
    put(p, "/a/f")
    p.symlink("/a/f", "/a/absolute")
    p.symlink("f", "/a/l")
    with_dir = {"dir_fd": p.open("/a", p.O_PATH)}
    p.close(p.openat2("b/../f", p.O_RDONLY, resolve=p.RESOLVE_BENEATH, **with_dir))
    p.close(p.openat2("../f", p.O_RDONLY, resolve=p.RESOLVE_IN_ROOT, **with_dir))
    for path, resolve, number in (
        ("../a/f", p.RESOLVE_BENEATH, errno.EXDEV),
        ("absolute", p.RESOLVE_BENEATH, errno.EXDEV),
        ("l", p.RESOLVE_NO_SYMLINKS, errno.ELOOP),
        ("/dev/null", p.RESOLVE_NO_XDEV, errno.EXDEV),
        ("f", 1 << 20, errno.EINVAL),
        ("f", p.RESOLVE_BENEATH | p.RESOLVE_IN_ROOT, errno.EINVAL),
    ):
        with fails(number):
            p.openat2(path, p.O_RDONLY, resolve=resolve, **with_dir)
    with fails(errno.EINVAL):
        p.openat2("/a/f", 1 << 30)
    with fails(errno.EINVAL):
        p.openat2("/a/f", p.O_RDONLY, 0o644)


def test_renameat2_refuses_to_replace_or_exchanges(p):
    put(p, "/f", b"f")
    p.mkdir("/d")
    with fails(errno.EEXIST):
        p.renameat2("/f", "/d", p.RENAME_NOREPLACE)
    p.renameat2("/f", "/d", p.RENAME_EXCHANGE)
    assert p.path.isdir("/f") and p.path.isfile("/d")
    with fails(errno.ENOENT):
        p.renameat2("/f", "/none", p.RENAME_EXCHANGE)


def test_getdents64_gives_cookies_from_which_reading_goes_on(p):
    p.mkdir("/d")
    for number in range(50):
        put(p, f"/d/{number:02}")
    fd = p.open("/d", p.O_RDONLY)
    everything = p.getdents64(fd)
    assert p.getdents64(fd) == []
    assert {name for *_, name in everything} >= {b".", b"..", b"00", b"49"}
    assert {d_type for *_, d_type, name in everything if name.isdigit()} == {8}
    for index in (0, 1, 2, 17, 50):
        p.lseek(fd, everything[index][1], p.SEEK_SET)
        assert p.getdents64(fd) == everything[index + 1 :]
    p.lseek(fd, 0, p.SEEK_SET)
    piecewise = []
    while piece := p.getdents64(fd, 100):
        assert sum(20 + len(name) for *_, name in piece) <= 100
        piecewise += piece
    assert piecewise == everything
    p.lseek(fd, 0, p.SEEK_SET)
    with fails(errno.EINVAL):
        p.getdents64(fd, 10)


def test_statx_gives_the_kernels_view(p):
    put(p, "/f", b"text")
    stat_of = p.statx("/f")
    assert (stat_of.size, stat_of.mode) == (4, stat.S_IFREG | 0o644)
    fd = p.open("/f", p.O_RDONLY)
    assert p.statx("", p.AT_EMPTY_PATH, dir_fd=fd).ino == stat_of.ino
    with fails(errno.EINVAL):
        p.statx("/f", 1 << 30)


def test_fallocate_punches_holes(p):
    put(p, "/f", b"x" * 20480)
    fd = p.open("/f", p.O_RDWR)
    p.fallocate(fd, 3, 4096, 8192)
    assert p.pread(fd, 20480, 0) == b"x" * 4096 + bytes(8192) + b"x" * 8192
    assert (p.lseek(fd, 0, p.SEEK_HOLE), p.lseek(fd, 4096, p.SEEK_DATA)) == (4096, 12288)
    assert p.fstat(fd).st_blocks == 24
    p.fallocate(fd, 1, 20480, 4096)
    assert p.fstat(fd).st_size == 20480
    with fails(errno.EOPNOTSUPP):
        p.fallocate(fd, 2, 0, 10)


def test_a_child_shares_open_files_and_nothing_else(p):
    put(p, "/f", b"0123456789")
    p.mkdir("/d")
    fd = p.open("/f", p.O_RDONLY)
    child = p.fork()
    assert child.getpid() != p.getpid()
    assert (p.read(fd, 3), child.read(fd, 3)) == (b"012", b"345")
    child.chdir("/d")
    child.umask(0o077)
    assert (p.getcwd(), child.getcwd(), p.umask(0o022)) == ("/", "/d", 0o022)
    p.close(fd)
    assert child.read(fd, 3) == b"678"
    own = child.open("/f", p.O_RDONLY)
    with fails(errno.EBADF):
        p.fstat(own)
    child.exit()
    child.exit()
    with pytest.raises(Exception):  # noqa: B017  (whatever it is, it must not be silence)
        child.fstat(own)


def test_chroot_keeps_a_process_below_its_root(p):
    p.makedirs("/jail/inner")
    put(p, "/secret")
    p.chroot("/jail")
    p.chdir("/")
    assert p.listdir("/") == ["inner"]
    assert p.listdir("/../../..") == ["inner"]
    with fails(errno.ENOENT):
        p.stat("/secret")


def test_chroot_is_for_root_alone(kernel, p):
    p.mkdir("/jail")
    with fails(errno.EPERM):
        kernel.process(uid=1000, gid=1000).chroot("/jail")


def test_O_DIRECT_is_refused_where_there_is_nothing_to_bypass(p):
    put(p, "/f")
    with fails(errno.EINVAL):
        p.open("/f", p.O_RDONLY | p.O_DIRECT)


def test_devices_are_made_and_opened_by_their_numbers(p):
    p.mknod("/null", stat.S_IFCHR | 0o666, p.makedev(1, 3))
    assert p.stat("/null").st_rdev == os.makedev(1, 3)
    fd = p.open("/null", p.O_RDWR)
    assert (p.write(fd, b"gone"), p.read(fd, 10)) == (4, b"")
    p.mknod("/nothing", stat.S_IFCHR | 0o666, p.makedev(200, 1))
    with fails(errno.ENXIO):
        p.open("/nothing", p.O_RDWR)


def test_users_cannot_make_devices(kernel, p):
    p.mkdir("/d")
    p.chmod("/d", 0o777)
    with fails(errno.EPERM):
        kernel.process(uid=1000).mknod("/d/null", stat.S_IFCHR | 0o666, 0x103)


def test_preadv_and_pwritev_take_flags(p):
    put(p, "/f", b"0123456789")
    fd = p.open("/f", p.O_RDWR)
    assert p.pwritev(fd, [b"ab"], 0, 0x10) == 2  # RWF_APPEND
    assert p.pread(fd, 20, 0) == b"0123456789ab"
    buffer = bytearray(4)
    assert p.preadv(fd, [buffer], 8, 0x1) == 4
    assert buffer == b"89ab"
    with fails(errno.EOPNOTSUPP):
        p.preadv(fd, [buffer], 0, 1 << 20)


def test_two_kernels_share_nothing():
    with vfslab.boot() as one, vfslab.boot() as other:
        p, q = one.process(), other.process()
        p.mkdir("/only here")
        assert q.listdir("/") == ["dev"]
        put(q, "/f", b"q")
        put(p, "/f", b"p")
        fd, gd = p.open("/f", os.O_RDONLY), q.open("/f", os.O_RDONLY)
        assert (p.read(fd, 1), q.read(gd, 1)) == (b"p", b"q")


def test_threads_share_a_kernel_by_turns(kernel):
    errors = []

    def work(number):
        try:
            p = kernel.process()
            p.mkdir(f"/{number}")
            for round_ in range(150):
                put(p, f"/{number}/f", bytes([number]) * 1000)
                p.rename(f"/{number}/f", f"/{number}/g{round_ % 7}")
                assert p.stat(f"/{number}/g{round_ % 7}").st_size == 1000
            assert len(p.listdir(f"/{number}")) == 7
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_memory_that_is_used_up_is_ENOSPC():
    with vfslab.boot(memory=4 << 20) as kernel:
        p = kernel.process()
        fd = p.open("/f", p.O_RDWR | p.O_CREAT)
        with fails(errno.ENOSPC):
            for _ in range(100):
                p.write(fd, bytes(1 << 20))
        p.ftruncate(fd, 0)
        assert p.write(fd, b"again") == 5


@pytest.mark.parametrize("platform", ["linux", "emscripten"])
def test_an_error_has_the_words_of_linux_on_every_host(platform, monkeypatch):
    monkeypatch.setattr(abi.sys, "platform", platform)
    for number in (2, 5, 20, 40, 74, 117):
        with pytest.raises(OSError) as raised:
            abi.raise_error(-number)
        assert raised.value.strerror == os.strerror(number)
