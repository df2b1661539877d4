"""The way out goes past the task's root, if that is covered.

fails: mounted_root
"""


# step 4
def choose_mountpoint(mount, root):
    while mnt_has_parent(mount):
        mountpoint, mount = mount.mnt_mountpoint, mount.mnt_parent
        if mountpoint is not mount.mnt.mnt_root:
            return Path(mount.mnt, mountpoint)
    return None
