"""Recount every reference of a resting kernel from the declared pointers, and compare with the counters.

A member declared Ref[...] accounts for one count of what it points to. Beyond that:

    Mount    one for being in a namespace, or for the kernel itself if it is internal
    Dentry   one more for each name of a filesystem that lives in the dentry cache only
    a root   is its own parent, and so is a mount without one: that counts nothing
"""

from collections import Counter

from vfslab.fs.libfs import simple_lookup
from vfslab.include.dcache import Dentry
from vfslab.include.fs import File, Inode, SuperBlock
from vfslab.include.mount import MNT_INTERNAL, Mount, Vfsmount
from vfslab.lib.kstruct import KObject

COUNTED = {Dentry: "d_name", Inode: "i_ino", SuperBlock: "s_id", Mount: "mnt_devname", File: "f_flags"}


def reachable(root):
    """Yield all live structures that declared members lead to from root, root among them."""
    seen, waiting = {id(root)}, [root]
    while waiting:
        obj = waiting.pop()
        yield obj
        for _, _, target in pointers(obj):
            if id(target) not in seen:
                seen.add(id(target))
                waiting.append(target)


def pointers(obj):
    """Yield (member, kind, target) for every pointer of obj, also those in lists and tables."""
    for name, kind, _ in type(obj)._members:
        try:
            value = getattr(type(obj), name).__get__(obj)
        except AttributeError:
            continue  # embedded, never touched
        for target in leaves(value):
            yield name, kind, target


def leaves(value):
    """Yield the live structures in a member's value."""
    if isinstance(value, KObject):
        yield value
    elif isinstance(value, dict):
        for key, item in list(value.items()):
            yield from leaves(key)
            yield from leaves(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from leaves(item)


def recount(kernel):
    """Return a line for each counter that differs from what the pointers say."""
    expected, objects = Counter(), list(reachable(kernel))
    by_id = {id(obj): obj for obj in objects}
    for obj in objects:
        for name, kind, target in pointers(obj):
            if kind == "Ref" and not (target is obj and name in ("d_parent", "mnt_parent")):
                expected[id(target._container if isinstance(target, Vfsmount) else target)] += 1
        if isinstance(obj, Mount) and (obj.mnt_ns is not None or obj.mnt.mnt_flags & MNT_INTERNAL):
            expected[id(obj)] += 1
        if isinstance(obj, Dentry) and obj.d_inode is not None and is_pinned(obj):
            expected[id(obj)] += 1
    wrong = []
    for obj in objects:
        if type(obj) in COUNTED:
            label = getattr(obj, COUNTED[type(obj)])
            count = getattr(obj, type(obj)._count)
            if count != expected[id(obj)]:
                holders = [
                    f"{o!r}.{n}" for o in objects for n, k, t in pointers(o) if t is by_id[id(obj)] and k == "Ref"
                ]
                wrong.append(f"{obj!r} {label!r}: {count}, but {expected[id(obj)]} by {holders}")
    return wrong


def is_pinned(dentry):
    """True for a name that its filesystem keeps in the cache, having no other place for it."""
    if dentry.d_parent is dentry or dentry.d_parent.d_inode.i_op.lookup is not simple_lookup:
        return False
    return dentry.d_sb.s_dentry_hashtable.get((dentry.d_parent, dentry.d_name)) is dentry
