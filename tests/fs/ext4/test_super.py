"""Mounting: what is refused and with which words, backups, options, and what is not written."""

import errno

import pytest

from tests.fs.ext4 import small
from vfslab.fs.ext4.geometry import ext4_max_bitmap_size, ext4_max_size

pytestmark = pytest.mark.needs_program("mke2fs", "debugfs")
PLAIN = "-t ext4 -b 1024 -O ^metadata_csum,^uninit_bg,^has_journal"


def refusal(data, options="ro"):
    """Return (errno, the kernel log) of a mount that must fail."""
    import vfslab

    with vfslab.boot() as kernel:
        kernel.attach("vda", bytes(data), read_only=True)
        p = kernel.process(uid=0, gid=0)
        p.mkdir("/mnt")
        with pytest.raises(OSError) as caught:
            p.mount("/dev/vda", "/mnt", "ext4", options)
        return caught.value.errno, "\n".join(kernel.dmesg())


@pytest.mark.parametrize(
    "member, value",
    [("s_magic", 0), ("s_log_block_size", 7), ("s_log_block_size", 0xFFFFFFFF), ("s_log_cluster_size", 3)]
    + [("s_blocks_per_group", 0), ("s_blocks_per_group", 8193), ("s_inodes_per_group", 0), ("s_inodes_per_group", 9000)]
    + [("s_inode_size", 0), ("s_inode_size", 130), ("s_inode_size", 2048), ("s_first_ino", 5)]
    + [
        ("s_first_data_block", 0),
        ("s_first_data_block", 0xFFFFFFFF),
        ("s_blocks_count_lo", 0),
        ("s_blocks_count_lo", 9999),
    ]
    + [("s_blocks_count_hi", 1), ("s_inodes_count", 1), ("s_reserved_gdt_blocks", 9999)],
)
def test_G1_sizes_that_cannot_be_are_refused_by_name(member, value):
    data = small.image(PLAIN)
    setattr(small.superblock(data), member, value)
    number, log = refusal(data)
    assert number == errno.EINVAL
    assert member.removesuffix("_lo").removesuffix("_hi") in log


@pytest.mark.parametrize("size", [0, 31, 63, 65, 2048])
def test_G1_descriptor_sizes(size):
    data = small.image(PLAIN + ",64bit")
    small.superblock(data).s_desc_size = size
    assert refusal(data)[0] == errno.EINVAL


def test_wrong_checksum_of_the_superblock_is_ebadmsg():
    data = small.image("-t ext4 -b 1024")
    small.superblock(data).s_mnt_count += 1
    number, log = refusal(data)
    assert number == errno.EBADMSG and "checksum" in log


@pytest.mark.parametrize(
    "block_size, size, backup, option",
    [(1024, "16M", 8193, 8193), (2048, "64M", 16384, 32768), (4096, "256M", 32768, 131072)],
)
def test_a_good_backup_is_named_and_its_number_works(block_size, size, backup, option, tmp_path):
    """The image is sparse, so it stays a file."""
    import vfslab
    from tests.images import e2fs

    path = tmp_path / "big.img"
    e2fs.mke2fs(path, size, "-t", "ext4", "-b", str(block_size), "-O", "^has_journal")
    with open(path, "r+b") as file:
        file.seek(1024)
        file.write(bytes(1024))
    with vfslab.boot() as kernel:
        kernel.attach("vda", str(path), read_only=True)
        p = kernel.process(uid=0, gid=0)
        p.mkdir("/mnt")
        with pytest.raises(OSError):
            p.mount("/dev/vda", "/mnt", "ext4", "ro")
        line = next(line for line in kernel.dmesg() if "backup" in line)
        assert f"block {backup}:" in line and line.endswith(f"sb={option}")
        p.mount("/dev/vda", "/mnt", "ext4", f"ro,sb={option}")
        assert p.listdir("/mnt") == ["lost+found"]
        p.umount("/mnt")


def test_a_filesystem_of_one_group_has_no_backup_to_offer():
    data = small.image(PLAIN)
    small.superblock(data).s_magic = 0
    assert "backup" not in refusal(data)[1]


def test_writing_is_refused_and_mount_falls_back_to_read_only():
    with small.mounted(small.image(PLAIN), "") as (p, _):
        with pytest.raises(OSError) as caught:
            p.mkdir("/mnt/new")
        assert caught.value.errno == errno.EROFS
    assert refusal(small.image(PLAIN), "rw")[0] in (errno.EROFS, errno.EACCES)


def test_an_option_that_nobody_knows_is_refused():
    number, log = refusal(small.image(PLAIN), "ro,nonsense")
    assert number == errno.EINVAL and "nonsense" in log


@pytest.mark.parametrize("option", ["sb=0", "sb=x", "sb=-1"])
def test_senseless_values_are_refused(option):
    assert refusal(small.image(PLAIN), f"ro,{option}")[0] == errno.EINVAL


@pytest.mark.parametrize(
    "option", ["noload", "norecovery", "noacl", "minixdf", "errors=remount-ro", "data=ordered", "nodelalloc"]
)
def test_usual_options_are_taken(option):
    with small.mounted(small.image(PLAIN), f"ro,{option}") as (p, _):
        assert p.listdir("/mnt") == ["lost+found"]


def test_a_failed_mount_leaves_nothing_behind():
    """The device can be mounted again at once, and nothing is left of the first try."""
    import vfslab

    data = small.image(PLAIN)
    root = small.inode(data, 2)
    root.i_mode = 0o100644
    with vfslab.boot() as kernel:
        kernel.attach("vda", bytes(data), read_only=True)
        p = kernel.process(uid=0, gid=0)
        p.mkdir("/mnt")
        for _ in range(2):
            with pytest.raises(OSError) as caught:
                p.mount("/dev/vda", "/mnt", "ext4", "ro")
            assert caught.value.errno == errno.EUCLEAN
        assert not any(sb.s_type.name == b"ext4" for sb in kernel.kernel.super_blocks)


def test_how_big_a_file_can_be():
    assert ext4_max_size(10, True) == 0x3FFFFFFFC00
    assert ext4_max_size(12, True) == 0xFFFFFFFF000
    assert ext4_max_bitmap_size(10, True) == (12 + 256 + 256**2 + 256**3) * 1024
    assert ext4_max_bitmap_size(12, False) < 1 << 41
