"""The inode cache: one inode for each number, kept while it may be wanted, gone with its last name and user."""

import os

import pytest

from tests.fs.testfs import Disk, disk_iget, register
from vfslab.fs.dcache import shrink_dcache_sb
from vfslab.fs.inode import (
    clear_nlink,
    drop_nlink,
    evict_inodes,
    iget_locked,
    ihold,
    ilookup,
    inc_nlink,
    iput,
    prune_icache_sb,
)
from vfslab.include.fs import I_FREEING, I_NEW, I_REFERENCED, Inode
from vfslab.kernel.errno import EIO
from vfslab.lib.kstruct import KernelBug, UseAfterFree


@pytest.fixture
def mounted(world):
    """Return a mounted make-believe disk with three files, and its superblock."""
    disk = Disk({b"a": b"1", b"b": b"22", b"c": b"333"})
    with world.inside() as kernel:
        register(kernel, disk)
    world.p.mkdir("/mnt")
    world.p.mount("none", "/mnt", "testfs")
    return disk, world.kernel.super_blocks[-1]


def number(disk, name):
    return disk.inodes[disk.root][name]


def test_N1_one_number_is_one_inode(world, mounted):
    disk, sb = mounted
    with world.inside():
        first = disk_iget(sb, number(disk, b"a"))
        again = disk_iget(sb, number(disk, b"a"))
        assert first is again is ilookup(sb, first.i_ino) and first.i_count == 3
        assert sb.s_inode_hashtable[first.i_ino] is first
        assert disk.read.count(first.i_ino) == 1
        for _ in range(3):
            iput(first)


def test_a_fresh_inode_is_new_until_it_is_filled(world, mounted):
    _, sb = mounted
    with world.inside():
        inode = iget_locked(sb, 999)
        assert inode.i_state & I_NEW and inode.i_ino == 999 and inode.i_sb is sb and inode.i_count == 1
        inode.i_state &= ~I_NEW
        inode.i_nlink = 0
        iput(inode)
        assert ilookup(sb, 999) is None


def test_an_inode_that_could_not_be_read_is_not_cached(world, mounted):
    disk, sb = mounted
    disk.bad.add(number(disk, b"a"))
    for _ in range(2):
        with pytest.raises(OSError) as caught:
            world.p.stat("/mnt/a")
        assert caught.value.errno == EIO.errno
    assert disk.read.count(number(disk, b"a")) == 2  # asked again: the failure was not remembered
    assert number(disk, b"a") not in sb.s_inode_hashtable
    disk.bad.clear()
    assert world.p.stat("/mnt/a").st_size == 1


def test_N2_N3_an_inode_outlives_its_dentry_and_is_found_again(world, mounted):
    disk, sb = mounted
    world.p.stat("/mnt/a")
    inode = world.dentry(b"/mnt/a").d_inode
    with world.inside():
        shrink_dcache_sb(sb)
    assert inode.i_count == 0 and inode in sb.s_inode_lru and inode in sb.s_inodes
    world.p.stat("/mnt/a")
    assert disk.read.count(inode.i_ino) == 1 and inode.i_count == 1


def test_an_inode_used_again_gets_a_second_chance(world, mounted):
    _, sb = mounted
    for name in ("a", "b", "a"):
        world.p.stat(f"/mnt/{name}")
        with world.inside():
            shrink_dcache_sb(sb)
    with world.inside():
        states = {inode.i_size: bool(inode.i_state & I_REFERENCED) for inode in sb.s_inode_lru}
        assert states == {1: True, 2: False}
        assert prune_icache_sb(sb, 2) == 1
        assert [inode.i_size for inode in sb.s_inode_lru] == [1]
        assert prune_icache_sb(sb, 1) == 1


def test_an_inode_in_use_survives_the_shrinker(world, mounted):
    _, sb = mounted
    world.p.stat("/mnt/a")
    with world.inside():
        shrink_dcache_sb(sb)
        inode = next(iter(sb.s_inode_lru))
        ihold_from_cache = ilookup(sb, inode.i_ino)
        assert ihold_from_cache is inode
        assert prune_icache_sb(sb, 5) == 0 and inode not in sb.s_inode_lru
        iput(inode)
        assert inode in sb.s_inode_lru


def test_the_last_name_and_the_last_user_decide_together(world):
    p = world.p
    fd = p.open("/f", os.O_CREAT | os.O_RDWR)
    p.link("/f", "/g")
    inode = world.dentry(b"/f").d_inode
    p.unlink("/f")
    assert inode.i_nlink == 1
    p.unlink("/g")
    assert inode.i_nlink == 0 and p.fstat(fd).st_nlink == 0
    p.write(fd, b"x" * 10000)
    assert p.pread(fd, 3, 9999) == b"x"
    before = world.alive(Inode)
    p.close(fd)
    assert world.alive(Inode) == before - 1
    with pytest.raises(UseAfterFree):
        print(inode.i_nlink)


def test_N4_the_pages_of_an_evicted_inode_are_gone(world):
    p, node = world.p, world.kernel.node
    before = node.nr_pages
    fd = p.open("/f", os.O_CREAT | os.O_RDWR)
    p.write(fd, bytes(1 << 20))
    assert node.nr_pages >= before + 256
    p.close(fd)
    p.unlink("/f")
    kept = sum(size * len(views) for size, views in node.free_folios.items())
    assert node.nr_pages - kept <= before


def test_umount_evicts_every_inode(world, mounted):
    _, sb = mounted
    for name in ("a", "b", "c"):
        world.p.stat(f"/mnt/{name}")
    found_by_number, all_of_them = sb.s_inode_hashtable, sb.s_inodes
    assert found_by_number and all_of_them
    world.p.umount("/mnt")
    assert not found_by_number and not all_of_them


def test_an_inode_counts_against_the_memory_limit_and_back(world, mounted):
    _, sb = mounted
    before = world.kernel.node.slab_bytes
    world.p.stat("/mnt/a")
    assert world.kernel.node.slab_bytes > before
    with world.inside():
        shrink_dcache_sb(sb)
        evict_inodes(sb)
    assert world.kernel.node.slab_bytes <= before


def test_link_counts_cannot_fall_below_zero_or_rise_from_it(world):
    p = world.p
    p.close(p.open("/f", os.O_CREAT | os.O_WRONLY))
    inode = world.dentry(b"/f").d_inode
    inc_nlink(inode)
    drop_nlink(inode)
    clear_nlink(inode)
    with pytest.raises(KernelBug):
        drop_nlink(inode)
    with pytest.raises(KernelBug):
        inc_nlink(inode)
    inode.i_nlink = 1


def test_references_cannot_be_taken_from_nobody_nor_given_back_twice(world, mounted):
    _, sb = mounted
    world.p.stat("/mnt/a")
    with world.inside():
        shrink_dcache_sb(sb)
        inode = next(iter(sb.s_inode_lru))
        with pytest.raises(KernelBug):
            ihold(inode)
        with pytest.raises(KernelBug):
            iput(inode)
        inode.i_state |= I_FREEING
        with pytest.raises(KernelBug):
            ilookup(sb, inode.i_ino)
        inode.i_state &= ~I_FREEING


@pytest.mark.parametrize(
    "options, mtime_newer, updated",
    [("", True, True), ("", False, False), ("strictatime", False, True), ("noatime", True, False), ("ro", True, False)],
)
def test_reading_sets_the_access_time_as_the_mount_says(world, options, mtime_newer, updated):
    p = world.p
    p.mkdir("/m")
    p.mount("none", "/m", "ramfs")
    p.close(p.open("/m/f", os.O_CREAT | os.O_WRONLY))
    p.mkdir("/m/d")
    if options:
        p.mount("none", "/m", "", "remount," + options)
    now = p.stat("/m/f").st_mtime_ns
    inode = world.dentry(b"/m/d").d_inode
    inode.i_atime_sec = now // 10**9 - 100
    inode.i_mtime_sec = inode.i_ctime_sec = inode.i_atime_sec + (1 if mtime_newer else -1)
    before = p.stat("/m/d").st_atime_ns
    p.listdir("/m/d")
    assert (p.stat("/m/d").st_atime_ns > before) is updated
