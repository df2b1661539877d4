"""The walk stops at the root of the mount, not at the task's own root.

fails: jail
also: refused_links
"""


# step 2
def follow_dotdot(nd):
    here, root = nd.path, nd.root
    if here.dentry is here.mnt.mnt_root:
        return stay_at_root(nd)
    return Path(here.mnt, here.dentry.d_parent)
