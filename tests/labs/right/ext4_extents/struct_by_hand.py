"""With struct alone, by slices and comprehensions; the way down is a recursion in a helper."""


# step 1
def ext4_ext_check(inode, node, depth, block):
    if node[:2] != b"\x0a\xf3":
        bad_node(inode, "no mark", block)
    return int.from_bytes(node[2:4], "little"), int.from_bytes(node[6:8], "little")


def read_extents(inode, node, entries, first, end, block):
    pieces = [node[at : at + 12] for at in range(12, 12 + 12 * entries, 12)]
    unpacked = [struct.unpack("<IHHI", piece) for piece in pieces]
    return [(start, length, (high << 32) + low, EXT4_MAP_MAPPED) for start, length, high, low in unpacked]


# step 2
def ext4_ext_map_blocks(inode, lblk):
    runs = EXT4_I(inode).i_extents
    inside = [run for run in runs if run[0] <= lblk < run[0] + run[1]]
    if inside:
        ((start, length, pblk, state),) = inside
        return state, pblk + (lblk - start), length - (lblk - start)
    following = min((run[0] for run in runs if run[0] > lblk), default=EXT_MAX_BLOCKS)
    return EXT4_MAP_HOLE, 0, following - lblk


# step 3
def read_extents(inode, node, entries, first, end, block):
    runs = []
    for at in range(12, 12 + 12 * entries, 12):
        start, length, high, low = struct.unpack_from("<IHHI", node, at)
        written = length <= 1 << 15
        runs.append(
            (
                start,
                length if written else length & 0x7FFF,
                high << 32 | low,
                EXT4_MAP_MAPPED if written else EXT4_MAP_UNWRITTEN,
            )
        )
    return runs


# step 4
def read_indexes(inode, node, entries, first, end, block):
    unpacked = [struct.unpack_from("<IIHH", node, 12 + 12 * place) for place in range(entries)]
    return [start for start, _, _, _ in unpacked], [low | high << 32 for _, low, high, _ in unpacked]


def ext4_ext_check_inode(inode, root):
    entries, depth = ext4_ext_check(inode, root, None, None)
    return tuple(read_extents(inode, root, entries, 0, EXT_MAX_BLOCKS, None)) if not depth else None


def below(inode, lblk, node, block, entries, depth, first, end):
    if not depth:
        return first, end, read_extents(inode, node, entries, first, end, block)
    starts, children = read_indexes(inode, node, entries, first, end, block)
    before = [place for place, start in enumerate(starts) if start <= lblk]
    if not before:
        return first, starts[0], []
    place = before[-1]
    bounds = [*starts, end]
    child, count = read_extent_tree_block(inode, children[place], depth - 1)
    return below(inode, lblk, child, children[place], count, depth - 1, bounds[place], bounds[place + 1])


def ext4_find_leaf(inode, lblk):
    root = EXT4_I(inode).i_data
    entries, depth = ext4_ext_check(inode, root, None, None)
    return below(inode, lblk, root, None, entries, depth, 0, EXT_MAX_BLOCKS)


def ext4_ext_map_blocks(inode, lblk):
    runs, end = EXT4_I(inode).i_extents, EXT_MAX_BLOCKS
    if runs is None:
        first, end, runs = ext4_find_leaf(inode, lblk)
    inside = [run for run in runs if run[0] <= lblk < run[0] + run[1]]
    if inside:
        start, length, pblk, state = inside[0]
        return state, pblk + (lblk - start), length - (lblk - start)
    return EXT4_MAP_HOLE, 0, min((run[0] for run in runs if run[0] > lblk), default=end) - lblk


# step 5
def with_holes(runs, first, end):
    ends = [first, *(run[0] + run[1] for run in runs)]
    starts = [*(run[0] for run in runs), end]
    holes = [(at, to - at, 0, EXT4_MAP_HOLE) for at, to in zip(ends, starts, strict=False) if at < to]
    return sorted([*runs, *holes])


def ext4_ext_map_blocks(inode, lblk):
    ei = EXT4_I(inode)
    if ei.i_extents is not None:
        runs = with_holes(list(ei.i_extents), 0, EXT_MAX_BLOCKS)
        run = runs[bisect_right([each[0] for each in runs], lblk) - 1]
    else:
        ei.i_es_tree = ei.i_es_tree or kzalloc(Ext4EsTree)
        run = ext4_es_lookup_extent(ei.i_es_tree, lblk)
        while run is None:
            first, end, runs = ext4_find_leaf(inode, lblk)
            ext4_es_cache_leaf(ei.i_es_tree, first, end, with_holes(runs, first, end))
            run = ext4_es_lookup_extent(ei.i_es_tree, lblk)
    start, length, pblk, state = run
    left = start + length - lblk
    return (state, 0, left) if state == EXT4_MAP_HOLE else (state, pblk + length - left, left)


# step 6
def ext4_ext_check(inode, node, depth, block):
    magic, entries, room, found, _ = struct.unpack_from("<HHHHI", node)
    faults = [
        magic != 0xF30A,
        found > 5,
        depth is not None and depth != found,
        room == 0 or room > (len(node) - 12) // 12,
        entries > room,
        found > 0 and entries == 0,
    ]
    if any(faults):
        bad_node(inode, f"fault {faults.index(True)}", block)
    return entries, found


def ext4_extent_block_csum_verify(inode, node, block):
    if not EXT4_SB(inode.i_sb).s_metadata_csum:
        return
    room = int.from_bytes(node[4:6], "little")
    covered, stored = node[: 12 * room + 12], node[12 * room + 12 : 12 * room + 16]
    if crc32c(ext4_inode_csum_seed(inode), covered).to_bytes(4, "little") != stored:
        ext4_checksum_error(inode.i_sb, "ext4_find_extent", "checksum", inode.i_ino, block)


def read_indexes(inode, node, entries, first, end, block):
    unpacked = [struct.unpack_from("<IIHH", node, 12 + 12 * place) for place in range(entries)]
    starts, children = [start for start, _, _, _ in unpacked], [low | high << 32 for _, low, high, _ in unpacked]
    bounds = [first - 1, *starts, end]
    if any(one >= two for one, two in zip(bounds, bounds[1:], strict=False)) or (
        block is not None and starts[0] != first
    ):
        bad_node(inode, "order", block)
    for child in children:
        if not ext4_sb_block_valid(EXT4_SB(inode.i_sb), inode.i_ino, child, 1):
            bad_node(inode, "a node where none may be", block)
    return starts, children


def read_extents(inode, node, entries, first, end, block):
    runs = []
    for at in range(12, 12 + 12 * entries, 12):
        start, length, high, low = struct.unpack_from("<IHHI", node, at)
        written = length <= 1 << 15
        runs.append(
            (
                start,
                length if written else length & 0x7FFF,
                high << 32 | low,
                EXT4_MAP_MAPPED if written else EXT4_MAP_UNWRITTEN,
            )
        )
    ends = [first, *(run[0] + run[1] for run in runs)]
    if any(run[0] < before or not run[1] for run, before in zip(runs, ends, strict=False)) or ends[-1] > end:
        bad_node(inode, "order", block)
    if block is not None and runs and runs[0][0] != first:
        bad_node(inode, "start", block)
    for _, length, pblk, _ in runs:
        if not ext4_sb_block_valid(EXT4_SB(inode.i_sb), inode.i_ino, pblk, length):
            bad_node(inode, "an extent where none may be", block)
    return runs
