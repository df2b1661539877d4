"""What an image holds, told by any object that has the names of `os`.

    manifest(os, "/mnt/loop")        Linux's own mount: the truth
    manifest(p, "/mnt")              the same walk by a vfslab process
    differences(truth, ours)         readable lines, none if both agree

The walk is one function for both, so a difference is never one of method. Each
field stands alone: a field that cannot be read holds the name of its errno, as {"err": "EBADMSG"},
and is compared like any other value.
"""

import errno
import hashlib
import json
import os
import stat
import tempfile
from contextlib import contextmanager

from tests import images
from tests.images import e2fs

SEEK_DATA, SEEK_HOLE = 3, 4
CHUNK = 1 << 20
MAX_SEGMENTS = 5000
#  a file of many GiB holds little data here: its holes are hashed by their length, not read
READ_WHOLE = 48 << 20
LSTAT = ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks", "st_blksize", "st_rdev",
         "st_atime_ns", "st_mtime_ns", "st_ctime_ns")  # fmt: skip
STATVFS = ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_namemax")


def attempt(function, *arguments, **keywords):
    """Return the result of a call, or the error's name in place of it."""
    try:
        return function(*arguments, **keywords)
    except OSError as error:
        return {"err": errno.errorcode.get(error.errno, str(error.errno))}


def failed(value):
    """Is this the name of an error in place of a value?"""
    return isinstance(value, dict) and set(value) == {"err"}


def manifest(o, root, content=True):
    """Return {path: {field: value}} for everything below root, "/" being root itself.

    A directory that was already met on the way down is not entered again: damaged
    filesystems have loops.
    """
    entries = {"/": describe(o, root, content) | {"statvfs": attempt(volume, o, root)}}
    todo = [("/", root, frozenset())]
    while todo:
        path, real, above = todo.pop()
        entry = entries[path]
        if not stat.S_ISDIR(entry.get("st_mode", 0)):
            continue
        if entry["st_ino"] in above:
            entry["names"] = "a loop"
            continue
        above = above | {entry["st_ino"]}
        listed = attempt(listing, o, real)
        if failed(listed):
            entry["names"] = listed
            continue
        entry["names"] = attempt(count, o, real)
        for name, kind in sorted(listed.items()):
            below = f"{path.rstrip('/')}/{name}"
            entries[below] = describe(o, f"{real}/{name}", content) | {"d_type": kind[0], "d_ino": kind[1]}
            todo.append((below, f"{real}/{name}", above))
    return entries


def listing(o, path):
    """Return {name: (type, inode number)} as the directory itself tells them."""
    found = {}
    with o.scandir(path) as entries:
        for entry in entries:
            kinds = [kind for kind, is_a in (("link", entry.is_symlink()), ("dir", entry.is_dir(follow_symlinks=False)),
                                             ("file", entry.is_file(follow_symlinks=False))) if is_a]  # fmt: skip
            found[entry.name] = ("/".join(kinds) or "other", entry.inode())
    return found


def count(o, path):
    """Return how many names listdir gives; a name that is there twice counts twice."""
    return len(o.listdir(path))


def volume(o, path):
    """Return what statvfs says."""
    status = o.statvfs(path)
    return {name: getattr(status, name) for name in STATVFS}


def describe(o, path, content=True):
    """Return the fields of one entry."""
    status = attempt(o.lstat, path)
    if failed(status):
        return {"lstat": status}
    entry = {name: getattr(status, name) for name in LSTAT}
    entry["xattrs"] = attempt(attributes, o, path)
    if stat.S_ISLNK(status.st_mode):
        entry["target"] = attempt(o.readlink, path)
    elif stat.S_ISREG(status.st_mode) and content:
        # The map is asked before the data is read: Linux reports unwritten blocks as data once they are in its page cache.
        entry["map"] = attempt(data_map, o, path, status.st_size)
        entry["sha256"] = attempt(sha256, o, path, status.st_size, entry["map"])
    return entry


def attributes(o, path):
    """Return {name: value as hex, or its hash if long}, each value readable or not on its own."""
    found = {}
    for name in sorted(o.listxattr(path, follow_symlinks=False)):
        value = attempt(o.getxattr, path, name, follow_symlinks=False)
        if not failed(value):
            value = value.hex() if len(value) <= 64 else f"{len(value)} bytes {hashlib.sha256(value).hexdigest()[:32]}"
        found[name] = value
    return found


def data_map(o, path, size):
    """Return [[start, end], ...] of the data segments, found with SEEK_DATA and SEEK_HOLE."""
    segments, offset = [], 0
    fd = o.open(path, os.O_RDONLY)
    try:
        while offset < size and len(segments) < MAX_SEGMENTS:
            try:
                start = o.lseek(fd, offset, SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break
            offset = o.lseek(fd, start, SEEK_HOLE)
            segments.append([start, offset])
        return segments
    finally:
        o.close(fd)


def sha256(o, path, size, segments):
    """Return the hash of a file's bytes; of a huge sparse one, of its pages that are not all zero."""
    digest = hashlib.sha256()
    fd = o.open(path, os.O_RDONLY)
    try:
        if size > READ_WHOLE and not failed(segments):
            for offset, data in pages(o, fd, segments):
                digest.update(b"%d:" % offset + data)
            return digest.hexdigest()
        offset = 0
        while data := o.pread(fd, CHUNK, offset):  # to the end that the file has, not to the one that lstat told
            digest.update(data)
            offset += len(data)
            if offset > READ_WHOLE:
                break
        return digest.hexdigest()
    finally:
        o.close(fd)


def pages(o, fd, segments):
    """Yield (offset, bytes) of the 4 KiB pages of some segments that hold anything but zeros."""
    done = 0
    for start, end in segments:
        offset = max(done, start & ~4095)
        while offset < end:
            data = o.pread(fd, min(CHUNK, (end - offset + 4095) & ~4095), offset)
            if not data:
                break
            for at in range(0, len(data), 4096):
                if data[at : at + 4096].strip(b"\0"):
                    yield offset + at, data[at : at + 4096]
            offset += len(data)
        done = offset


# --- the two sides ---------------------------------------------------------------------------


@contextmanager
def kernel_mount(image, replay=False, scratch=None):
    """Mount an image as Linux does; with replay, a copy in the directory scratch, whose journal is played first."""
    if not replay:
        with e2fs.mounted(image, "ro") as point:
            yield point
        return
    copy = images.copy_of(image, os.path.join(scratch or images.cache_dir(), f".replay-{os.getpid()}.img"))
    try:
        with e2fs.mounted(copy, "rw,noatime"):
            pass  # Linux refuses some replays on a read-only mount
        with e2fs.mounted(copy, "ro") as point:
            yield point
    finally:
        copy.unlink()


def kernel_says(image):
    """Return ("", manifest) of what Linux shows of a damaged image, or (errno name, None) if it refuses to mount it."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    device = e2fs.run("losetup", "--find", "--show", "--read-only", image).strip()
    point = tempfile.mkdtemp(prefix="vfslab-mnt-")
    try:
        if libc.mount(device.encode(), point.encode(), b"ext4", 1, b"errors=continue"):
            return errno.errorcode[ctypes.get_errno()], None
        try:
            return "", json.loads(json.dumps(manifest(os, point)))
        finally:
            e2fs.unmount(point)
    finally:
        e2fs.run("losetup", "--detach", device, ok=(0, 1))
        os.rmdir(point)


def vfslab_says(image):
    """Return the same of vfslab."""
    try:
        return "", vfslab_manifest(image)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno)), None


def truth(spec):
    """Return the manifest that a specification's image must show, kept in the cache beside the image."""
    image = images.build(spec)
    kept = image.with_suffix(".json")
    if not kept.exists():
        with kernel_mount(image, replay=spec.dirty) as point:
            text = json.dumps(manifest(os, point))
        part = kept.with_suffix(f".{os.getpid()}")
        part.write_text(text)
        part.rename(kept)
    return json.loads(kept.read_text())


@contextmanager
def vfslab_process(image, **boot):
    """Yield (p, "/mnt"): a process of a vfslab kernel with the image mounted read-only."""
    import vfslab

    with vfslab.boot(**boot) as kernel:
        kernel.attach("vda", image if isinstance(image, (bytes, bytearray)) else os.fspath(image), read_only=True)
        p = kernel.process(uid=0, gid=0)
        try:
            p.mkdir("/mnt")
        except FileExistsError:
            pass
        p.mount("/dev/vda", "/mnt", "ext4", "ro")
        yield p, "/mnt"
        p.umount("/mnt")


def vfslab_manifest(image, **boot):
    """Return the manifest as a vfslab process sees the image."""
    with vfslab_process(image, **boot) as (p, point):
        # through JSON as the truth went, so that both sides have the same types
        return json.loads(json.dumps(manifest(p, point)))


# --- comparing -------------------------------------------------------------------------------


FREE_COUNTS = ("statvfs.f_bfree", "statvfs.f_bavail", "statvfs.f_ffree")
TREE_FIELDS = (
    "st_mode",
    "st_uid",
    "st_gid",
    "st_nlink",
    "st_size",
    "st_rdev",
    "st_mtime_ns",
    "xattrs",
    "target",
    "sha256",
)


def compare(spec, ours):
    """Return the lines in which a manifest differs from what is true of a specification's image."""
    if spec.truth == "tree":
        return differences_from_tree(truth(spec), ours)
    if spec.dirty:
        # Linux frees orphans when it replays; a reader that may not write leaves them
        return differences(*without_replay_times(spec, truth(spec), ours), ignore=FREE_COUNTS)
    return differences(truth(spec), ours)


def without_replay_times(spec, true, ours):
    """Return both manifests without the times that Linux's replay took from the clock: those later than the image.

    A fast commit that enters or removes a name sets the directory's times to the moment of the replay.
    """
    made = images.build(spec).stat().st_mtime_ns
    late = {
        (path, name)
        for path, entry in true.items()
        for name in ("st_mtime_ns", "st_ctime_ns")
        if entry.get(name, 0) > made
    }
    kept = [{path: {name: value for name, value in entry.items() if (path, name) not in late} for path, entry in side.items()}
            for side in (true, ours)]  # fmt: skip
    return kept


def differences_from_tree(tree, ours, ignore=()):
    """Compare with a host directory that `mke2fs -d` copied: in what it copies, and times in whole seconds of 31 bits."""
    late = {path for path, entry in tree.items() if not 0 <= entry["st_mtime_ns"] // 10**9 < 2**31}
    return differences({path: copied(entry, path not in late) for path, entry in tree.items() if path != "/"},
                       {path: copied(entry, path not in late) for path, entry in ours.items() if path not in ("/", "/lost+found")},
                       ignore)  # fmt: skip


def copied(entry, timed):
    """Return the fields of an entry that mke2fs copies; timed: its time of change too."""
    kept = {name: entry[name] for name in TREE_FIELDS if name in entry}
    if stat.S_ISDIR(entry.get("st_mode", 0)):
        del kept["st_size"], kept["st_nlink"]
    if "lstat" in entry:
        return entry
    seconds = kept.pop("st_mtime_ns") // 10**9
    return kept | ({"st_mtime": seconds} if timed else {})


def differences(truth, ours, ignore=(), limit=40):
    """Return one line for each difference: path, field, what is true, what we say."""
    lines = []
    for path in sorted(set(truth) | set(ours)):
        if path not in ours:
            lines.append(f"{path!r}: missing")
        elif path not in truth:
            lines.append(f"{path!r}: does not exist")
        else:
            lines += fields(path, truth[path], ours[path], ignore)
    more = [f"... and {len(lines) - limit} more"] if len(lines) > limit else []
    return lines[:limit] + more


def fields(path, truth, ours, ignore):
    """Yield a line for each field of one entry that differs."""
    for name in sorted(set(truth) | set(ours)):
        true, said = truth.get(name), ours.get(name)
        if name in ignore or true == said:
            continue
        if isinstance(true, dict) and isinstance(said, dict) and not failed(true) and not failed(said):
            for part in sorted(set(true) | set(said)):
                if true.get(part) != said.get(part) and f"{name}.{part}" not in ignore:
                    yield f"{path!r} {name}.{part}: {short(true.get(part))}, we say {short(said.get(part))}"
        else:
            yield f"{path!r} {name}: {short(true)}, we say {short(said)}"


def short(value):
    """Return a value as text that fits on a line."""
    text = value["err"] if failed(value) else repr(value)
    return text if len(text) <= 90 else text[:87] + "..."
