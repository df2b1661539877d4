"""Error numbers: one exception class per errno.

    raise ENOTDIR(nd.last)      where the error is found
    except ENOENT:              where it means something
    return -error.errno         at the system-call boundary, and nowhere else

A KernelError is no OSError, so an error of the host can never pass for one of the guest.
ext4 calls its own two EFSCORRUPTED (EUCLEAN) and EFSBADCRC (EBADMSG), as Linux does.

Linux: include/uapi/asm-generic/errno-base.h, errno.h.   Numbers are those of x86-64 and arm64.
"""

from __future__ import annotations


class KernelError(Exception):
    """An error on its way to the system-call boundary; its arguments say which object it met."""

    errno = 0
    message = ""

    def __str__(self) -> str:
        what = ": ".join(a.decode(errors="replace") if isinstance(a, bytes) else str(a) for a in self.args)
        return f"{self.message}: {what}" if what else self.message


def _number(errno: int, name: str, message: str) -> type[KernelError]:
    return type(name, (KernelError,), {"errno": errno, "message": message, "__module__": __name__})


EPERM = _number(1, "EPERM", "Operation not permitted")
ENOENT = _number(2, "ENOENT", "No such file or directory")
ESRCH = _number(3, "ESRCH", "No such process")
EINTR = _number(4, "EINTR", "Interrupted system call")
EIO = _number(5, "EIO", "Input/output error")
ENXIO = _number(6, "ENXIO", "No such device or address")
E2BIG = _number(7, "E2BIG", "Argument list too long")
ENOEXEC = _number(8, "ENOEXEC", "Exec format error")
EBADF = _number(9, "EBADF", "Bad file descriptor")
ECHILD = _number(10, "ECHILD", "No child processes")
EAGAIN = _number(11, "EAGAIN", "Resource temporarily unavailable")
ENOMEM = _number(12, "ENOMEM", "Cannot allocate memory")
EACCES = _number(13, "EACCES", "Permission denied")
EFAULT = _number(14, "EFAULT", "Bad address")
ENOTBLK = _number(15, "ENOTBLK", "Block device required")
EBUSY = _number(16, "EBUSY", "Device or resource busy")
EEXIST = _number(17, "EEXIST", "File exists")
EXDEV = _number(18, "EXDEV", "Invalid cross-device link")
ENODEV = _number(19, "ENODEV", "No such device")
ENOTDIR = _number(20, "ENOTDIR", "Not a directory")
EISDIR = _number(21, "EISDIR", "Is a directory")
EINVAL = _number(22, "EINVAL", "Invalid argument")
ENFILE = _number(23, "ENFILE", "Too many open files in system")
EMFILE = _number(24, "EMFILE", "Too many open files")
ENOTTY = _number(25, "ENOTTY", "Inappropriate ioctl for device")
ETXTBSY = _number(26, "ETXTBSY", "Text file busy")
EFBIG = _number(27, "EFBIG", "File too large")
ENOSPC = _number(28, "ENOSPC", "No space left on device")
ESPIPE = _number(29, "ESPIPE", "Illegal seek")
EROFS = _number(30, "EROFS", "Read-only file system")
EMLINK = _number(31, "EMLINK", "Too many links")
EPIPE = _number(32, "EPIPE", "Broken pipe")
EDOM = _number(33, "EDOM", "Numerical argument out of domain")
ERANGE = _number(34, "ERANGE", "Numerical result out of range")
EDEADLK = _number(35, "EDEADLK", "Resource deadlock avoided")
ENAMETOOLONG = _number(36, "ENAMETOOLONG", "File name too long")
ENOLCK = _number(37, "ENOLCK", "No locks available")
ENOSYS = _number(38, "ENOSYS", "Function not implemented")
ENOTEMPTY = _number(39, "ENOTEMPTY", "Directory not empty")
ELOOP = _number(40, "ELOOP", "Too many levels of symbolic links")
ENODATA = _number(61, "ENODATA", "No data available")
EOVERFLOW = _number(75, "EOVERFLOW", "Value too large for defined data type")
EBADMSG = _number(74, "EBADMSG", "Bad message")
EOPNOTSUPP = _number(95, "EOPNOTSUPP", "Operation not supported")
ETIMEDOUT = _number(110, "ETIMEDOUT", "Connection timed out")
ESTALE = _number(116, "ESTALE", "Stale file handle")
EUCLEAN = _number(117, "EUCLEAN", "Structure needs cleaning")
EDQUOT = _number(122, "EDQUOT", "Disk quota exceeded")
ENOMEDIUM = _number(123, "ENOMEDIUM", "No medium found")
ENOKEY = _number(126, "ENOKEY", "Required key not available")
EKEYREJECTED = _number(129, "EKEYREJECTED", "Key was rejected by service")
ENOTCONN = _number(107, "ENOTCONN", "Transport endpoint is not connected")

EWOULDBLOCK = EAGAIN
ENOTSUP = EOPNOTSUPP
EFSCORRUPTED = EUCLEAN
EFSBADCRC = EBADMSG


def name_of(number: int) -> str:
    """Return the symbol of an error number, such as "ENOENT" for 2."""
    for value in tuple(globals().values()):
        if isinstance(value, type) and issubclass(value, KernelError) and value.errno == number:
            return value.__name__
    return f"errno {number}"


def message_of(number: int) -> str:
    """Return the text that strerror(3) gives for an error number."""
    for value in tuple(globals().values()):
        if isinstance(value, type) and issubclass(value, KernelError) and value.errno == number:
            return value.message
    return f"Unknown error {number}"
