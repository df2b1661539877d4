"""Functions as they are after an early step, before a later step asks for them again. The last form is the package's."""

from __future__ import annotations

from vfslab.fs.namei import LAST_TYPES, may_lookup, split_path, stay_at_root, walk_component
from vfslab.include.namei import LAST_NORM, Nameidata
from vfslab.include.sched import Path

# step 1


def link_path_walk(text: bytes, nd: Nameidata) -> None:
    """Walk all components of text but the last one, which is left in nd.last.

    Afterwards nd.path is the directory to look nd.last up in, and the task may search it.
    """
    nd.remaining = split_path(text)
    nd.trailing_slash = text[-1:] == b"/"
    nd.last = b""
    while nd.remaining:
        may_lookup(nd)
        nd.last = nd.remaining.pop()
        if nd.remaining:
            walk_component(nd, 0)  # the last one is the caller's
    nd.last_type = LAST_TYPES.get(nd.last, LAST_NORM)


# step 2


def follow_dotdot(nd: Nameidata) -> Path:
    """Return the place above nd.path, without references: at the root that is the root (P4)."""
    here, root = nd.path, nd.root
    if here.dentry is root.dentry and here.mnt is root.mnt:
        return stay_at_root(nd)
    return Path(here.mnt, here.dentry.d_parent)
