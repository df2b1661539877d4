"""File types and permission bits of st_mode, d_type of directory entries, limits of paths, device numbers.

Linux: include/uapi/linux/stat.h, include/linux/fs_types.h, include/uapi/linux/limits.h, include/linux/kdev_t.h.
"""

S_IFMT = 0o170000
S_IFSOCK = 0o140000
S_IFLNK = 0o120000
S_IFREG = 0o100000
S_IFBLK = 0o060000
S_IFDIR = 0o040000
S_IFCHR = 0o020000
S_IFIFO = 0o010000
S_ISUID, S_ISGID, S_ISVTX = 0o4000, 0o2000, 0o1000
S_IRWXUGO = 0o777
S_IALLUGO = 0o7777
S_IXUGO = 0o111

DT_UNKNOWN, DT_FIFO, DT_CHR, DT_DIR, DT_BLK, DT_REG, DT_LNK, DT_SOCK = 0, 1, 2, 4, 6, 8, 10, 12

NAME_MAX = 255
PATH_MAX = 4096


def S_ISDIR(mode: int) -> bool:
    """True for the mode of a directory."""
    return mode & S_IFMT == S_IFDIR


def S_ISREG(mode: int) -> bool:
    """True for the mode of a regular file."""
    return mode & S_IFMT == S_IFREG


def S_ISLNK(mode: int) -> bool:
    """True for the mode of a symbolic link."""
    return mode & S_IFMT == S_IFLNK


def S_ISBLK(mode: int) -> bool:
    """True for the mode of a block device node."""
    return mode & S_IFMT == S_IFBLK


def S_ISCHR(mode: int) -> bool:
    """True for the mode of a character device node."""
    return mode & S_IFMT == S_IFCHR


def MKDEV(major: int, minor: int) -> int:
    """Return the device number that st_rdev shows for major and minor, encoded as stat(2) does."""
    return (minor & 0xFF) | (major & 0xFFF) << 8 | (minor & ~0xFF) << 12 | (major & ~0xFFF) << 32


def MAJOR(dev: int) -> int:
    """Return the major number of a device number."""
    return (dev >> 8 & 0xFFF) | (dev >> 32 & ~0xFFF)


def MINOR(dev: int) -> int:
    """Return the minor number of a device number."""
    return (dev & 0xFF) | (dev >> 12 & ~0xFF)
