"""The place that is covered keeps its references.

fails: mounts_balance
"""


# step 4
def traverse_mounts(path, nd):
    while path.dentry.d_flags & DCACHE_MOUNTED:
        mount = __lookup_mnt(path.mnt, path.dentry)
        if mount is None:
            return
        if nd.flags & LOOKUP_NO_XDEV:
            raise EXDEV(nd.last)
        below = Path(path.mnt, path.dentry)
        path.mnt, path.dentry = mntget(mount.mnt), dget(mount.mnt.mnt_root)
