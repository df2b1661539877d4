"""As short as it goes: the long way everywhere, conditional expressions, no local names for members."""

# step 1


def may_lookup(nd):
    if not nd.inode.i_mode & S_IFMT == S_IFDIR:
        raise ENOTDIR(nd.last)
    inode_permission(nd.inode, MAY_EXEC)


def link_path_walk(text, nd):
    nd.remaining, nd.trailing_slash, nd.last = split_path(text), text.endswith(b"/"), b""
    for left in range(len(nd.remaining) - 1, -1, -1):
        may_lookup(nd)
        nd.last = nd.remaining.pop()
        if left:
            walk_component(nd, 0)
    nd.last_type = LAST_TYPES.get(nd.last, LAST_NORM)


# step 2


def handle_dots(nd):
    if nd.last == b"..":
        nd.root = nd.root or nd.task.fs.root
        step_up_or_down(nd, follow_dotdot(nd))


def follow_dotdot(nd):
    at_root = (nd.path.mnt, nd.path.dentry) == (nd.root.mnt, nd.root.dentry)
    return stay_at_root(nd) if at_root else Path(nd.path.mnt, nd.path.dentry.d_parent)


# step 3


def pick_link(nd, link):
    nd.stack.append(Saved(link, nd.remaining, link.dentry.d_inode))
    nd.depth = len(nd.stack)
    nd.remaining = []
    nd.total_link_count += 1
    if nd.flags & LOOKUP_NO_SYMLINKS or nd.total_link_count == MAXSYMLINKS + 1:
        raise ELOOP(nd.last)
    if link.mnt.mnt_flags & MNT_NOSYMFOLLOW:
        raise ELOOP(nd.last)
    touch_atime(link)
    if link.dentry.d_inode.i_link is None and nd.flags & LOOKUP_CACHED:
        raise EAGAIN(nd.last)
    text = vfs_get_link(link.dentry)
    if text.startswith(b"/"):
        nd_jump_root(nd)
    return text


def put_links(nd):
    if nd.depth and not nd.remaining:  # two that wait with nothing behind them never lie on each other
        waiting = nd.stack.pop()
        nd.depth = len(nd.stack)
        nd.remaining = waiting.name
        path_put(waiting.link)
    return nd.remaining


def link_path_walk(text, nd):  # noqa: F811
    nd.remaining, nd.trailing_slash, nd.last = split_path(text), text.endswith(b"/"), b""
    while nd.remaining or nd.depth and put_links(nd):
        may_lookup(nd)
        nd.last = nd.remaining.pop()
        if nd.remaining or put_links(nd):
            link = walk_component(nd, 0)
            if link is not None:
                nd.remaining = split_path(link)
        else:
            break
    nd.last_type = LAST_TYPES.get(nd.last, LAST_NORM)


# step 4


def traverse_mounts(path, nd):
    while (mount := __lookup_mnt(path.mnt, path.dentry)) is not None:
        if nd.flags & LOOKUP_NO_XDEV:
            raise EXDEV(nd.last)
        mntget(mount.mnt), dget(mount.mnt.mnt_root)
        path_put(Path(path.mnt, path.dentry))
        path.mnt, path.dentry = mount.mnt, mount.mnt.mnt_root


def choose_mountpoint(mount, root):
    if not mnt_has_parent(mount):
        return None
    place = Path(mount.mnt_parent.mnt, mount.mnt_mountpoint)
    if (place.mnt, place.dentry) == (root.mnt, root.dentry):
        return None
    return choose_mountpoint(mount.mnt_parent, root) if place.dentry is place.mnt.mnt_root else place


def follow_dotdot(nd):  # noqa: F811
    here = nd.path
    if (here.mnt, here.dentry) == (nd.root.mnt, nd.root.dentry):
        return stay_at_root(nd)
    if here.dentry is here.mnt.mnt_root:
        here = choose_mountpoint(real_mount(here.mnt), nd.root)
        if here is None:
            return stay_at_root(nd)
        if nd.flags & LOOKUP_NO_XDEV:
            raise EXDEV(b"..")
    if not path_connected(here.mnt, here.dentry.d_parent):
        raise ENOENT(b"..")
    return Path(here.mnt, here.dentry.d_parent)


# step 5


def lookup_fast(nd):
    dentry = (nd.path.dentry.d_children or {}).get(nd.last)
    if dentry is None:
        return None
    dget(dentry)
    if dentry.d_flags & DCACHE_OP_REVALIDATE:
        return dentry if d_revalidate(dentry, nd.flags) else None
    return dentry


def step_onto_mount(nd, dentry):
    mount = None if nd.flags & LOOKUP_NO_XDEV else __lookup_mnt(nd.path.mnt, dentry)
    if not mount or mount.mnt.mnt_root.d_flags & STEP_MASK != DCACHE_DIRECTORY_TYPE:
        return False
    new = path_get(Path(mount.mnt, mount.mnt.mnt_root))
    move_to(nd, new)
    dput(dentry)
    return True
