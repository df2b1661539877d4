"""A mount under construction.   Linux: include/linux/fs_context.h, since 5.2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vfslab.lib.kstruct import KObject, Ptr, kstruct, operations


@operations
class FsContextOperations:
    """How a filesystem takes its options and makes or finds its superblock."""

    parse_param: Callable | None = None  # (fc, key, value | None) -> bool: True if known; EINVAL if senseless
    get_tree: Callable | None = None  # (fc) -> None: set fc.root (a Dentry, with s_active and d_count taken)
    reconfigure: Callable | None = None  # (fc) -> None: remount; fc.root.d_sb is the superblock
    free: Callable | None = None  # (fc) -> None


@kstruct
class FsContext(KObject):
    """What mount(2) has learnt so far: type, source, flags, options."""

    ops: Ptr[FsContextOperations] = None
    fs_type: Ptr[FileSystemType] = None
    source: bytes = None
    sb_flags: int = 0
    sb_flags_mask: int = 0
    root: Ptr[Dentry] = None
    fs_private: Any = None
    s_fs_info: Any = None
    reconfiguring: bool = False
