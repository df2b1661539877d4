"""Path walk: from a name to a mount and a dentry.

    "/mnt/../etc/passwd" ──path_init──▶ the start: root, working directory, or a descriptor
            ──link_path_walk──▶ component by component, all but the last ──▶ nd.path, nd.last
                     │                                  lookup, open, create and remove differ
                     ▼                                  only in what they do with the last one
               walk_component ──lookup_fast──▶ dcache: a hit costs one look into a table
                     │    └──── walk_uncached: `.`, `..`, or lookup_slow ──▶ dir.i_op.lookup
                     ▼
                 step_into: a plain directory or file: go there
                     └─ step_into_slowpath: something mounted on it, a symlink, nothing there at all

All state of a walk is in one Nameidata; task.nameidata points to the walk under way.

A symlink's text is walked from the directory it lies in, while the link waits on nd.stack with
the components that come after it. For /a/link/b, where link is "x/y":

    nd.last   nd.remaining   nd.stack
    a         link, b
    link      b                            a symlink: pick_link
    x         y              (link: b)
    y         b                            the text's last component: put_links, as in a tail call
    b                                      the last one: left to lookup_last

So a chain of links takes no depth and no recursion; 40 links in all are the limit.

This is REF-walk: nd.path holds a reference on its mount and its dentry at every step. Stepping
down gives the parent's back with one subtraction, since the child still holds its parent (D2 of
fs/dcache.py). Linux tries RCU-walk first, which counts nothing until the end. On the hot path a
reference is a bare `d_count += 1`; elsewhere it is dget(), which also looks whether the dentry is dead.

Linux: fs/namei.c, Documentation/filesystems/path-lookup.rst.   Chapter 7.
In three files more: fs/permission.py, fs/namei_open.py (open), fs/namei_ops.py (mkdir ... rename).
Left out: RCU-walk, automounts, magic links, sysctl protected_symlinks, auditing, the retry with -ESTALE.

Always true
  P1  before a component is looked up, nd.path is known to be a directory that the task may search
  P2  nd.path, and the link of each Saved on nd.stack, hold one reference on mount and dentry;
      nd.root holds none: it is borrowed from the task, or from the descriptor the walk began at
  P3  `.`, `..` and the empty name are never in d_children: lookup_fast does not find them
  P4  a walk leaves nd.root's tree neither by `..` nor by an absolute link
  P5  after a failed walk every reference it took has been given back

Locks
  i_rwsem of a directory, shared, while its filesystem looks a name up; none on a hit
"""

from __future__ import annotations

from types import MappingProxyType

from vfslab.fs.dcache import d_alloc, d_invalidate, d_lookup, dget, dput, is_subdir
from vfslab.fs.inode import IOP_FASTPERM, inode_lock_shared, inode_unlock_shared, touch_atime
from vfslab.fs.mount import __lookup_mnt, mnt_has_parent, mntget, path_get, path_is_under, path_put, real_mount
from vfslab.fs.permission import inode_permission
from vfslab.include.dcache import (
    DCACHE_DIRECTORY_TYPE,
    DCACHE_ENTRY_TYPE,
    DCACHE_MANAGED_DENTRY,
    DCACHE_MISS_TYPE,
    DCACHE_MOUNTED,
    DCACHE_OP_REVALIDATE,
    DCACHE_REGULAR_TYPE,
    DCACHE_SYMLINK_TYPE,
    Dentry,
)
from vfslab.include.fs import MAY_EXEC, S_DEAD
from vfslab.include.mount import MNT_NOSYMFOLLOW, Mount, Vfsmount
from vfslab.include.namei import (
    LAST_DOT,
    LAST_DOTDOT,
    LAST_NORM,
    LAST_ROOT,
    LOOKUP_BENEATH,
    LOOKUP_CACHED,
    LOOKUP_DIRECTORY,
    LOOKUP_EMPTY,
    LOOKUP_FOLLOW,
    LOOKUP_IN_ROOT,
    LOOKUP_IS_SCOPED,
    LOOKUP_MOUNTPOINT,
    LOOKUP_NO_SYMLINKS,
    LOOKUP_NO_XDEV,
    MAXSYMLINKS,
    Filename,
    Nameidata,
    Saved,
)
from vfslab.include.sched import Path
from vfslab.include.uapi.fcntl import AT_FDCWD
from vfslab.include.uapi.stat import PATH_MAX, S_IFDIR, S_IFMT, S_IXUGO
from vfslab.kernel.errno import EACCES, EAGAIN, EBADF, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV
from vfslab.kernel.sched import cpu

# flags of walk_component; 2 is WALK_MORE in Linux, which we do not need
WALK_TRAILING, WALK_NOFOLLOW = 1, 4  # the last component; a symlink is not followed (fs/namei_open.py)

STEP_MASK = DCACHE_MANAGED_DENTRY | DCACHE_ENTRY_TYPE  # what decides how to step into a dentry
COVERED = DCACHE_DIRECTORY_TYPE | DCACHE_MOUNTED  # a directory that something is mounted on, in some namespace
SEARCH_MASK = S_IFMT | S_IXUGO
ANYONE_MAY_SEARCH = S_IFDIR | S_IXUGO

LAST_TYPES = MappingProxyType({b"": LAST_ROOT, b".": LAST_DOT, b"..": LAST_DOTDOT})  # all others: LAST_NORM


# --- the name, and the walk -----------------------------------------------------------------------


def getname(name: bytes, flags: int = 0) -> Filename:
    """Return a path taken over from user space; ENOENT if it is empty and may not be, ENAMETOOLONG from 4096 bytes on."""
    if not name and not flags & LOOKUP_EMPTY:
        raise ENOENT(name)
    if len(name) >= PATH_MAX:
        raise ENAMETOOLONG(name[:32])
    return Filename(name, name)


def set_nameidata(dfd: int, name: Filename) -> Nameidata:
    """Return the state of a new walk, which the running task is now on.

    Linux keeps it on the task's stack; so it comes from no slab, and goes by the task's number in pictures.
    """
    task = cpu.current
    task.nameidata = nd = Nameidata(dfd, name, task, task.nameidata)
    nd._nr = task.pid
    return nd


def restore_nameidata(nd: Nameidata) -> None:
    """The walk is over; the task is back on the one it was on before, if any."""
    nd.task.nameidata = nd.saved


def terminate_walk(nd: Nameidata) -> None:
    """Give back all references of a walk that failed (P5)."""
    while nd.stack:
        path_put(nd.stack.pop().link)
    nd.depth = 0
    if nd.path is not None:
        path_put(nd.path)
        nd.path = None


# --- where a walk begins --------------------------------------------------------------------------


def path_init(nd: Nameidata, flags: int) -> None:
    """Put nd.path at the start of the walk: the root, the working directory, or the descriptor nd.dfd."""
    nd.flags = flags
    name = nd.name.name
    if name[:1] == b"/" and not flags & LOOKUP_IN_ROOT:
        if flags & LOOKUP_BENEATH:
            raise EXDEV(name)
        root = nd.root = nd.task.fs.root
        set_path(nd, root)
        return
    if nd.dfd == AT_FDCWD:
        start = nd.task.fs.pwd
    else:
        file = nd.task.files.fdt.get(nd.dfd)
        if file is None:
            raise EBADF(nd.dfd)
        start = file.f_path
        if name and start.dentry.d_flags & DCACHE_ENTRY_TYPE != DCACHE_DIRECTORY_TYPE:
            raise ENOTDIR(nd.dfd)
    set_path(nd, start)
    if flags & LOOKUP_IS_SCOPED:
        nd.root = Path(start.mnt, start.dentry)


def set_path(nd: Nameidata, start: Path) -> None:
    """Set the place where a walk begins, with references."""
    mnt, dentry = start.mnt, start.dentry
    mnt._container.mnt_count += 1
    dentry.d_count += 1
    nd.path = Path(mnt, dentry)
    nd.inode = dentry.d_inode


def nd_jump_root(nd: Nameidata) -> None:
    """Go to the root, as an absolute symlink wants."""
    if nd.flags & LOOKUP_BENEATH:
        raise EXDEV(nd.name.name)
    old, root = nd.path, nd.root
    # As in Linux, the link is refused even on the same mount if nd.root was not needed before.
    if nd.flags & LOOKUP_NO_XDEV and (root is None or root.mnt is not old.mnt):
        raise EXDEV(nd.name.name)
    if root is None:
        root = nd.root = nd.task.fs.root
    set_path(nd, root)
    path_put(old)


# --- the walk -------------------------------------------------------------------------------------


def link_path_walk(text: bytes, nd: Nameidata) -> None:
    """Walk all components of text but the last one, which is left in nd.last.

    Afterwards nd.path is the directory to look nd.last up in, and the task may search it.
    """
    nd.remaining = remaining = split_path(text)  # one list under two names: a local is quicker to reach
    nd.trailing_slash = text[-1:] == b"/"
    nd.last = b""
    while remaining:
        inode = nd.inode
        # A directory that everybody may search, as the mode bits alone decide (IOP_FASTPERM), needs no closer look.
        if inode.i_mode & SEARCH_MASK != ANYONE_MAY_SEARCH or not inode.i_opflags & IOP_FASTPERM:
            may_lookup(nd)
        nd.last = remaining.pop()
        if not remaining:
            if nd.depth:
                remaining = put_links(nd)
            if not remaining:
                break  # the last one: the caller's
        dentry = lookup_fast(nd)  # this line and the next are walk_component(), without the call
        link = walk_uncached(nd, 0) if dentry is None else step_into(nd, dentry, 0)
        if link is not None:
            nd.remaining = remaining = split_path(link)
            if not remaining:
                remaining = put_links(nd)  # a link to "/" has no components
    if nd.depth:
        put_links(nd)  # the text had no component at all
    nd.last_type = LAST_TYPES.get(nd.last, LAST_NORM)


def split_path(text: bytes) -> list[bytes]:
    """Return the components of text, the first one last: they are taken off the end."""
    components = text.strip(b"/").split(b"/")
    if not all(components):
        components = [name for name in components if name]
    components.reverse()
    return components


def put_links(nd: Nameidata) -> list[bytes]:
    """Leave the symlinks whose text is walked up to its last component; return what remains after them."""
    while not nd.remaining and nd.depth:
        waiting = nd.stack.pop()
        nd.depth -= 1
        nd.remaining = waiting.name  # the components that come after the link
        path_put(waiting.link)
    return nd.remaining


def may_lookup(nd: Nameidata) -> None:
    """Return if nd.path is a directory that the task may search, else raise ENOTDIR or EACCES (P1)."""
    inode = nd.inode
    if inode.i_mode & S_IFMT != S_IFDIR:
        raise ENOTDIR(nd.last)
    inode_permission(inode, MAY_EXEC)


def walk_component(nd: Nameidata, flags: int) -> bytes | None:
    """Look nd.last up in nd.path and step into it; return a symlink's text if that is to be walked instead."""
    dentry = lookup_fast(nd)
    return walk_uncached(nd, flags) if dentry is None else step_into(nd, dentry, flags)


def walk_uncached(nd: Nameidata, flags: int) -> bytes | None:
    """Take a component that is not in the cache: a dot (P3), or a name to ask the filesystem for."""
    if nd.last in LAST_TYPES:
        handle_dots(nd)
        return None
    return step_into(nd, lookup_slow(nd), flags)


def lookup_fast(nd: Nameidata) -> Dentry | None:
    """Return the cached dentry for nd.last below nd.path, with a reference, or None if it is not cached."""
    children = nd.path.dentry.d_children
    dentry = children.get(nd.last) if children else None
    if dentry is not None:
        dentry.d_count += 1
        if dentry.d_flags & DCACHE_OP_REVALIDATE and not d_revalidate(dentry, nd.flags):
            return None
    return dentry


def d_revalidate(dentry: Dentry, flags: int) -> bool:
    """Ask the filesystem whether a cached name is still true; if not, forget it and drop the reference."""
    try:
        valid = dentry.d_op.d_revalidate(dentry, flags)
    except BaseException:
        dput(dentry)  # it could not tell: the name stays
        raise
    if not valid:
        d_invalidate(dentry)
        dput(dentry)
    return valid


def lookup_slow(nd: Nameidata) -> Dentry:
    """Return the dentry for nd.last, with a reference, asking the filesystem; it may be negative."""
    if nd.flags & LOOKUP_CACHED:
        raise EAGAIN(nd.last)
    parent = nd.path.dentry
    dir = parent.d_inode
    inode_lock_shared(dir)
    try:
        return __lookup_slow(parent, nd.last, nd.flags)
    finally:
        inode_unlock_shared(dir)


def __lookup_slow(parent: Dentry, name: bytes, flags: int) -> Dentry:
    """Return the dentry for name below parent, with a reference. The caller holds parent's i_rwsem."""
    dentry = d_lookup(parent, name)
    if dentry is not None:  # looked up by somebody else before we had the lock, or never asked for (lookup_one_len)
        if not dentry.d_flags & DCACHE_OP_REVALIDATE or d_revalidate(dentry, flags):
            return dentry
    dir = parent.d_inode
    if dir.i_flags & S_DEAD:
        raise ENOENT(name)
    dentry = d_alloc(parent, name)
    try:
        other = dir.i_op.lookup(dir, dentry, flags)
    except BaseException:
        dput(dentry)
        raise
    if other is None:
        return dentry
    dput(dentry)  # a directory that was cached under another name
    return other


def step_into(nd: Nameidata, dentry: Dentry, flags: int) -> bytes | None:
    """Move nd.path down to dentry, with the reference it comes with.

    Return the text of a symlink if that is to be walked instead, else None.
    """
    kind = dentry.d_flags & STEP_MASK
    if kind == DCACHE_DIRECTORY_TYPE or kind == DCACHE_REGULAR_TYPE:  # nothing on it, no link: go there
        path = nd.path
        path.dentry.d_count -= 1  # not the last one: its child has one
        path.dentry = dentry
        nd.inode = dentry.d_inode
        return None
    if kind == COVERED and step_onto_mount(nd, dentry):
        return None
    return step_into_slowpath(nd, dentry, flags)


def step_onto_mount(nd: Nameidata, dentry: Dentry) -> bool:
    """Move nd.path to the root of what is mounted on dentry; return False, with nothing done, in any but the usual case.

    The usual case is one mount whose root is an uncovered directory. No count can fall to 0 here, so
    subtractions do: the mount holds the mount below and its mountpoint, and that holds its parent.
    """
    path = nd.path
    mount = __lookup_mnt(path.mnt, dentry)
    if mount is None or nd.flags & LOOKUP_NO_XDEV:
        return False
    mnt = mount.mnt
    root = mnt.mnt_root
    if root.d_flags & STEP_MASK != DCACHE_DIRECTORY_TYPE:
        return False
    mount.mnt_count += 1  # nd.path's two references, on the new place ...
    root.d_count += 1
    path.mnt._container.mnt_count -= 1  # ... no longer on the old one
    path.dentry.d_count -= 1
    dentry.d_count -= 1  # and the one that the lookup gave us
    path.mnt, path.dentry = mnt, root
    nd.inode = root.d_inode
    return True


def step_into_slowpath(nd: Nameidata, dentry: Dentry, flags: int) -> bytes | None:
    """Step into a dentry that is covered by a mount, a symlink, a device, or absent (ENOENT)."""
    path = Path(mntget(nd.path.mnt), dentry)
    try:
        traverse_mounts(path, nd)
        kind = path.dentry.d_flags & DCACHE_ENTRY_TYPE
        if kind == DCACHE_MISS_TYPE:
            raise ENOENT(nd.last)
    except BaseException:
        path_put(path)
        raise
    if kind == DCACHE_SYMLINK_TYPE and not flags & WALK_NOFOLLOW:
        if not flags & WALK_TRAILING or nd.flags & LOOKUP_FOLLOW:
            return pick_link(nd, path)
    move_to(nd, path)
    return None


def move_to(nd: Nameidata, path: Path) -> None:
    """Make path, with its references, the place where the walk stands."""
    old, nd.path = nd.path, path
    nd.inode = path.dentry.d_inode
    path_put(old)


# --- mounts and `..` ------------------------------------------------------------------------------


def traverse_mounts(path: Path, nd: Nameidata) -> None:
    """Move path from a covered dentry to the root of what is mounted there, and on while that is covered."""
    while path.dentry.d_flags & DCACHE_MOUNTED:
        mount = __lookup_mnt(path.mnt, path.dentry)
        if mount is None:
            return  # covered as seen through another mount, not through this one
        if nd.flags & LOOKUP_NO_XDEV:
            raise EXDEV(nd.last)
        below = Path(path.mnt, path.dentry)
        path.mnt, path.dentry = mntget(mount.mnt), dget(mount.mnt.mnt_root)
        path_put(below)


def handle_dots(nd: Nameidata) -> None:
    """Take a component that no directory stores: stay for `.` and for nothing at all, go up for `..`."""
    if LAST_TYPES[nd.last] != LAST_DOTDOT:
        return
    if nd.root is None:
        nd.root = nd.task.fs.root
    step_up_or_down(nd, follow_dotdot(nd))


def handle_lookup_down(nd: Nameidata) -> None:
    """Go on to what is mounted on the place where the walk stands: umount of `.` means the topmost mount there."""
    step_up_or_down(nd, nd.path)


def step_up_or_down(nd: Nameidata, place: Path) -> None:
    """Make place, or what is mounted on it, the place where the walk stands."""
    path = path_get(Path(place.mnt, place.dentry))
    try:
        traverse_mounts(path, nd)
    except BaseException:
        path_put(path)
        raise
    move_to(nd, path)


def follow_dotdot(nd: Nameidata) -> Path:
    """Return the place above nd.path, without references: at the root that is the root (P4)."""
    here, root = nd.path, nd.root
    if here.dentry is root.dentry and here.mnt is root.mnt:
        return stay_at_root(nd)
    if here.dentry is here.mnt.mnt_root:
        here = choose_mountpoint(real_mount(here.mnt), root)
        if here is None:
            return stay_at_root(nd)
        if nd.flags & LOOKUP_NO_XDEV:
            raise EXDEV(b"..")
    parent = here.dentry.d_parent
    if not path_connected(here.mnt, parent):
        raise ENOENT(b"..")
    return Path(here.mnt, parent)


def stay_at_root(nd: Nameidata) -> Path:
    """Return nd.path: above the root is the root itself. EXDEV for a walk that may not go up from its start."""
    if nd.flags & LOOKUP_BENEATH:
        raise EXDEV(b"..")
    return nd.path


def choose_mountpoint(mount: Mount, root: Path) -> Path | None:
    """Return the place that mount covers, below all mounts stacked there; None if root lies among them."""
    while mnt_has_parent(mount):
        mountpoint, mount = mount.mnt_mountpoint, mount.mnt_parent
        if mountpoint is root.dentry and mount.mnt is root.mnt:
            return None
        if mountpoint is not mount.mnt.mnt_root:
            return Path(mount.mnt, mountpoint)
    return None


def path_connected(mnt: Vfsmount, dentry: Dentry) -> bool:
    """False if dentry lies outside of mnt: a directory was renamed out of a part that is bound elsewhere."""
    return mnt.mnt_root is mnt.mnt_sb.s_root or is_subdir(dentry, mnt.mnt_root)


# --- symbolic links -------------------------------------------------------------------------------


def pick_link(nd: Nameidata, link: Path) -> bytes:
    """Put a symlink on the stack, with what remains after it, and return its text.

    The stack takes over the references of link. An absolute text moves the walk to the root.
    """
    inode = link.dentry.d_inode
    nd.stack.append(Saved(link, nd.remaining, inode))
    nd.depth += 1
    nd.remaining = []
    nd.total_link_count += 1
    if nd.total_link_count > MAXSYMLINKS or nd.flags & LOOKUP_NO_SYMLINKS or link.mnt.mnt_flags & MNT_NOSYMFOLLOW:
        raise ELOOP(nd.last)
    touch_atime(link)
    text = inode.i_link
    if text is None:
        if nd.flags & LOOKUP_CACHED:
            raise EAGAIN(nd.last)
        text = inode.i_op.get_link(link.dentry, inode)
    if text[:1] == b"/":
        nd_jump_root(nd)
    return text


def vfs_get_link(dentry: Dentry) -> bytes:
    """Return the text of a symlink; EINVAL if dentry is something else."""
    inode = dentry.d_inode
    if inode.i_op.get_link is None:
        raise EINVAL(dentry.d_name)
    return inode.i_link if inode.i_link is not None else inode.i_op.get_link(dentry, inode)


# --- the end of a walk ----------------------------------------------------------------------------


def lookup_last(nd: Nameidata) -> bytes | None:
    """Step into the last component; return a symlink's text if that is to be walked instead."""
    if nd.trailing_slash:
        nd.flags |= LOOKUP_FOLLOW | LOOKUP_DIRECTORY
    return walk_component(nd, WALK_TRAILING)


def complete_walk(nd: Nameidata) -> None:
    """Check where the walk has ended: one that was told to stay below its start must have ended there (openat2)."""
    if nd.flags & LOOKUP_IS_SCOPED and not path_is_under(nd.path, nd.root):
        raise EXDEV(nd.name.name)


def path_lookupat(nd: Nameidata, flags: int) -> None:
    """Walk to the end of the name: nd.path is then the place it leads to."""
    path_init(nd, flags)
    text = nd.name.name
    while text is not None:
        link_path_walk(text, nd)
        text = lookup_last(nd)
    if flags & LOOKUP_MOUNTPOINT:
        handle_lookup_down(nd)
    complete_walk(nd)
    if nd.flags & LOOKUP_DIRECTORY and nd.inode.i_mode & S_IFMT != S_IFDIR:
        raise ENOTDIR(nd.last)


def path_parentat(nd: Nameidata, flags: int) -> None:
    """Walk to the directory of the name's last component, which is left in nd.last."""
    path_init(nd, flags)
    link_path_walk(nd.name.name, nd)
    complete_walk(nd)


def filename_lookup(dfd: int, name: Filename, flags: int) -> Path:
    """Return the place that name leads to from dfd, with references."""
    nd = set_nameidata(dfd, name)
    try:
        path_lookupat(nd, flags)
    except BaseException:
        terminate_walk(nd)
        raise
    finally:
        restore_nameidata(nd)
    return nd.path


def filename_parentat(dfd: int, name: Filename, flags: int) -> Nameidata:
    """Return a walk that has ended at the parent directory of name: path (with references), last, last_type."""
    nd = set_nameidata(dfd, name)
    try:
        path_parentat(nd, flags)
    except BaseException:
        terminate_walk(nd)
        raise
    finally:
        restore_nameidata(nd)
    return nd


def user_path_at(dfd: int, name: bytes, flags: int) -> Path:
    """Return the place that a path of user space leads to from dfd, with references: path_put() them."""
    return filename_lookup(dfd, getname(name, flags), flags)


def kern_path(name: bytes, flags: int) -> Path:
    """Return the place that a path of the kernel's own leads to, with references. Nobody has to be told of its length."""
    return filename_lookup(AT_FDCWD, Filename(name), flags)


def lookup_one_len(name: bytes, base: Dentry) -> Dentry:
    """Return the dentry for one name below base, with a reference; no mounts, no links. base's i_rwsem is held."""
    if name in LAST_TYPES or b"/" in name:
        raise EACCES(name)
    inode_permission(base.d_inode, MAY_EXEC)
    return __lookup_slow(base, name, 0)
