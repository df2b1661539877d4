"""may_lookup never asks for the permission.

fails: who_may_search
also: dots_need_a_directory
"""


# step 1
def may_lookup(nd):
    inode = nd.inode
    if inode.i_mode & S_IFMT != S_IFDIR:
        raise ENOTDIR(nd.last)
