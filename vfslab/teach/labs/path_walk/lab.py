"""The lab path_walk: link_path_walk by steps. `cat /a/b` first, then `..`, symbolic links, mounts, and the short way."""

from __future__ import annotations

from typing import Any

from vfslab.teach.labs.model import Check, Lab, Step
from vfslab.viz.views import PATH_WALK


def boot() -> Any:
    """Return a running kernel with the lab's tree, made without walking a path: /a/b, a link, a mount."""
    from vfslab.init.machine import Machine
    from vfslab.init.main import start_kernel
    from vfslab.teach.labs.world import World, make_dev

    machine = Machine(start_kernel(devices=False))
    make_dev(machine)
    world = World(machine)
    world.dir("/a")
    world.file("/a/b", b"It is I, b.\n")
    world.dir("/a/shelf")
    world.file("/a/shelf/note", b"Read me.\n")
    world.dir("/a/private", 0o700)
    world.file("/a/private/diary", b"Dear diary ...\n")
    world.link("/a/link", "shelf")
    world.link("/a/absolute", "/a/shelf")
    world.link("/a/loop", "loop")
    world.dir("/a/usb")
    world.file("/a/usb/under", b"I am covered.\n")
    world.mount("/a/usb")
    world.dir("/a/usb/photos")
    world.file("/a/usb/photos/cat", b"=^.^=\n")
    return machine


STATIONS = (
    "path_init link_path_walk may_lookup walk_component lookup_fast lookup_slow handle_dots follow_dotdot step_into "
    "step_onto_mount traverse_mounts choose_mountpoint pick_link put_links terminate_walk"
)
NAMEI = "fs/namei.py"

LAB = Lab(
    name="path_walk",
    title="The path walk in your own hand",
    chapter="book/07_path_walk.ipynb",
    minutes=90,
    aims=(
        "write the walk that every system call with a name begins with, and see it work under `cat` and `ls`",
        "say at any moment of a walk what `nd.path`, `nd.last` and the remaining names are",
        "keep the books: every reference that a walk takes is given back, on the way of an error too",
        "find a fault in a walk from a picture of the moment at which it went wrong",
    ),
    needs="chapter 7 read once, with its rungs run. Python; no function here is longer than twenty lines.",
    boot=boot,
    view=PATH_WALK,
    stations=tuple(STATIONS.split()),
    for_now=(
        (f"{NAMEI}:traverse_mounts", "return None"),
        (f"{NAMEI}:lookup_fast", "return None"),
        (f"{NAMEI}:step_onto_mount", "return False"),
    ),
    mistakes=(
        (
            "The last name is walked as well.",
            'Who creates `new` in mkdir("/a/new")? What would it find if the walk looked `new` up?',
        ),
        (
            "may_lookup comes after the name is looked up, or not before the last one.",
            'What does stat("/a/b/c") say, and who says it?',
        ),
        (
            "`..` stops at the mount's root, or at the machine's, instead of the task's.",
            'What is nd.root after chroot("/a")?',
        ),
        (
            "move_to() is called with a place that has no references.",
            "Which two counts change when a walk moves up? Where does dots_balance find them?",
        ),
        (
            "The place that follow_dotdot returns is changed: it may be nd.path itself.",
            "What does stay_at_root return?",
        ),
        (
            "A link's text is walked from the root, or from the directory in which the walk began.",
            "Where does nd.path stand when pick_link is called?",
        ),
        (
            "What waits on the stack is forgotten when a link's text is at its end.",
            "Fill in the table of nd.last, nd.remaining, nd.stack for /a/link/note.",
        ),
        (
            "nd.depth is taken for the number of links.",
            "How many links does a/l/l/l/l follow, and how deep is the stack?",
        ),
        ("A link to `/` ends the walk.", 'What does split_path(b"/") return?'),
        ("The mount table is asked by the dentry alone.", "One directory, two bind mounts: what covers what?"),
        (
            "Only one mount is crossed, in or out.",
            "Mount twice on the same place. Where are you, and where does `..` lead?",
        ),
        (
            "A negative dentry is treated as `not in memory`.",
            "What is the difference between not knowing and knowing that there is nothing?",
        ),
    ),
    steps=(
        Step(
            number=1,
            title="Plain names",
            asks=(f"{NAMEI}:may_lookup", f"{NAMEI}:link_path_walk"),
            checks=(
                Check(
                    name="plain_names",
                    points=3,
                    says="a path of plain names leads to what it names, or to the right error",
                    hint="link_path_walk steps into every name but the last; that one stays in nd.last. "
                    "nd.trailing_slash says whether the text ends in a slash.",
                ),
                Check(
                    name="who_may_search",
                    points=3,
                    says="each name is looked up in a directory that the task may search",
                    hint="may_lookup comes before every name, the last one too. First the kind of the inode (ENOTDIR), "
                    "then the permission (EACCES).",
                ),
                Check(
                    name="other_callers",
                    points=2,
                    hidden=True,
                    says="mkdir, rmdir, unlink, rename and open find what they need where the walk ends.",
                    hint="They read nd.last, nd.last_type and nd.trailing_slash. "
                    "nd.last_type is LAST_TYPES[nd.last] for the special names, else LAST_NORM.",
                ),
            ),
        ),
        Step(
            number=2,
            title="Dots",
            asks=(f"{NAMEI}:handle_dots", f"{NAMEI}:follow_dotdot"),
            checks=(
                Check(
                    name="dots",
                    points=3,
                    says="`.` stays, `..` goes up, and above the root is the root",
                    hint='nd.last may be b".", b".." or b"": only one of them moves. '
                    "Above nd.root follow_dotdot returns stay_at_root(nd).",
                ),
                Check(
                    name="jail",
                    points=2,
                    says="a task that is confined to a directory does not get out of it by dots",
                    hint="The root is nd.root, which is the task's: not the root of the mount, nor that of the machine. "
                    "If nd.root is None, it is nd.task.fs.root.",
                ),
                Check(
                    name="dots_balance",
                    points=1,
                    says="after walks with dots all references are given back",
                    hint="follow_dotdot returns a place without references; step_up_or_down takes what it needs and "
                    "gives the old ones back.",
                ),
                Check(
                    name="dots_need_a_directory",
                    points=2,
                    hidden=True,
                    says="a dot is looked up nowhere, and still needs a directory that may be searched.",
                    hint="may_lookup comes before every name, before a dot as well: file/.. is ENOTDIR.",
                ),
            ),
        ),
        Step(
            number=3,
            title="Symbolic links",
            asks=(f"{NAMEI}:pick_link", f"{NAMEI}:put_links", f"{NAMEI}:link_path_walk"),
            checks=(
                Check(
                    name="links",
                    points=4,
                    says="a link's text is walked from where the link lies, and then what was left",
                    hint="Draw the table of nd.last, nd.remaining and nd.stack for the path that fails. What waits on the "
                    'stack must come back when the text is at its last name; the text "/" has no name at all.',
                ),
                Check(
                    name="many_links",
                    points=2,
                    says="forty links in one walk are followed, the next one is ELOOP",
                    hint="nd.total_link_count counts all links of a walk, also those already left; MAXSYMLINKS are allowed.",
                ),
                Check(
                    name="last_link",
                    points=2,
                    says="a link as the last name is followed by stat, and by lstat only with a slash behind it",
                    hint="nd.trailing_slash is about the text that is being walked. pick_link also tells with "
                    "touch_atime(link) that the link was read.",
                ),
                Check(
                    name="links_balance",
                    points=2,
                    says="after walks through links all references are given back",
                    hint="The stack takes over the link's references. Who takes a link off the stack puts them: "
                    "path_put(waiting.link).",
                ),
                Check(
                    name="refused_links",
                    points=2,
                    hidden=True,
                    says="links that the caller or the mount forbids are refused.",
                    hint="LOOKUP_NO_SYMLINKS in nd.flags, MNT_NOSYMFOLLOW in link.mnt.mnt_flags: ELOOP. "
                    "nd_jump_root refuses for itself.",
                ),
            ),
        ),
        Step(
            number=4,
            title="Mounts",
            asks=(f"{NAMEI}:traverse_mounts", f"{NAMEI}:choose_mountpoint", f"{NAMEI}:follow_dotdot"),
            checks=(
                Check(
                    name="across_mounts",
                    points=4,
                    says="a walk goes into a mounted filesystem and comes out of it by `..`",
                    hint="In: __lookup_mnt(path.mnt, path.dentry) knows what covers a place. Out: at mnt.mnt_root the way "
                    "goes on at the place that choose_mountpoint names, and then to the parent of that.",
                ),
                Check(
                    name="stacked_mounts",
                    points=2,
                    says="several mounts on one place: in to the topmost, out from below all of them",
                    hint="Both ways are loops. The root of a mount may be covered by the next one, "
                    "and a mountpoint may be the root of another mount.",
                ),
                Check(
                    name="mounts_balance",
                    points=2,
                    says="after walks across mounts all references are given back",
                    hint="traverse_mounts holds references on two things: take the new ones (mntget, dget), then put the old place.",
                ),
                Check(
                    name="mounted_root",
                    points=2,
                    hidden=True,
                    says="a task whose root is a mount's root, covered or not, does not get out of it.",
                    hint="choose_mountpoint goes down through stacked mounts: if it passes the place `root`, it returns None.",
                ),
                Check(
                    name="refused_mounts",
                    points=2,
                    hidden=True,
                    says="a walk that may not leave its mount is refused on the way in and on the way out.",
                    hint="LOOKUP_NO_XDEV in nd.flags: EXDEV, in traverse_mounts and in follow_dotdot.",
                ),
                Check(
                    name="two_views",
                    points=2,
                    hidden=True,
                    says="a directory seen through two mounts is covered in one of them only.",
                    hint="DCACHE_MOUNTED says that a look is worth it. The table answers for a pair: this mount, this dentry.",
                ),
            ),
        ),
        Step(
            number=5,
            title="The short way",
            asks=(f"{NAMEI}:lookup_fast", f"{NAMEI}:step_onto_mount"),
            checks=(
                Check(
                    name="known_names",
                    points=3,
                    says="what is in memory is not asked for, absent names neither",
                    hint="nd.path.dentry.d_children may be None, or a dict of names. A negative dentry is a find as well. "
                    "(And pick_link: a text that is not in memory, in a walk with LOOKUP_CACHED, is EAGAIN.)",
                ),
                Check(
                    name="short_way",
                    points=2,
                    says="one mount on a plain directory is stepped onto at once, all else takes the long way",
                    hint="The usual case: there is a mount for this pair, LOOKUP_NO_XDEV is not set, and its root's "
                    "d_flags & STEP_MASK say DCACHE_DIRECTORY_TYPE: a directory that nothing covers.",
                ),
                Check(
                    name="short_balance",
                    points=1,
                    says="after walks by the short way all references are given back",
                    hint="lookup_fast returns a dentry with one reference more. step_onto_mount adds two on the new place "
                    "and takes three away: two of nd.path, and the one that came with the dentry.",
                ),
                Check(
                    name="stale_names",
                    points=2,
                    hidden=True,
                    says="a cached name that its filesystem no longer stands by is forgotten and asked for again.",
                    hint="If DCACHE_OP_REVALIDATE is set, d_revalidate(dentry, nd.flags) must say yes; "
                    "it gives the reference back if it says no.",
                ),
            ),
        ),
    ),
)
