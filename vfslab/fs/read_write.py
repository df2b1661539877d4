"""read, write and lseek: from a descriptor to the file's operations.

    pread64(fd) ─▶ fdget ─▶ f_op.read_iter(kiocb, iter) ─▶ mm/filemap.py, or a device, or a server
                               │        └ where the bytes go
                               └ which file, from where on

The kiocb carries the position. read() starts it at f_pos and stores it back; pread() starts it
at the caller's offset and leaves f_pos alone. That is all the difference.

Linux: fs/read_write.c.   Chapter 5.
Left out: O_NONBLOCK waits, splice through a pipe (sendfile copies), security hooks.

Always true
  W1  f_pos moves by exactly what was transferred
  W2  nothing is read or written beyond s_maxbytes
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from vfslab.fs.file import fdget
from vfslab.fs.inode import touch_atime
from vfslab.include.fs import (
    FMODE_LSEEK,
    FMODE_PREAD,
    FMODE_PWRITE,
    FMODE_READ,
    FMODE_WRITE,
    MAX_LFS_FILESIZE,
    File,
)
from vfslab.include.uapi.fcntl import (
    O_APPEND,
    O_DIRECT,
    O_DSYNC,
    O_NOATIME,
    SEEK_CUR,
    SEEK_DATA,
    SEEK_END,
    SEEK_HOLE,
    SEEK_SET,
)
from vfslab.include.uapi.stat import S_IFDIR, S_IFMT, S_IFREG
from vfslab.include.uio import IOCB_APPEND, IOCB_DIRECT, IOCB_NOWAIT, IOCB_SYNC, IovIter, Kiocb
from vfslab.kernel.errno import (
    EBADF,
    EINVAL,
    EISDIR,
    ENXIO,
    EOPNOTSUPP,
    EOVERFLOW,
    ESPIPE,
    EXDEV,
)
from vfslab.kernel.iov_iter import iov_iter_bytes, iov_iter_dest, iov_iter_result, iov_iter_source

MAX_RW_COUNT = 0x7FFFF000  # one call moves at most this, so that its result fits an int
SPECIAL = O_APPEND | O_DIRECT | O_DSYNC
IOV_MAX = 1024
COPY_CHUNK = 1 << 20
RWF_SYNC, RWF_HIPRI, RWF_DSYNC, RWF_NOWAIT, RWF_APPEND = 4, 1, 2, 8, 16


def iocb_flags(f_flags: int) -> int:
    """Return the ki_flags of a file that was opened with f_flags."""
    flags = 0
    if f_flags & O_APPEND:
        flags |= IOCB_APPEND
    if f_flags & O_DIRECT:
        flags |= IOCB_DIRECT
    if f_flags & O_DSYNC:
        flags |= IOCB_SYNC
    return flags


def kiocb_set_rw_flags(ki_flags: int, flags: int) -> int:
    """Add the flags of preadv2 and pwritev2 to ki_flags; EOPNOTSUPP for those that nobody knows."""
    if flags & ~(RWF_SYNC | RWF_HIPRI | RWF_DSYNC | RWF_NOWAIT | RWF_APPEND):
        raise EOPNOTSUPP(flags)
    if flags & (RWF_SYNC | RWF_DSYNC):
        ki_flags |= IOCB_SYNC
    if flags & RWF_NOWAIT:
        ki_flags |= IOCB_NOWAIT
    if flags & RWF_APPEND:
        ki_flags |= IOCB_APPEND
    return ki_flags


def vfs_read(file: File, it: IovIter, pos: int, flags: int = 0) -> int:
    """Read into it from pos on; return the position after it. EBADF, EINVAL, EISDIR if that cannot be."""
    if not file.f_mode & FMODE_READ:
        raise EBADF
    if pos < 0:
        raise EINVAL(pos)
    read_iter = file.f_op.read_iter
    if read_iter is None:
        raise EISDIR if file.f_inode.i_mode & S_IFMT == S_IFDIR else EINVAL
    f_flags = file.f_flags
    if f_flags & SPECIAL:
        flags |= iocb_flags(f_flags)
    iocb = Kiocb(file, pos, flags)
    read_iter(iocb, it)
    return iocb.ki_pos


def vfs_write(file: File, it: IovIter, pos: int, flags: int = 0) -> tuple[int, int]:
    """Write what is in it from pos on; return (bytes written, the position after them)."""
    if not file.f_mode & FMODE_WRITE:
        raise EBADF
    if pos < 0:
        raise EINVAL(pos)
    write_iter = file.f_op.write_iter
    if write_iter is None:
        raise EINVAL
    f_flags = file.f_flags
    if f_flags & SPECIAL:
        flags |= iocb_flags(f_flags)
    iocb = Kiocb(file, pos, flags)
    written = write_iter(iocb, it)
    return written, iocb.ki_pos


def file_accessed(file: File) -> None:
    """The file was read: its access time moves, unless it was opened with O_NOATIME."""
    if not file.f_flags & O_NOATIME:
        touch_atime(file.f_path)


# --- read and write ----------------------------------------------------------------------------------


def checked_count(count: int) -> int:
    """Return a byte count as the kernel takes it: EINVAL below 0, cut at MAX_RW_COUNT."""
    if count < 0:
        raise EINVAL(count)
    return count if count < MAX_RW_COUNT else MAX_RW_COUNT


def sys_read(fd: int, count: int) -> bytes:
    """Read up to count bytes at the file's position."""
    file = fdget(fd)
    it = IovIter(count if 0 <= count < MAX_RW_COUNT else checked_count(count), [])
    if file.f_mode & FMODE_LSEEK:
        file.f_pos = vfs_read(file, it, file.f_pos)
    else:
        vfs_read(file, it, 0)
    chunks = it.chunks
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def sys_pread64(fd: int, count: int, pos: int) -> bytes:
    """Read up to count bytes at pos; the file's position stays."""
    file = fdget(fd)
    if not file.f_mode & FMODE_PREAD:
        raise EINVAL(pos) if pos < 0 else ESPIPE
    it = IovIter(count if 0 <= count < MAX_RW_COUNT else checked_count(count), [])
    vfs_read(file, it, pos)
    chunks = it.chunks
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def import_iovec(buffers: list, make: Any) -> IovIter:
    """Return an iterator over the caller's buffers; EINVAL for more than IOV_MAX of them."""
    if len(buffers) > IOV_MAX:
        raise EINVAL(len(buffers))
    return make([buffer for buffer in buffers if len(buffer)])


def sys_readv(fd: int, buffers: list) -> int:
    """Fill the buffers in order from the file's position on; return how many bytes there were."""
    file = fdget(fd)
    it = import_iovec(buffers, iov_iter_dest)
    wanted = it.count
    if file.f_mode & FMODE_LSEEK:
        file.f_pos = vfs_read(file, it, file.f_pos)
    else:
        vfs_read(file, it, 0)
    return wanted - it.count


def sys_preadv2(fd: int, buffers: list, pos: int, flags: int) -> int:
    """As readv at pos; -1 means at the file's position."""
    file = fdget(fd)
    if pos == -1 and not flags:
        return sys_readv(fd, buffers)
    if not file.f_mode & FMODE_PREAD:
        raise ESPIPE
    it = import_iovec(buffers, iov_iter_dest)
    wanted = it.count
    vfs_read(file, it, pos, kiocb_set_rw_flags(0, flags))
    return wanted - it.count


def sys_preadv(fd: int, buffers: list, pos: int) -> int:
    """Fill the buffers in order from pos on; the file's position stays."""
    if pos < 0:
        fdget(fd)
        raise EINVAL(pos)
    return sys_preadv2(fd, buffers, pos, 0)


def sys_write(fd: int, data: Any) -> int:
    """Write data at the file's position; return how much of it was taken."""
    file, length = fdget(fd), len(data)
    it = IovIter(length, None, [memoryview(data)] if length else [], 0, True)
    written, pos = vfs_write(file, it, file.f_pos)
    if file.f_mode & FMODE_LSEEK:
        file.f_pos = pos
    return written


def sys_writev(fd: int, buffers: list) -> int:
    """Write the buffers one after the other at the file's position."""
    file = fdget(fd)
    written, pos = vfs_write(file, import_iovec(buffers, iov_iter_source), file.f_pos)
    if file.f_mode & FMODE_LSEEK:
        file.f_pos = pos
    return written


def sys_pwritev2(fd: int, buffers: list, pos: int, flags: int) -> int:
    """Write the buffers at pos, which stays apart from the file's position; -1 means at the position."""
    file = fdget(fd)
    if pos == -1 and not flags:
        return sys_writev(fd, buffers)
    if not file.f_mode & FMODE_PWRITE:
        raise ESPIPE
    return vfs_write(file, import_iovec(buffers, iov_iter_source), pos, kiocb_set_rw_flags(0, flags))[0]


def sys_pwritev(fd: int, buffers: list, pos: int) -> int:
    """Write the buffers at pos; the file's position stays."""
    if pos < 0:
        fdget(fd)
        raise EINVAL(pos)
    return sys_pwritev2(fd, buffers, pos, 0)


def sys_pwrite64(fd: int, data: Any, pos: int) -> int:
    """Write data at pos; the file's position stays."""
    return sys_pwritev(fd, [data], pos)


# --- lseek -------------------------------------------------------------------------------------------


def vfs_setpos(file: File, pos: int, maxsize: int) -> int:
    """Make pos the file's position and return it; EINVAL before the start or beyond what can exist."""
    if not 0 <= pos <= maxsize:
        raise EINVAL(pos)
    file.f_pos = pos
    return pos


def generic_file_llseek_size(file: File, offset: int, whence: int, maxsize: int, eof: int) -> int:
    """Return the new position for a file of eof bytes that knows no holes: all data, one hole at the end."""
    if whence == SEEK_SET:
        pos = offset
    elif whence == SEEK_CUR:
        pos = file.f_pos + offset
    elif whence == SEEK_END:
        pos = eof + offset
    elif whence in (SEEK_DATA, SEEK_HOLE):
        if not 0 <= offset < eof:
            raise ENXIO(offset)
        pos = offset if whence == SEEK_DATA else eof
    else:
        raise EINVAL(whence)
    return vfs_setpos(file, pos, maxsize)


def generic_file_llseek(file: File, offset: int, whence: int) -> int:
    """Return the new position in a file whose size is its inode's i_size."""
    inode = file.f_mapping.host
    return generic_file_llseek_size(file, offset, whence, inode.i_sb.s_maxbytes, inode.i_size)


def sys_lseek(fd: int, offset: int, whence: int) -> int:
    """Move the file's position and return it; ESPIPE for what has none."""
    file = fdget(fd)
    if not SEEK_SET <= whence <= SEEK_HOLE:
        raise EINVAL(whence)
    if not file.f_mode & FMODE_LSEEK:
        raise ESPIPE
    return file.f_op.llseek(file, offset, whence)


# --- from file to file -------------------------------------------------------------------------------


def do_splice_direct(source: File, start: int, target: File, pos: int, count: int) -> int:
    """Copy count bytes between two files through kernel memory; return how many there were."""
    done = 0
    while done < count:
        it = iov_iter_bytes(min(COPY_CHUNK, count - done))
        vfs_read(source, it, start + done)
        piece = iov_iter_result(it)
        if not piece:
            break
        written, _pos = vfs_write(target, iov_iter_source([piece]), pos + done)
        done += written
        if written < len(piece):
            break
    return done


def sys_sendfile64(out_fd: int, in_fd: int, offset: int | None, count: int) -> int:
    """Copy from in_fd, at offset or else at its position, to out_fd at its position."""
    source = fdget(in_fd)
    if not source.f_mode & FMODE_READ:
        raise EBADF(in_fd)
    target = fdget(out_fd)
    if not target.f_mode & FMODE_WRITE:
        raise EBADF(out_fd)
    start = source.f_pos if offset is None else offset
    if target.f_flags & O_APPEND or start < 0:
        raise EINVAL
    done = do_splice_direct(source, start, target, target.f_pos, checked_count(count))
    target.f_pos += done
    if offset is None:
        source.f_pos += done
    return done


def generic_copy_file_checks(source: File, start: int, target: File, pos: int, count: int) -> int:
    """Return how much of count can be copied between these files; EINVAL where ranges of one file overlap."""
    for file in (source, target):
        kind = file.f_inode.i_mode & S_IFMT
        if kind != S_IFREG:
            raise EISDIR if kind == S_IFDIR else EINVAL
    if not (source.f_mode & FMODE_READ and target.f_mode & FMODE_WRITE) or target.f_flags & O_APPEND:
        raise EBADF
    if start < 0 or pos < 0:
        raise EINVAL
    if start + count > MAX_LFS_FILESIZE or pos + count > MAX_LFS_FILESIZE:
        raise EOVERFLOW
    count = max(0, min(count, source.f_inode.i_size - start))
    if source.f_inode is target.f_inode and start < pos + count and pos < start + count:
        raise EINVAL
    return count


def sys_copy_file_range(
    in_fd: int, in_pos: int | None, out_fd: int, out_pos: int | None, count: int, flags: int = 0
) -> int:
    """Copy between two regular files, each at the given place, or at its position where that is None."""
    source, target = fdget(in_fd), fdget(out_fd)
    if flags:
        raise EINVAL(flags)
    start = source.f_pos if in_pos is None else in_pos
    pos = target.f_pos if out_pos is None else out_pos
    count = generic_copy_file_checks(source, start, target, pos, checked_count(count))
    if source.f_inode.i_sb is not target.f_inode.i_sb and source.f_inode.i_sb.s_type is not target.f_inode.i_sb.s_type:
        raise EXDEV
    done = do_splice_direct(source, start, target, pos, count)
    if in_pos is None:
        source.f_pos += done
    if out_pos is None:
        target.f_pos += done
    return done


SYSCALLS = MappingProxyType(
    {
        "read": sys_read,
        "pread64": sys_pread64,
        "readv": sys_readv,
        "preadv": sys_preadv,
        "preadv2": sys_preadv2,
        "write": sys_write,
        "pwrite64": sys_pwrite64,
        "writev": sys_writev,
        "pwritev": sys_pwritev,
        "pwritev2": sys_pwritev2,
        "lseek": sys_lseek,
        "sendfile64": sys_sendfile64,
        "copy_file_range": sys_copy_file_range,
    }
)
