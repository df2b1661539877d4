"""The upper and the lower part of an index's block are mixed up.

fails: two_levels
also: which_index between_leaves deep_trees the_last_leaf asked_once holes_remembered
"""


# step 4
def read_indexes(
    inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None
) -> tuple[list[int], list[int]]:
    starts, children = [], []
    for start, low, high in _each_index(node[HEADER : HEADER + ENTRY * entries]):
        starts.append(start)
        children.append(low << 32 | high)
    return starts, children
