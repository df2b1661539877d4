"""Cut into helpers of its own, with the loops turned inside out."""

# step 1


def is_directory(inode):
    return inode.i_mode & S_IFMT == S_IFDIR


def may_lookup(nd):
    if is_directory(nd.inode):
        return inode_permission(nd.inode, MAY_EXEC)
    raise ENOTDIR(nd.last)


def begin(text, nd):
    nd.remaining = split_path(text)
    nd.trailing_slash = text != b"" and text[-1] == ord("/")
    nd.last = b""


def finish(nd):
    nd.last_type = LAST_TYPES[nd.last] if nd.last in LAST_TYPES else LAST_NORM


def next_name(nd):
    may_lookup(nd)
    nd.last = nd.remaining.pop()


def link_path_walk(text, nd):
    begin(text, nd)
    while len(nd.remaining) > 1:
        next_name(nd)
        walk_component(nd, 0)
    if nd.remaining:
        next_name(nd)
    finish(nd)


# step 2


def handle_dots(nd):
    kind = LAST_TYPES[nd.last]
    if kind == LAST_DOTDOT:
        if nd.root is None:
            nd.root = Path(nd.task.fs.root.mnt, nd.task.fs.root.dentry)
        step_up_or_down(nd, follow_dotdot(nd))


def same_place(one, other):
    return one.mnt is other.mnt and one.dentry is other.dentry


def follow_dotdot(nd):
    if same_place(nd.path, nd.root):
        return stay_at_root(nd)
    return Path(nd.path.mnt, nd.path.dentry.d_parent)


# step 3


def link_is_allowed(nd, link):
    if nd.total_link_count >= MAXSYMLINKS:
        return False
    return not nd.flags & LOOKUP_NO_SYMLINKS and not link.mnt.mnt_flags & MNT_NOSYMFOLLOW


def text_of_link(nd, inode, dentry):
    if inode.i_link is not None:
        return inode.i_link
    if nd.flags & LOOKUP_CACHED:
        raise EAGAIN(nd.last)
    return inode.i_op.get_link(dentry, inode)


def pick_link(nd, link):
    if not link_is_allowed(nd, link):
        path_put(link)
        raise ELOOP(nd.last)
    nd.total_link_count += 1
    inode = link.dentry.d_inode
    nd.stack += [Saved(link, nd.remaining, inode)]
    nd.depth += 1
    nd.remaining = []
    touch_atime(link)
    text = text_of_link(nd, inode, link.dentry)
    if text[0:1] == b"/":
        nd_jump_root(nd)
    return text


def put_links(nd):
    while nd.depth:
        if nd.remaining:
            break
        waiting = nd.stack.pop()
        nd.depth -= 1
        nd.remaining = waiting.name
        path_put(waiting.link)
    return nd.remaining


def link_path_walk(text, nd):  # noqa: F811
    begin(text, nd)
    trailing = nd.trailing_slash
    while True:
        if not put_links(nd):
            break
        next_name(nd)
        if not put_links(nd):
            break
        link = walk_component(nd, 0)
        if link is not None:
            nd.remaining = split_path(link)
    nd.trailing_slash = trailing
    finish(nd)


# step 4


def traverse_mounts(path, nd):
    mount = __lookup_mnt(path.mnt, path.dentry)
    if mount is None:
        return
    if nd.flags & LOOKUP_NO_XDEV:
        raise EXDEV(nd.last)
    below = Path(path.mnt, path.dentry)
    path.mnt = mntget(mount.mnt)
    path.dentry = dget(mount.mnt.mnt_root)
    path_put(below)
    traverse_mounts(path, nd)


def choose_mountpoint(mount, root):
    while True:
        if not mnt_has_parent(mount):
            return None
        place = Path(mount.mnt_parent.mnt, mount.mnt_mountpoint)
        if same_place(place, root):
            return None
        if place.dentry is not place.mnt.mnt_root:
            return place
        mount = mount.mnt_parent


def place_below(nd):
    """The place to take the parent of, or None where the way up ends."""
    here = nd.path
    if same_place(here, nd.root):
        return None
    if here.dentry is not here.mnt.mnt_root:
        return here
    here = choose_mountpoint(real_mount(here.mnt), nd.root)
    if here is not None and nd.flags & LOOKUP_NO_XDEV:
        raise EXDEV(b"..")
    return here


def follow_dotdot(nd):  # noqa: F811
    place = place_below(nd)
    if place is None:
        return stay_at_root(nd)
    above = Path(place.mnt, place.dentry.d_parent)
    if path_connected(above.mnt, above.dentry):
        return above
    raise ENOENT(b"..")


# step 5


def lookup_fast(nd):
    children = nd.path.dentry.d_children
    if not children or nd.last not in children:
        return None
    dentry = dget(children[nd.last])
    needs_asking = dentry.d_flags & DCACHE_OP_REVALIDATE
    return None if needs_asking and not d_revalidate(dentry, nd.flags) else dentry


def step_onto_mount(nd, dentry):
    if nd.flags & LOOKUP_NO_XDEV:
        return False
    mount = __lookup_mnt(nd.path.mnt, dentry)
    if mount is None:
        return False
    root = mount.mnt.mnt_root
    if root.d_flags & STEP_MASK != DCACHE_DIRECTORY_TYPE:
        return False
    below = Path(nd.path.mnt, nd.path.dentry)
    nd.path.mnt, nd.path.dentry, nd.inode = mntget(mount.mnt), dget(root), root.d_inode
    path_put(below)
    dput(dentry)
    return True
