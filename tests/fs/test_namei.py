"""Path walk and the calls that change directories: as Linux does it, and true at every step."""

import errno
import os
import sys

import pytest

import vfslab
from tests.fs.differential import same_on_both
from tests.fs.testfs import Disk, register
from vfslab.fs import namei
from vfslab.fs.dcache import shrink_dcache_sb
from vfslab.include.dcache import DCACHE_OP_REVALIDATE, DentryOperations
from vfslab.include.namei import LOOKUP_FOLLOW, MAXSYMLINKS
from vfslab.include.uapi.fcntl import (
    AT_FDCWD,
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    RESOLVE_BENEATH,
    RESOLVE_CACHED,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
)
from vfslab.kernel.errno import EIO


def fails(name, function, *arguments, **named):
    """Expect this error."""
    with pytest.raises(OSError) as caught:
        function(*arguments, **named)
    assert errno.errorcode[caught.value.errno] == name


# --- random calls, Linux beside us ----------------------------------------------------------------

NAMES = ["a", "b", "c", "l", "m"]
MODES = [0o777, 0o755, 0o700, 0o311, 0o1777, 0o2775]
OPEN_BITS = (
    (os.O_CREAT, 0.5),
    (os.O_EXCL, 0.2),
    (os.O_DIRECTORY, 0.1),
    (os.O_NOFOLLOW, 0.15),
    (os.O_TRUNC, 0.15),
    (os.O_PATH, 0.1),
    (os.O_NOATIME, 0.05),
)
RESOLVE = [0, RESOLVE_NO_XDEV, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_BENEATH | RESOLVE_NO_XDEV]
WEIGHTS = {"mkdir": 14, "symlink": 12, "rename": 9, "renameat2": 9, "open": 14, "openat2": 7, "stat": 8, "lstat": 6}
WEIGHTS |= {"link": 6, "unlink": 5, "rmdir": 5, "readlink": 3, "listdir": 4, "chdir": 4, "getcwd": 3, "access": 3}
WEIGHTS |= {"chmod": 3, "socket": 2, "device": 1}


def random_path(rng):
    odd = ["..", "..", ".", "", "n" * 255, "n" * 256]
    parts = [
        rng.choice(NAMES) if rng.random() < 0.8 else rng.choice(odd) for _ in range(rng.choice([1, 1, 2, 2, 3, 4]))
    ]
    return ("/" if rng.random() < 0.3 else "") + "/".join(parts) + ("/" if rng.random() < 0.15 else "")


def random_open_flags(rng):
    flags = rng.choice([os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
    for bit, chance in OPEN_BITS:
        if rng.random() < chance:
            flags |= bit
    return flags


def random_calls(rng, length):
    script = []
    for call in rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=length):
        path = random_path(rng)
        arguments = {
            "mkdir": lambda path: (path, rng.choice(MODES)),
            "chmod": lambda path: (path, rng.choice([0o777, 0, 0o700, 0o1777, 0o111, 0o666])),
            "symlink": lambda path: (random_path(rng), path),
            "rename": lambda path: (path, random_path(rng)),
            "renameat2": lambda path: (
                path,
                random_path(rng),
                rng.choice([0, 1, RENAME_EXCHANGE, RENAME_NOREPLACE, 3, 8]),
            ),
            "link": lambda path: (path, random_path(rng), rng.random() < 0.5),
            "open": lambda path: (path, random_open_flags(rng), rng.choice([0o666, 0o600, 0o444, 0])),
            "openat2": lambda path: (
                path,
                rng.choice([os.O_RDONLY, os.O_PATH, os.O_RDWR | os.O_CREAT]),
                rng.choice(RESOLVE),
                rng.choice(["", "a"]),
            ),
            "access": lambda path: (path, rng.choice([0, 1, 2, 4, 7])),
            "getcwd": lambda path: (),
        }.get(call, lambda path: (path,))(path)
        script.append((call, arguments))
    return script


@pytest.mark.real
@pytest.mark.needs_root
@pytest.mark.parametrize("number", range(12))
def test_random_calls_end_as_on_linux(rng, number):
    same_on_both(random_calls(rng, 200), uid=0 if number % 3 else 1000)


# --- symbolic links -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["last", "middle", "absolute"])
def test_forty_links_are_followed_and_not_forty_one(world, kind):
    p = world.p
    p.mkdir("/d")
    p.symlink("/d" if kind == "absolute" else "d", "/l1")
    for i in range(2, MAXSYMLINKS + 2):
        p.symlink(f"l{i - 1}" if kind != "absolute" else f"/l{i - 1}", f"/l{i}")
    tail = "/." if kind == "middle" else ""
    assert p.stat(f"/l{MAXSYMLINKS}{tail}").st_ino == p.stat("/d").st_ino
    fails("ELOOP", p.stat, f"/l{MAXSYMLINKS + 1}{tail}")


def test_a_link_to_itself_is_ELOOP(world):
    world.p.symlink("self", "/self")
    fails("ELOOP", world.p.stat, "/self")
    fails("ELOOP", world.p.open, "/self/x", os.O_RDONLY)


def test_O1_exclusive_creation_follows_no_dangling_link_and_plain_creation_does(world):
    p = world.p
    p.symlink("target", "/dangling")
    fails("EEXIST", p.open, "/dangling", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    fails("ENOENT", p.stat, "/target")
    p.close(p.open("/dangling", os.O_CREAT | os.O_WRONLY))
    assert p.lstat("/target").st_ino == p.stat("/dangling").st_ino


def test_a_trailing_slash_wants_a_directory(world):
    p = world.p
    p.mkdir("/d"), p.symlink("d", "/l"), p.close(p.open("/f", os.O_CREAT | os.O_WRONLY))
    assert p.lstat("/l/").st_ino == p.stat("/d").st_ino
    fails("ENOTDIR", p.stat, "/f/")
    fails("EISDIR", p.open, "/new/", os.O_CREAT | os.O_WRONLY)
    p.mkdir("/new/")
    fails("ENOENT", p.symlink, "x", "/other/")


# --- RESOLVE_CACHED -------------------------------------------------------------------------------


def test_cached_resolution_answers_from_the_cache_or_not_at_all(world):
    disk, p = Disk({b"d": {b"f": b"x"}}), world.p
    with world.inside() as kernel:
        register(kernel, disk)
    p.mkdir("/mnt"), p.mount("none", "/mnt", "testfs")

    def cached(path):
        p.close(p.openat2(path, os.O_PATH, 0, RESOLVE_CACHED))

    fails("EAGAIN", cached, "/mnt/d/f")
    assert disk.looked_up == []
    p.stat("/mnt/d/f")
    cached("/mnt/d/f")
    fails("EAGAIN", cached, "/mnt/d/none")
    fails("ENOENT", p.stat, "/mnt/d/none")
    fails("ENOENT", cached, "/mnt/d/none")  # the negative dentry knows
    with world.inside():
        shrink_dcache_sb(kernel.super_blocks[-1])
    fails("EAGAIN", cached, "/mnt/d/f")


# --- the walk, seen from outside ------------------------------------------------------------------


def watch_walk(world, path, look):
    """Walk path as the process, and call look(nd, function name) at every line of fs/namei.py that runs."""

    def line(frame, event, arg):
        nd = world.p.task.nameidata
        if event == "line" and nd is not None:
            look(nd, frame.f_code.co_name)
        return line

    def call(frame, event, arg):
        return line if frame.f_code.co_filename == namei.__file__ else None

    with world.inside():
        sys.settrace(call)
        try:
            place = namei.user_path_at(AT_FDCWD, path, LOOKUP_FOLLOW)
        finally:
            sys.settrace(None)
        namei.path_put(place)
    return place


def a_tree(p):
    p.makedirs("/a/b/c"), p.symlink("b/./c", "/a/l"), p.symlink("/a/l", "/abs"), p.mkdir("/m")
    p.close(p.open("/a/b/c/f", os.O_CREAT | os.O_WRONLY))
    p.mount("none", "/m", "ramfs", 0)
    p.makedirs("/m/x/y")
    p.symlink("../../abs/f", "/m/x/out")
    return b"//a/./l/../../b/../../m/x/y/../out"


def test_P2_the_place_is_held_and_last_and_remaining_are_true_at_every_line(world):
    path = a_tree(world.p)
    steps = []

    def look(nd, function):
        if nd.path is not None:
            assert nd.path.dentry.d_count > 0 and nd.path.mnt._container.mnt_count > 0
            if function not in ("step_into", "step_onto_mount"):  # they move path and inode in two lines
                assert nd.inode is nd.path.dentry.d_inode or function in ("move_to", "set_path")
        assert nd.depth == len(nd.stack) or function in ("pick_link", "put_links", "terminate_walk")
        for saved in nd.stack:
            assert saved.link.dentry.d_count > 0 and saved.link.dentry.d_inode is saved.inode
        if function in ("lookup_fast", "handle_dots"):
            rest = [name for saved in [*reversed(nd.stack)] for name in reversed(saved.name)]
            step = (nd.last, b"/".join([*reversed(nd.remaining), *rest]))
            if steps[-1:] != [step]:
                steps.append(step)

    place = watch_walk(world, path, look)
    assert place.dentry.d_name == b"f"
    assert steps[:5] == [
        (b"a", b"./l/../../b/../../m/x/y/../out"),
        (b".", b"l/../../b/../../m/x/y/../out"),
        (b"l", b"../../b/../../m/x/y/../out"),
        (b"b", b"./c/../../b/../../m/x/y/../out"),
        (b".", b"c/../../b/../../m/x/y/../out"),
    ]
    assert [last for last, _ in steps] == (b"a . l b . c .. .. b .. .. m x y .. out .. .. abs a l b . c f".split())


def test_P2_the_stack_holds_the_links_whose_text_goes_on(world):
    p = world.p
    p.makedirs("/a/b/c/d/e")
    p.symlink("a/l2/d", "/l1"), p.symlink("b/c", "/a/l2")
    seen = []
    watch_walk(
        world,
        b"/l1/e",
        lambda nd, function: (
            seen.append((nd.last, nd.depth, nd.total_link_count)) if function == "lookup_fast" else None
        ),
    )
    assert list(dict.fromkeys(seen)) == [
        (b"l1", 0, 0),
        (b"a", 1, 1),
        (b"l2", 1, 1),
        (b"b", 2, 2),
        (b"c", 1, 2),  # the last component of l2's text: l2 has been left
        (b"d", 0, 2),
        (b"e", 0, 2),
    ]


def test_P5_a_failed_walk_gives_everything_back_wherever_it_fails(world):
    p = world.p
    a_tree(p)
    p.symlink("loop", "/loop")
    for path in (b"/a/l/f/g", b"/abs/none/x", b"/m/x/out/z", b"/loop", b"/a/loop/x", b"/m/../none/y", b"/abs/f/"):
        with pytest.raises(OSError):
            p.stat(path)
    # the fixture recounts every reference


def test_a_walk_of_cached_names_takes_no_lock(world):
    a_tree(world.p)
    world.p.stat("/abs/f")
    watch_walk(world, b"/abs/f", lambda nd, function: world.p.task.held == [] or pytest.fail(function))


def test_a_path_of_4095_bytes_is_walked_and_a_longer_one_is_not(world):
    p = world.p
    p.mkdir("/d")
    longest = b"/d" + b"/." * 2046
    assert len(longest) == 4094 and p.stat(longest + b"/").st_ino == p.stat("/d").st_ino
    fails("ENAMETOOLONG", p.stat, longest + b"/.")


# --- changing directories -------------------------------------------------------------------------


def test_E2_a_removed_working_directory_takes_no_names_and_has_no_path(world):
    p = world.p
    p.mkdir("/d"), p.chdir("/d"), p.rmdir("/d")
    fails("ENOENT", p.mkdir, "x")
    fails("ENOENT", p.open, "x", os.O_CREAT | os.O_WRONLY)
    fails("ENOENT", p.getcwd)
    assert p.stat("..").st_ino == p.stat("/").st_ino


def test_E3_a_directory_cannot_be_moved_below_itself(world):
    p = world.p
    p.makedirs("/a/b/c")
    fails("EINVAL", p.rename, "/a", "/a/b/c/d")
    fails("ENOTEMPTY", p.rename, "/a/b/c", "/a")
    fails("EINVAL", p.renameat2, "/a/b/c", "/a", RENAME_EXCHANGE)
    assert p.stat("/a/b/c")


def test_E4_in_a_sticky_directory_only_owners_remove(world):
    p = world.p
    p.mkdir("/tmp"), p.chmod("/tmp", 0o1777)
    one, other = world.machine.process(1, 1), world.machine.process(2, 2)
    one.close(one.open("/tmp/f", os.O_CREAT | os.O_WRONLY, 0o666))
    fails("EPERM", other.unlink, "/tmp/f")
    fails("EPERM", other.rename, "/tmp/f", "/tmp/g")
    one.rename("/tmp/f", "/tmp/g")
    p.unlink("/tmp/g")


def test_rename_locks_the_ancestor_first_and_leaves_no_lock(world):
    p = world.p
    p.makedirs("/a/b"), p.mkdir("/a/x"), p.mkdir("/a/b/y")
    p.rename("/a/x", "/a/b/x")
    p.rename("/a/b/x", "/a/x")
    p.renameat2("/a/x", "/a/b/y", RENAME_EXCHANGE)
    assert p.task.held == []
    assert p.listdir("/a/b") == ["y"] and sorted(p.listdir("/a")) == ["b", "x"]
    assert ("i_rwsem", "s_vfs_rename_mutex") not in world.kernel.lock_order


def test_a_file_can_be_opened_by_an_empty_path(world):
    p = world.p
    p.mkdir("/d")
    fd = p.open("/d", os.O_PATH)
    fails("ENOENT", p.stat, "")
    assert p.fstat(fd).st_ino == p.stat("/d").st_ino
    p.close(fd)


def test_a_revalidation_that_fails_is_an_error_and_the_name_stays():
    with vfslab.boot() as k:
        p = k.process()
        p.mkdir("/a")
        root = p.task.fs.root.dentry
        dentry = root.d_children[b"a"]
        asked = []

        def cannot_tell(dentry, flags):
            asked.append(dentry.d_name)
            raise EIO(dentry.d_name)

        old = dentry.d_op, dentry.d_flags
        dentry.d_op = DentryOperations(d_revalidate=cannot_tell)
        dentry.d_flags |= DCACHE_OP_REVALIDATE
        with pytest.raises(OSError) as caught:
            p.stat("/a")
        assert caught.value.errno == errno.EIO and asked == [b"a"]
        dentry.d_op, dentry.d_flags = old
        assert root.d_children[b"a"] is dentry
        assert p.stat("/a").st_nlink == 2
