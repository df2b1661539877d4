"""The table of features: every bit that has a name has a row, and what is refused is refused by name."""

import errno

import pytest

from tests.fs.ext4 import small
from vfslab.fs.ext4 import features
from vfslab.fs.ext4.format import EXT4_FEATURE_COMPAT, EXT4_FEATURE_INCOMPAT, EXT4_FEATURE_RO_COMPAT, ext4_super_block

NAMED = {("compat", bit) for bit in EXT4_FEATURE_COMPAT} | {("incompat", bit) for bit in EXT4_FEATURE_INCOMPAT}
NAMED |= {("ro_compat", bit) for bit in EXT4_FEATURE_RO_COMPAT}


def test_every_named_bit_has_one_row_with_words():
    rows = [(feature.set, feature.bit) for feature in features.FEATURES]
    assert len(rows) == len(set(rows))
    assert set(rows) == NAMED
    assert all(
        feature.words and feature.how in ("read", "replayed", "tolerated", "refused") for feature in features.FEATURES
    )


def test_names_in_the_order_of_dumpe2fs():
    es = ext4_super_block(bytearray(1024))
    es.s_feature_compat, es.s_feature_incompat, es.s_feature_ro_compat = 0x24, 0x80000042, 0x400
    expected = ["has_journal", "dir_index", "filetype", "extent", "FEATURE_I31", "metadata_csum"]
    assert features.feature_names(es) == expected


@pytest.mark.needs_program("mke2fs", "debugfs")
@pytest.mark.parametrize("bit", [*(1 << n for n in range(32) if 1 << n not in EXT4_FEATURE_INCOMPAT), 0x1, 0x8, 0x1000])
def test_what_cannot_be_read_is_refused_by_its_name(bit):
    data = small.image("-t ext4 -b 1024 -O ^metadata_csum")
    small.superblock(data).s_feature_incompat |= bit
    with pytest.raises(OSError) as caught, small.mounted(data):
        pass
    assert caught.value.errno == errno.EINVAL
    (line,) = features.refused_features(bit)
    assert line.startswith(features.feature_name("incompat", bit) + ":")


@pytest.mark.needs_program("mke2fs", "debugfs")
@pytest.mark.parametrize("member", ["s_feature_compat", "s_feature_ro_compat"])
def test_unknown_bits_of_the_other_sets_are_tolerated(member):
    data = small.image("-t ext4 -b 1024 -O ^metadata_csum")
    es = small.superblock(data)
    setattr(es, member, getattr(es, member) | 1 << 30)
    with small.mounted(data) as (p, _):
        assert p.listdir("/mnt") == ["lost+found"]
