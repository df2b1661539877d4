"""devtmpfs: the filesystem on /dev, whose nodes come and go with devices.

    driver ─▶ device_add_disk, device_create ─▶ kernel.device_add ─▶ devtmpfs_device ─▶ a node, or its removal

It is one filesystem, however often it is mounted. Beside the kernel's nodes it holds whatever
programs create there; a node that the kernel did not make, it does not remove.

Linux: drivers/base/devtmpfs.c; names and content are those of ramfs.   Chapter 9.
Left out: the thread that works for it, nodes in subdirectories, modes and owners that classes ask for.
Unlike Linux's, it is forgotten with its last mount, and filled again with the next.

Always true
  D1  while it is mounted, there is a node for each device of kernel.bdev_map and kernel.chrdev_map
  D2  i_private of a node that the kernel made is KERNEL_NODE
"""

from __future__ import annotations

from vfslab.fs.attr import file_modified
from vfslab.fs.dcache import d_add, d_alloc, d_delete, d_is_negative, d_lookup, d_make_root, dput
from vfslab.fs.inode import (
    generic_delete_inode,
    get_next_ino,
    inc_nlink,
    init_special_inode,
    inode_init_owner,
    new_inode,
    simple_inode_init_ts,
)
from vfslab.fs.libfs import (
    noop_fsync,
    page_get_link,
    page_symlink,
    ram_aops,
    simple_dir_operations,
    simple_getattr,
    simple_link,
    simple_lookup,
    simple_pin,
    simple_rename,
    simple_rmdir,
    simple_setattr,
    simple_statfs,
    simple_unlink,
    touch_dirs,
)
from vfslab.fs.read_write import generic_file_llseek
from vfslab.fs.super import get_tree_single, kill_litter_super
from vfslab.include.blk_types import BlockDevice
from vfslab.include.dcache import Dentry
from vfslab.include.device import Device
from vfslab.include.fs import FileOperations, FileSystemType, Inode, InodeOperations, SuperBlock, SuperOperations
from vfslab.include.fs_context import FsContext, FsContextOperations
from vfslab.include.kernel import Kernel
from vfslab.include.mm_types import PAGE_SHIFT, PAGE_SIZE
from vfslab.include.uapi.stat import S_IFBLK, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG
from vfslab.include.uio import IovIter, Kiocb
from vfslab.kernel.locking import down_write
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kzalloc
from vfslab.mm.filemap import generic_file_read_iter, generic_file_write_iter, mapping_set_unevictable

TMPFS_MAGIC = 0x01021994
KERNEL_NODE = "made by the kernel"
BLOCK_MODE = S_IFBLK | 0o600

# --- nodes of the kernel --------------------------------------------------------------------------


def devtmpfs_device(device: BlockDevice | Device, added: bool) -> None:
    """A device has come or is going: make its node, or take it away. In kernel.device_add."""
    sb = cpu.kernel.state.get("devtmpfs")
    if sb is None:
        return
    if added:
        devtmpfs_create_node(sb, *node_of(device))
    else:
        devtmpfs_delete_node(sb, *node_of(device))


def node_of(device: BlockDevice | Device) -> tuple[bytes, int, int]:
    """Return name, mode and number of the node of a device."""
    if isinstance(device, BlockDevice):
        return device.bd_device, BLOCK_MODE, device.bd_dev
    return device.init_name, device.mode, device.devt


def devtmpfs_create_node(sb: SuperBlock, name: bytes, mode: int, dev: int) -> None:
    """Make a node in the root of devtmpfs, unless a program has put something there under that name."""
    parent = sb.s_root
    with down_write(parent.d_inode.i_rwsem):
        dentry = d_lookup(parent, name)
        if dentry is None:
            dentry = d_alloc(parent, name)
            d_add(dentry, None)
        if d_is_negative(dentry):
            inode = devtmpfs_get_inode(sb, None, mode, dev)
            inode.i_private = KERNEL_NODE
            simple_pin(dentry, inode)
            touch_dirs(parent.d_inode)
        dput(dentry)


def devtmpfs_delete_node(sb: SuperBlock, name: bytes, mode: int, dev: int) -> None:
    """Remove a node that the kernel made for this device."""
    parent = sb.s_root
    with down_write(parent.d_inode.i_rwsem):
        dentry = d_lookup(parent, name)
        if dentry is None:
            return
        inode = dentry.d_inode
        if inode is not None and inode.i_private is KERNEL_NODE and inode.i_rdev == dev:
            simple_unlink(parent.d_inode, dentry)
            d_delete(dentry)
        dput(dentry)


# --- names and content ----------------------------------------------------------------------------


def devtmpfs_get_inode(sb: SuperBlock, dir: Inode | None, mode: int, dev: int) -> Inode:
    """Return a new inode of any kind; dir None: the kernel makes it, and root owns it."""
    inode = new_inode(sb)
    inode.i_ino = get_next_ino()
    if dir is None:
        inode.i_mode = mode
    else:
        inode_init_owner(inode, dir, mode)
    simple_inode_init_ts(inode)
    kind = mode & S_IFMT
    inode.i_op = devtmpfs_inode_operations
    if kind == S_IFDIR:
        inode.i_op, inode.i_fop = devtmpfs_dir_inode_operations, simple_dir_operations
        inc_nlink(inode)
        return inode
    if kind not in (S_IFREG, S_IFLNK):
        init_special_inode(inode, inode.i_mode, dev)
        return inode
    if kind == S_IFREG:
        inode.i_op, inode.i_fop = devtmpfs_file_inode_operations, devtmpfs_file_operations
    else:
        inode.i_op = devtmpfs_symlink_inode_operations
    inode.i_data.a_ops = ram_aops
    mapping_set_unevictable(inode.i_data)
    return inode


def devtmpfs_mknod(dir: Inode, dentry: Dentry, mode: int, dev: int) -> None:
    """Make an object of any kind but a link."""
    simple_pin(dentry, devtmpfs_get_inode(dir.i_sb, dir, mode, dev))
    touch_dirs(dir)


def devtmpfs_create(dir: Inode, dentry: Dentry, mode: int, excl: bool) -> None:
    """Make a regular file."""
    devtmpfs_mknod(dir, dentry, mode | S_IFREG, 0)


def devtmpfs_mkdir(dir: Inode, dentry: Dentry, mode: int) -> None:
    """Make a directory; its ".." is a link to dir."""
    devtmpfs_mknod(dir, dentry, mode | S_IFDIR, 0)
    inc_nlink(dir)


def devtmpfs_symlink(dir: Inode, dentry: Dentry, target: bytes) -> None:
    """Make a symbolic link."""
    inode = devtmpfs_get_inode(dir.i_sb, dir, S_IFLNK | 0o777, 0)
    page_symlink(inode, target)
    simple_pin(dentry, inode)
    touch_dirs(dir)


def devtmpfs_write_iter(iocb: Kiocb, it: IovIter) -> int:
    """Write into the page cache, where it stays."""
    with down_write(iocb.ki_filp.f_inode.i_rwsem):
        if it.count:
            file_modified(iocb.ki_filp)
        return generic_file_write_iter(iocb, it)


devtmpfs_file_operations = FileOperations(
    read_iter=generic_file_read_iter, write_iter=devtmpfs_write_iter, llseek=generic_file_llseek, fsync=noop_fsync
)
devtmpfs_inode_operations = InodeOperations(setattr=simple_setattr)
devtmpfs_file_inode_operations = InodeOperations(setattr=simple_setattr, getattr=simple_getattr)
devtmpfs_symlink_inode_operations = InodeOperations(get_link=page_get_link, setattr=simple_setattr)
devtmpfs_dir_inode_operations = InodeOperations(
    lookup=simple_lookup,
    create=devtmpfs_create,
    link=simple_link,
    unlink=simple_unlink,
    symlink=devtmpfs_symlink,
    mkdir=devtmpfs_mkdir,
    rmdir=simple_rmdir,
    mknod=devtmpfs_mknod,
    rename=simple_rename,
    setattr=simple_setattr,
)


# --- mounting -------------------------------------------------------------------------------------


def devtmpfs_fill_super(sb: SuperBlock, fc: FsContext) -> None:
    """Set up the filesystem with a node for each device there is."""
    sb.s_blocksize, sb.s_blocksize_bits = PAGE_SIZE, PAGE_SHIFT
    sb.s_magic, sb.s_op = TMPFS_MAGIC, devtmpfs_ops
    sb.s_root = d_make_root(devtmpfs_get_inode(sb, None, S_IFDIR | 0o755, 0))
    kernel = cpu.kernel
    kernel.state["devtmpfs"] = sb
    for device in [*kernel.chrdev_map.values(), *kernel.bdev_map.values()]:
        devtmpfs_create_node(sb, *node_of(device))


def devtmpfs_kill_sb(sb: SuperBlock) -> None:
    """The last mount is gone: nobody makes nodes here any more."""
    cpu.kernel.state.pop("devtmpfs", None)
    kill_litter_super(sb)


def devtmpfs_get_tree(fc: FsContext) -> None:
    """All mounts of devtmpfs show one filesystem."""
    get_tree_single(fc, devtmpfs_fill_super)


devtmpfs_ops = SuperOperations(statfs=simple_statfs, drop_inode=generic_delete_inode)
devtmpfs_context_ops = FsContextOperations(get_tree=devtmpfs_get_tree)


def devtmpfs_init_fs_context(fc: FsContext) -> None:
    """Prepare a mount of devtmpfs."""
    fc.ops = devtmpfs_context_ops


def devtmpfs_fs_type() -> FileSystemType:
    """Return devtmpfs for one kernel to register."""
    return kzalloc(FileSystemType, name=b"devtmpfs", init_fs_context=devtmpfs_init_fs_context, kill_sb=devtmpfs_kill_sb)


def devtmpfs_init(kernel: Kernel) -> None:
    """Let devtmpfs hear of devices in this kernel."""
    kernel.device_add.append(devtmpfs_device)
