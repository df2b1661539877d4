"""A walk that may not leave its mount goes out of it by dots.

fails: refused_mounts
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
    parent = here.dentry.d_parent
    if not path_connected(here.mnt, parent):
        raise ENOENT(b"..")
    return Path(here.mnt, parent)
