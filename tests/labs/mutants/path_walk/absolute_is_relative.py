"""An absolute link is walked from where the link lies.

fails: links
also: across_mounts refused_links
"""


# step 3
def pick_link(nd, link):
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
    if not text:
        nd_jump_root(nd)
    return text
