"""A block in front of the first index is looked for below the last one.

fails: between_leaves
also: nothing_lost
"""


# step 4
def ext4_find_leaf(inode: Inode, lblk: int) -> tuple[int, int, list[Run]]:
    first, end, node, block = 0, EXT_MAX_BLOCKS, EXT4_I(inode).i_data, None
    entries, depth = ext4_ext_check(inode, node, None, None)
    while depth:
        starts, children = read_indexes(inode, node, entries, first, end, block)
        place = bisect_right(starts, lblk) - 1
        if place + 1 < len(starts):
            end = starts[place + 1]
        first, block, depth = starts[place], children[place], depth - 1
        node, entries = read_extent_tree_block(inode, block, depth)
    return first, end, read_extents(inode, node, entries, first, end, block)
