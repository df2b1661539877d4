"""The bytes of a jbd2 journal. All numbers are big-endian: the only part of ext4 that is.

    block 0      superblock: where the log begins, the number of its first transaction
    block 1 ...  the log, a ring:

        descriptor │ data data ... data │ descriptor │ data ... │ revoke │ commit ║ descriptor │ ...
          tag tag ... tag                                                    one transaction

    the last s_num_fc_blks blocks: the fast-commit area (fs/ext4/fast_commit.py), if that feature is on

A descriptor's tags say where the data blocks that follow it belong. A revoke block names blocks that
older transactions must not write any more. A transaction counts when its commit block is there.

Linux: include/linux/jbd2.h.   Chapter 10.
"""

from __future__ import annotations

from types import MappingProxyType

from vfslab.lib.ondisk import Layout, array, be16, be32, be64, chars, hilo, u8

JBD2_MAGIC_NUMBER = 0xC03B3998
JBD2_MIN_JOURNAL_BLOCKS = 1024
JBD2_DEFAULT_FAST_COMMIT_BLOCKS = 256

JBD2_DESCRIPTOR_BLOCK, JBD2_COMMIT_BLOCK, JBD2_SUPERBLOCK_V1, JBD2_SUPERBLOCK_V2, JBD2_REVOKE_BLOCK = 1, 2, 3, 4, 5
BLOCK_TYPES = MappingProxyType({1: "descriptor", 2: "commit", 3: "superblock v1", 4: "superblock v2", 5: "revoke"})

JBD2_FEATURE_COMPAT_CHECKSUM = 1
JBD2_FEATURE_INCOMPAT_REVOKE = 1
JBD2_FEATURE_INCOMPAT_64BIT = 2
JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT = 4
JBD2_FEATURE_INCOMPAT_CSUM_V2 = 8
JBD2_FEATURE_INCOMPAT_CSUM_V3 = 16
JBD2_FEATURE_INCOMPAT_FAST_COMMIT = 32
JBD2_KNOWN_INCOMPAT_FEATURES = 63

FEATURE_COMPAT = MappingProxyType({1: "checksum"})
FEATURE_INCOMPAT = MappingProxyType(
    {1: "revoke", 2: "64bit", 4: "async_commit", 8: "csum_v2", 16: "csum_v3", 32: "fast_commit"}
)

JBD2_CRC32_CHKSUM, JBD2_CRC32C_CHKSUM = 1, 4
CHECKSUM_TYPES = MappingProxyType({1: "crc32", 2: "md5", 3: "sha1", 4: "crc32c"})

JBD2_FLAG_ESCAPE, JBD2_FLAG_SAME_UUID, JBD2_FLAG_DELETED, JBD2_FLAG_LAST_TAG = 1, 2, 4, 8
TAG_FLAGS = MappingProxyType({1: "escape", 2: "same_uuid", 4: "deleted", 8: "last_tag"})


class journal_header(Layout, size=12):
    """The beginning of every block of the log that is not data."""

    h_magic = be32("0xC03B3998: data blocks that begin so are escaped")
    h_blocktype = be32("what kind of block this is", enum=BLOCK_TYPES)
    h_sequence = be32("number of the transaction it belongs to")


class journal_superblock(Layout, size=1024):
    """Block 0 of a journal; of an external one, the block after its filesystem superblock."""

    h_magic = be32("0xC03B3998")
    h_blocktype = be32("version 1 ends before s_feature_compat", enum=BLOCK_TYPES)
    h_sequence = be32("not used here")
    s_blocksize = be32("bytes in a block")
    s_maxlen = be32("blocks in the journal")
    s_first = be32("first block of the log")
    s_sequence = be32("number of the first transaction in the log")
    s_start = be32("block where the log begins; 0: nothing to replay")
    s_errno = be32("error of an aborted journal, as a negative number")
    s_feature_compat = be32("may be ignored", flags=FEATURE_COMPAT)
    s_feature_incompat = be32("must be understood", flags=FEATURE_INCOMPAT)
    s_feature_ro_compat = be32("must be understood to write")
    s_uuid = chars(16, "seed of the checksums")
    s_nr_users = be32("filesystems that use this journal")
    s_dynsuper = be32("not used")
    s_max_transaction = be32("not used")
    s_max_trans_data = be32("not used")
    s_checksum_type = u8("of the whole journal, with csum_v2 and csum_v3", enum=CHECKSUM_TYPES)
    s_padding2 = chars(3)
    s_num_fc_blks = be32("blocks of the fast-commit area; 0 means 256")
    s_head = be32("where the log ended when it was last empty")
    s_padding = array(be32, 40)
    s_checksum = be32("crc32c of these 1024 bytes with this member as 0")
    s_users = chars(768, "UUIDs of the users, 16 bytes each")


class journal_block_tag(Layout, size=12):
    """Where one data block belongs; cut to 8 bytes without 64bit, and followed by 2 unused bytes with csum_v2."""

    t_blocknr = be32("block of the filesystem, lower 32 bits")
    t_checksum = be16("csum_v2: lower half of the crc32c of sequence number and data")
    t_flags = be16("how to read the tag and its data", flags=TAG_FLAGS)
    t_blocknr_high = be32("upper 32 bits, with the feature 64bit")
    t_block = hilo("t_blocknr_high", "t_blocknr")


class journal_block_tag3(Layout, size=16):
    """Where one data block belongs, with the feature csum_v3: room for a whole checksum."""

    t_blocknr = be32("block of the filesystem, lower 32 bits")
    t_flags = be32("how to read the tag and its data", flags=TAG_FLAGS)
    t_blocknr_high = be32("upper 32 bits, with the feature 64bit")
    t_checksum = be32("crc32c of sequence number and data")
    t_block = hilo("t_blocknr_high", "t_blocknr")


class journal_block_tail(Layout, size=4):
    """The end of descriptor and revoke blocks, with csum_v2 and csum_v3."""

    t_checksum = be32("crc32c of UUID and block, with this member as 0")


class journal_revoke_header(Layout, size=16):
    """A revoke block: block numbers of 4 bytes, or of 8 with the feature 64bit, follow."""

    h_magic = be32("0xC03B3998")
    h_blocktype = be32("5", enum=BLOCK_TYPES)
    h_sequence = be32("number of the transaction")
    r_count = be32("bytes used in this block, this header included")


class commit_header(Layout, size=60):
    """The block that makes a transaction count."""

    h_magic = be32("0xC03B3998")
    h_blocktype = be32("2", enum=BLOCK_TYPES)
    h_sequence = be32("number of the transaction")
    h_chksum_type = u8("of h_chksum, with the feature checksum", enum=CHECKSUM_TYPES)
    h_chksum_size = u8("bytes of it, 4")
    h_padding = chars(2)
    h_chksum = array(be32, 8, "[0]: crc32 of the transaction's blocks (checksum), or of this block (csum_v2, csum_v3)")
    h_commit_sec = be64("when it was committed, seconds")
    h_commit_nsec = be32("and nanoseconds")
