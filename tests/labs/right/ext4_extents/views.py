"""With the layouts of fs/ext4/format.py as views, by attribute, and without bisect."""


# step 1
def ext4_ext_check(inode, node, depth, block):
    header = ext4_extent_header(node)
    if header.eh_magic != 0xF30A:
        bad_node(inode, "no tree", block)
    return header.eh_entries, header.eh_depth


def read_extents(inode, node, entries, first, end, block):
    found = [ext4_extent(node, 12 + 12 * place) for place in range(entries)]
    return [(extent.ee_block, extent.ee_len, extent.ee_start, EXT4_MAP_MAPPED) for extent in found]


# step 2
def ext4_ext_map_blocks(inode, lblk):
    behind = EXT_MAX_BLOCKS
    for start, length, pblk, state in reversed(inode._container.i_extents):
        if start <= lblk:
            skipped = lblk - start
            if skipped < length:
                return state, pblk + skipped, length - skipped
            break
        behind = start
    return EXT4_MAP_HOLE, 0, behind - lblk


# step 3
def read_extents(inode, node, entries, first, end, block):
    runs = []
    for place in range(entries):
        extent = ext4_extent(node, 12 + 12 * place)
        unwritten = extent.ee_len > 32768
        state = EXT4_MAP_UNWRITTEN if unwritten else EXT4_MAP_MAPPED
        runs.append((extent.ee_block, extent.ee_len - 32768 * unwritten, extent.ee_start, state))
    return runs


# step 4
def read_indexes(inode, node, entries, first, end, block):
    indexes = [ext4_extent_idx(node, 12 + 12 * place) for place in range(entries)]
    return [index.ei_block for index in indexes], [index.ei_leaf for index in indexes]


def ext4_ext_check_inode(inode, root):
    entries, depth = ext4_ext_check(inode, root, None, None)
    if depth > 0:
        return None
    return tuple(read_extents(inode, root, entries, 0, EXT_MAX_BLOCKS, None))


def ext4_find_leaf(inode, lblk):
    node = EXT4_I(inode).i_data
    entries, depth = ext4_ext_check(inode, node, None, None)
    first, end, block = 0, EXT_MAX_BLOCKS, None
    for level in range(depth - 1, -1, -1):
        starts, children = read_indexes(inode, node, entries, first, end, block)
        if lblk < starts[0]:
            return first, starts[0], []
        for place, start in enumerate(starts):
            if start > lblk:
                end = start
                break
            first, block = start, children[place]
        node, entries = read_extent_tree_block(inode, block, level)
    return first, end, read_extents(inode, node, entries, first, end, block)


def ext4_ext_map_blocks(inode, lblk):
    runs, end = inode._container.i_extents, EXT_MAX_BLOCKS
    if runs is None:
        _, end, runs = ext4_find_leaf(inode, lblk)
    for start, length, pblk, state in reversed(runs):
        if start <= lblk:
            if lblk < start + length:
                return state, pblk + lblk - start, start + length - lblk
            return EXT4_MAP_HOLE, 0, end - lblk
        end = start
    return EXT4_MAP_HOLE, 0, end - lblk


# step 5
def with_holes(runs, first, end):
    covered = []
    for run in [*runs, (end, 0, 0, None)]:
        before = covered[-1][0] + covered[-1][1] if covered else first
        if before < run[0]:
            covered.append((before, run[0] - before, 0, EXT4_MAP_HOLE))
        if run[1]:
            covered.append(run)
    return covered


def ext4_ext_map_blocks(inode, lblk):
    ei = EXT4_I(inode)
    if ei.i_extents is None:
        if ei.i_es_tree is None:
            ei.i_es_tree = kzalloc(Ext4EsTree)
        if ext4_es_lookup_extent(ei.i_es_tree, lblk) is None:
            first, end, runs = ext4_find_leaf(inode, lblk)
            ext4_es_cache_leaf(ei.i_es_tree, first, end, with_holes(runs, first, end))
        run = ext4_es_lookup_extent(ei.i_es_tree, lblk)
    else:
        run = next(run for run in with_holes(ei.i_extents, 0, EXT_MAX_BLOCKS) if lblk < run[0] + run[1])
    start, length, pblk, state = run
    if state != EXT4_MAP_HOLE:
        pblk += lblk - start
    return state, pblk, start + length - lblk


# step 6
def ext4_ext_check(inode, node, depth, block):
    header = ext4_extent_header(node)
    entries, room, found = header.eh_entries, header.eh_max, header.eh_depth
    sound = header.eh_magic == 0xF30A and found <= 5 and depth in (None, found)
    sound = sound and 1 <= room and 12 + 12 * room <= len(node) and entries <= room and (entries or not found)
    if not sound:
        bad_node(inode, f"a header of {entries} entries, room for {room}, depth {found}", block)
    return entries, found


def ext4_extent_block_csum_verify(inode, node, block):
    if EXT4_SB(inode.i_sb).s_metadata_csum:
        tail = 12 + 12 * ext4_extent_header(node).eh_max
        stored = ext4_extent_tail(node, tail).et_checksum
        if stored != crc32c(ext4_inode_csum_seed(inode), node[:tail]):
            ext4_checksum_error(inode.i_sb, "ext4_find_extent", "wrong checksum", inode.i_ino, block)


def read_indexes(inode, node, entries, first, end, block):
    starts, children = [], []
    for place in range(entries):
        index = ext4_extent_idx(node, 12 + 12 * place)
        if block is not None and place == 0 and index.ei_block != first:
            bad_node(inode, "starts elsewhere", block)
        if not ext4_sb_block_valid(EXT4_SB(inode.i_sb), inode.i_ino, index.ei_leaf, 1):
            bad_node(inode, "an index leads astray", block)
        starts.append(index.ei_block)
        children.append(index.ei_leaf)
    if starts != sorted(set(starts)) or starts[0] < first or starts[-1] >= end:
        bad_node(inode, "indexes in disorder", block)
    return starts, children


def read_extents(inode, node, entries, first, end, block):
    runs, at = [], first
    for place in range(entries):
        extent = ext4_extent(node, 12 + 12 * place)
        length, state = extent.ee_len, EXT4_MAP_MAPPED
        if length > 32768:
            length, state = length - 32768, EXT4_MAP_UNWRITTEN
        if length == 0 or extent.ee_block < at or (extent.ee_block > at and place == 0 and block is not None):
            bad_node(inode, "an extent in the wrong place", block)
        at = extent.ee_block + length
        if at > end or not ext4_sb_block_valid(EXT4_SB(inode.i_sb), inode.i_ino, extent.ee_start, length):
            bad_node(inode, "an extent that reaches too far", block)
        runs.append((extent.ee_block, length, extent.ee_start, state))
    return runs
