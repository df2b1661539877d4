"""`..` at a mount's root stays there.

fails: across_mounts
also: mounts_balance refused_mounts short_balance short_way stacked_mounts two_views
"""


# step 4
def follow_dotdot(nd):
    here, root = nd.path, nd.root
    if here.dentry is root.dentry and here.mnt is root.mnt:
        return stay_at_root(nd)
    if here.dentry is here.mnt.mnt_root:
        return here
    parent = here.dentry.d_parent
    if not path_connected(here.mnt, parent):
        raise ENOENT(b"..")
    return Path(here.mnt, parent)
