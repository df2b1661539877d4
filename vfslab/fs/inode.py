"""Inode cache: the files in memory, by superblock and number.

    ext4_lookup ──iget_locked(sb, ino)──▶ inode cache ──miss──▶ a blank inode, I_NEW: the caller fills it
    dput ──iput──▶ unused, on s_inode_lru ──memory is short──▶ evict

The life of an inode, and the usual sequence of a filesystem:

    inode = iget_locked(sb, ino)        one reference; in the hash table
    if inode.i_state & I_NEW:           nobody else has filled it yet
        ... read it from disk ...
        unlock_new_inode(inode)         or iget_failed(inode)
    ...
    iput(inode)                         the last one leaves it cached, or evicts it

An inode whose last name is gone (i_nlink == 0) is evicted at the last iput: only then does
its content leave the disk. This is why a file that was removed while open can still be read.

Linux: fs/inode.c.   Chapter 4.
Left out: lazytime, writeback lists, waiting for an inode that another task fills or frees.

Always true
  N1  a hashed inode is found by ilookup(i_sb, i_ino), and there is only one for each pair
  N2  i_count > 0 keeps an inode in memory; every inode in memory is in i_sb.s_inodes
  N3  an unused inode (i_count == 0) is on s_inode_lru, and has a name on disk
  N4  an inode that leaves memory has no pages left

Locks
  i_lock     i_state, i_count; one task runs at a time, so nobody waits for it yet
  i_rwsem    what the inode says and holds, and for a directory the names in it
"""

from __future__ import annotations

from time import time_ns

from vfslab.include.fs import (
    I_CLEAR,
    I_DIRTY,
    I_DIRTY_SYNC,
    I_FREEING,
    I_LINKABLE,
    I_NEW,
    I_REFERENCED,
    S_NOATIME,
    SB_ACTIVE,
    SB_NOATIME,
    SB_RDONLY,
    AddressSpace,
    AddressSpaceOperations,
    File,
    FileOperations,
    Inode,
    SuperBlock,
)
from vfslab.include.mount import MNT_NOATIME, MNT_NODIRATIME, MNT_READONLY, MNT_RELATIME
from vfslab.include.sched import CAP_FSETID, Path
from vfslab.include.spinlock import RwSemaphore
from vfslab.include.uapi.stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT, S_IFSOCK, S_ISGID
from vfslab.kernel.errno import ENXIO
from vfslab.kernel.locking import check_order, down_read, down_write
from vfslab.kernel.printk import KERN_DEBUG, printk
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kfree, kmem_cache_alloc
from vfslab.lib.kstruct import KernelBug
from vfslab.mm.truncate import truncate_inode_pages
from vfslab.mm.vmscan import charge_slab, uncharge_slab

INODE_BYTES = 1000  # about what an inode of a disk filesystem takes in Python; reckoned against the memory limit

# i_opflags
IOP_FASTPERM = 0x1  # i_op has no permission method: the mode bits alone decide

# The slots behind members that else come late (lib/kstruct.py)
set_i_data, set_i_mapping, set_i_rwsem = Inode.i_data.__set__, Inode.i_mapping.__set__, Inode.i_rwsem.__set__
get_i_data, get_i_rwsem = Inode.i_data.__get__, Inode.i_rwsem.__get__


# --- i_rwsem --------------------------------------------------------------------------------------


def inode_lock_shared(inode: Inode) -> None:
    """Take i_rwsem for reading. down_read() says the same; this is for the walk, which takes it for each name it reads."""
    try:
        lock = get_i_rwsem(inode)
    except AttributeError:
        lock = inode.i_rwsem  # touched for the first time
    held = cpu.current.held
    if held or lock.count < 0:
        down_read(lock).__enter__()  # with all checks
        return
    held.append(lock)
    lock.count += 1


def inode_unlock_shared(inode: Inode) -> None:
    """Give it back."""
    lock, held = get_i_rwsem(inode), cpu.current.held
    lock.count -= 1
    if held[-1] is lock:
        del held[-1]
    else:
        held.remove(lock)


def inode_lock(inode: Inode, nested: bool = False) -> None:
    """Take i_rwsem for writing; nested says that the directory's is held. As down_write(), for what is done often."""
    try:
        lock = get_i_rwsem(inode)
    except AttributeError:
        lock = inode.i_rwsem  # touched for the first time
    task = cpu.current
    held = task.held
    if lock.count:
        down_write(lock, nested).__enter__()  # says who holds it
    if held:
        check_order(lock, held, nested)
    held.append(lock)
    lock.owner, lock.count = task, -1


def inode_unlock(inode: Inode) -> None:
    """Give it back."""
    lock = get_i_rwsem(inode)
    held = lock.owner.held
    lock.owner, lock.count = None, 0
    if held[-1] is lock:
        del held[-1]
    else:
        held.remove(lock)


# --- coming to life -------------------------------------------------------------------------------


def alloc_inode(sb: SuperBlock) -> Inode:
    """Return a blank inode of sb with one reference, in no hash table."""
    charge_slab(INODE_BYTES)
    op = sb.s_op
    inode = kmem_cache_alloc(Inode) if op is None or op.alloc_inode is None else op.alloc_inode(sb)
    inode.i_sb = sb
    inode.i_blkbits = sb.s_blocksize_bits
    sb.s_inodes[inode] = None
    return inode


def new_inode(sb: SuperBlock) -> Inode:
    """Return a blank inode without a number, for the caller to fill."""
    return alloc_inode(sb)


def inode_init_mapping(inode: Inode, a_ops: AddressSpaceOperations, flags: int) -> None:
    """Give a new inode the page cache and the lock that it is going to need; else they come when they are touched.

    That saves the detours of members that come late. In Linux every inode has both (inode_init_always).
    """
    slab = inode._slab
    mapping = AddressSpace(inode, None, 0, a_ops, flags)
    rwsem = RwSemaphore("i_rwsem")
    mapping._container = rwsem._container = inode
    slab.number(mapping)
    slab.number(rwsem)
    set_i_data(inode, mapping)
    set_i_mapping(inode, mapping)
    set_i_rwsem(inode, rwsem)


def get_next_ino() -> int:
    """Return a number for an inode of a filesystem that has none of its own."""
    kernel = cpu.kernel
    ino, kernel.next_ino = kernel.next_ino, kernel.next_ino + 1
    return ino


def iget_locked(sb: SuperBlock, ino: int) -> Inode:
    """Return inode ino of sb with a reference: the cached one, or a blank one with I_NEW for the caller to fill."""
    if ino in sb.s_inode_hashtable:
        return ilookup(sb, ino)
    inode = alloc_inode(sb)
    inode.i_ino = ino
    inode.i_state = I_NEW
    sb.s_inode_hashtable[ino] = inode
    return inode


def ilookup(sb: SuperBlock, ino: int) -> Inode | None:
    """Return the cached inode ino of sb with a reference, or None."""
    inode = sb.s_inode_hashtable.get(ino)
    if inode is not None:
        if inode.i_state & I_FREEING:
            raise KernelBug(f"{inode} is looked up while it is evicted")
        inode.i_count += 1
    return inode


def insert_inode_hash(inode: Inode) -> None:
    """Let lookups by number find a new inode."""
    inode.i_sb.s_inode_hashtable[inode.i_ino] = inode


def remove_inode_hash(inode: Inode) -> None:
    """Let no lookup find the inode any more."""
    table = inode.i_sb.s_inode_hashtable
    if table.get(inode.i_ino) is inode:
        del table[inode.i_ino]


def inode_unhashed(inode: Inode) -> bool:
    """True if lookups by number do not find this inode."""
    return inode.i_sb.s_inode_hashtable.get(inode.i_ino) is not inode


def unlock_new_inode(inode: Inode) -> None:
    """Say that an inode from iget_locked() is filled: others may use it."""
    inode.i_state &= ~I_NEW


def iget_failed(inode: Inode) -> None:
    """Throw away an inode from iget_locked() that could not be filled."""
    remove_inode_hash(inode)
    inode.i_nlink = 0
    inode.i_state &= ~I_NEW
    inode.i_private = None
    iput(inode)


def inode_init_owner(inode: Inode, dir: Inode | None, mode: int) -> None:
    """Set owner and mode of a new inode in dir: the caller's, or dir's group where dir is set-group-ID."""
    cred = cpu.current.cred
    inode.i_uid = cred.fsuid
    inode.i_gid = cred.fsgid
    if dir is not None and dir.i_mode & S_ISGID:
        inode.i_gid = dir.i_gid
        if mode & S_IFMT == S_IFDIR:
            mode |= S_ISGID
        elif mode & 0o2010 == 0o2010 and not may_keep_sgid(inode):
            mode &= ~S_ISGID
    inode.i_mode = mode


def may_keep_sgid(inode: Inode) -> bool:
    """True if the caller is in the inode's group or may set the set-group-ID bit anyway."""
    cred = cpu.current.cred
    return inode.i_gid == cred.fsgid or inode.i_gid in cred.groups or bool(cred.cap_effective >> CAP_FSETID & 1)


def no_open(inode: Inode, file: File) -> None:
    """There is nothing behind this node (a socket, or a device without a driver)."""
    raise ENXIO


no_open_fops = FileOperations(open=no_open)


def init_special_inode(inode: Inode, mode: int, rdev: int) -> None:
    """Make inode a device node, FIFO or socket: its file operations are not the filesystem's.

    Which ones they are, the drivers have left in kernel.state under the names Linux has for them.
    """
    inode.i_mode = mode
    kind = mode & S_IFMT
    if kind in (S_IFCHR, S_IFBLK):
        inode.i_rdev = rdev
    elif kind not in (S_IFIFO, S_IFSOCK):
        printk(KERN_DEBUG, f"init_special_inode: bogus i_mode ({mode:o}) for inode {inode.i_sb.s_id!r}:{inode.i_ino}")
    table = {S_IFCHR: "def_chr_fops", S_IFBLK: "def_blk_fops", S_IFIFO: "pipefifo_fops"}.get(kind)
    inode.i_fop = cpu.kernel.state.get(table, no_open_fops)


# --- references, and leaving ----------------------------------------------------------------------


def ihold(inode: Inode) -> Inode:
    """Return inode with one more reference; the caller already has one."""
    if inode.i_count < 1:
        raise KernelBug(f"ihold of {inode}, which nobody holds")
    inode.i_count += 1
    return inode


def iput(inode: Inode | None) -> None:
    """Drop one reference; the last one leaves the inode cached or evicts it."""
    if inode is None:
        return
    count = inode.i_count - 1
    if count < 0 or inode.i_state & I_CLEAR:
        raise KernelBug(f"iput of {inode}, which nobody holds")
    inode.i_count = count
    if count == 0:
        iput_final(inode)


def iput_final(inode: Inode) -> None:
    """Nobody uses the inode any more: keep it on the LRU list if it may be wanted again, else evict it."""
    sb = inode.i_sb
    op = sb.s_op
    drop = generic_drop_inode(inode) if op is None or op.drop_inode is None else op.drop_inode(inode)
    if not drop and sb.s_flags & SB_ACTIVE:
        inode_add_lru(inode)
        return
    if not drop and inode.i_state & I_DIRTY and sb.s_op.write_inode is not None:
        sb.s_op.write_inode(inode, None)
    inode_lru_del(inode)
    evict(inode)


def generic_drop_inode(inode: Inode) -> bool:
    """True if an unused inode is not worth keeping: it has no name left, or no number to find it by."""
    return inode.i_nlink == 0 or inode_unhashed(inode)


def generic_delete_inode(inode: Inode) -> bool:
    """Never keep an unused inode: for filesystems whose inodes live by their dentries alone."""
    return True


def inode_add_lru(inode: Inode) -> None:
    """Put an unused inode at the young end of the LRU list, or note that it was used again."""
    lru = inode.i_sb.s_inode_lru
    if inode in lru:
        inode.i_state |= I_REFERENCED
    else:
        lru[inode] = None


def inode_lru_del(inode: Inode) -> None:
    """Take an inode off the LRU list, if it is on it."""
    inode.i_sb.s_inode_lru.pop(inode, None)
    inode.i_state &= ~I_REFERENCED


def evict(inode: Inode) -> None:
    """Let an unused inode leave memory, and the disk too if it has no name left (s_op.evict_inode does both)."""
    sb = inode.i_sb
    inode.i_state |= I_FREEING
    op = sb.s_op
    if op is not None and op.evict_inode is not None:
        op.evict_inode(inode)
    else:
        mapping = inode_data(inode)
        if mapping is not None and mapping.nrpages:
            truncate_inode_pages(mapping, 0)
        clear_inode(inode)
    remove_inode_hash(inode)
    if not inode.i_state & I_CLEAR:
        raise KernelBug(f"evict_inode of {sb.s_type.name!r} did not call clear_inode")
    destroy_inode(inode)


def clear_inode(inode: Inode) -> None:
    """Say that nothing of the inode is left but its memory; evict_inode methods end with this."""
    mapping = inode_data(inode)
    if mapping is not None:
        if mapping.nrpages:
            raise KernelBug(f"{inode} leaves memory with {mapping.nrpages} pages")
        mapping.host = None  # what points at each other would wait for Python's garbage collector
    inode.i_state = I_FREEING | I_CLEAR


def inode_data(inode: Inode) -> AddressSpace | None:
    """Return the inode's own page cache, without making one for an inode that has none."""
    try:
        return get_i_data(inode)
    except AttributeError:
        return None


def destroy_inode(inode: Inode) -> None:
    """Give the inode's memory back."""
    sb = inode.i_sb
    if inode.i_dentry:
        raise KernelBug(f"{inode} is freed but {inode.i_dentry} leads to it")
    del sb.s_inodes[inode]
    op = sb.s_op
    if op is not None and op.free_inode is not None:
        op.free_inode(inode)
    else:
        kfree(inode)
    uncharge_slab(INODE_BYTES)


def evict_inodes(sb: SuperBlock) -> None:
    """Evict every unused inode: the superblock goes away."""
    for inode in list(sb.s_inodes):
        if inode.i_count == 0:
            inode_lru_del(inode)
            evict(inode)


def prune_icache_sb(sb: SuperBlock, nr: int) -> int:
    """Look at the nr oldest unused inodes and evict those not used again; return how many went."""
    lru, freed = sb.s_inode_lru, 0
    for _ in range(min(nr, len(lru))):
        inode = next(iter(lru))
        if inode.i_count or inode.i_state & I_DIRTY:
            inode_lru_del(inode)  # comes back with the next iput, or when it is clean
        elif inode.i_state & I_REFERENCED:
            inode.i_state &= ~I_REFERENCED
            lru.move_to_end(inode)
        else:
            inode_lru_del(inode)
            evict(inode)
            freed += 1
    return freed


# --- link counts ----------------------------------------------------------------------------------


def set_nlink(inode: Inode, nlink: int) -> None:
    """Set the number of names, as read from disk."""
    inode.i_nlink = nlink


def inc_nlink(inode: Inode) -> None:
    """Count one more name."""
    if inode.i_nlink == 0 and not inode.i_state & I_LINKABLE:
        raise KernelBug(f"{inode} has lost its last name and gets another one")
    inode.i_nlink += 1


def drop_nlink(inode: Inode) -> None:
    """Count one name less."""
    if inode.i_nlink == 0:
        raise KernelBug(f"{inode} has no name to lose")
    inode.i_nlink -= 1


def clear_nlink(inode: Inode) -> None:
    """Count no names: a directory that was removed."""
    inode.i_nlink = 0


# --- times ----------------------------------------------------------------------------------------


def current_time(inode: Inode) -> tuple[int, int]:
    """Return now as (seconds, nanoseconds), as exactly as the inode's filesystem stores it."""
    clock = cpu.kernel.clock
    now = time_ns() if clock is None else clock()
    sec = now // 1_000_000_000
    nsec = now - sec * 1_000_000_000
    sb = inode.i_sb
    if sb.s_time_gran > 1:
        nsec -= nsec % sb.s_time_gran
    if sb.s_time_min <= sec <= sb.s_time_max:
        return sec, nsec
    return min(max(sec, sb.s_time_min), sb.s_time_max), nsec


def touch_atime(path: Path) -> None:
    """The file was read: set its access time, unless the mount, the filesystem or the file says no."""
    inode, flags = path.dentry.d_inode, path.mnt.mnt_flags
    if inode.i_sb.s_flags & (SB_RDONLY | SB_NOATIME) or flags & (MNT_READONLY | MNT_NOATIME):
        return
    if inode.i_flags & S_NOATIME or flags & MNT_NODIRATIME and inode.i_mode & S_IFMT == S_IFDIR:
        return
    now = current_time(inode)
    if flags & MNT_RELATIME and not relatime_need_update(inode, now):
        return
    if now != (inode.i_atime_sec, inode.i_atime_nsec):
        inode.i_atime_sec, inode.i_atime_nsec = now
        mark_inode_dirty(inode, I_DIRTY_SYNC)


def relatime_need_update(inode: Inode, now: tuple[int, int]) -> bool:
    """True if the access time is a day old, or not younger than the last change."""
    atime = inode.i_atime_sec, inode.i_atime_nsec
    return (
        (inode.i_mtime_sec, inode.i_mtime_nsec) >= atime
        or (inode.i_ctime_sec, inode.i_ctime_nsec) >= atime
        or now[0] - inode.i_atime_sec >= 24 * 60 * 60
    )


def file_update_time(file: File) -> None:
    """The file is written: set its times of modification and change."""
    inode = file.f_inode
    inode.i_mtime_sec, inode.i_mtime_nsec = inode.i_ctime_sec, inode.i_ctime_nsec = current_time(inode)
    mark_inode_dirty(inode, I_DIRTY_SYNC)


def inode_set_ctime_current(inode: Inode) -> tuple[int, int]:
    """Set the time of change to now, and return it."""
    inode.i_ctime_sec, inode.i_ctime_nsec = now = current_time(inode)
    return now


def simple_inode_init_ts(inode: Inode) -> None:
    """Set all three times of a new inode to now."""
    sec, nsec = current_time(inode)
    inode.i_atime_sec = inode.i_mtime_sec = inode.i_ctime_sec = sec
    inode.i_atime_nsec = inode.i_mtime_nsec = inode.i_ctime_nsec = nsec


def mark_inode_dirty(inode: Inode, flags: int) -> None:
    """Tell the filesystem that the inode has changed; one with a disk will write it back."""
    dirty_inode = inode.i_sb.s_op.dirty_inode
    if dirty_inode is not None:
        dirty_inode(inode, flags)
        inode.i_state |= flags
