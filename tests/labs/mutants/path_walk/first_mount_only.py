"""The way in stops at the first of several mounts.

fails: stacked_mounts
also: mounts_balance short_way
"""


# step 4
def traverse_mounts(path, nd):
    if path.dentry.d_flags & DCACHE_MOUNTED:
        mount = __lookup_mnt(path.mnt, path.dentry)
        if mount is None:
            return
        if nd.flags & LOOKUP_NO_XDEV:
            raise EXDEV(nd.last)
        below = Path(path.mnt, path.dentry)
        path.mnt, path.dentry = mntget(mount.mnt), dget(mount.mnt.mnt_root)
        path_put(below)
