"""What is found in memory is given out without a reference.

fails: short_balance
also: known_names short_way stale_names
"""


# step 5
def lookup_fast(nd):
    children = nd.path.dentry.d_children
    dentry = children.get(nd.last) if children else None
    if dentry is not None:
        if dentry.d_flags & DCACHE_OP_REVALIDATE and not d_revalidate(dentry, nd.flags):
            return None
    return dentry
