"""Symbolic links: up to 59 bytes of target are in the inode, longer ones in a block of their own.

A fast symlink has its target in i_link, so the walk never comes here.

Linux: fs/ext4/symlink.c.   Chapter 3.
"""

from __future__ import annotations

from vfslab.fs.buffer import brelse
from vfslab.fs.ext4.crypto import fscrypt_nokey_name
from vfslab.fs.ext4.ext4 import EXT4_I, ext4_error
from vfslab.fs.ext4.format import EXT4_INLINE_DATA_FL
from vfslab.fs.ext4.inline import ext4_read_inline_data
from vfslab.fs.ext4.inode import ext4_bread, ext4_getattr
from vfslab.fs.ext4.xattr import ext4_listxattr
from vfslab.include.dcache import Dentry
from vfslab.include.fs import Inode, InodeOperations
from vfslab.include.sched import Path
from vfslab.include.stat import Kstat


def ext4_get_link(dentry: Dentry | None, inode: Inode) -> bytes:
    """Return the target of a slow symlink."""
    return raw_target(inode).partition(b"\0")[0]


def raw_target(inode: Inode) -> bytes:
    """Return the i_size bytes that a symlink consists of."""
    ei = EXT4_I(inode)
    if ei.i_flags & EXT4_INLINE_DATA_FL:
        return ext4_read_inline_data(inode)
    if ei.i_data is not None and inode.i_size <= len(ei.i_data) and not inode.i_blocks:
        return ei.i_data[: inode.i_size]
    bh = ext4_bread(inode, 0)
    if bh is None or inode.i_size > len(bh.b_data):
        brelse(bh)
        ext4_error(
            inode.i_sb, "ext4_get_link", f"bad symlink: {inode.i_size} bytes, but no block for them", inode.i_ino
        )
    target = bytes(bh.b_data[: inode.i_size])
    brelse(bh)
    return target


def ext4_encrypted_get_link(dentry: Dentry | None, inode: Inode) -> bytes:
    """Return an encrypted target as it is shown without the key; it is stored behind its length, 16 bits."""
    raw = raw_target(inode)
    length = int.from_bytes(raw[:2], "little")
    if not length or length + 2 > len(raw):
        ext4_error(inode.i_sb, "ext4_encrypted_get_link", f"bad encrypted symlink: {length} bytes", inode.i_ino)
    return fscrypt_nokey_name(raw[2 : 2 + length])


def ext4_encrypted_symlink_getattr(path: Path, request_mask: int, flags: int) -> Kstat:
    """Return attributes; the size is that of the target as it is shown."""
    stat = ext4_getattr(path, request_mask, flags)
    stat.size = len(ext4_encrypted_get_link(path.dentry, path.dentry.d_inode))
    return stat


ext4_symlink_inode_operations = InodeOperations(get_link=ext4_get_link, getattr=ext4_getattr, listxattr=ext4_listxattr)
ext4_encrypted_symlink_inode_operations = InodeOperations(
    get_link=ext4_encrypted_get_link, getattr=ext4_encrypted_symlink_getattr, listxattr=ext4_listxattr
)
