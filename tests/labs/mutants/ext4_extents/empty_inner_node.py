"""An inner node without entries is believed.

fails: wrong_headers
also: wrong_nodes
"""


# step 6
def ext4_ext_check(inode: Inode, node: bytes, depth: int | None, block: int | None) -> tuple[int, int]:
    magic, entries, room, found = _read_header(node, 0)
    if magic != EXT4_EXT_MAGIC:
        bad_node(inode, "invalid magic", block)
    if found > EXT4_MAX_EXTENT_DEPTH:
        bad_node(inode, f"too large eh_depth {found}", block)
    if depth is not None and found != depth:
        bad_node(inode, f"unexpected eh_depth {found}, not {depth}", block)
    if not 0 < room <= (len(node) - HEADER) // ENTRY:
        bad_node(inode, f"invalid eh_max {room}", block)
    if entries > room:
        bad_node(inode, f"invalid eh_entries {entries} of {room}", block)
    return entries, found
