"""Directory entry cache: the names the kernel has already looked up.

    fs/namei.py ──(parent, name)──▶ dcache ──miss──▶ dir.i_op.lookup

A dentry ties one name in one directory to an inode, or to none: a negative dentry
remembers that the name is absent, so asking again costs no I/O.

The life of a dentry:

    d_alloc ──▶ in use ──d_add──▶ in use, hashed ──last dput──▶ unused, on s_dentry_lru
                   │                    ▲                              │          │
                   │                    └────────── d_lookup ──────────┘          │
                   └─last dput─▶ freed ◀── memory is short, or the tree goes away ┘

Linux hashes all dentries into one table by (parent, name), and lists the children of each besides. Here d_children
is both: a dictionary of a directory's own, {name: dentry}. That is one look instead of two, and less memory.

A lookup that finds an unused dentry leaves it on the LRU list; the shrinker notices d_count
and takes it off. Being used and left once more while on the list sets DCACHE_REFERENCED: one more round to live.

Linux: fs/dcache.c, include/linux/dcache.h.   Chapter 4.
Left out: the global dentry_hashtable, d_hash and d_compare (names are compared byte by byte), lookups that run in parallel
in one directory (nothing comes between a lookup's miss and its d_add), aliases for exported
filesystems, NUMA and memcg lists.

Always true
  D1  a hashed dentry is found by d_lookup(d_parent, d_name): it stands in d_parent.d_children under its name
  D2  d_count > 0 keeps a dentry and its ancestors in memory: each child counts once in its parent
  D3  once others can find a dentry, d_parent, d_name and d_inode change only while d_seq is odd:
      a walk that takes no references will tell by it that what it read was torn (Linux's RCU-walk)
  D4  an unused dentry (d_count == 0) is hashed and on the LRU list of its superblock, but while the
      tree is being taken down
  D5  a positive dentry holds one i_count of d_inode and is listed in i_dentry
  D6  a directory has at most one hashed dentry

Locks
  i_rwsem of the directory  held shared while a name is looked up, alone while names are made, removed or
                            moved. What only forgets (the shrinkers, d_invalidate) does without
  d_lock                    d_flags and d_count in Linux; not taken here, as one task runs at a time
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from vfslab.fs.inode import iput
from vfslab.include.dcache import (
    DCACHE_CANT_MOUNT,
    DCACHE_DIRECTORY_TYPE,
    DCACHE_DONTCACHE,
    DCACHE_ENTRY_TYPE,
    DCACHE_LRU_LIST,
    DCACHE_MISS_TYPE,
    DCACHE_OP_DELETE,
    DCACHE_OP_REVALIDATE,
    DCACHE_REFERENCED,
    DCACHE_REGULAR_TYPE,
    DCACHE_SPECIAL_TYPE,
    DCACHE_SYMLINK_TYPE,
    DCACHE_UNHASHED,
    Dentry,
)
from vfslab.include.fs import Inode, SuperBlock
from vfslab.include.uapi.stat import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG
from vfslab.kernel.errno import ELOOP
from vfslab.kernel.printk import KERN_WARNING, printk
from vfslab.kernel.slab import kfree, kmem_cache_alloc
from vfslab.lib.kstruct import KernelBug
from vfslab.mm.vmscan import charge_slab, uncharge_slab

DENTRY_BYTES = 480  # what a dentry takes in Python with its places in the tables; reckoned against the memory limit
DEAD = -128  # d_count of a dentry that is being freed

KEPT = DCACHE_LRU_LIST | DCACHE_REFERENCED  # on the list, and to stay: nothing to do at the last dput
IDLE_FILE = DCACHE_REGULAR_TYPE | DCACHE_LRU_LIST
LAST_DPUT_ASKS = DCACHE_UNHASHED | DCACHE_DONTCACHE | DCACHE_OP_DELETE  # in none of these cases is it kept unasked


# --- references -----------------------------------------------------------------------------------


def dget(dentry: Dentry) -> Dentry:
    """Return dentry with one more reference."""
    if dentry.d_count < 0:
        raise KernelBug(f"dget of the dead {dentry}")
    dentry.d_count += 1
    return dentry


def dput(dentry: Dentry | None) -> None:
    """Drop one reference. The last one leaves a hashed dentry on the LRU list and frees any other.

    Freeing a dentry drops its reference on the parent, which may be the last one there, and so on up.
    """
    while dentry is not None:
        count = dentry.d_count - 1
        if count < 0:
            raise KernelBug(f"dput of {dentry}, which nobody holds")
        dentry.d_count = count
        if count or dentry.d_flags & (KEPT | LAST_DPUT_ASKS) == KEPT or retain_dentry(dentry):
            return
        dentry = __dentry_kill(dentry)


def retain_dentry(dentry: Dentry) -> bool:
    """Return whether an unused dentry is worth keeping, and if so put it on the LRU list."""
    flags = dentry.d_flags
    if flags & LAST_DPUT_ASKS:
        if flags & (DCACHE_UNHASHED | DCACHE_DONTCACHE):
            return False
        if dentry.d_op.d_delete(dentry):  # the filesystem's word: drop it, do not keep it
            return False
    if not flags & DCACHE_LRU_LIST:
        flags |= DCACHE_LRU_LIST
        dentry.d_flags = IDLE_FILE if flags == IDLE_FILE else flags  # thousands share this number, in memory too
        dentry.d_sb.s_dentry_lru[dentry] = None
    elif not flags & DCACHE_REFERENCED:
        dentry.d_flags = flags | DCACHE_REFERENCED
    return True


def d_lru_del(dentry: Dentry) -> None:
    """Take a dentry off the LRU list."""
    del dentry.d_sb.s_dentry_lru[dentry]
    dentry.d_flags &= ~(DCACHE_LRU_LIST | DCACHE_REFERENCED)


def __dentry_kill(dentry: Dentry) -> Dentry | None:
    """Free an unused dentry; return its parent, whose reference the caller has to drop, or None."""
    dentry.d_count = DEAD  # first: who finds it from now on, through a method below, must not take it up
    op = dentry.d_op
    if op is not None and op.d_prune is not None:
        op.d_prune(dentry)
    if dentry.d_flags & DCACHE_LRU_LIST:
        d_lru_del(dentry)
    __d_drop(dentry)
    if dentry.d_inode is not None:
        dentry_unlink_inode(dentry)
    if op is not None and op.d_release is not None:
        op.d_release(dentry)
    parent = dentry.d_parent if dentry.d_parent is not dentry else None
    kfree(dentry)
    uncharge_slab(DENTRY_BYTES)
    return parent


# --- making a dentry, and giving it an inode ------------------------------------------------------


def d_alloc(parent: Dentry, name: bytes) -> Dentry:
    """Return a new dentry for name below parent, with one reference, neither hashed nor positive."""
    dentry = __d_alloc(parent.d_sb, name)
    parent.d_count += 1
    dentry.d_parent = parent
    return dentry


def d_alloc_anon(sb: SuperBlock, name: bytes = b"/") -> Dentry:
    """Return a new dentry that is its own parent: a root, or a file without a name."""
    dentry = __d_alloc(sb, name)
    dentry.d_parent = dentry
    return dentry


def __d_alloc(sb: SuperBlock, name: bytes) -> Dentry:
    charge_slab(DENTRY_BYTES)
    dentry = kmem_cache_alloc(Dentry)
    dentry.d_name, dentry.d_sb = name, sb
    op = dentry.d_op = sb.s_d_op
    if op is not None:
        if op.d_revalidate is not None:
            dentry.d_flags |= DCACHE_OP_REVALIDATE
        if op.d_delete is not None:
            dentry.d_flags |= DCACHE_OP_DELETE
    return dentry


def d_make_root(inode: Inode) -> Dentry:
    """Return the root dentry of inode's superblock; the caller's inode reference is now the dentry's."""
    root = d_alloc_anon(inode.i_sb)
    d_instantiate(root, inode)
    return root


def d_flags_for_inode(inode: Inode | None) -> int:
    """Return the type bits of a dentry with this inode, so that a walk need not look into the inode."""
    if inode is None:
        return DCACHE_MISS_TYPE
    kind = inode.i_mode & S_IFMT
    if kind == S_IFDIR:
        return DCACHE_DIRECTORY_TYPE
    if kind == S_IFREG:
        return DCACHE_REGULAR_TYPE
    return DCACHE_SYMLINK_TYPE if kind == S_IFLNK else DCACHE_SPECIAL_TYPE


def d_instantiate(dentry: Dentry, inode: Inode) -> None:
    """Make a negative dentry positive; the caller's inode reference is now the dentry's."""
    dentry.d_alias, inode.i_dentry = inode.i_dentry, dentry
    dentry.d_seq += 1
    dentry.d_inode = inode
    dentry.d_flags = dentry.d_flags & ~DCACHE_ENTRY_TYPE | d_flags_for_inode(inode)
    dentry.d_seq += 1


def d_aliases(inode: Inode) -> Iterator[Dentry]:
    """Yield the dentries of an inode, the youngest first."""
    dentry = inode.i_dentry
    while dentry is not None:
        yield dentry
        dentry = dentry.d_alias


def dentry_unlink_inode(dentry: Dentry) -> None:
    """Make a dentry negative and drop its inode reference, perhaps the last one."""
    inode = dentry.d_inode
    dentry.d_seq += 1
    dentry.d_inode = None
    dentry.d_flags &= ~DCACHE_ENTRY_TYPE
    dentry.d_seq += 1
    if inode.i_dentry is dentry:
        inode.i_dentry = dentry.d_alias
    else:
        before = next(other for other in d_aliases(inode) if other.d_alias is dentry)
        before.d_alias = dentry.d_alias
    dentry.d_alias = None
    iput(inode)


def d_add(dentry: Dentry, inode: Inode | None) -> None:
    """Hash a new dentry: from now on lookups find it. None makes it negative: the name is known to be absent.

    The caller's inode reference is now the dentry's.
    """
    if inode is not None:
        d_instantiate(dentry, inode)
    d_rehash(dentry)


def d_rehash(dentry: Dentry) -> None:
    """Put an unhashed dentry into the hash table, under its parent and name."""
    parent, name = dentry.d_parent, dentry.d_name
    children = parent.d_children
    if children is None:
        children = parent.d_children = {}
    if children.setdefault(name, dentry) is not dentry:
        raise KernelBug(f"{name!r} below {parent} is hashed already, for another dentry")
    dentry.d_flags &= ~DCACHE_UNHASHED


def d_splice_alias(inode: Inode | None, dentry: Dentry) -> Dentry | None:
    """Hash dentry with inode, as lookup methods do; return None, or the dentry that stands in for it.

    A directory that already has a dentry keeps it (D6), and that one moves here: the directory was renamed
    behind our back, or a damaged disk names it twice. ELOOP if it is one of dentry's own ancestors.
    The caller's inode reference is used up in each case; a dentry that is returned comes with a reference.
    """
    if inode is None or inode.i_dentry is None or inode.i_mode & S_IFMT != S_IFDIR:
        d_add(dentry, inode)
        return None
    alias = d_find_any_alias(inode)
    iput(inode)  # the alias has its own reference
    if d_ancestor(alias, dentry) is not None:  # the root is everybody's
        printk(KERN_WARNING, f"VFS: lookup of {dentry.d_name!r} in {dentry.d_sb.s_id!r} would have made a loop")
        dput(alias)
        raise ELOOP(dentry.d_name)
    d_move(alias, dentry)
    return alias


def d_find_any_alias(inode: Inode) -> Dentry | None:
    """Return some dentry of inode with a reference, or None."""
    return None if inode.i_dentry is None else dget(inode.i_dentry)


def d_find_alias(inode: Inode) -> Dentry | None:
    """Return a hashed dentry of inode, or one that needs no name (a root), with a reference; or None."""
    for dentry in d_aliases(inode):
        if not d_unhashed(dentry) or dentry is dentry.d_parent:
            return dget(dentry)
    return None


# --- finding and forgetting -----------------------------------------------------------------------


def d_lookup(parent: Dentry, name: bytes) -> Dentry | None:
    """Return the cached dentry for name below parent, with a reference, or None.

    None means "not cached", not "no such file": only the filesystem knows that.
    """
    children = parent.d_children
    dentry = children.get(name) if children else None
    if dentry is not None:
        dentry.d_count += 1
    return dentry


def __d_drop(dentry: Dentry) -> None:
    """Unhash a dentry, if it is hashed: no lookup will find it."""
    if dentry.d_flags & DCACHE_UNHASHED:
        return
    del dentry.d_parent.d_children[dentry.d_name]
    dentry.d_flags |= DCACHE_UNHASHED
    dentry.d_seq += 2  # not what it was, though nothing was torn (D3)


def d_drop(dentry: Dentry) -> None:
    """Unhash a dentry; the caller holds a reference. The next lookup of the name asks the filesystem."""
    __d_drop(dentry)


def d_delete(dentry: Dentry) -> None:
    """The name is gone from the directory: turn the dentry negative, or unhash it if others use it too.

    The caller holds one of the references.
    """
    if dentry.d_count == 1:
        dentry.d_flags &= ~DCACHE_CANT_MOUNT  # that was said of the directory, not of the name
        dentry_unlink_inode(dentry)
    else:
        __d_drop(dentry)


def d_invalidate(dentry: Dentry) -> None:
    """Forget a name that turned out untrue, and all unused names below it. The caller holds a reference."""
    __d_drop(dentry)
    shrink_dcache_parent(dentry)


# --- moving ---------------------------------------------------------------------------------------


def d_move(dentry: Dentry, target: Dentry) -> None:
    """Give dentry the place of target, in the hash table too; target ends up unhashed."""
    __d_drop(target)
    __d_move(dentry, target.d_parent, target.d_name)


def d_exchange(dentry: Dentry, other: Dentry) -> None:
    """Let two dentries change places."""
    parent, name = dget(other.d_parent), other.d_name  # held: a move gives its old parent back
    old_parent, old_name = dget(dentry.d_parent), dentry.d_name
    __d_drop(other)
    __d_move(dentry, parent, name)
    __d_move(other, old_parent, old_name)
    dput(parent)
    dput(old_parent)


def __d_move(dentry: Dentry, parent: Dentry, name: bytes) -> None:
    """Put dentry below another parent, or under another name; the place must be free in the table."""
    old_parent = dentry.d_parent
    __d_drop(dentry)
    if old_parent is not parent:
        parent.d_count += 1
    dentry.d_seq += 1
    dentry.d_parent, dentry.d_name = parent, name
    dentry.d_seq += 1
    d_rehash(dentry)
    if old_parent is not parent and old_parent is not dentry:  # who was its own parent held nothing there
        dput(old_parent)


def d_ancestor(ancestor: Dentry, dentry: Dentry) -> Dentry | None:
    """Return the child of ancestor on the way down to dentry, or None if dentry is not below ancestor."""
    while dentry.d_parent is not dentry:
        if dentry.d_parent is ancestor:
            return dentry
        dentry = dentry.d_parent
    return None


def is_subdir(dentry: Dentry, ancestor: Dentry) -> bool:
    """Return whether dentry is ancestor or below it."""
    return dentry is ancestor or d_ancestor(ancestor, dentry) is not None


# --- what a dentry is -----------------------------------------------------------------------------


def d_unhashed(dentry: Dentry) -> bool:
    """True if lookups do not find the dentry. Roots are never hashed."""
    return bool(dentry.d_flags & DCACHE_UNHASHED)


def d_unlinked(dentry: Dentry) -> bool:
    """True if no lookup finds the dentry, though it is no root: its name is gone, or was never there."""
    return bool(dentry.d_flags & DCACHE_UNHASHED) and dentry.d_parent is not dentry


def d_is_negative(dentry: Dentry) -> bool:
    """True if the name is known to be absent."""
    return dentry.d_flags & DCACHE_ENTRY_TYPE == DCACHE_MISS_TYPE


def d_is_positive(dentry: Dentry) -> bool:
    """True if the name leads to an inode."""
    return dentry.d_flags & DCACHE_ENTRY_TYPE != DCACHE_MISS_TYPE


def d_is_dir(dentry: Dentry) -> bool:
    """True if the name leads to a directory."""
    return dentry.d_flags & DCACHE_ENTRY_TYPE == DCACHE_DIRECTORY_TYPE


def d_is_symlink(dentry: Dentry) -> bool:
    """True if the name leads to a symbolic link."""
    return dentry.d_flags & DCACHE_ENTRY_TYPE == DCACHE_SYMLINK_TYPE


# --- giving memory back ---------------------------------------------------------------------------


def prune_dcache_sb(sb: SuperBlock, nr: int) -> int:
    """Look at the nr oldest unused dentries and free those not used again; return how many went.

    The superblock's shrinker calls this when memory is short. A dentry marked DCACHE_REFERENCED loses the
    mark and moves to the young end; one that is in use after all leaves the list.
    """
    lru, freed = sb.s_dentry_lru, 0
    for dentry in list(islice(lru, nr)):
        if dentry not in lru:
            continue  # an ancestor, which went with its last child
        if dentry.d_count:
            d_lru_del(dentry)
        elif dentry.d_flags & DCACHE_REFERENCED:
            dentry.d_flags &= ~DCACHE_REFERENCED
            del lru[dentry]
            lru[dentry] = None  # at the young end
        else:
            freed += shrink_kill(dentry)
    return freed


def shrink_kill(dentry: Dentry | None) -> int:
    """Free an unused dentry and every ancestor that nothing else uses; return how many went.

    dput() would keep the ancestors, as worth having; here memory is wanted.
    """
    freed = 0
    while dentry is not None:
        dentry = __dentry_kill(dentry)
        freed += 1
        if dentry is not None:
            dentry.d_count -= 1
            if dentry.d_count:
                break
    return freed


def shrink_dcache_sb(sb: SuperBlock) -> int:
    """Free every unused dentry of a superblock; return how many went."""
    freed, lru = 0, sb.s_dentry_lru
    while lru:
        for dentry in list(lru):
            if dentry not in lru:
                continue
            if dentry.d_count:
                d_lru_del(dentry)
            else:
                freed += shrink_kill(dentry)
    return freed


def shrink_dcache_parent(parent: Dentry) -> None:
    """Free every unused dentry below parent, leaves first. The caller holds parent."""
    for dentry in reversed(list(d_walk(parent))):
        if dentry.d_count == 0:
            __dentry_kill(dentry).d_count -= 1  # the parent's turn comes later in this loop


def d_walk(root: Dentry) -> Iterator[Dentry]:
    """Yield every hashed dentry below root, a directory before its children; root itself is not among them."""
    below = [root]
    while below:
        children = below.pop().d_children or {}
        for child in list(children.values()):
            yield child
            if child.d_children:
                below.append(child)


def d_genocide(root: Dentry) -> None:
    """Drop the reference by which a filesystem without a disk keeps each of its names in the cache.

    shrink_dcache_for_umount() must follow: the dentries are unused now, and on no list (D4).
    """
    for dentry in list(d_walk(root)):
        if dentry.d_inode is not None:
            dentry.d_count -= 1


def shrink_dcache_for_umount(sb: SuperBlock) -> None:
    """Free the whole tree of a superblock; KernelBug if somebody still uses a part of it."""
    root = sb.s_root
    shrink_dcache_parent(root)
    left = [*d_walk(root), *([root] if root.d_count > 1 else [])]  # an unlinked name still in use holds its parent
    if left:
        raise KernelBug(f"{left[0]} ({left[0].d_name!r}) is still in use at umount of {sb.s_id!r}")
    sb.s_root = None
    dput(root)
