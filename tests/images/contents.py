"""What is put into test images: functions that fill a directory through `os`.

The directory is a mounted filesystem, where the kernel writes what only a kernel
writes, or an ordinary host directory that `mke2fs -d` then copies. A function
that needs more than the filesystem offers leaves that file out, because the
judge compares with what arrived, not with what was meant.

All bytes are a function of a name, so a wrong block shows as wrong bytes.
"""

import ctypes
import ctypes.util
import errno
import hashlib
import os
import socket
import struct

LIBC = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
REFUSED = {errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.ENOSPC, errno.EFBIG, errno.E2BIG, errno.ERANGE,
           errno.ENAMETOOLONG}  # fmt: skip
DAY = 86400 * 10**9


def pattern(name, size):
    """Return size bytes that belong to this name and are never zero blocks."""
    seed = hashlib.sha256(os.fsencode(name)).digest()
    return (seed * (size // len(seed) + 1))[:size]


def put(path, size=0, data=None):
    """Write one file."""
    with open(path, "wb") as file:
        file.write(pattern(os.path.basename(path), size) if data is None else data)


def fallocate(path, mode, offset, length):
    """Call fallocate(2); the file is created if it is missing."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        off_t = ctypes.c_longlong
        if LIBC.fallocate(fd, ctypes.c_int(mode), off_t(offset), off_t(length)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    finally:
        os.close(fd)


def attempt(function, *arguments, **keywords):
    """Call; return False if the filesystem has no such thing."""
    try:
        function(*arguments, **keywords)
        return True
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        return False


def block_size(root):
    """Return the block size of the filesystem that root lies in."""
    return os.statvfs(root).f_bsize


# --- names, types, owners, times -------------------------------------------------------------


def names(root):
    """Names of every length and alphabet, hard links, symlinks around the inline limit."""
    os.makedirs(f"{root}/etc/ssh")
    os.makedirs(f"{root}/a/b/c/d/e/f/g/h")
    put(f"{root}/etc/hosts", data=b"127.0.0.1 localhost\n")
    put(f"{root}/etc/ssh/config", 300)
    put(f"{root}/a/b/c/d/e/f/g/h/deep", 5000)
    put(f"{root}/empty")
    for length in (1, 2, 3, 4, 5, 8, 12, 100, 254, 255):
        put(f"{root}/" + "n" * length, length)
    for name in (b"gr\xc3\xbc\xc3\x9fe", b"\xff\xfe not utf-8", b"new\nline", b" blank ", b"-dash", b"\x01", b"*?[x]"):
        put(os.fsencode(root) + b"/" + name, 10)
    for number in range(5):
        os.link(f"{root}/etc/hosts", f"{root}/hard{number}")
    for length in (1, 58, 59, 60, 61, 255, 1000, 1023):
        os.symlink("t" * length, f"{root}/link{length}")
    attempt(os.symlink, "t" * 4094, f"{root}/link4094")
    os.symlink(b"\xff\xfe/\xc3\xbc", os.fsencode(root) + b"/link-bytes")
    os.symlink("etc/hosts", f"{root}/good-link")
    os.symlink("loop-b", f"{root}/loop-a")
    os.symlink("loop-a", f"{root}/loop-b")


def nodes(root):
    """Every file type, odd permissions, owners above 65535, times from 1901 to 2446."""
    os.mkdir(f"{root}/nodes")
    for name, kind, number in (("null", 0o020000, (1, 3)), ("wide", 0o020000, (300, 70000)), ("disk", 0o060000, (8, 17)),
                               ("high", 0o060000, (4095, 1048575))):  # fmt: skip
        attempt(os.mknod, f"{root}/nodes/{name}", kind | 0o640, os.makedev(*number))
    os.mkfifo(f"{root}/nodes/fifo", 0o600)
    with socket.socket(socket.AF_UNIX) as unix:
        here = os.getcwd()
        os.chdir(f"{root}/nodes")
        unix.bind("socket")
        os.chdir(here)
    for mode in (0, 0o777, 0o4755, 0o2755, 0o1777, 0o6000):
        put(f"{root}/nodes/mode{mode:o}", 20)
        os.chmod(f"{root}/nodes/mode{mode:o}", mode)
    for owner in (1, 65534, 65535, 65536, 70000, 4294967294):
        put(f"{root}/nodes/owner{owner}", 20)
        os.chown(f"{root}/nodes/owner{owner}", owner, 4294967294 - owner if owner else 0)
    os.mkdir(f"{root}/times")
    for stamp in (
        -(2**31),
        -86400 * 365,
        -1,
        0,
        1,
        1635724800,
        2**31 - 1,
        2**31,
        2**32,
        2**32 + 2**31 - 1,
        2**33,
        15032385535,
    ):
        put(f"{root}/times/t{stamp}")
        at = stamp * 10**9
        attempt(os.utime, f"{root}/times/t{stamp}", ns=(at + 123456789, at + 999999999 if stamp < 15032385535 else at))
    os.utime(f"{root}/nodes", ns=(10 * DAY + 1, 20 * DAY + 2))


# --- data ------------------------------------------------------------------------------------


def write_at(path, *offsets, size=700):
    """Write size bytes at each offset of one file, leaving holes between."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        for offset in offsets:
            os.pwrite(fd, pattern(f"{os.path.basename(path)}@{offset}", size), offset)
    finally:
        os.close(fd)


def sizes(root):
    """Files around every size at which the layout changes."""
    os.mkdir(f"{root}/sizes")
    bs = block_size(root)
    for size in sorted(
        {
            0,
            1,
            59,
            60,
            61,
            100,
            155,
            156,
            157,
            200,
            511,
            512,
            513,
            bs - 1,
            bs,
            bs + 1,
            2 * bs,
            12 * bs,
            12 * bs + 1,
            14 * bs,
        }
    ):
        put(f"{root}/sizes/s{size}", size)
    put(f"{root}/sizes/large", 300_000)


def holes(root):
    """Sparse files: holes at the start, inside, at the end, and nothing but a hole."""
    os.mkdir(f"{root}/holes")
    bs = block_size(root)
    write_at(f"{root}/holes/middle", 0, 10 * bs, 1000 * bs)
    write_at(f"{root}/holes/start", 5 * bs)
    write_at(f"{root}/holes/end", 0)
    os.truncate(f"{root}/holes/end", 40 * bs + 5)
    put(f"{root}/holes/all")
    os.truncate(f"{root}/holes/all", 1 << 20)
    put(f"{root}/holes/tail", bs + 10)
    os.truncate(f"{root}/holes/tail", 3 * bs + 1)
    write_at(f"{root}/holes/far", 0, 3 << 30)


def unwritten(root):
    """Extents allocated but not written, whole, partly written, beyond the end, and punched."""
    os.mkdir(f"{root}/unwritten")
    bs = block_size(root)
    put(f"{root}/unwritten/stale", 60 * bs)
    os.sync()
    os.unlink(f"{root}/unwritten/stale")
    if not attempt(fallocate, f"{root}/unwritten/whole", 0, 0, 64 * bs):
        return
    fallocate(f"{root}/unwritten/partly", 0, 0, 64 * bs)
    write_at(f"{root}/unwritten/partly", 3 * bs, 30 * bs + 5, size=2 * bs)
    fallocate(f"{root}/unwritten/beyond", KEEP_SIZE, 0, 20 * bs)
    write_at(f"{root}/unwritten/beyond", 0)
    put(f"{root}/unwritten/punched", 40 * bs)
    fallocate(f"{root}/unwritten/punched", PUNCH_HOLE | KEEP_SIZE, 5 * bs + 10, 10 * bs)
    put(f"{root}/unwritten/zeroed", 40 * bs)
    attempt(fallocate, f"{root}/unwritten/zeroed", ZERO_RANGE, 5 * bs, 10 * bs)


def scattered(root, pieces=1500, step=2):
    """One file whose every other block is a hole: as many extents as pieces, a tree of depth 1 or 2."""
    bs = block_size(root)
    fd = os.open(f"{root}/scattered", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        for number in range(pieces):
            os.pwrite(fd, pattern(f"piece{number}", bs), number * step * bs)
    finally:
        os.close(fd)


def indirect(root):
    """Sparse files that touch direct, single, double and triple indirect blocks of a block-mapped file."""
    os.mkdir(f"{root}/indirect")
    bs = block_size(root)
    per = bs // 4
    single, double, triple = 12, 12 + per, 12 + per + per * per
    write_at(f"{root}/indirect/single", 0, single * bs, (double - 1) * bs)
    write_at(f"{root}/indirect/double", double * bs, (double + per + 3) * bs)
    write_at(f"{root}/indirect/null-double", 0, triple * bs)
    write_at(f"{root}/indirect/triple", (triple + per * per + 5) * bs, 0, (triple + 1) * bs)
    write_at(f"{root}/indirect/trailing", double * bs)
    os.truncate(f"{root}/indirect/trailing", (triple + 10) * bs)


# --- directories -----------------------------------------------------------------------------


def bigdir(root, count=1200, length=180, name="big"):
    """A directory of many long names: a hash tree. All names are links to few inodes."""
    os.mkdir(f"{root}/{name}")
    put(f"{root}/{name}/0", 10)
    for number in range(1, count):
        label = f"{number:05d}".ljust(length, "ab-yz"[number % 5])
        os.link(f"{root}/{name}/0", f"{root}/{name}/{label}")


def emptied(root):
    """A hash-tree directory most of whose names are gone again: ghosts stay in the slack of its blocks."""
    bigdir(root, 400, 120, "emptied")
    for entry in sorted(os.listdir(f"{root}/emptied"))[3::2]:
        os.unlink(f"{root}/emptied/{entry}")


def middling(root):
    """Directories of 0 to 70 subdirectories and files, so that link counts and block ends vary."""
    os.mkdir(f"{root}/mid")
    for count in (0, 1, 2, 3, 5, 9, 40, 70):
        os.mkdir(f"{root}/mid/d{count}")
        for number in range(count):
            if number % 3:
                os.mkdir(f"{root}/mid/d{count}/sub{number}")
            else:
                put(f"{root}/mid/d{count}/file{number}", number)


# --- extended attributes ---------------------------------------------------------------------


def acl(*entries):
    """Return a POSIX ACL as the kernel's xattr wants it: (tag, permissions, id) each."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


ACL = acl((1, 6, 0xFFFFFFFF), (2, 4, 1000), (4, 4, 0xFFFFFFFF), (8, 6, 100), (16, 6, 0xFFFFFFFF), (32, 4, 0xFFFFFFFF))


def xattrs(root):
    """Attributes in the inode, in the block, shared, too big for either, on links and directories, and ACLs."""
    os.mkdir(f"{root}/xattr")
    put(f"{root}/xattr/small", 100)
    attempt(os.setxattr, f"{root}/xattr/small", "user.a", b"1")
    attempt(os.setxattr, f"{root}/xattr/small", "user.empty", b"")
    attempt(os.setxattr, f"{root}/xattr/small", "user.bytes", bytes(range(256))[:100])
    put(f"{root}/xattr/many", 100)
    for number in range(12):
        attempt(os.setxattr, f"{root}/xattr/many", f"user.number{number}", pattern(f"v{number}", number * 7))
    for number in range(3):
        put(f"{root}/xattr/shared{number}", 10)
        attempt(os.setxattr, f"{root}/xattr/shared{number}", "user.shared", pattern("shared", 500))
    for size in (900, 3000, 20000, 60000):
        put(f"{root}/xattr/value{size}", 10)
        attempt(os.setxattr, f"{root}/xattr/value{size}", "user.value", pattern(f"value{size}", size))
        attempt(os.setxattr, f"{root}/xattr/value{size}", "user.after", b"after")
    os.symlink("small", f"{root}/xattr/link")
    os.symlink("s" * 200, f"{root}/xattr/long-link")
    for link in ("link", "long-link"):
        attempt(os.setxattr, f"{root}/xattr/{link}", "trusted.link", pattern(link, 60), follow_symlinks=False)
        attempt(os.setxattr, f"{root}/xattr/{link}", "security.big", pattern(link, 600), follow_symlinks=False)
    os.mkdir(f"{root}/xattr/dir")
    attempt(os.setxattr, f"{root}/xattr/dir", "user.dir", b"d" * 30)
    attempt(os.setxattr, f"{root}/xattr/dir", "system.posix_acl_default", ACL)
    put(f"{root}/xattr/acl", 10)
    attempt(os.setxattr, f"{root}/xattr/acl", "system.posix_acl_access", ACL)
    capability = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
    attempt(os.setxattr, f"{root}/xattr/small", "security.capability", capability)


# --- bundles, an axis of the matrix ----------------------------------------------------------


def bundle_names(root):
    """Names, types, times, attributes."""
    names(root)
    nodes(root)
    xattrs(root)


def bundle_data(root):
    """Layouts of file data."""
    sizes(root)
    holes(root)
    unwritten(root)


def bundle_dirs(root):
    """Directories of all sizes."""
    middling(root)
    bigdir(root, 300, 60)
    emptied(root)


def bundle_deep(root):
    """Deep mapping trees and deep hash trees."""
    scattered(root)
    indirect(root)
    if block_size(root) == 1024:
        bigdir(root, 900, 250, "deep")
    else:
        bigdir(root, 1500, 150, "deep")


BUNDLES = {"names": bundle_names, "data": bundle_data, "dirs": bundle_dirs, "deep": bundle_deep}
