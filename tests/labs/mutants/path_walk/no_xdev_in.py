"""A walk that may not leave its mount goes into another one.

fails: refused_mounts
also: short_way
"""


# step 4
def traverse_mounts(path, nd):
    while path.dentry.d_flags & DCACHE_MOUNTED:
        mount = __lookup_mnt(path.mnt, path.dentry)
        if mount is None:
            return
        below = Path(path.mnt, path.dentry)
        path.mnt, path.dentry = mntget(mount.mnt), dget(mount.mnt.mnt_root)
        path_put(below)
