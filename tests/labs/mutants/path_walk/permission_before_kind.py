"""The permission is asked before the kind: a file as a directory gives EACCES.

fails: who_may_search
also: dots_balance dots_need_a_directory links refused_links short_balance
"""


# step 1
def may_lookup(nd):
    inode = nd.inode
    inode_permission(inode, MAY_EXEC)
    if inode.i_mode & S_IFMT != S_IFDIR:
        raise ENOTDIR(nd.last)
