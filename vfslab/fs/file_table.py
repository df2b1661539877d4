"""Open files: how a struct file comes to life, is shared, and goes.

    openat ─▶ alloc_empty_file ─▶ vfs_open(path, file) ─▶ f_op.open      f_count 1
    dup, fork ─▶ get_file                                                f_count + 1
    close, exit ─▶ fput ─▶ at 0: f_op.release, the path's references, the memory

A descriptor (fs/file.py) is a number in one process; a struct file is what it points to. Two
descriptors made by dup share one struct file and so one position; two opens of a name do not.

Linux: fs/file_table.c, and do_dentry_open() of fs/open.c, which lies here because fs/namei.c
needs it and fs/open.c needs fs/namei.c.   Chapter 5.
Left out: delayed fput (task work), fasync, leases, f_owner, security blobs.

Always true
  F1  f_count counts the descriptors and walks that hold the file; at 0 it is released once
  F2  an open file holds its dentry and its mount: neither can be unmounted or freed under it
  F3  i_writecount counts the files open for writing on a regular file
"""

from __future__ import annotations

from vfslab.fs.mount import mnt_drop_write, mnt_want_write, path_put
from vfslab.include.fs import (
    FMODE_CAN_ODIRECT,
    FMODE_LSEEK,
    FMODE_NOATIME,
    FMODE_OPENED,
    FMODE_PATH,
    FMODE_PREAD,
    FMODE_PWRITE,
    FMODE_READ,
    FMODE_WRITE,
    File,
    FileOperations,
    Inode,
)
from vfslab.include.sched import Cred, Path
from vfslab.include.uapi.fcntl import O_CREAT, O_DIRECT, O_EXCL, O_NOATIME, O_NOCTTY, O_PATH, O_TRUNC
from vfslab.include.uapi.stat import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG
from vfslab.kernel.errno import EINVAL, ELOOP, ENXIO, ETXTBSY
from vfslab.kernel.slab import kfree, kmem_cache_alloc
from vfslab.mm.readahead import file_ra_state_init

empty_fops = FileOperations()
get_i_mapping = Inode.i_mapping.__get__  # the slot behind a member that else comes late (lib/kstruct.py)
OPEN_FMODE = (FMODE_READ, FMODE_WRITE, FMODE_READ | FMODE_WRITE, 0)


def alloc_empty_file(flags: int, cred: Cred) -> File:
    """Return a file that is not open yet, with one reference; fput() it if the open fails."""
    file = kmem_cache_alloc(File)
    file.f_flags, file.f_cred = flags, cred
    return file


def vfs_open(path: Path, file: File) -> None:
    """Open file at path. The path and its references are the file's from now on; if that fails, they are given back.

    (Linux takes new ones for the file, and the walk then gives its own back.)
    """
    file.f_path = path
    do_dentry_open(file)


def do_dentry_open(file: File) -> None:
    """Tie file to the object at file.f_path, asking its f_op.open; on an error the references are back."""
    file.f_inode = inode = file.f_path.dentry.d_inode
    try:
        file.f_mapping = get_i_mapping(inode)
    except AttributeError:
        file.f_mapping = inode.i_mapping  # it comes into being
    flags = file.f_flags
    if flags & O_PATH:
        file.f_mode, file.f_op = FMODE_PATH | FMODE_OPENED, empty_fops
        return
    mode = file.f_mode | OPEN_FMODE[flags & 3]
    try:
        if mode & FMODE_WRITE:
            file_get_write_access(file)
        file.f_op = fop = inode.i_fop or no_file_operations(inode)
        file.f_mode = mode
        if mode & FMODE_READ and inode.i_mode & S_IFMT == S_IFREG:
            file_ra_state_init(file)
        if fop.open is not None:
            fop.open(inode, file)
            fop = file.f_op  # a driver may have put its own table in
        mode = file.f_mode | FMODE_OPENED
        if fop.llseek is not None:
            mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE
        if flags & O_NOATIME:
            mode |= FMODE_NOATIME
        file.f_mode = mode
        if flags & O_DIRECT and not mode & FMODE_CAN_ODIRECT:
            raise EINVAL(file.f_path.dentry.d_name)
    except BaseException:
        forget_open(file)
        raise
    file.f_flags = flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC)


def no_file_operations(inode: object) -> FileOperations:
    """Raise what opening an object that nobody serves gives: ENXIO, or ELOOP for a symbolic link."""
    kind = inode.i_mode & S_IFMT
    if kind == S_IFLNK:
        raise ELOOP
    if kind in (S_IFREG, S_IFDIR):
        return empty_fops
    raise ENXIO


def file_get_write_access(file: File) -> None:
    """Count file as a writer; EROFS where nothing may be written, ETXTBSY where writers are shut out."""
    inode = file.f_inode
    if inode.i_mode & S_IFMT not in (S_IFREG, S_IFDIR):
        return  # a device or pipe on a read-only filesystem can be written
    if inode.i_writecount < 0:
        raise ETXTBSY(file.f_path.dentry.d_name)
    mnt_want_write(file.f_path.mnt)
    inode.i_writecount += 1
    file.f_mode |= FMODE_WRITE


def forget_open(file: File) -> None:
    """Undo do_dentry_open() up to the point it reached: file.f_mode tells whether it counts as a writer."""
    if file.f_mode & FMODE_OPENED and file.f_op.release is not None:
        file.f_op.release(file.f_inode, file)
    put_file_access(file)
    path, file.f_path = file.f_path, None
    file.f_mode = 0
    file.f_inode = file.f_mapping = file.f_op = None
    path_put(path)


def put_file_access(file: File) -> None:
    """Take file out of the writers of its inode, if it is one."""
    inode = file.f_inode
    if file.f_mode & FMODE_WRITE and inode.i_mode & S_IFMT in (S_IFREG, S_IFDIR):
        inode.i_writecount -= 1
        mnt_drop_write(file.f_path.mnt)


def get_file(file: File) -> File:
    """Return file with one more reference."""
    file.f_count += 1
    return file


def fput(file: File) -> None:
    """Give back a reference; the last one closes the file."""
    file.f_count -= 1
    if file.f_count == 0:
        __fput(file)


def __fput(file: File) -> None:
    """Release an open file: the filesystem's last word, then the path's references, then the memory."""
    if file.f_mode & FMODE_OPENED:
        release = file.f_op.release
        if release is not None:
            release(file.f_inode, file)
        if file.f_mode & FMODE_WRITE:
            put_file_access(file)
    path = file.f_path
    if path is not None:
        path_put(path)
    free_file(file)


def free_file(file: File) -> None:
    """Give back the memory of a file, and of what is inside it."""
    ra = file.f_ra
    if ra is not None:
        ra._container = None
        kfree(ra)
    kfree(file)
