"""A name that is known to be absent is asked for again.

fails: known_names
"""


# step 5
def lookup_fast(nd):
    children = nd.path.dentry.d_children
    dentry = children.get(nd.last) if children else None
    if dentry is not None and dentry.d_inode is None:
        return None
    if dentry is not None:
        dentry.d_count += 1
        if dentry.d_flags & DCACHE_OP_REVALIDATE and not d_revalidate(dentry, nd.flags):
            return None
    return dentry
