"""The last index of a node is left out.

fails: which_index
also: two_levels between_leaves deep_trees the_last_leaf asked_once holes_remembered
"""


# step 4
def read_indexes(
    inode: Inode, node: bytes, entries: int, first: int, end: int, block: int | None
) -> tuple[list[int], list[int]]:
    starts, children = [], []
    for start, low, high in _each_index(node[HEADER : HEADER + ENTRY * (entries - 1)]):
        starts.append(start)
        children.append(high << 32 | low)
    return starts, children
