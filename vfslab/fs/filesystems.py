"""The filesystems this kernel knows, by name: what mount(2) may be asked for.

    init ──register_filesystem(ext4)──▶ kernel.file_systems ◀──get_fs_type(b"ext4")── fs/namespace.py

Linux: fs/filesystems.c.   Chapter 6.
Left out: modules, so nothing is loaded on demand; subtypes such as "fuse.sshfs".
"""

from __future__ import annotations

from vfslab.include.fs import FileSystemType
from vfslab.kernel.errno import EBUSY, EINVAL, ENODEV
from vfslab.kernel.sched import cpu


def register_filesystem(fs: FileSystemType) -> None:
    """Make a filesystem known to the running kernel; each kernel needs an object of its own."""
    file_systems = cpu.kernel.file_systems
    if fs.name in file_systems:
        raise EBUSY(fs.name)
    file_systems[fs.name] = fs


def unregister_filesystem(fs: FileSystemType) -> None:
    """Forget a filesystem."""
    if cpu.kernel.file_systems.get(fs.name) is not fs:
        raise EINVAL(fs.name)
    del cpu.kernel.file_systems[fs.name]


def get_fs_type(name: bytes) -> FileSystemType:
    """Return the filesystem of this name, or raise ENODEV."""
    fs = cpu.kernel.file_systems.get(name)
    if fs is None:
        raise ENODEV(name)
    return fs
