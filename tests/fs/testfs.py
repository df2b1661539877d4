"""A filesystem over a make-believe disk, which counts how often it is asked: what the caches save can be seen.

disk = Disk({b"dir": {b"file": b"content"}, b"link": "dir/file"})     dict, bytes, str: directory, file, symlink
"""

from vfslab.fs.dcache import d_make_root, d_splice_alias
from vfslab.fs.filesystems import register_filesystem
from vfslab.fs.inode import iget_failed, iget_locked, unlock_new_inode
from vfslab.fs.libfs import simple_statfs
from vfslab.fs.super import get_tree_bdev, get_tree_nodev, kill_anon_super, kill_block_super
from vfslab.include.dcache import DentryOperations
from vfslab.include.fs import (
    FS_REQUIRES_DEV,
    I_NEW,
    FileOperations,
    FileSystemType,
    InodeOperations,
    SuperOperations,
)
from vfslab.include.fs_context import FsContextOperations
from vfslab.include.uapi.stat import S_IFDIR, S_IFLNK, S_IFREG
from vfslab.kernel.errno import EIO
from vfslab.kernel.slab import kzalloc


class Disk:
    """What lies on the disk, and a log of what was read: names looked up, inode numbers."""

    def __init__(self, tree):
        self.inodes, self.looked_up, self.read, self.bad = {}, [], [], set()
        self.valid = True  # what d_revalidate says
        self.root = self.add(tree)

    def add(self, what):
        """Put an object with all below it on the disk; return its number."""
        ino = len(self.inodes) + 2
        self.inodes[ino] = what
        if isinstance(what, dict):
            self.inodes[ino] = {name: below if type(below) is int else self.add(below) for name, below in what.items()}
        return ino


def disk_iget(sb, ino):
    inode = iget_locked(sb, ino)
    if not inode.i_state & I_NEW:
        return inode
    disk = sb.s_fs_info
    disk.read.append(ino)
    if ino in disk.bad:
        iget_failed(inode)
        raise EIO(ino)
    what = disk.inodes[ino]
    kinds = {dict: S_IFDIR | 0o755, bytes: S_IFREG | 0o644, str: S_IFLNK | 0o777}
    inode.i_mode = kinds[type(what)]
    inode.i_op, inode.i_fop = testfs_inode_operations, FileOperations()
    inode.i_size = len(what)
    if isinstance(what, str):
        inode.i_op = testfs_symlink_inode_operations
    unlock_new_inode(inode)
    return inode


def testfs_lookup(dir, dentry, flags):
    disk = dir.i_sb.s_fs_info
    disk.looked_up.append(dentry.d_name)
    ino = disk.inodes[dir.i_ino].get(dentry.d_name)
    return d_splice_alias(None if ino is None else disk_iget(dir.i_sb, ino), dentry)


def testfs_get_link(dentry, inode):
    return inode.i_sb.s_fs_info.inodes[inode.i_ino].encode()


testfs_inode_operations = InodeOperations(lookup=testfs_lookup)
testfs_symlink_inode_operations = InodeOperations(get_link=testfs_get_link)
testfs_super_operations = SuperOperations(statfs=simple_statfs)


def register(kernel, disk, name=b"testfs", on_device=False, revalidate=False, fill=None):
    """Make the filesystem known to a kernel; fill(sb) may fail after the root is made."""

    def fill_super(sb, fc):
        sb.s_op, sb.s_fs_info = testfs_super_operations, disk
        if revalidate:
            sb.s_d_op = DentryOperations(d_revalidate=lambda dentry, flags: disk.valid)
        sb.s_root = d_make_root(disk_iget(sb, disk.root))
        if fill is not None:
            fill(sb)

    def get_tree(fc):
        (get_tree_bdev if on_device else get_tree_nodev)(fc, fill_super)

    def init_fs_context(fc):
        fc.ops = FsContextOperations(get_tree=get_tree)

    register_filesystem(
        kzalloc(
            FileSystemType,
            name=name,
            fs_flags=FS_REQUIRES_DEV if on_device else 0,
            init_fs_context=init_fs_context,
            kill_sb=kill_block_super if on_device else kill_anon_super,
        )
    )
