"""The byte layouts: no gaps, the right sizes, and what mke2fs and debugfs write is what they read."""

import pytest

from tests.fs.ext4 import small
from tests.images import e2fs
from vfslab.fs.ext4 import format
from vfslab.lib.ondisk import Layout

LAYOUTS = [
    value
    for value in vars(format).values()
    if isinstance(value, type) and issubclass(value, Layout) and value is not Layout
]
SIZES = {
    "ext4_super_block": 1024,
    "ext4_group_desc": 64,
    "ext4_inode": 160,
    "ext4_extent_header": 12,
    "ext4_extent_idx": 12,
    "ext4_extent": 12,
    "ext4_extent_tail": 4,
    "ext4_dir_entry": 8,
    "ext4_dir_entry_2": 8,
    "ext4_dir_entry_tail": 12,
    "dx_root": 32,
    "dx_node": 8,
    "dx_tail": 8,
    "ext4_xattr_header": 32,
    "ext4_xattr_entry": 16,
    "mmp_struct": 1024,
}


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_every_byte_belongs_to_one_documented_field(layout):
    position = 0
    for field in layout.fields:
        assert field.offset == position, field.name
        assert field.doc, field.name
        position += field.size
    assert position == layout.size


def test_sizes():
    assert {name: getattr(format, name).size for name in SIZES} == SIZES


@pytest.mark.parametrize(
    "name, offset",
    [("s_magic", 0x38), ("s_first_ino", 0x54), ("s_uuid", 0x68), ("s_journal_inum", 0xE0), ("s_hash_seed", 0xEC)]
    + [("s_desc_size", 0xFE), ("s_blocks_count_hi", 0x150), ("s_mmp_block", 0x168), ("s_error_count", 0x194)]
    + [("s_checksum_seed", 0x270), ("s_encoding", 0x27C), ("s_orphan_file_inum", 0x280), ("s_checksum", 0x3FC)],
)
def test_superblock_members_stand_where_the_documentation_says(name, offset):
    assert format.ext4_super_block.field(name).offset == offset


@pytest.mark.needs_program("mke2fs", "debugfs")
def test_dumpe2fs_reads_the_same_superblock(tmp_path):
    data = small.image("-t ext4 -b 1024 -L label -U 00112233-4455-6677-8899-aabbccddeeff")
    es = small.superblock(data)
    path = tmp_path / "a.img"
    path.write_bytes(data)
    said = dict(line.split(":", 1) for line in e2fs.run("dumpe2fs", "-h", path).splitlines() if ":" in line)
    said = {name: value.strip() for name, value in said.items()}
    assert es.s_volume_name.rstrip(b"\0").decode() == said["Filesystem volume name"]
    assert es.s_uuid.hex() == said["Filesystem UUID"].replace("-", "")
    assert es.s_inodes_count == int(said["Inode count"])
    assert es.s_blocks_count == int(said["Block count"])
    assert es.s_free_blocks_count == int(said["Free blocks"])
    assert es.s_blocks_per_group == int(said["Blocks per group"])
    assert es.s_inode_size == int(said["Inode size"])
    assert f"{es.s_checksum:#010x}" == said["Checksum"]


@pytest.mark.needs_program("mke2fs", "debugfs")
def test_debugfs_reads_the_same_inode():
    data = small.image(
        "-t ext4 -b 1024", "write /dev/null f\nsif f mode 0100644\nsif f uid 100000\nsif f ctime_extra 5"
    )
    inode = small.inode(data, 12)
    assert (inode.i_mode, inode.i_uid32, inode.i_links_count) == (0o100644, 100000, 1)
    assert inode.i_ctime_extra == 5
    header = format.ext4_extent_header(data, inode.offset + format.I_BLOCK_OFFSET)
    assert (header.eh_magic, header.eh_entries, header.eh_max, header.eh_depth) == (0xF30A, 0, 4, 0)


@pytest.mark.needs_program("mke2fs", "debugfs", "dumpe2fs")
@pytest.mark.parametrize("member", ["s_feature_compat", "s_feature_incompat", "s_feature_ro_compat"])
def test_feature_names_are_those_of_dumpe2fs(member, tmp_path):
    """Bit by bit, with the program's own names for bits nobody knows."""
    from vfslab.fs.ext4.features import feature_name

    set_, letter = (
        member.removeprefix("s_feature_"),
        {"s_feature_compat": "c", "s_feature_incompat": "i"}.get(member, "r"),
    )
    path = tmp_path / "a.img"
    for bit in range(32):
        if (letter, bit) == ("i", 3):
            continue  # journal_dev: dumpe2fs takes the device for a journal and prints that
        data = small.image("-t ext2 -b 1024 -O none", "", "256K")
        setattr(small.superblock(data), member, 1 << bit)
        path.write_bytes(data)
        text = e2fs.run("dumpe2fs", "-h", path, ok=range(256))
        line = next((line for line in text.splitlines() if line.startswith("Filesystem features:")), None)
        if line is None:
            continue  # it refuses to look at what it does not know, so there is no name to compare
        assert feature_name(set_, 1 << bit) in line.split(), (bit, line)
