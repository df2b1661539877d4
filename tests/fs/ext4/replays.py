"""Fast commits: images that Linux left, replayed by us and by Linux, compared by Linux's own reading of both.

crashed(...)     an image whose last changes stand in fast commits only
replay(image)    ({block: bytes}, RecoveryInfo) without a mount
ours(image)      the manifest that Linux gives of a copy with our blocks laid over it
linux(image)     the manifest after Linux has replayed a copy itself
"""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from tests import images
from tests.fs.jbd2.journals import blocks_of, journal_of, needs_recovery
from tests.images import e2fs
from tests.oracle import manifest
from vfslab.fs.ext4.ext4 import Ext4SbInfo
from vfslab.fs.ext4.fast_commit import ext4_fc_replay
from vfslab.fs.ext4.format import ext4_super_block
from vfslab.fs.jbd2.recovery import jbd2_journal_recover
from vfslab.include.fs import SuperBlock
from vfslab.lib.crc32c import crc32c_by_table


def sb_info(raw):
    """Return an Ext4SbInfo for the 1024 bytes of a superblock, as far as replay asks it."""
    es = ext4_super_block(bytearray(raw))
    size = 1024 << es.s_log_block_size
    wide = es.s_feature_incompat & 0x80
    csum_seed = es.s_checksum_seed if es.s_feature_incompat & 0x2000 else crc32c_by_table(~0, es.s_uuid)
    data_blocks = es.s_blocks_count - es.s_first_data_block
    return Ext4SbInfo(
        s_sb=SuperBlock(s_blocksize=size), s_es=es, s_sb_block=1024 // size,
        s_compat=es.s_feature_compat, s_incompat=es.s_feature_incompat, s_ro_compat=es.s_feature_ro_compat,
        s_blocks_count=es.s_blocks_count, s_inodes_count=es.s_inodes_count, s_first_data_block=es.s_first_data_block,
        s_desc_size=es.s_desc_size if wide else 32, s_inode_size=es.s_inode_size, s_first_ino=es.s_first_ino,
        s_blocks_per_group=es.s_blocks_per_group, s_clusters_per_group=es.s_clusters_per_group,
        s_inodes_per_group=es.s_inodes_per_group, s_desc_per_block=size // (es.s_desc_size if wide else 32),
        s_groups_count=-(-data_blocks // es.s_blocks_per_group), s_first_meta_bg=es.s_first_meta_bg,
        s_cluster_ratio=1 << es.s_log_cluster_size - es.s_log_block_size, s_csum_seed=csum_seed,
        s_metadata_csum=bool(es.s_feature_ro_compat & 0x400), s_gdt_csum=bool(es.s_feature_ro_compat & 0x10),
    )  # fmt: skip


def replay(image, journal=None):
    """Return ({block: bytes}, RecoveryInfo) of an image: whole transactions, then fast commits."""
    journal = journal or journal_of(image)
    read_block, _ = blocks_of(image)
    overlay, info = jbd2_journal_recover(journal)
    whole = read_block(0)[1024:2048] if journal.j_blocksize > 1024 else read_block(1)
    number = 1024 // journal.j_blocksize
    if number in overlay:
        whole = overlay[number][1024 % journal.j_blocksize :][:1024]
    ext4_fc_replay(sb_info(whole), journal, overlay, info, read_block)
    return overlay, info


def with_overlay(image, target):
    """Copy an image to target with the replayed blocks in their places, and no need of recovery any more."""
    images.copy_of(image, target)
    overlay, info = replay(image)
    size = journal_of(image).j_blocksize
    with open(target, "r+b") as file:
        for block, data in overlay.items():
            file.seek(block * size)
            file.write(data)
    needs_recovery(target, False)
    return info


def ours(image):
    """Return (manifest, RecoveryInfo): Linux reads what we replayed; it verifies each checksum we made."""
    with tempfile.TemporaryDirectory(prefix="vfslab-replay-") as work:
        copy = Path(work, "ours.img")
        info = with_overlay(image, copy)
        with e2fs.mounted(copy, "ro,noload") as point:
            return manifest(os, point), info


def linux(image):
    """Return the manifest after Linux's own replay."""
    with tempfile.TemporaryDirectory(prefix="vfslab-replay-") as work:
        copy = Path(work, "linux.img")
        images.copy_of(image, copy)
        with e2fs.mounted(copy, "rw,noatime"):
            pass
        with e2fs.mounted(copy, "ro") as point:
            return manifest(os, point)


@contextmanager
def crashed(image, size, *options, mount="rw"):
    """Make a filesystem with fast commits, yield its mount point for changes, and stop it as a power cut does."""
    e2fs.mke2fs(image, size, "-t", "ext4", *options)
    with e2fs.mounted(image, mount) as point:
        yield point
        e2fs.shutdown(point, 2)
