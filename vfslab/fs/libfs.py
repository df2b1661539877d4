"""Ready-made operations for filesystems that live in memory: the caches are the filesystem.

    ramfs, devtmpfs ──▶ simple_lookup, simple_link, ...     names: the dentry cache, pinned
                    ──▶ ram_aops                            content: the page cache, never reclaimed

Such a filesystem keeps one reference on the dentry of each name (Linux: "pinned in core"), so
nothing is ever looked up on a disk: what is not in the cache does not exist.

Linux: fs/libfs.c, fs/readdir.c (dir_emit), page_symlink and page_get_link of fs/namei.c.   Chapter 4.
Left out: transaction files, simple attributes, case folding, stable directory offsets of tmpfs.

Always true
  L1  each name holds one d_count of its own, from its creation to its removal
  L2  a page that was never written reads as zeros
  L3  a directory read to its end shows every name that was there all the time exactly once
"""

from __future__ import annotations

from vfslab.fs.attr import setattr_copy, setattr_prepare
from vfslab.fs.dcache import d_instantiate, d_make_root, d_rehash, dput
from vfslab.fs.inode import (
    current_time,
    drop_nlink,
    get_next_ino,
    ihold,
    inc_nlink,
    inode_set_ctime_current,
    mark_inode_dirty,
    new_inode,
    simple_inode_init_ts,
)
from vfslab.fs.stat import generic_fillattr
from vfslab.fs.super import get_tree_nodev
from vfslab.include.dcache import DCACHE_OP_DELETE, Dentry, DentryOperations
from vfslab.include.fs import (
    ATTR_SIZE,
    I_DIRTY_PAGES,
    I_DIRTY_SYNC,
    AddressSpace,
    AddressSpaceOperations,
    DirContext,
    File,
    FileOperations,
    Iattr,
    Inode,
    InodeOperations,
    SuperBlock,
    SuperOperations,
)
from vfslab.include.fs_context import FsContext, FsContextOperations
from vfslab.include.mm_types import PAGE_SHIFT, PAGE_SIZE, PG_LOCKED, PG_UPTODATE, Folio
from vfslab.include.sched import Path
from vfslab.include.stat import Kstat, Kstatfs
from vfslab.include.uapi.fcntl import RENAME_EXCHANGE, RENAME_NOREPLACE, SEEK_CUR, SEEK_SET
from vfslab.include.uapi.stat import DT_DIR, NAME_MAX, S_IFDIR, S_IFMT, S_IFREG
from vfslab.include.uio import IovIter, Kiocb
from vfslab.kernel.errno import EINVAL, EISDIR, ENAMETOOLONG, ENOTEMPTY
from vfslab.mm.filemap import (
    __filemap_get_folio,
    folio_end_read,
    folio_mark_dirty,
    folio_put,
    read_mapping_folio,
)
from vfslab.mm.truncate import truncate_setsize

# --- names ----------------------------------------------------------------------------------------


def always_delete_dentry(dentry: Dentry) -> bool:
    """Never keep an unused dentry: asking again costs nothing."""
    return True


simple_dentry_operations = DentryOperations(d_delete=always_delete_dentry)


def simple_lookup(dir: Inode, dentry: Dentry, flags: int) -> None:
    """Make dentry negative: what is not in the cache does not exist."""
    if len(dentry.d_name) > NAME_MAX:
        raise ENAMETOOLONG(dentry.d_name)
    if dentry.d_op is None:
        dentry.d_op = simple_dentry_operations
        dentry.d_flags |= DCACHE_OP_DELETE
    d_rehash(dentry)


def simple_pin(dentry: Dentry, inode: Inode) -> None:
    """Give a new name its inode, and the reference that keeps the name (L1)."""
    d_instantiate(dentry, inode)
    dentry.d_count += 1


def touch_dirs(*inodes: Inode) -> None:
    """Set the times of modification and change of directories whose names have changed."""
    for inode in inodes:
        inode.i_mtime_sec, inode.i_mtime_nsec = inode_set_ctime_current(inode)


def simple_link(old_dentry: Dentry, dir: Inode, dentry: Dentry) -> None:
    """Give the file of old_dentry another name."""
    inode = old_dentry.d_inode
    inode_set_ctime_current(inode)
    touch_dirs(dir)
    inc_nlink(inode)
    simple_pin(dentry, ihold(inode))


def simple_empty(dentry: Dentry) -> bool:
    """True if no name is left below a directory."""
    return not any(child.d_inode is not None for child in (dentry.d_children or {}).values())


def simple_unlink(dir: Inode, dentry: Dentry) -> None:
    """Take a name away."""
    inode = dentry.d_inode
    sec, nsec = current_time(inode)
    inode.i_ctime_sec = dir.i_ctime_sec = dir.i_mtime_sec = sec
    inode.i_ctime_nsec = dir.i_ctime_nsec = dir.i_mtime_nsec = nsec
    drop_nlink(inode)
    dput(dentry)


def simple_rmdir(dir: Inode, dentry: Dentry) -> None:
    """Take an empty directory away: its name, its own `.`, and its `..` in dir."""
    if not simple_empty(dentry):
        raise ENOTEMPTY(dentry.d_name)
    drop_nlink(dentry.d_inode)
    simple_unlink(dir, dentry)
    drop_nlink(dir)


def simple_rename(old_dir: Inode, old_dentry: Dentry, new_dir: Inode, new_dentry: Dentry, flags: int) -> None:
    """Move a name over another, which loses its file; or exchange the two."""
    if flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE):
        raise EINVAL(flags)
    if flags & RENAME_EXCHANGE:
        simple_rename_exchange(old_dir, old_dentry, new_dir, new_dentry)
        return
    is_dir = is_directory(old_dentry.d_inode)
    if new_dentry.d_inode is not None:
        if not simple_empty(new_dentry):
            raise ENOTEMPTY(new_dentry.d_name)
        victim = new_dentry.d_inode
        simple_unlink(new_dir, new_dentry)
        if is_dir:
            drop_nlink(victim)
            drop_nlink(old_dir)
    elif is_dir:
        drop_nlink(old_dir)
        inc_nlink(new_dir)
    inode_set_ctime_current(old_dentry.d_inode)
    touch_dirs(old_dir, new_dir)


def simple_rename_exchange(old_dir: Inode, old_dentry: Dentry, new_dir: Inode, new_dentry: Dentry) -> None:
    """Exchange two names: a directory takes the `..` it counts in its parent along."""
    old_is_dir, new_is_dir = is_directory(old_dentry.d_inode), is_directory(new_dentry.d_inode)
    if old_dir is not new_dir and old_is_dir != new_is_dir:
        drop_nlink(old_dir if old_is_dir else new_dir)
        inc_nlink(new_dir if old_is_dir else old_dir)
    inode_set_ctime_current(old_dentry.d_inode)
    inode_set_ctime_current(new_dentry.d_inode)
    touch_dirs(old_dir, new_dir)


def is_directory(inode: Inode) -> bool:
    """True for the inode of a directory."""
    return inode.i_mode & S_IFMT == S_IFDIR


simple_dir_inode_operations = InodeOperations(lookup=simple_lookup)


# --- reading a directory that is all dentries -----------------------------------------------------


def dir_emit(ctx: DirContext, name: bytes, ino: int, d_type: int) -> bool:
    """Hand one entry to the reader; False means its buffer is full."""
    return ctx.actor(ctx, name, ctx.pos, ino, d_type)


def dir_emit_dots(file: File, ctx: DirContext) -> bool:
    """Hand out `.` and `..`, which stand at positions 0 and 1; False means the buffer is full."""
    dentry = file.f_path.dentry
    for pos, name, inode in ((0, b".", dentry.d_inode), (1, b"..", dentry.d_parent.d_inode)):
        if ctx.pos == pos:
            if not dir_emit(ctx, name, inode.i_ino, DT_DIR):
                return False
            ctx.pos = pos + 1
    return True


def dcache_readdir(file: File, ctx: DirContext) -> None:
    """Emit the names below a directory, newest first.

    The order is fixed when reading begins (position 2), so that names that come or go meanwhile
    neither shift the others nor show twice (L3).
    """
    if not dir_emit_dots(file, ctx):
        return
    children = file.f_path.dentry.d_children or {}
    if ctx.pos == 2 or file.private_data is None:
        file.private_data = list(reversed(children))
    names = file.private_data
    while ctx.pos - 2 < len(names):
        name = names[ctx.pos - 2]
        child = children.get(name)
        if child is not None and child.d_inode is not None:
            inode = child.d_inode
            if not dir_emit(ctx, name, inode.i_ino, inode.i_mode >> 12 & 15):
                return
        ctx.pos += 1


def dcache_dir_lseek(file: File, offset: int, whence: int) -> int:
    """Move the position of a directory: to one that getdents gave, or back to 0."""
    if whence == SEEK_CUR:
        offset += file.f_pos
    elif whence != SEEK_SET:
        raise EINVAL(whence)
    if offset < 0:
        raise EINVAL(offset)
    file.f_pos = offset
    return offset


def generic_read_dir(iocb: Kiocb, it: IovIter) -> int:
    """Refuse to read a directory as bytes."""
    raise EISDIR


def noop_fsync(file: File, start: int, end: int, datasync: bool) -> None:
    """Nothing is more durable than it is."""


simple_dir_operations = FileOperations(
    llseek=dcache_dir_lseek, read_iter=generic_read_dir, iterate_shared=dcache_readdir, fsync=noop_fsync
)


# --- content that is all page cache ---------------------------------------------------------------


def simple_read_folio(file: File | None, folio: Folio) -> None:
    """Fill a folio with zeros (L2)."""
    folio.mem[:] = bytes(len(folio.mem))
    folio_end_read(folio, True)


def simple_write_begin(file: File | None, mapping: AddressSpace, pos: int, length: int) -> tuple[Folio, None]:
    """Return the locked folio at pos; one that was never written is all zeros (L2)."""
    return __filemap_get_folio(mapping, pos >> PAGE_SHIFT, True, length), None


def simple_write_end(
    file: File | None, mapping: AddressSpace, pos: int, length: int, copied: int, folio: Folio, fsdata: None
) -> int:
    """Take what was copied into the folio: the file grows, the folio is let go. Return how much was taken."""
    inode = mapping.host
    if pos + copied > inode.i_size:
        inode.i_size = pos + copied
    if mapping.a_ops.dirty_folio is not noop_dirty_folio:
        folio_mark_dirty(folio)
    folio.flags = folio.flags & ~PG_LOCKED | PG_UPTODATE
    folio._refcount -= 1  # the file has one too
    return copied


def noop_dirty_folio(mapping: AddressSpace, folio: Folio) -> bool:
    """There is no disk to be behind."""
    return False


ram_aops = AddressSpaceOperations(
    read_folio=simple_read_folio,
    write_begin=simple_write_begin,
    write_end=simple_write_end,
    dirty_folio=noop_dirty_folio,
)


# --- symbolic links -------------------------------------------------------------------------------


def simple_get_link(dentry: Dentry, inode: Inode) -> bytes:
    """Return a link's target that is kept in the inode."""
    return inode.i_link


simple_symlink_inode_operations = InodeOperations(get_link=simple_get_link)


def page_get_link(dentry: Dentry, inode: Inode) -> bytes:
    """Return a link's target that is the content of the file."""
    folio = read_mapping_folio(inode.i_mapping, 0, None)
    target = bytes(folio.mem[: inode.i_size])
    folio_put(folio)
    return target


def page_symlink(inode: Inode, target: bytes) -> None:
    """Write a link's target as the content of the file."""
    aops, mapping = inode.i_mapping.a_ops, inode.i_mapping
    folio, fsdata = aops.write_begin(None, mapping, 0, len(target))
    folio.mem[: len(target)] = target
    aops.write_end(None, mapping, 0, len(target), len(target), folio, fsdata)
    mark_inode_dirty(inode, I_DIRTY_PAGES)


page_symlink_inode_operations = InodeOperations(get_link=page_get_link)


# --- attributes -----------------------------------------------------------------------------------


def simple_getattr(path: Path, request_mask: int, flags: int) -> Kstat:
    """Return attributes; a file takes the pages it has."""
    inode = path.dentry.d_inode
    stat = generic_fillattr(inode)
    stat.blocks = inode.i_mapping.nrpages << PAGE_SHIFT - 9
    return stat


def simple_setattr(dentry: Dentry, iattr: Iattr) -> None:
    """Change attributes, all in memory."""
    inode = dentry.d_inode
    setattr_prepare(dentry, iattr)
    if iattr.ia_valid & ATTR_SIZE:
        truncate_setsize(inode, iattr.ia_size)
    setattr_copy(inode, iattr)
    mark_inode_dirty(inode, I_DIRTY_SYNC)


def simple_statfs(dentry: Dentry, buf: Kstatfs) -> None:
    """Fill in what can be said of a filesystem without a size."""
    buf.f_type = dentry.d_sb.s_magic
    buf.f_bsize = PAGE_SIZE
    buf.f_namelen = NAME_MAX


simple_super_operations = SuperOperations(statfs=simple_statfs)


# --- filesystems nobody can see -------------------------------------------------------------------


def alloc_anon_inode(sb: SuperBlock) -> Inode:
    """Return a new inode for an object that has no name: a pipe, an event counter."""
    inode = new_inode(sb)
    inode.i_ino = get_next_ino()
    inode.i_mode = S_IFREG | 0o600
    simple_inode_init_ts(inode)
    return inode


def init_pseudo(fc: FsContext, magic: int, s_op: SuperOperations = simple_super_operations) -> None:
    """Prepare the bag of a filesystem that the kernel mounts for itself: for block devices, for pipes."""

    def pseudo_fs_fill_super(sb: SuperBlock, fc: FsContext) -> None:
        sb.s_magic = magic
        sb.s_op = s_op
        root = new_inode(sb)
        root.i_ino = get_next_ino()
        root.i_mode = S_IFDIR | 0o600
        simple_inode_init_ts(root)
        sb.s_root = d_make_root(root)

    fc.ops = FsContextOperations(get_tree=lambda fc: get_tree_nodev(fc, pseudo_fs_fill_super))
