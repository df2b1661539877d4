"""The permission to read is asked, not that to search.

fails: who_may_search
"""


# step 1
def may_lookup(nd):
    inode = nd.inode
    if inode.i_mode & S_IFMT != S_IFDIR:
        raise ENOTDIR(nd.last)
    inode_permission(inode, 4)
