"""The objects of the VFS: superblock, inode, file, address space, and their operation tables.

    File ──f_path──▶ Dentry ──d_inode──▶ Inode ──i_sb──▶ SuperBlock ──s_type──▶ FileSystemType
      └──f_mapping────────────────────────▶ AddressSpace (the inode's page cache)

An operation table says what a filesystem can do; None is C's NULL, and the VFS tests for it.

Linux: include/linux/fs.h, as of 6.12.
Left out: mnt_idmap arguments, file locks, quota, fsnotify, security blobs, DAX.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from vfslab.include.spinlock import Mutex, RwSemaphore, Spinlock
from vfslab.lib.kstruct import Embedded, KObject, Ptr, Ref, embedded, fresh, kstruct, late, operations

MAX_LFS_FILESIZE = (1 << 63) - 1


@operations
class InodeOperations:
    """What can be done with an inode as a name's object. Errors are raised by number."""

    lookup: Callable | None = None  # (dir, dentry, flags) -> Dentry | None: fill dentry; i_rwsem of dir held shared
    get_link: Callable | None = None  # (dentry, inode) -> bytes: target of a symlink; OSError-free, may do I/O
    permission: Callable | None = None  # (inode, mask) -> None: raise EACCES; None means generic_permission
    readlink: Callable | None = None  # (dentry, size) -> bytes: for links that are not text
    create: Callable | None = None  # (dir, dentry, mode, excl) -> None: make a regular file; dir.i_rwsem held
    link: Callable | None = None  # (old_dentry, dir, dentry) -> None: another name; both i_rwsem held
    unlink: Callable | None = None  # (dir, dentry) -> None: remove a name; both i_rwsem held
    symlink: Callable | None = None  # (dir, dentry, target) -> None; dir.i_rwsem held
    mkdir: Callable | None = None  # (dir, dentry, mode) -> None; dir.i_rwsem held
    rmdir: Callable | None = None  # (dir, dentry) -> None; both i_rwsem held
    mknod: Callable | None = None  # (dir, dentry, mode, dev) -> None; dir.i_rwsem held
    rename: Callable | None = None  # (old_dir, old_dentry, new_dir, new_dentry, flags) -> None; all i_rwsem held
    setattr: Callable | None = None  # (dentry, Iattr) -> None: chmod, chown, utime, truncate; i_rwsem held
    getattr: Callable | None = None  # (path, request_mask, flags) -> Kstat; None means generic_fillattr
    listxattr: Callable | None = None  # (dentry) -> list of bytes: names of extended attributes
    tmpfile: Callable | None = None  # (dir, file, mode) -> None: a file without a name
    update_time: Callable | None = None  # (inode, flags) -> None
    fiemap: Callable | None = None  # (inode, start, length) -> list of (logical, physical, length, flags), in bytes


@operations
class FileOperations:
    """What can be done with an open file."""

    llseek: Callable | None = None  # (file, offset, whence) -> new position; None: not seekable (ESPIPE)
    read_iter: Callable | None = None  # (kiocb, iter) -> bytes read; moves ki_pos
    write_iter: Callable | None = None  # (kiocb, iter) -> bytes written; moves ki_pos
    iterate_shared: Callable | None = None  # (file, DirContext) -> None: emit entries; dir i_rwsem held shared
    open: Callable | None = None  # (inode, file) -> None: last word on open(2)
    release: Callable | None = None  # (inode, file) -> None: the last reference is gone
    flush: Callable | None = None  # (file) -> None: one descriptor is closed; its errors reach close(2)
    fsync: Callable | None = None  # (file, start, end, datasync) -> None: make durable
    mmap: Callable | None = None  # (file, vma) -> None
    unlocked_ioctl: Callable | None = None  # (file, cmd, arg) -> result
    fallocate: Callable | None = None  # (file, mode, offset, length) -> None


@operations
class SuperOperations:
    """What can be done with a mounted filesystem as a whole."""

    alloc_inode: Callable | None = None  # (sb) -> Inode embedded in the filesystem's own; None: a bare Inode
    free_inode: Callable | None = None  # (inode) -> None: give the memory back
    dirty_inode: Callable | None = None  # (inode, flags) -> None: a field has changed
    write_inode: Callable | None = None  # (inode, wbc) -> None: put it into its block
    drop_inode: Callable | None = None  # (inode) -> bool: True at the last iput means: do not keep it
    evict_inode: Callable | None = None  # (inode) -> None: leaves memory; if i_nlink is 0, leaves the disk too
    put_super: Callable | None = None  # (sb) -> None: umount; s_umount held for writing
    sync_fs: Callable | None = None  # (sb, wait) -> None
    statfs: Callable | None = None  # (dentry, Kstatfs) -> None: fill in
    show_options: Callable | None = None  # (root_dentry) -> list of bytes, as in /proc/mounts


@operations
class AddressSpaceOperations:
    """How the page cache of an inode is filled and emptied."""

    read_folio: Callable | None = None  # (file, folio) -> None: fill, folio_end_read; the folio is locked
    readahead: Callable | None = None  # (ReadaheadControl) -> None: fill what it can of the given folios
    writepages: Callable | None = None  # (mapping, wbc) -> None
    dirty_folio: Callable | None = None  # (mapping, folio) -> bool: newly dirty?
    write_begin: Callable | None = None  # (file, mapping, pos, length) -> (folio, fsdata): locked, up to date
    write_end: Callable | None = None  # (file, mapping, pos, length, copied, folio, fsdata) -> bytes taken
    bmap: Callable | None = None  # (mapping, block) -> disk block, 0 for a hole
    invalidate_folio: Callable | None = None  # (folio, offset, length) -> None: private data goes
    release_folio: Callable | None = None  # (folio) -> bool: may reclaim take it?


@operations
class XattrHandler:
    """One namespace of extended attributes, such as "user."."""

    prefix: bytes = b""
    get: Callable | None = None  # (handler, dentry, inode, suffix) -> bytes; ENODATA if absent
    set: Callable | None = None  # (handler, dentry, inode, suffix, value | None, flags) -> None
    list: Callable | None = None  # (dentry) -> bool: may the caller see the names?


@kstruct
class FileSystemType(KObject):
    """A filesystem the kernel knows by name; see register_filesystem()."""

    name: bytes = b""
    fs_flags: int = 0
    init_fs_context: Callable = None  # (fc) -> None: set fc.ops and fc.fs_private
    kill_sb: Callable = None  # (sb) -> None: end of the superblock's life
    fs_supers: list[Ptr[SuperBlock]] = fresh(list)


FS_REQUIRES_DEV, FS_USERNS_MOUNT, FS_RENAME_DOES_D_MOVE = 1, 8, 32768

# s_flags; the first ones equal MS_*
SB_RDONLY, SB_NOSUID, SB_NODEV, SB_NOEXEC, SB_SYNCHRONOUS, SB_DIRSYNC, SB_NOATIME = 1, 2, 4, 8, 16, 128, 1024
SB_POSIXACL, SB_LAZYTIME, SB_BORN, SB_ACTIVE = 1 << 16, 1 << 25, 1 << 29, 1 << 30


@kstruct(count="s_active")
class SuperBlock(KObject):
    """One instance of a filesystem, shared by all mounts of it.

    s_active   active references: mounts and whoever keeps it mounted; at 0 kill_sb runs
    s_inodes   all inodes in memory; s_inode_hashtable: those that are found by number (one table for all in Linux)
    s_dentry_lru, s_inode_lru   unused ones, oldest first: what memory pressure takes
    """

    s_dev: int = 0
    s_id: bytes = b""
    s_type: Ptr[FileSystemType] = None
    s_flags: int = 0
    s_magic: int = 0
    s_blocksize: int = 4096
    s_blocksize_bits: int = 12
    s_maxbytes: int = MAX_LFS_FILESIZE
    s_time_gran: int = 1
    s_time_min: int = -(1 << 63)
    s_time_max: int = (1 << 63) - 1
    s_root: Ref[Dentry] = None
    s_op: Ptr[SuperOperations] = None
    s_d_op: Ptr[DentryOperations] = None
    s_xattr: tuple = ()
    s_bdev: Ptr[BlockDevice] = None
    s_bdev_file: Ref[File] = None
    s_fs_info: Any = None
    s_active: int = 1
    s_mounts: list[Ptr[Mount]] = fresh(list)
    s_uuid: bytes = b""
    s_inodes: dict = fresh(dict)
    s_dentry_lru: dict = fresh(dict)
    s_inode_lru: OrderedDict = fresh(OrderedDict)
    s_inode_hashtable: dict[int, Ptr[Inode]] = fresh(dict)
    s_shrink: Ptr[Shrinker] = None
    s_umount: Embedded[RwSemaphore] = embedded(RwSemaphore, name="s_umount")
    s_vfs_rename_mutex: Embedded[Mutex] = embedded(Mutex, name="s_vfs_rename_mutex")
    s_stack_depth: int = 0


# i_state
I_NEW, I_DIRTY_SYNC, I_DIRTY_DATASYNC, I_DIRTY_PAGES = 8, 1, 2, 4
I_FREEING, I_CLEAR, I_WILL_FREE, I_REFERENCED, I_LINKABLE = 32, 64, 16, 256, 1024
I_DIRTY_INODE = I_DIRTY_SYNC | I_DIRTY_DATASYNC
I_DIRTY = I_DIRTY_INODE | I_DIRTY_PAGES

# i_flags
S_SYNC, S_NOATIME, S_APPEND, S_IMMUTABLE, S_DEAD, S_NOQUOTA, S_DIRSYNC = 1, 2, 4, 8, 16, 32, 64
S_ENCRYPTED, S_CASEFOLD, S_VERITY = 1 << 14, 1 << 15, 1 << 16


@kstruct
class AddressSpace(KObject):
    """The page cache of one object.

    i_pages   page index -> Folio; a folio of n pages stands at n indices (Linux: an XArray)
    nrpages   pages cached
    """

    host: Ptr[Inode] = None
    i_pages: dict[int, Ptr[Folio]] = fresh(dict)
    nrpages: int = 0
    a_ops: Ptr[AddressSpaceOperations] = None
    flags: int = 0
    wb_err: int = 0
    writeback_index: int = 0
    i_private_data: Any = None
    invalidate_lock: Embedded[RwSemaphore] = embedded(RwSemaphore, name="invalidate_lock")


def _i_data(inode: Inode) -> AddressSpace:
    mapping = AddressSpace(host=inode)
    mapping._container = inode
    if inode._slab is not None:
        inode._slab.number(mapping)
    return mapping


@kstruct(count="i_count")
class Inode(KObject):
    """A file, directory, link or node in memory, whatever its names; number i_ino of filesystem i_sb.

    i_count    references; at 0 the inode stays cached on s_inode_lru while i_nlink > 0
    i_dentry   the first of its dentries (aliases), which are a list by d_alias: several for a file with hard links
    i_mapping  whose page cache it uses: its own i_data, but for block device nodes
    i_blocks   in units of 512 bytes
    times      whole seconds and nanoseconds, as Linux keeps them since 6.7
    """

    i_mode: int = 0
    i_opflags: int = 0
    i_uid: int = 0
    i_gid: int = 0
    i_flags: int = 0
    i_op: Ptr[InodeOperations] = None
    i_sb: Ptr[SuperBlock] = None
    i_ino: int = 0
    i_nlink: int = 1
    i_rdev: int = 0
    i_size: int = 0
    i_atime_sec: int = 0
    i_mtime_sec: int = 0
    i_ctime_sec: int = 0
    i_atime_nsec: int = 0
    i_mtime_nsec: int = 0
    i_ctime_nsec: int = 0
    i_generation: int = 0
    i_blkbits: int = 12
    i_blocks: int = 0
    i_state: int = 0
    i_count: int = 1
    i_writecount: int = 0
    i_version: int = 0
    i_fop: Ptr[FileOperations] = None
    i_link: bytes = None
    i_dentry: Ptr[Dentry] = None
    i_private: Any = None
    i_data: Embedded[AddressSpace] = late(_i_data)
    i_mapping: Ptr[AddressSpace] = late(lambda inode: inode.i_data)
    i_rwsem: Embedded[RwSemaphore] = embedded(RwSemaphore, name="i_rwsem")
    i_lock: Embedded[Spinlock] = embedded(Spinlock, name="i_lock")


@kstruct
class FileRaState(KObject):
    """Read-ahead of one open file: the current window, in pages.

    start, size   the window; async_size: how many pages before its end the next one is begun
    ra_pages      upper limit of a window
    mmap_miss     misses of page faults
    prev_pos      where the last read ended, in bytes
    """

    start: int = 0
    size: int = 0
    async_size: int = 0
    ra_pages: int = 32
    mmap_miss: int = 0
    prev_pos: int = -1


FMODE_READ, FMODE_WRITE, FMODE_LSEEK, FMODE_PREAD, FMODE_PWRITE, FMODE_EXEC = 1, 2, 4, 8, 16, 32
FMODE_RANDOM, FMODE_PATH, FMODE_OPENED, FMODE_CREATED, FMODE_NOATIME = 0x1000, 0x4000, 0x80000, 0x100000, 0x4000000
FMODE_CAN_ODIRECT = 0x400000  # set by f_op.open of a filesystem that can bypass the page cache


@kstruct(count="f_count")
class File(KObject):
    """An open file: what open(2) makes and descriptors point to; dup and fork share it, and f_pos."""

    f_mode: int = 0
    f_flags: int = 0
    f_pos: int = 0
    f_count: int = 1
    f_op: Ptr[FileOperations] = None
    f_path: Embedded[Path] = None
    f_inode: Ptr[Inode] = None
    f_mapping: Ptr[AddressSpace] = None
    f_cred: Ptr[Cred] = None
    f_ra: Embedded[FileRaState] = None  # of a file that is read: file_ra_state_init()
    f_wb_err: int = 0
    private_data: Any = None


@kstruct
class DirContext(KObject):
    """One getdents call under way: iterate_shared calls actor for each entry from pos on.

    actor  (ctx, name, offset, ino, d_type) -> bool: False means the buffer is full, stop before this one
    """

    actor: Callable = None
    pos: int = 0
    entries: list = fresh(list)
    room: int = 0


@kstruct
class Iattr(KObject):
    """A change of attributes; ia_valid says which members count. Times are (seconds, nanoseconds)."""

    ia_valid: int = 0
    ia_mode: int = 0
    ia_uid: int = 0
    ia_gid: int = 0
    ia_size: int = 0
    ia_atime: tuple = (0, 0)
    ia_mtime: tuple = (0, 0)
    ia_ctime: tuple = (0, 0)
    ia_file: Ptr[File] = None


ATTR_MODE, ATTR_UID, ATTR_GID, ATTR_SIZE, ATTR_ATIME, ATTR_MTIME, ATTR_CTIME = 1, 2, 4, 8, 16, 32, 64
ATTR_ATIME_SET, ATTR_MTIME_SET, ATTR_FORCE, ATTR_KILL_SUID, ATTR_KILL_SGID, ATTR_FILE, ATTR_OPEN = (
    128,
    256,
    512,
    2048,
    4096,
    8192,
    32768,
)

MAY_EXEC, MAY_WRITE, MAY_READ, MAY_APPEND, MAY_ACCESS, MAY_OPEN, MAY_CHDIR = 1, 2, 4, 8, 16, 32, 64
