"""A last index is in charge up to the end of all files, also below the root.

fails: deep_trees
also: asked_once wrong_nodes out_of_order nothing_lost
"""


# step 4
def ext4_find_leaf(inode: Inode, lblk: int) -> tuple[int, int, list[Run]]:
    first, end, node, block = 0, EXT_MAX_BLOCKS, EXT4_I(inode).i_data, None
    entries, depth = ext4_ext_check(inode, node, None, None)
    while depth:
        starts, children = read_indexes(inode, node, entries, first, end, block)
        place = bisect_right(starts, lblk) - 1
        if place < 0:
            return 0, starts[0], []  # a hole: only the root may begin after file block 0 (X3)
        if place + 1 < len(starts):
            end = starts[place + 1]
        else:
            end = EXT_MAX_BLOCKS
        first, block, depth = starts[place], children[place], depth - 1
        node, entries = read_extent_tree_block(inode, block, depth)
    return first, end, read_extents(inode, node, entries, first, end, block)
