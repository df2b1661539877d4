"""The state of a path walk.

Linux: struct nameidata of fs/namei.c, struct filename of include/linux/fs.h, flags of include/linux/namei.h.
Left out: the sequence numbers and states of RCU-walk, the owner of the last directory (protected_symlinks).
"""

from __future__ import annotations

from typing import Any

from vfslab.include.dcache import qstr
from vfslab.lib.kstruct import Embedded, KObject, Ptr, fresh, kstruct

LAST_NORM, LAST_ROOT, LAST_DOT, LAST_DOTDOT = range(4)
MAXSYMLINKS = 40

LOOKUP_FOLLOW = 0x1
LOOKUP_DIRECTORY = 0x2
LOOKUP_AUTOMOUNT = 0x4
LOOKUP_EMPTY = 0x4000
LOOKUP_DOWN = 0x8000
LOOKUP_MOUNTPOINT = 0x80
LOOKUP_REVAL = 0x20
LOOKUP_RCU = 0x40
LOOKUP_OPEN = 0x100
LOOKUP_CREATE = 0x200
LOOKUP_EXCL = 0x400
LOOKUP_RENAME_TARGET = 0x800
LOOKUP_PARENT = 0x10
LOOKUP_NO_SYMLINKS = 0x010000
LOOKUP_NO_MAGICLINKS = 0x020000
LOOKUP_NO_XDEV = 0x040000
LOOKUP_BENEATH = 0x080000
LOOKUP_IN_ROOT = 0x100000
LOOKUP_CACHED = 0x200000
LOOKUP_IS_SCOPED = LOOKUP_BENEATH | LOOKUP_IN_ROOT


@kstruct
class Filename(KObject):
    """A path copied from user memory. uptr is the caller's object; name the kernel's own bytes."""

    name: bytes = b""
    uptr: Any = None
    refcnt: int = 1


@kstruct
class Saved(KObject):
    """A symlink that is being followed, and what is to be walked after it, the next component last."""

    link: Embedded[Path] = None
    name: list[bytes] = None
    inode: Ptr[Inode] = None


@kstruct
class Nameidata(KObject):
    """One walk: where it stands, what comes next, and the symlinks it is inside of.

    path        the directory reached so far; held by reference (REF-walk)
    last        the component to look up next; last_type tells `.` and `..` from names
    root        where absolute links and `..` stop: the task's root, borrowed; None until it is needed
    inode       path.dentry's inode
    remaining   the components still to be walked after last, the next one at the end of the list
    trailing_slash   the text that is walked ends in a slash: what it names must be a directory
    stack       Saved paths, one for each symlink whose text is not yet walked to its last component
    depth       len(stack); total_link_count: links followed in all, at most 40
    """

    dfd: int = 0
    name: Ptr[Filename] = None
    task: Ptr[TaskStruct] = None
    saved: Ptr[Nameidata] = None
    path: Embedded[Path] = None
    last: qstr = b""
    last_type: int = LAST_ROOT
    root: Embedded[Path] = None
    inode: Ptr[Inode] = None
    flags: int = 0
    depth: int = 0
    total_link_count: int = 0
    stack: list[Ptr[Saved]] = fresh(list)
    remaining: list[bytes] = None
    trailing_slash: bool = False


@kstruct
class OpenFlags(KObject):
    """What open(2) asks for, taken apart by build_open_flags(). Linux: struct open_flags of fs/internal.h.

    open_flag     O_* as given; mode: type and permission bits of a new file (S_IFREG | 0o644)
    acc_mode      MAY_* the file must grant
    intent        LOOKUP_OPEN, LOOKUP_CREATE, LOOKUP_EXCL: what the last lookup is for
    lookup_flags  LOOKUP_FOLLOW, LOOKUP_DIRECTORY, LOOKUP_EMPTY, and what RESOLVE_* asks for
    """

    open_flag: int = 0
    mode: int = 0
    acc_mode: int = 0
    intent: int = 0
    lookup_flags: int = 0
