"""A remembered run is told from its start, wherever one asks.

fails: holes_remembered
also: asked_once
"""


# step 5
def ext4_ext_map_blocks(inode: Inode, lblk: int) -> tuple[int, int, int]:
    ei = inode._container
    if ei.i_extents is not None:  # the few runs of a tree that lies in the inode
        for start, length, pblk, state in ei.i_extents:
            if lblk < start:
                return EXT4_MAP_HOLE, 0, start - lblk
            if lblk < start + length:
                return state, pblk + lblk - start, start + length - lblk
        return EXT4_MAP_HOLE, 0, EXT_MAX_BLOCKS - lblk
    tree = ei.i_es_tree
    if tree is None:
        tree = ei.i_es_tree = kzalloc(Ext4EsTree)
    run = ext4_es_lookup_extent(tree, lblk)
    if run is None:
        first, end, runs = ext4_find_leaf(inode, lblk)
        ext4_es_cache_leaf(tree, first, end, with_holes(runs, first, end))
        run = ext4_es_lookup_extent(tree, lblk)  # found: what was put in covers all from first to end
    start, length, pblk, state = run
    skipped = 0
    return state, 0 if state == EXT4_MAP_HOLE else pblk + skipped, length - skipped
