"""A mount under construction: a bag that collects type, source and options until get_tree uses them.

    fc = fs_context_for_mount(fs_type, sb_flags)     asks the filesystem for fc.ops
    vfs_parse_fs_param(fc, b"source", b"/dev/vda")   one option at a time ...
    generic_parse_monolithic(fc, b"ro,data=ordered") ... or the whole string of mount(2)
    vfs_get_tree(fc)                                 fc.root is the root of the tree (fs/super.py)
    put_fs_context(fc)                               drops what is left in the bag

Linux: fs/fs_context.c, since 5.2.   Chapter 6.
Left out: the calls fsopen, fsconfig and fsmount, which fill the bag from user space; the error log.

Always true
  F1  an option is known to the VFS, known to the filesystem, or refused with EINVAL and a line in the log
  F2  put_fs_context may be called at any point, and drops exactly what the bag holds
"""

from __future__ import annotations

from types import MappingProxyType

from vfslab.fs.dcache import dput
from vfslab.fs.super import deactivate_super
from vfslab.include.dcache import Dentry
from vfslab.include.fs import SB_DIRSYNC, SB_LAZYTIME, SB_RDONLY, SB_SYNCHRONOUS, FileSystemType
from vfslab.include.fs_context import FsContext
from vfslab.kernel.errno import EINVAL
from vfslab.kernel.printk import KERN_ERR, printk
from vfslab.kernel.slab import kfree, kzalloc

common_set_sb_flag = MappingProxyType(
    {b"ro": SB_RDONLY, b"sync": SB_SYNCHRONOUS, b"dirsync": SB_DIRSYNC, b"lazytime": SB_LAZYTIME}
)
common_clear_sb_flag = MappingProxyType({b"rw": SB_RDONLY, b"async": SB_SYNCHRONOUS, b"nolazytime": SB_LAZYTIME})


def fs_context_for_mount(fs_type: FileSystemType, sb_flags: int) -> FsContext:
    """Return a bag for a new mount of fs_type."""
    fc = kzalloc(FsContext, fs_type=fs_type, sb_flags=sb_flags)
    fs_type.init_fs_context(fc)
    return fc


def fs_context_for_reconfigure(dentry: Dentry, sb_flags: int, sb_flags_mask: int) -> FsContext:
    """Return a bag for a remount of dentry's superblock; only the flags in the mask may change."""
    sb = dentry.d_sb
    fc = kzalloc(FsContext, fs_type=sb.s_type, sb_flags=sb_flags, sb_flags_mask=sb_flags_mask, reconfiguring=True)
    dentry.d_count += 1
    sb.s_active += 1
    fc.root = dentry
    sb.s_type.init_fs_context(fc)
    return fc


def vfs_parse_fs_param(fc: FsContext, key: bytes, value: bytes | None) -> None:
    """Take one option, "key" or "key=value"; EINVAL if nobody knows it."""
    if vfs_parse_sb_flag(fc, key):
        return
    if fc.ops.parse_param is not None and fc.ops.parse_param(fc, key, value):
        return
    if key == b"source":
        fc.source = value
        return
    printk(KERN_ERR, f"{fc.fs_type.name.decode()}: Unknown parameter '{key.decode(errors='replace')}'")
    raise EINVAL(key)


def vfs_parse_sb_flag(fc: FsContext, key: bytes) -> bool:
    """Take an option that every filesystem has, such as "ro"; return whether it was one."""
    if key in common_set_sb_flag:
        fc.sb_flags |= common_set_sb_flag[key]
        fc.sb_flags_mask |= common_set_sb_flag[key]
        return True
    if key in common_clear_sb_flag:
        fc.sb_flags &= ~common_clear_sb_flag[key]
        fc.sb_flags_mask |= common_clear_sb_flag[key]
        return True
    return False


def generic_parse_monolithic(fc: FsContext, data: bytes | None) -> None:
    """Take all options of mount(2)'s data argument: words with commas between."""
    for option in (data or b"").split(b","):
        key, equals, value = option.partition(b"=")
        if key:
            vfs_parse_fs_param(fc, key, value if equals else None)


def put_fs_context(fc: FsContext) -> None:
    """Throw the bag away, with the tree in it if nobody has taken that out."""
    root, fc.root = fc.root, None
    if root is not None:
        sb = root.d_sb
        dput(root)
        deactivate_super(sb)
    if fc.ops is not None and fc.ops.free is not None:
        fc.ops.free(fc)
    kfree(fc)
