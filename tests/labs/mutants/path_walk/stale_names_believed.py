"""A cached name is believed though its filesystem would take it back.

fails: stale_names
"""


# step 5
def lookup_fast(nd):
    children = nd.path.dentry.d_children
    dentry = children.get(nd.last) if children else None
    if dentry is not None:
        dentry.d_count += 1
    return dentry
