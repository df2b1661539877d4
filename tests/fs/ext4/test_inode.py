"""Inodes as they come from the disk: blocks of them are verified in one pass, and the last block stays at hand."""

import errno

import pytest

import vfslab
from tests.fs.ext4 import small
from vfslab.fs.ext4.ext4 import EXT4_SB
from vfslab.fs.ext4.inode import ext4_get_inode_loc, ext4_inode_location
from vfslab.init.main import running
from vfslab.lib.kstruct import is_freed

pytestmark = pytest.mark.needs_program("mke2fs", "debugfs")
FILES = "".join(f"symlink f{number} {'x' * number}\n" for number in range(1, 13))


@pytest.fixture(params=[128, 256, 512], ids="inodes of {} bytes".format)
def data(request):
    """An image with twelve symbolic links, whose inodes lie in a few blocks."""
    return small.image(f"-t ext4 -b 4096 -N 64 -I {request.param} -O ^has_journal", FILES, "2M")


@pytest.fixture
def mounted(data):
    """A kernel, a process, and the image mounted on /mnt: call it once the image is as it shall be."""
    with vfslab.boot() as k:
        p = k.process()
        p.mkdir("/mnt")

        def mount():
            k.attach("vda", bytes(data), read_only=True)
            p.mount("/dev/vda", "/mnt", "ext4", "ro")
            return k, p

        yield mount


def test_a_wrong_checksum_is_told_of_its_own_inode_and_of_no_other(data, mounted):
    bad = next(number for number in range(11, 65) if bytes(small.inode(data, number).i_block).startswith(b"xxxxx\0"))
    small.inode(data, bad).i_uid = 77
    _, p = mounted()
    for number in range(1, 13):
        if number == 5:
            with pytest.raises(OSError) as caught:
                p.lstat(f"/mnt/f{number}")
            assert caught.value.errno == errno.EBADMSG
        else:
            assert p.readlink(f"/mnt/f{number}") == "x" * number


def test_each_inode_lies_where_its_group_says_whatever_block_is_at_hand(mounted):
    k, p = mounted()
    sb = next(one for one in k.kernel.super_blocks if one.s_id == b"vda")
    sbi, size = EXT4_SB(sb), sb.s_blocksize
    with running(k.kernel):
        for ino in [*range(1, 65), *range(64, 0, -1), 1, 64, 2, 33]:
            bh, offset = ext4_get_inode_loc(sb, ino)
            assert (bh.b_blocknr, offset) == ext4_inode_location(sb, ino) and 0 <= offset < size
            bh.b_count -= 1
        assert sbi.s_itb_bh.b_count == 1


def test_the_block_at_hand_ends_with_its_group(mounted):
    """In a group with fewer inodes than fill its last block, the next number belongs to the next group."""
    k, _ = mounted()
    sb = next(one for one in k.kernel.super_blocks if one.s_id == b"vda")
    sbi = EXT4_SB(sb)
    sbi.s_inodes_per_group = sbi.s_inodes_per_block + 3
    with running(k.kernel):
        ext4_get_inode_loc(sb, sbi.s_inodes_per_block + 1)[0].b_count -= 1
        assert list(sbi.s_itb_inos) == [sbi.s_inodes_per_block + n for n in (1, 2, 3)]


def test_umount_lets_go_of_the_block_at_hand(mounted):
    k, p = mounted()
    sb = next(one for one in k.kernel.super_blocks if one.s_id == b"vda")
    bh = EXT4_SB(sb).s_itb_bh
    assert bh.b_count == 1
    p.umount("/mnt")
    assert is_freed(bh)
