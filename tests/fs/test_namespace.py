"""Mounts: what covers what, as Linux does it; what is shared, what is busy, what goes when."""

import os

import pytest

from tests.fs.differential import same_on_both
from vfslab.fs.d_path import d_path
from vfslab.fs.mount import __lookup_mnt, real_mount
from vfslab.include.dcache import DCACHE_MOUNTED
from vfslab.include.fs import SB_RDONLY
from vfslab.include.mount import Mount
from vfslab.include.sched import Path
from vfslab.include.uapi.mount import MNT_DETACH, MS_BIND, MS_MOVE, MS_RDONLY, MS_REC, MS_REMOUNT, MS_UNBINDABLE

CLONE_NEWNS = 0x20000


def fails(name, function, *arguments):
    """Expect this error."""
    import errno

    with pytest.raises(OSError) as caught:
        function(*arguments)
    assert errno.errorcode[caught.value.errno] == name


def mounted(world, path):
    """Mount a new ramfs on a new directory; return its Mount."""
    world.p.mkdir(path)
    world.p.mount("none", path, "ramfs")
    return list(world.p.task.nsproxy.mnt_ns.mounts.values())[-1]


def touch(p, path):
    p.close(p.open(path, os.O_CREAT | os.O_WRONLY))


# --- random calls, Linux beside us ----------------------------------------------------------------

WEIGHTS = {
    "mkdir": 10,
    "rmdir": 3,
    "rename": 4,
    "mount": 6,
    "bind": 6,
    "rbind": 3,
    "move": 4,
    "bind_ro": 2,
    "bind_rw": 2,
}
WEIGHTS |= {
    "remount_ro": 1,
    "umount": 6,
    "lazy_umount": 3,
    "stat": 10,
    "chdir": 4,
    "getcwd": 3,
    "touch": 5,
    "listdir": 3,
}
WEIGHTS |= {"link": 2, "unlink": 2}


def random_path(rng):
    parts = [
        rng.choice("abcd") if rng.random() < 0.85 else rng.choice(["..", "."]) for _ in range(rng.choice([1, 1, 2, 3]))
    ]
    return ("/" if rng.random() < 0.5 else "") + "/".join(parts)


def random_calls(rng, length):
    script = []
    for call in rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=length):
        path = random_path(rng)
        arguments = {
            "getcwd": (),
            "link": (path, random_path(rng), False),
            **dict.fromkeys(("rename", "bind", "rbind", "move"), (path, random_path(rng))),
        }.get(call, (path,))
        script.append((call, arguments))
    return script


@pytest.mark.real
@pytest.mark.needs_root
@pytest.mark.parametrize("number", range(12))
def test_random_mounts_end_as_on_linux(rng, number):
    """Mounting on what was detached is EINVAL in 6.12, as here, and ENOENT in later kernels."""

    def forgive(theirs, mine):
        return theirs[0] in ("mount", "bind", "rbind", "move") and (theirs[2], mine[2]) == ("ENOENT", "EINVAL")

    same_on_both(random_calls(rng, 150), forgive=forgive)


# --- the tree of mounts ---------------------------------------------------------------------------


def test_M1_a_mount_is_found_by_its_parent_mount_and_the_dentry_it_covers(world):
    world.p.mkdir("/m")
    covered = world.dentry(b"/m")
    assert not covered.d_flags & DCACHE_MOUNTED
    world.p.mount("none", "/m", "ramfs")
    with world.inside() as kernel:
        root = world.p.task.fs.root.mnt
        mount = __lookup_mnt(root, covered)
        assert kernel.mount_hashtable[root, covered] is mount and mount.mnt_parent is real_mount(root)
    assert covered.d_flags & DCACHE_MOUNTED and world.dentry(b"/m") is mount.mnt.mnt_root
    world.p.umount("/m")
    assert not covered.d_flags & DCACHE_MOUNTED and world.dentry(b"/m") is covered


def test_the_covered_directory_is_hidden_and_shows_again(world):
    p = world.p
    p.mkdir("/m"), touch(p, "/m/below")
    p.mount("none", "/m", "ramfs")
    assert p.listdir("/m") == []
    touch(p, "/m/above")
    p.umount("/m")
    assert p.listdir("/m") == ["below"]


def test_mounts_stack_and_come_off_in_the_opposite_order(world):
    p = world.p
    p.mkdir("/m")
    for name in ("one", "two", "three"):
        p.mount("none", "/m", "ramfs")
        touch(p, f"/m/{name}")
    for name in ("three", "two", "one"):
        assert p.listdir("/m") == [name]
        assert p.stat("/m/..").st_ino == p.stat("/").st_ino
        p.umount("/m")
    assert p.listdir("/m") == []


def test_a_bind_mount_shows_a_part_and_what_is_mounted_in_it_only_with_rec(world):
    p = world.p
    p.makedirs("/a/b"), p.mkdir("/x"), p.mkdir("/y")
    p.mount("none", "/a/b", "ramfs"), touch(p, "/a/b/f")
    p.mount("/a", "/x", "", MS_BIND)
    p.mount("/a", "/y", "", MS_BIND | MS_REC)
    assert p.listdir("/x/b") == [] and p.listdir("/y/b") == ["f"]
    assert world.dentry(b"/a") is world.dentry(b"/x") is world.dentry(b"/y")
    fails("EBUSY", p.umount, "/y")
    p.umount("/y/b"), p.umount("/y"), p.umount("/x")


def test_one_mount_can_be_read_only_where_another_of_the_same_filesystem_is_not(world):
    p = world.p
    p.mkdir("/a"), p.mkdir("/ro")
    p.mount("/a", "/ro", "", MS_BIND)
    p.mount("none", "/ro", "", MS_REMOUNT | MS_BIND | MS_RDONLY)
    touch(p, "/a/f")
    fails("EROFS", p.open, "/ro/f", os.O_WRONLY)
    fails("EROFS", p.unlink, "/ro/f")
    assert not world.dentry(b"/ro").d_sb.s_flags & SB_RDONLY


def test_a_file_covers_a_file_and_a_directory_a_directory(world):
    p = world.p
    p.mkdir("/d"), touch(p, "/f"), touch(p, "/g")
    fails("ENOTDIR", p.mount, "/f", "/d", "", MS_BIND)
    fails("ENOTDIR", p.mount, "/d", "/f", "", MS_BIND)
    p.mount("/f", "/g", "", MS_BIND)
    assert p.stat("/g").st_ino == p.stat("/f").st_ino
    fails("EBUSY", p.unlink, "/g")
    fails("EBUSY", p.rename, "/g", "/h")
    p.umount("/g")
    p.unlink("/g")


def test_an_unbindable_mount_is_not_bound(world):
    p = world.p
    mounted(world, "/m")
    p.mkdir("/x")
    p.mount("none", "/m", "", MS_UNBINDABLE)
    fails("EINVAL", p.mount, "/m", "/x", "", MS_BIND)


def test_a_mount_moves_with_all_below_it_but_not_into_itself(world):
    p = world.p
    mounted(world, "/m"), mounted(world, "/m/n"), touch(p, "/m/n/f")
    p.mkdir("/x")
    fails("ELOOP", p.mount, "/m", "/m/n", "", MS_MOVE)
    p.mount("/m", "/x", "", MS_MOVE)
    assert p.listdir("/x/n") == ["f"] and p.listdir("/m") == []


def test_T3_a_used_mount_is_busy_until_it_is_detached_lazily(world):
    p = world.p
    mount = mounted(world, "/m")
    fd = p.open("/m/f", os.O_CREAT | os.O_RDWR)
    fails("EBUSY", p.umount, "/m")
    p.umount("/m", MNT_DETACH)
    assert mount.mnt_ns is None and mount.mnt_parent is mount and p.listdir("/m") == []
    p.write(fd, b"still written")
    assert p.pread(fd, 5, 0) == b"still"
    alive = world.alive(Mount)
    p.close(fd)
    assert world.alive(Mount) == alive - 1


def test_a_mountpoint_keeps_its_name(world):
    p = world.p
    mounted(world, "/m")
    fails("EBUSY", p.rmdir, "/m")
    fails("EBUSY", p.rename, "/m", "/n")
    p.umount("/m")
    p.rename("/m", "/n")


def test_only_who_may_administer_mounts(world):
    user = world.machine.process(1000, 1000)
    world.p.mkdir("/m")
    fails("EPERM", user.mount, "none", "/m", "ramfs")
    fails("ENOENT", user.mount, "none", "/nowhere", "ramfs")
    world.p.mount("none", "/m", "ramfs")
    fails("EPERM", user.umount, "/m")


def test_what_is_no_mount_cannot_be_unmounted(world):
    world.p.mkdir("/d")
    fails("EINVAL", world.p.umount, "/d")
    fails("ENOENT", world.p.umount, "/none")


# --- namespaces and roots -------------------------------------------------------------------------


def test_in_a_namespace_of_its_own_a_task_mounts_for_itself(world):
    p, other = world.p, world.machine.process()
    p.mkdir("/m")
    other.unshare(CLONE_NEWNS)
    other.mount("none", "/m", "ramfs")
    touch(other, "/m/f")
    assert other.listdir("/m") == ["f"] and p.listdir("/m") == []
    p.rmdir("/m")  # no mountpoint of ours: the other's mount goes with the name
    fails("ENOENT", other.stat, "/m/f")
    other.exit()


def test_a_namespace_ends_with_its_last_task(world):
    other = world.machine.process()
    mounted(world, "/m")
    before = world.alive(Mount)
    other.unshare(CLONE_NEWNS)
    assert world.alive(Mount) > before
    other.exit()
    assert world.alive(Mount) == before
    world.p.umount("/m")


def test_P4_a_chrooted_task_does_not_see_above_its_root(world):
    p, caged = world.p, world.machine.process()
    p.makedirs("/cage/d"), touch(p, "/secret"), p.symlink("/secret", "/cage/l")
    p.mkdir("/cage/m"), p.mount("none", "/cage/m", "ramfs"), p.mkdir("/cage/m/x")
    caged.chroot("/cage"), caged.chdir("/")
    assert sorted(caged.listdir("/../../..")) == ["d", "l", "m"]
    fails("ENOENT", caged.stat, "/l")
    caged.chdir("/m/x")
    assert caged.getcwd() == "/m/x" and caged.stat("../..").st_ino == p.stat("/cage").st_ino
    with world.inside(caged):
        pwd = caged.task.fs.pwd
        assert d_path(Path(pwd.mnt, pwd.dentry)) == b"/m/x"
    with world.inside(p):
        assert d_path(Path(pwd.mnt, pwd.dentry)) == b"/cage/m/x"
    caged.exit()


def test_a_working_directory_outside_of_the_root_is_unreachable(world):
    p = world.p
    p.makedirs("/a/b"), p.chdir("/a"), p.chroot("/a/b")
    fails("ENOENT", p.getcwd)  # as glibc has it; the system call says "(unreachable)/a"
    with world.inside() as kernel:
        assert kernel.sys_call_table["getcwd"]() == b"(unreachable)/a"


def test_a_removed_file_is_shown_as_deleted(world):
    p = world.p
    fd = p.open("/f", os.O_CREAT | os.O_RDWR)
    p.unlink("/f")
    with world.inside():
        assert d_path(p.task.files.fdt[fd].f_path) == b"/f (deleted)"
    p.close(fd)


def test_proc_mounts_tells_what_is_mounted_where(world):
    p = world.p
    p.mkdir("/a b")
    p.mount("my source", "/a b", "ramfs", "ro,nosuid,noatime")
    with world.inside() as kernel:
        lines = kernel.sys_call_table["proc_mounts"]().splitlines()
    assert lines[0].startswith(b"rootfs / ramfs rw")
    assert lines[-1] == b"my\\040source /a\\040b ramfs ro,nosuid,noatime 0 0"
