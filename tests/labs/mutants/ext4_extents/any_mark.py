"""The mark is not looked at.

fails: no_mark
"""


# step 1
def ext4_ext_check(inode: Inode, node: bytes, depth: int | None, block: int | None) -> tuple[int, int]:
    magic, entries, room, found = _read_header(node, 0)
    return entries, found
