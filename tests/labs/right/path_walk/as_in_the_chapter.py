"""What somebody writes who has the rungs of chapter 7 in mind: no short cuts, and references taken and given by name."""

# step 1


def may_lookup(nd):
    mode = nd.inode.i_mode
    kind = mode & S_IFMT
    if kind != S_IFDIR:
        raise ENOTDIR(nd.last)
    inode_permission(nd.inode, MAY_EXEC)


def link_path_walk(text, nd):
    names = split_path(text)
    nd.remaining = names
    nd.trailing_slash = text[-1:] == b"/"
    nd.last = b""
    while names:
        may_lookup(nd)
        nd.last = names.pop()
        if len(names) == 0:
            break
        walk_component(nd, 0)
    if nd.last == b"":
        nd.last_type = LAST_ROOT
    elif nd.last == b".":
        nd.last_type = LAST_DOT
    elif nd.last == b"..":
        nd.last_type = LAST_DOTDOT
    else:
        nd.last_type = LAST_NORM


# step 2


def handle_dots(nd):
    if nd.last in (b"", b"."):
        return
    if nd.root is None:
        nd.root = nd.task.fs.root
    above = follow_dotdot(nd)  # may be nd.path itself, so it must not be moved
    place = path_get(Path(above.mnt, above.dentry))
    traverse_mounts(place, nd)
    move_to(nd, place)


def follow_dotdot(nd):
    if nd.path.dentry is nd.root.dentry:
        return stay_at_root(nd)
    return Path(nd.path.mnt, nd.path.dentry.d_parent)


# step 3


def link_path_walk(text, nd):  # noqa: F811
    nd.remaining = split_path(text)
    nd.trailing_slash = text[-1:] == b"/"
    nd.last = b""
    while nd.remaining:
        may_lookup(nd)
        nd.last = nd.remaining.pop()
        if not put_links(nd):
            break
        link = walk_component(nd, 0)
        if link is not None:
            nd.remaining = split_path(link)
            put_links(nd)
    put_links(nd)
    nd.last_type = LAST_TYPES.get(nd.last, LAST_NORM)


# step 5


def step_onto_mount(nd, dentry):
    path = nd.path
    mount = __lookup_mnt(path.mnt, dentry)
    if mount is not None and not nd.flags & LOOKUP_NO_XDEV:
        root = mount.mnt.mnt_root
        if root.d_flags & STEP_MASK == DCACHE_DIRECTORY_TYPE:
            path_get(Path(mount.mnt, root))
            path_put(Path(path.mnt, path.dentry))
            dput(dentry)
            nd.path = Path(mount.mnt, root)
            nd.inode = root.d_inode
            return True
    return False
