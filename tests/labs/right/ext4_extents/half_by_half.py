"""With searches by halves of its own, generators, and a memory for runs in the inode, too."""


# step 1
def ext4_ext_check(inode, node, depth, block):
    magic, entries, _, levels = _read_header(node, 0)
    return (entries, levels) if magic == EXT4_EXT_MAGIC else bad_node(inode, f"magic {magic:#x}", block)


def read_extents(inode, node, entries, first, end, block):
    runs = []
    at = HEADER
    while len(runs) < entries:
        start, length, high, low = _read_extent(node, at)
        runs += [(start, length, high * 2**32 + low, EXT4_MAP_MAPPED)]
        at += ENTRY
    return runs


# step 2
def nearest(runs, lblk):
    low, high = 0, len(runs)
    while low < high:
        middle = (low + high) // 2
        if runs[middle][0] + runs[middle][1] <= lblk:
            low = middle + 1
        else:
            high = middle
    return runs[low] if low < len(runs) else None


def ext4_ext_map_blocks(inode, lblk):
    run = nearest(EXT4_I(inode).i_extents, lblk)
    if run is None:
        return EXT4_MAP_HOLE, 0, EXT_MAX_BLOCKS - lblk
    ahead = run[0] - lblk
    return (EXT4_MAP_HOLE, 0, ahead) if ahead > 0 else (run[3], run[2] - ahead, run[1] + ahead)


# step 3
def lengths(length):
    if length <= EXT_INIT_MAX_LEN:
        return length, EXT4_MAP_MAPPED
    return length - EXT_INIT_MAX_LEN, EXT4_MAP_UNWRITTEN


def read_extents(inode, node, entries, first, end, block):
    runs = []
    for at in range(HEADER, HEADER + entries * ENTRY, ENTRY):
        start, length, high, low = _read_extent(node, at)
        length, state = lengths(length)
        runs.append((start, length, high << 32 | low, state))
    return runs


# step 4
def read_indexes(inode, node, entries, first, end, block):
    found = list(_each_index(node[HEADER : HEADER + ENTRY * entries]))
    return [each[0] for each in found], [each[1] + (each[2] << 32) for each in found]


def ext4_ext_check_inode(inode, root):
    entries, depth = ext4_ext_check(inode, root, None, None)
    if not depth:
        return tuple(read_extents(inode, root, entries, 0, EXT_MAX_BLOCKS, None))


def ext4_find_leaf(inode, lblk):
    bounds, block, node = (0, EXT_MAX_BLOCKS), None, EXT4_I(inode).i_data
    entries, depth = ext4_ext_check(inode, node, None, None)
    while depth:
        starts, children = read_indexes(inode, node, entries, *bounds, block)
        ranges = list(zip(starts, [*starts[1:], bounds[1]], strict=False))
        mine = [place for place, (at, to) in enumerate(ranges) if at <= lblk < to]
        if not mine:
            return bounds[0], starts[0], []
        bounds, block = ranges[mine[0]], children[mine[0]]
        depth -= 1
        node, entries = read_extent_tree_block(inode, block, depth)
    return *bounds, read_extents(inode, node, entries, *bounds, block)


def ext4_ext_map_blocks(inode, lblk):
    end, runs = EXT_MAX_BLOCKS, EXT4_I(inode).i_extents
    if runs is None:
        _, end, runs = ext4_find_leaf(inode, lblk)
    run = nearest(runs, lblk)
    ahead = (end if run is None else run[0]) - lblk
    return (EXT4_MAP_HOLE, 0, ahead) if ahead > 0 else (run[3], run[2] - ahead, run[1] + ahead)


# step 5
def pieces(runs, first, end):
    for run in runs:
        if first != run[0]:
            yield first, run[0] - first, 0, EXT4_MAP_HOLE
        yield run
        first = run[0] + run[1]
    if first != end:
        yield first, end - first, 0, EXT4_MAP_HOLE


def with_holes(runs, first, end):
    return list(pieces(runs, first, end))


def ext4_ext_map_blocks(inode, lblk):
    ei = EXT4_I(inode)
    if ei.i_es_tree is None:
        ei.i_es_tree = kzalloc(Ext4EsTree)
        if ei.i_extents is not None:
            ext4_es_cache_leaf(ei.i_es_tree, 0, EXT_MAX_BLOCKS, with_holes(ei.i_extents, 0, EXT_MAX_BLOCKS))
    known = ext4_es_lookup_extent(ei.i_es_tree, lblk)
    if known is None:
        first, end, runs = ext4_find_leaf(inode, lblk)
        ext4_es_cache_leaf(ei.i_es_tree, first, end, with_holes(runs, first, end))
        return ext4_ext_map_blocks(inode, lblk)
    start, length, pblk, state = known
    return state, (pblk + lblk - start) * (state != EXT4_MAP_HOLE), start + length - lblk


# step 6
def demand(inode, holds, why, block):
    if not holds:
        bad_node(inode, why, block)


def ext4_ext_check(inode, node, depth, block):
    magic, entries, room, levels = _read_header(node, 0)
    demand(inode, magic == EXT4_EXT_MAGIC, "mark", block)
    demand(inode, levels <= EXT4_MAX_EXTENT_DEPTH and (depth is None or levels == depth), "depth", block)
    demand(inode, 0 < room <= len(node) // ENTRY - 1, "room", block)
    demand(inode, (1 if levels else 0) <= entries <= room, "entries", block)
    return entries, levels


def ext4_extent_block_csum_verify(inode, node, block):
    room = _read_header(node, 0)[2]
    (stored,) = _read_tail(node, ENTRY * (room + 1))
    if EXT4_SB(inode.i_sb).s_metadata_csum and stored != crc32c(
        ext4_inode_csum_seed(inode), node[: ENTRY * (room + 1)]
    ):
        ext4_checksum_error(inode.i_sb, "ext4_find_extent", "the checksum is wrong", inode.i_ino, block)


def may_own(inode, start, count, block):
    demand(inode, ext4_sb_block_valid(EXT4_SB(inode.i_sb), inode.i_ino, start, count), "not a file's blocks", block)


def read_indexes(inode, node, entries, first, end, block):
    starts, children = [], []
    for start, low, high in _each_index(node[HEADER : HEADER + ENTRY * entries]):
        demand(inode, (starts[-1] + 1 if starts else first) <= start < end, "order", block)
        demand(inode, starts or block is None or start == first, "start", block)
        may_own(inode, low + (high << 32), 1, block)
        starts.append(start)
        children.append(low + (high << 32))
    return starts, children


def read_extents(inode, node, entries, first, end, block):
    runs, floor = [], first
    for at in range(HEADER, HEADER + entries * ENTRY, ENTRY):
        start, length, high, low = _read_extent(node, at)
        length, state = lengths(length)
        demand(inode, length and floor <= start <= start + length <= end, "order", block)
        demand(inode, runs or block is None or start == first, "start", block)
        may_own(inode, high << 32 | low, length, block)
        runs.append((start, length, high << 32 | low, state))
        floor = start + length
    return runs
