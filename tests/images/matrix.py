"""The generated matrix: images pairwise over block size, inode size, feature set, hash and contents.

`pairwise` picks rows greedily until every pair of values of two axes that can stand
together does so in some row. The order of the axes and a fixed seed decide the rows,
so everyone has the same images.

    python -m tests.images.matrix     prints the rows
"""

import itertools
import random

from . import Spec

SEED = 6
AXES = {
    "block": (1024, 2048, 4096, 65536),
    "inode": (128, 256, 512, 1024),
    "features": {
        "ext2": ("-t", "ext2"),
        "ext3": ("-t", "ext3"),
        "ext4": ("-t", "ext4"),
        "nocsum": ("-t", "ext4", "-O", "^metadata_csum,uninit_bg"),
        "bare": ("-t", "ext4", "-O", "^metadata_csum,^64bit,^has_journal,^dir_index,^extra_isize"),
        "narrow": ("-t", "ext4", "-O", "^64bit,^flex_bg,^has_journal"),
        "inline": ("-t", "ext4", "-O", "inline_data,^has_journal"),
        "bigalloc": ("-t", "ext4", "-O", "bigalloc,^has_journal,^resize_inode"),
        "meta_bg": ("-t", "ext4", "-O", "meta_bg,^resize_inode,^has_journal"),
        "backups2": ("-t", "ext4", "-O", "sparse_super2,^resize_inode,metadata_csum_seed", "-G", "4"),
        "ea_inode": ("-t", "ext4", "-O", "ea_inode,large_dir,^has_journal"),
        "blockmap": ("-t", "ext4", "-O", "^extent,^64bit,^has_journal"),
    },
    "hash": ("half_md4", "tea", "legacy"),
    "sign": (1, 2),  # superblock flags: the hash takes the name's bytes as signed or unsigned
    "contents": ("names", "data", "dirs", "deep"),
}
SIZES = {1024: "24M", 2048: "24M", 4096: "32M", 65536: "160M"}


def possible(row):
    """Can mke2fs make a filesystem with these values, and Linux fill it?"""
    features, block, inode = row.get("features"), row.get("block"), row.get("inode")
    if features == "inline" and inode == 128:
        return False  # mke2fs: too small for inline data
    if block == 65536 and (features in ("bigalloc", "inline", "meta_bg") or row.get("contents") == "deep"):
        return False  # only mke2fs -d can fill those: no inline files, no clusters of 256 KiB in so few blocks
    return not (block == 1024 and inode == 1024 and features == "ext2")  # fewer inodes than mke2fs demands a group


def pairwise(axes, possible, seed):
    """Return rows (dicts) that cover every possible pair of values of two axes."""
    random_ = random.Random(seed)
    names = list(axes)

    def pairs(row):
        return {((a, row[a]), (b, row[b])) for a, b in itertools.combinations(names, 2)}

    rows = [dict(zip(names, values, strict=True)) for values in itertools.product(*axes.values())]
    rows = [row for row in rows if possible(row)]
    random_.shuffle(rows)
    wanted = set().union(*(pairs(row) for row in rows))
    chosen = []
    while wanted:
        best = max(rows, key=lambda row: len(pairs(row) & wanted))
        wanted -= pairs(best)
        chosen.append(best)
    return sorted(chosen, key=lambda row: [list(axes[name]).index(row[name]) for name in names])


def spec(row):
    """Return the specification of a row."""
    block, linux = row["block"], row["block"] <= 4096
    options = [*AXES["features"][row["features"]], "-b", str(block), "-I", str(row["inode"]), "-E", "nodiscard"]
    if row["features"] == "bigalloc":
        options += ["-C", str(block * 8)]
    if row["inode"] == 1024:
        options += ["-i", "16384"]
    tune = f"ssv def_hash_version {row['hash']}\nssv flags {row['sign']}"
    name = "-".join(["m", *(str(value) for value in row.values())])
    return Spec(name, SIZES[block], tuple(options), (f"bundle_{row['contents']}",), "kernel" if linux else "mke2fs",
                tune=tune, truth="kernel" if linux else "tree")  # fmt: skip


MATRIX = [spec(row) for row in pairwise(AXES, possible, SEED)]


if __name__ == "__main__":
    for number, image in enumerate(MATRIX, 1):
        print(f"{number:3} {image.name}")
