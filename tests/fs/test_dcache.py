"""The dentry cache: what it remembers, what it keeps, and what it lets go."""

import os

import pytest

import vfslab
from tests.fs.testfs import Disk, register
from tests.fs.world import World
from vfslab.fs.dcache import (
    d_aliases,
    d_alloc,
    d_exchange,
    d_lookup,
    d_unhashed,
    d_walk,
    dget,
    dput,
    prune_dcache_sb,
    shrink_dcache_parent,
    shrink_dcache_sb,
)
from vfslab.include.dcache import DCACHE_LRU_LIST, DCACHE_REFERENCED, Dentry
from vfslab.lib.kstruct import KernelBug, UseAfterFree


def mount(world, tree, **kinds):
    """Mount a make-believe disk with this tree on /mnt; return the disk and the superblock."""
    disk = Disk(tree)
    with world.inside() as kernel:
        register(kernel, disk, **kinds)
    world.p.mkdir("/mnt")
    world.p.mount("none", "/mnt", "testfs")
    return disk, world.kernel.super_blocks[-1]


def exists(p, path):
    return p.access(path, os.F_OK)


def test_D1_a_looked_up_name_is_found_under_its_parent_and_name(world):
    disk, sb = mount(world, {b"a": {b"b": b"x"}})
    world.p.stat("/mnt/a/b")
    for dentry in d_walk(sb.s_root):
        assert dentry.d_parent.d_children[dentry.d_name] is dentry
        with world.inside():
            assert d_lookup(dentry.d_parent, dentry.d_name) is dentry
            dput(dentry)
    assert [dentry.d_name for dentry in d_walk(sb.s_root)] == [b"a", b"b"]


def test_the_second_walk_asks_the_disk_nothing(world):
    disk, _ = mount(world, {b"a": {b"b": b"x"}})
    world.p.stat("/mnt/a/b")
    assert disk.looked_up == [b"a", b"b"]
    world.p.stat("/mnt/a/b")
    assert disk.looked_up == [b"a", b"b"]


def test_a_negative_dentry_remembers_that_a_name_is_absent(world):
    disk, sb = mount(world, {b"a": {}})
    for _ in range(3):
        assert not exists(world.p, "/mnt/a/none")
    assert disk.looked_up == [b"a", b"none"]
    assert [dentry.d_inode for dentry in d_walk(sb.s_root)][1:] == [None]


def test_D2_a_busy_child_pins_its_parents(world):
    disk, sb = mount(world, {b"a": {b"b": {b"c": b"x"}, b"d": b"y"}})
    fd = world.p.open("/mnt/a/b/c", os.O_RDONLY)
    world.p.stat("/mnt/a/d")
    with world.inside():
        shrink_dcache_sb(sb)
    assert [dentry.d_name for dentry in d_walk(sb.s_root)] == [b"a", b"b", b"c"]
    world.p.close(fd)
    with world.inside():
        shrink_dcache_sb(sb)
    assert list(d_walk(sb.s_root)) == []


def test_D2_each_child_counts_once_in_its_parent(world):
    _, sb = mount(world, {b"a": {b"%d" % i: b"" for i in range(5)}})
    for i in range(5):
        world.p.stat(f"/mnt/a/{i}")
    assert world.dentry(b"/mnt/a").d_count == 5


def test_D3_d_seq_is_even_at_rest_and_moves_with_name_parent_and_inode(world):
    p = world.p
    p.mkdir("/a"), p.mkdir("/b")
    os_flags = os.O_CREAT | os.O_WRONLY
    p.close(p.open("/a/f", os_flags))
    dentry = world.dentry(b"/a/f")
    seqs = [dentry.d_seq]
    p.rename("/a/f", "/b/g")
    seqs.append(dentry.d_seq)
    assert (dentry.d_parent.d_name, dentry.d_name) == (b"b", b"g")
    fd = p.open("/b/g", os.O_RDONLY)  # in use: unlink unhashes it instead of making it negative
    p.unlink("/b/g")
    seqs.append(dentry.d_seq)
    assert seqs == sorted(set(seqs)) and not any(seq % 2 for seq in seqs)
    p.close(fd)


def test_D4_an_unused_dentry_is_hashed_and_on_the_lru_list(world):
    _, sb = mount(world, {b"a": {b"b": b"x"}})
    world.p.stat("/mnt/a/b")
    unused = [dentry for dentry in d_walk(sb.s_root) if dentry.d_count == 0]
    assert [dentry.d_name for dentry in unused] == [b"b"]
    assert unused == list(sb.s_dentry_lru) and not d_unhashed(unused[0])


def test_a_referenced_dentry_gets_a_second_chance(world):
    _, sb = mount(world, {b"once": b"", b"twice": b""})
    world.p.stat("/mnt/twice"), world.p.stat("/mnt/twice")
    world.p.stat("/mnt/once")
    assert [bool(dentry.d_flags & DCACHE_REFERENCED) for dentry in sb.s_dentry_lru] == [True, False]
    with world.inside():
        assert prune_dcache_sb(sb, 2) == 1  # "once" went; "twice" lost its mark
        assert [dentry.d_name for dentry in sb.s_dentry_lru] == [b"twice"]
        assert prune_dcache_sb(sb, 1) == 1


def test_a_dentry_in_use_again_leaves_the_lru_list_when_the_shrinker_meets_it(world):
    _, sb = mount(world, {b"f": b""})
    world.p.stat("/mnt/f")
    fd = world.p.open("/mnt/f", os.O_RDONLY)
    dentry = world.dentry(b"/mnt/f")
    assert dentry.d_count == 1 and dentry.d_flags & DCACHE_LRU_LIST
    with world.inside():
        assert prune_dcache_sb(sb, 10) == 0
    assert not dentry.d_flags & DCACHE_LRU_LIST and dentry not in sb.s_dentry_lru
    world.p.close(fd)
    assert dentry in sb.s_dentry_lru


def test_D5_two_names_of_one_file_are_two_dentries_of_one_inode(world):
    p = world.p
    p.close(p.open("/f", os.O_CREAT | os.O_WRONLY))
    p.link("/f", "/g")
    inode = world.dentry(b"/f").d_inode
    assert world.dentry(b"/g").d_inode is inode
    assert {dentry.d_name for dentry in d_aliases(inode)} == {b"f", b"g"} and inode.i_count == 2
    p.unlink("/f")
    assert [dentry.d_name for dentry in d_aliases(inode)] == [b"g"] and inode.i_count == 1


def test_D6_a_directory_that_a_damaged_disk_names_twice_has_one_dentry(world):
    disk = Disk({b"a": {b"d": {b"f": b"x"}}, b"b": {}})
    a, b = disk.inodes[disk.root][b"a"], disk.inodes[disk.root][b"b"]
    disk.inodes[b][b"again"] = disk.inodes[a][b"d"]
    with world.inside() as kernel:
        register(kernel, disk)
    world.p.mkdir("/mnt")
    world.p.mount("none", "/mnt", "testfs")
    first = world.p.stat("/mnt/a/d/f")
    inode = world.dentry(b"/mnt/a/d").d_inode
    assert world.p.stat("/mnt/b/again/f").st_ino == first.st_ino
    assert [(dentry.d_parent.d_name, dentry.d_name) for dentry in d_aliases(inode)] == [(b"b", b"again")]
    assert world.p.stat("/mnt/a/d/f").st_ino == first.st_ino
    assert [(dentry.d_parent.d_name, dentry.d_name) for dentry in d_aliases(inode)] == [(b"a", b"d")]


@pytest.mark.parametrize("above", ["itself", "the root"])
def test_a_directory_that_is_named_below_itself_is_ELOOP(world, above):
    disk = Disk({b"a": {b"b": {}}})
    a = disk.inodes[disk.root][b"a"]
    b = disk.inodes[a][b"b"]
    disk.inodes[b][b"up"] = a if above == "itself" else disk.root
    with world.inside() as kernel:
        register(kernel, disk)
    world.p.mkdir("/mnt")
    world.p.mount("none", "/mnt", "testfs")
    with pytest.raises(OSError, match="Too many levels"):
        world.p.stat("/mnt/a/b/up")
    assert "would have made a loop" in world.machine.dmesg()[-1]


def test_unlink_of_an_open_file_unhashes_its_dentry_and_leaves_the_name_free(world):
    p = world.p
    fd = p.open("/f", os.O_CREAT | os.O_RDWR)
    p.write(fd, b"still here")
    dentry = world.dentry(b"/f")
    p.unlink("/f")
    assert d_unhashed(dentry) and dentry.d_inode.i_nlink == 0
    p.close(p.open("/f", os.O_CREAT | os.O_WRONLY))
    assert p.pread(fd, 100, 0) == b"still here"
    p.close(fd)
    with pytest.raises(UseAfterFree):
        print(dentry.d_name)


def test_a_deep_tree_is_freed_without_recursion(world):
    tree = b"bottom"
    for _ in range(3000):
        tree = {b"d": tree}
    disk = Disk.__new__(Disk)
    disk.inodes, disk.looked_up, disk.read, disk.bad, disk.valid = {2: {b"d": 3}}, [], [], set(), True
    disk.root = 2
    for ino in range(3, 3003):
        disk.inodes[ino] = {b"d": ino + 1}
    disk.inodes[3003] = b"bottom"
    with world.inside() as kernel:
        register(kernel, disk)
    p = world.p
    p.mkdir("/mnt")
    p.mount("none", "/mnt", "testfs")
    p.chdir("/mnt")
    for _ in range(30):
        p.chdir("/".join(["d"] * 100))
    p.stat("d")
    p.chdir("/")
    before = world.alive(Dentry)
    with world.inside():
        shrink_dcache_sb(world.kernel.super_blocks[-1])  # one dput chain, 3001 dentries long
    assert before - world.alive(Dentry) == 3001
    p.stat("/mnt/" + "/".join(["d"] * 1000))
    with world.inside():
        shrink_dcache_parent(world.kernel.super_blocks[-1].s_root)
    assert list(d_walk(world.kernel.super_blocks[-1].s_root)) == []


def test_exchange_swaps_two_places(world):
    p = world.p
    p.mkdir("/a"), p.mkdir("/b"), p.mkdir("/a/x"), p.mkdir("/b/y")
    x, y = world.dentry(b"/a/x"), world.dentry(b"/b/y")
    with world.inside():
        d_exchange(x, y)
        assert (x.d_parent.d_name, x.d_name, y.d_parent.d_name, y.d_name) == (b"b", b"y", b"a", b"x")
        d_exchange(x, y)


def test_giving_back_more_than_was_taken_is_a_bug(world):
    _, sb = mount(world, {b"f": b""})
    world.p.stat("/mnt/f")
    dentry = world.dentry(b"/mnt/f")
    with world.inside(), pytest.raises(KernelBug):
        dput(dentry)
    with world.inside():
        dentry.d_count = -128
        with pytest.raises(KernelBug):
            dget(dentry)
        dentry.d_count = 0


def test_a_dentry_that_was_never_hashed_is_freed_at_once(world):
    with world.inside():
        root = world.p.task.fs.root.dentry
        before, count = world.alive(Dentry), root.d_count
        dentry = d_alloc(root, b"new")
        assert root.d_count == count + 1
        dput(dentry)
        assert (world.alive(Dentry), root.d_count) == (before, count)


def test_a_name_that_is_no_longer_true_is_looked_up_again(world):
    disk, sb = mount(world, {b"a": {b"f": b"x"}}, revalidate=True)
    world.p.stat("/mnt/a/f")
    assert disk.looked_up == [b"a", b"f"]
    world.p.stat("/mnt/a/f")
    assert disk.looked_up == [b"a", b"f"]
    disk.valid = False
    world.p.stat("/mnt/a/f")
    assert disk.looked_up == [b"a", b"f", b"a", b"f"]


def test_a_long_walk_stays_within_the_memory_limit():
    names = {b"%05d" % i: b"" for i in range(12000)}
    with vfslab.boot(memory=1 << 20) as machine:
        world = World(machine)
        disk, sb = mount(world, names)
        for name in names:
            world.p.stat(b"/mnt/" + name)
            assert world.kernel.node.slab_bytes <= 1 << 20
        assert len(disk.looked_up) == 12000
        assert 0 < len(list(d_walk(sb.s_root))) < 3000
