"""The dentry: one name in one directory, and the inode it leads to.

Linux: include/linux/dcache.h.
Left out: d_fsdata users other than ours, per-dentry wait queues, the short inline name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vfslab.include.spinlock import Spinlock
from vfslab.lib.kstruct import Embedded, KObject, Ptr, Ref, embedded, kstruct, operations

qstr = bytes
"""Linux's struct qstr is a name with its length and hash; a Python bytes object carries all three."""

# d_flags
DCACHE_OP_HASH = 0x1
DCACHE_OP_COMPARE = 0x2
DCACHE_OP_REVALIDATE = 0x4
DCACHE_OP_DELETE = 0x8
DCACHE_DISCONNECTED = 0x20
DCACHE_REFERENCED = 0x40  # used since the shrinker last looked: gets a second chance
DCACHE_UNHASHED = 0x80  # not in d_parent.d_children; Linux tells by d_hash.pprev
DCACHE_DONTCACHE = 0x100
DCACHE_CANT_MOUNT = 0x200
DCACHE_SHRINK_LIST = 0x400
DCACHE_MOUNTED = 0x10000  # something is mounted here, in some namespace: ask the mount hash
DCACHE_NEED_AUTOMOUNT = 0x20000
DCACHE_MANAGE_TRANSIT = 0x40000
DCACHE_LRU_LIST = 0x80000
DCACHE_ENTRY_TYPE = 0x7 << 20
DCACHE_MISS_TYPE = 0 << 20  # negative dentry
DCACHE_DIRECTORY_TYPE = 2 << 20
DCACHE_REGULAR_TYPE = 4 << 20
DCACHE_SPECIAL_TYPE = 5 << 20
DCACHE_SYMLINK_TYPE = 6 << 20
DCACHE_MANAGED_DENTRY = DCACHE_MOUNTED | DCACHE_NEED_AUTOMOUNT | DCACHE_MANAGE_TRANSIT


@operations
class DentryOperations:
    """What a filesystem may want to say about cached names. None means: nothing."""

    d_revalidate: Callable | None = None  # (dentry, flags) -> bool: still true? called by the walk, no lock held
    d_hash: Callable | None = None  # (dentry, qstr) -> qstr to hash by (case folding)
    d_compare: Callable | None = None  # (dentry, name, qstr) -> bool: equal?
    d_delete: Callable | None = None  # (dentry) -> bool: drop it at the last dput instead of keeping it
    d_release: Callable | None = None  # (dentry) -> None: about to be freed
    d_prune: Callable | None = None  # (dentry) -> None: about to leave the hash under memory pressure
    d_dname: Callable | None = None  # (dentry) -> bytes: name of an object that lives in no directory


@kstruct(count="d_count")
class Dentry(KObject):
    """A cached name.

    d_count    references, -128 when dead; Linux keeps it in d_lockref beside d_lock
    d_seq      even when at rest; odd while d_name, d_parent or d_inode change
    d_children names cached below this directory, by name: its part of Linux's dentry_hashtable
    d_alias    the next dentry of the same inode; inode.i_dentry is the first
    """

    d_flags: int = DCACHE_UNHASHED
    d_seq: int = 0
    d_parent: Ref[Dentry] = None
    d_name: qstr = b""
    d_inode: Ref[Inode] = None
    d_count: int = 1
    d_op: Ptr[DentryOperations] = None
    d_sb: Ptr[SuperBlock] = None
    d_time: int = 0
    d_fsdata: Any = None
    d_children: dict[bytes, Ptr[Dentry]] = None
    d_alias: Ptr[Dentry] = None
    d_lock: Embedded[Spinlock] = embedded(Spinlock, name="d_lock")
