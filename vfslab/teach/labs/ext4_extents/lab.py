"""The lab ext4_extents: the extent tree by steps, with `cat` of a small file first, then of one in pieces, a sparse one, an
allocated one, a deep tree; then memory, and damage."""

from __future__ import annotations

from types import MappingProxyType

from vfslab.teach.labs.model import Check, Lab, Step

FILE = "fs/ext4/extents.py"

NO_TREE_YET = """from vfslab.kernel.errno import ENOSYS
    entries, depth = ext4_ext_check(inode, root, None, None)
    if depth:
        raise ENOSYS(b"a tree of more than one level")
    return tuple(read_extents(inode, root, entries, 0, EXT_MAX_BLOCKS, None))"""

ONE_RUN_YET = """for start, length, pblk, state in EXT4_I(inode).i_extents[:1]:
        if start <= lblk < start + length:
            return state, pblk + lblk - start, start + length - lblk
    return EXT4_MAP_HOLE, 0, EXT_MAX_BLOCKS - lblk"""

VIEW = MappingProxyType(
    {
        "Inode": ("i_ino", "i_size"),
        "Ext4InodeInfo": ("i_extents", "i_es_tree"),
        "Ext4EsTree": ("starts", "runs"),
        "BufferHead": ("b_blocknr", "b_state", "b_data"),
    }
)
STATIONS = (
    "ext4_map_blocks ext4_ext_check_inode ext4_ext_map_blocks ext4_find_leaf read_indexes read_extents sb_bread "
    "read_extent_tree_block ext4_ext_check ext4_extent_block_csum_verify with_holes ext4_es_lookup_extent ext4_es_cache_leaf"
)


def asks(*functions: str) -> tuple[str, ...]:
    """Return functions of extents.py as a step names them."""
    return tuple(f"{FILE}:{function}" for function in functions)


ENTRIES = Step(
    number=1,
    title="Entries become runs",
    asks=asks("ext4_ext_check", "read_extents"),
    checks=(
        Check(
            name="one_piece",
            points=3,
            says="a file with one extent reads as it lies on the disk",
            hint="A run is (ee_block, ee_len, disk block, EXT4_MAP_MAPPED); _each_extent gives start, length, high, low.",
        ),
        Check(
            name="four_entries",
            points=2,
            says="every entry of the inode becomes a run, the last one too",
            hint="The header says how many entries follow: HEADER bytes from the start, ENTRY bytes each.",
        ),
        Check(
            name="no_mark",
            points=1,
            says="what does not begin with 0xF30A is no tree",
            hint="Compare eh_magic with EXT4_EXT_MAGIC, and tell bad_node, which raises EUCLEAN.",
        ),
        Check(
            name="big_numbers",
            points=1,
            hidden=True,
            says="disk blocks have 48 bits",
            hint="ee_start_hi is the upper part: high << 32 | low.",
        ),
    ),
)

PIECES = Step(
    number=2,
    title="Pieces and holes",
    asks=asks("ext4_ext_map_blocks"),
    checks=(
        Check(
            name="in_pieces",
            points=2,
            says="a file in several pieces is read from each of them",
            hint="The block is in the run with start <= lblk < start + length; how far into the run does it lie?",
        ),
        Check(
            name="hole_between",
            points=2,
            says="what no extent covers is a hole, up to the next extent",
            hint="The runs are in order: if lblk lies before a run and no earlier one had it, the hole ends at this run.",
        ),
        Check(
            name="hole_at_the_end",
            points=2,
            says="behind the last extent all is hole, and a file may have none at all",
            hint="No run is left: EXT4_MAP_HOLE, 0, and as many blocks as there are up to EXT_MAX_BLOCKS.",
        ),
        Check(
            name="every_boundary",
            points=2,
            hidden=True,
            says="the first and the last block of every extent and hole are what they are",
            hint="A run's last block is start + length - 1, and there one block is left; a hole may come first, too.",
        ),
    ),
)

RESERVED = Step(
    number=3,
    title="Reserved is not written",
    asks=asks("read_extents"),
    checks=(
        Check(
            name="reserved",
            points=2,
            says="an unwritten extent has its blocks, but reads as zeros",
            hint="An ee_len above EXT_INIT_MAX_LEN: the state is EXT4_MAP_UNWRITTEN, and the length that much shorter.",
        ),
        Check(
            name="longest",
            points=2,
            hidden=True,
            says="32768 blocks are written, 32769 stand for one unwritten block",
            hint="Look at the boundary: an unwritten extent of no blocks would make no sense, so 32768 is written.",
        ),
    ),
)

TREE = Step(
    number=4,
    title="A tree",
    asks=asks("read_indexes", "ext4_ext_check_inode", "ext4_find_leaf", "ext4_ext_map_blocks"),
    checks=(
        Check(
            name="two_levels",
            points=4,
            says="a file with leaves of its own reads as it lies on the disk",
            hint="ext4_ext_check_inode returns None for a depth above 0; then ext4_find_leaf walks down from i_data.",
        ),
        Check(
            name="which_index",
            points=3,
            says="the last index that does not begin behind the block is in charge",
            hint="<= and not <: an index is in charge of its own first block. bisect_right(starts, lblk) - 1 is its place.",
        ),
        Check(
            name="between_leaves",
            points=2,
            says="a hole at a leaf's end goes on to where the next leaf begins, and one may come before the first index",
            hint="Keep `end` on the way down: the start of the next index of the same node, or else what the parent gave.",
        ),
        Check(
            name="deep_trees",
            points=3,
            hidden=True,
            says="trees of up to five levels are read to the leaves",
            hint="The way down is a loop: each node's depth is one less than its parent's, and at 0 the entries are extents.",
        ),
        Check(
            name="the_last_leaf",
            points=1,
            hidden=True,
            says="the last index is in charge up to the end of all files",
            hint="Behind the last index there is no next one: `end` stays what the parent gave, at the root EXT_MAX_BLOCKS.",
        ),
    ),
)

MEMORY = Step(
    number=5,
    title="What was read is remembered",
    asks=asks("with_holes", "ext4_ext_map_blocks"),
    checks=(
        Check(
            name="asked_once",
            points=2,
            says="the way to a leaf is walked once, and only for a block that is asked for",
            hint="First ext4_es_lookup_extent; only if that is None ext4_find_leaf, and then ext4_es_cache_leaf.",
        ),
        Check(
            name="holes_remembered",
            points=2,
            hidden=True,
            says="holes are remembered as well, and the answers stay right",
            hint="Runs and holes of a leaf cover all from first to end, the piece before the first run and behind the last too.",
        ),
    ),
)

DOUBT = Step(
    number=6,
    title="Believe nothing",
    asks=asks("ext4_ext_check", "ext4_extent_block_csum_verify", "read_indexes", "read_extents"),
    checks=(
        Check(
            name="flipped_bits",
            points=2,
            says="a node whose checksum is wrong is EBADMSG",
            hint="crc32c from ext4_inode_csum_seed(inode) over the node up to the tail, behind the last entry of eh_max.",
        ),
        Check(
            name="wrong_headers",
            points=2,
            says="a root whose header cannot be right is EUCLEAN, one that is only odd is believed",
            hint="Depth, room and entries each have a range; only inner nodes need an entry.",
        ),
        Check(
            name="wrong_nodes",
            points=2,
            hidden=True,
            says="a node has the depth that its parent demands, and a header that can be right",
            hint="depth is None for the root only; every other node must say exactly the depth that it is asked for.",
        ),
        Check(
            name="out_of_order",
            points=2,
            hidden=True,
            says="entries are in order, do not overlap, and stay in the parent's charge",
            hint="Keep a floor: where the entry before ended (for indexes: one behind its start). Nothing reaches past `end`, and "
            "a node's first entry starts at `first`, except in the root.",
        ),
        Check(
            name="whose_blocks",
            points=2,
            hidden=True,
            says="no file leads to the filesystem's own blocks, nor out of it",
            hint="ext4_sb_block_valid(EXT4_SB(inode.i_sb), inode.i_ino, first block, count), for extents and for indexes.",
        ),
        Check(
            name="nothing_lost",
            points=4,
            hidden=True,
            says="sound files of all shapes read as before",
            hint="Who asks more questions may forget an old one: unwritten extents, high bits, the last entry.",
        ),
    ),
)

LAB = Lab(
    name="ext4_extents",
    title="Extent trees in your own hand",
    chapter="03_ext4_on_disk.ipynb",
    minutes=110,
    aims=(
        "decode the header and the entries of an extent tree, and know what each of their bits means",
        "say what read() returns for a written, an unwritten and a missing part of a file, and how far it goes on",
        "walk a tree of any depth to the leaf that is in charge, and keep what was read",
        "name the damage that a checksum tells of, and the damage that only a check of sense tells of",
    ),
    needs="chapter 3 read once, up to its fourth rung; slices, tuples and loops of Python.",
    also_gone=("fs/ext4/fc_overlay.py:read_node",),  # the journal's fast commits have a reader of their own
    view=VIEW,
    stations=tuple(STATIONS.split()),
    for_now=(
        (f"{FILE}:ext4_ext_check_inode", NO_TREE_YET),
        (f"{FILE}:ext4_ext_map_blocks", ONE_RUN_YET),
        (f"{FILE}:ext4_extent_block_csum_verify", "return None"),
    ),
    steps=(ENTRIES, PIECES, RESERVED, TREE, MEMORY, DOUBT),
    seconds=5.0,
    mistakes=(
        (
            "The last entry is forgotten, or one too many is read (range(entries - 1), a slice that ends too early).",
            "How many bytes does a root with four entries take, the header included? What does your slice hold?",
        ),
        (
            "ee_len >= 32768 is taken for unwritten: big files show zeros, in every piece of exactly 128 MiB.",
            "How long would the unwritten extent be whose ee_len is exactly 32768?",
        ),
        (
            "ee_len is not shortened: an unwritten extent seems to be 32768 blocks longer than it is.",
            "Your file of five blocks has an extent of 32772 blocks: can that be?",
        ),
        (
            "A hole is given the length 1, or the rest of the file: the reader is slow, or skips the next extent.",
            "Block 3 is a hole and block 7 begins an extent. What should the answer for block 3 save the caller from?",
        ),
        (
            "In an inner node bisect_left, or < in place of <=, is used: the first block of each leaf is looked for in the leaf before.",
            "Which index is in charge of exactly the block that it names?",
        ),
        (
            "The hole at a leaf's end ends at the leaf's last extent, or goes on to the end of all files.",
            "Who knows where the next leaf begins: this leaf, or its parent?",
        ),
        (
            "`end` is overwritten with EXT_MAX_BLOCKS at a last index deeper down.",
            "The second level's last index: what comes behind it in the file?",
        ),
        (
            "Holes are not remembered, so each look at one walks down again.",
            "What does ext4_es_lookup_extent say of a block that no remembered run covers?",
        ),
        (
            "The checksum is computed over all of the block, or over the entries in use only.",
            "Which bytes would change if a fourth entry were added to a leaf with room for 84?",
        ),
        (
            "A root without entries is refused: every empty file becomes an error.",
            "What does i_block of a file of 0 bytes hold?",
        ),
    ),
)
