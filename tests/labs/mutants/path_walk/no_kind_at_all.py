"""A file may be searched like a directory, if its bits say so.

fails: who_may_search
also: dots_balance dots_need_a_directory links other_callers refused_links short_balance
"""


# step 1
def may_lookup(nd):
    inode = nd.inode
    inode_permission(inode, MAY_EXEC)
