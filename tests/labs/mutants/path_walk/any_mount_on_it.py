"""Whatever is mounted on a dentry covers it, as seen through any mount.

fails: two_views
"""


# step 4
def traverse_mounts(path, nd):
    while path.dentry.d_flags & DCACHE_MOUNTED:
        mount = next((m for (_, d), m in cpu.kernel.mount_hashtable.items() if d is path.dentry), None)
        if mount is None:
            return
        if nd.flags & LOOKUP_NO_XDEV:
            raise EXDEV(nd.last)
        below = Path(path.mnt, path.dentry)
        path.mnt, path.dentry = mntget(mount.mnt), dget(mount.mnt.mnt_root)
        path_put(below)
