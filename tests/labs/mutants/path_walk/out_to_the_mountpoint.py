"""`..` at a mount's root leads to the mountpoint, not to the directory above it.

fails: across_mounts
also: mounts_balance short_balance short_way stacked_mounts two_views
"""


# step 4
def follow_dotdot(nd):
    here, root = nd.path, nd.root
    if here.dentry is root.dentry and here.mnt is root.mnt:
        return stay_at_root(nd)
    if here.dentry is here.mnt.mnt_root:
        here = choose_mountpoint(real_mount(here.mnt), root)
        if here is None:
            return stay_at_root(nd)
        if nd.flags & LOOKUP_NO_XDEV:
            raise EXDEV(b"..")
        return here
    parent = here.dentry.d_parent
    if not path_connected(here.mnt, parent):
        raise ENOENT(b"..")
    return Path(here.mnt, parent)
