"""The short way is taken though the walk may not leave its mount.

fails: short_way
"""


# step 5
def step_onto_mount(nd, dentry):
    path = nd.path
    mount = __lookup_mnt(path.mnt, dentry)
    if mount is None:
        return False
    mnt = mount.mnt
    root = mnt.mnt_root
    if root.d_flags & STEP_MASK != DCACHE_DIRECTORY_TYPE:
        return False
    mount.mnt_count += 1
    root.d_count += 1
    path.mnt._container.mnt_count -= 1
    path.dentry.d_count -= 1
    dentry.d_count -= 1
    path.mnt, path.dentry = mnt, root
    nd.inode = root.d_inode
    return True
