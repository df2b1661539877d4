"""The way out goes below one mount, not below all that are stacked.

fails: stacked_mounts
also: mounts_balance short_way
"""


# step 4
def choose_mountpoint(mount, root):
    while mnt_has_parent(mount):
        mountpoint, mount = mount.mnt_mountpoint, mount.mnt_parent
        if mountpoint is root.dentry and mount.mnt is root.mnt:
            return None
        return Path(mount.mnt, mountpoint)
    return None
