"""All that is global in Linux, as one object: two kernels can live side by side.

Linux: the static variables of fs/namespace.c (mount_hashtable), fs/filesystems.c, block/genhd.c, ...   A hash table is a dict here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from vfslab.include.spinlock import RwSemaphore
from vfslab.lib.kstruct import Embedded, KObject, Ptr, embedded, fresh, kstruct


@kstruct
class Kernel(KObject):
    """One running kernel.

    sys_call_table   {name: function(*args)}; composed by init from the tables of the files that define them
    mount_hashtable  {(parent Vfsmount, mountpoint Dentry): Mount}; mountpoint_hashtable {Dentry: Mountpoint}
                     (no dentry_hashtable: each directory has its part of it, d_children; no inode_hashtable:
                     each superblock has its own)
    bdev_map         {device number: BlockDevice}; chrdev_map {device number: Device}
    device_add       functions (BlockDevice, added: bool) to tell when a device comes or goes (devtmpfs)
    copy_task        functions (child, parent) to call when a task forks: files, paths, namespaces are copied above us
    exit_task        functions (task) to call when a task exits
    fs_bio_set       bios at rest, for the next bio_alloc(); blkdev_majors {major: name of its driver}
    fput             fs/file_table.py:fput, for drivers that hold an open file (loop); set by blkdev_init()
    log              the kernel log: (level, text); dmesg prints it; bounded
    baton            lets one host thread in at a time
    open_flags       {(flags, mode): OpenFlags}: what open(2) was asked before, taken apart
    state            free for modules: {module name: its own structure} (loop devices, workqueues, ...)
    """

    release: bytes = b"6.12.0-vfslab"
    sys_call_table: dict = fresh(dict)
    file_systems: dict[bytes, Ptr[FileSystemType]] = fresh(dict)
    super_blocks: list[Ptr[SuperBlock]] = fresh(list)
    mount_hashtable: dict = fresh(dict)
    mountpoint_hashtable: dict = fresh(dict)
    disks: dict[bytes, Ptr[Gendisk]] = fresh(dict)
    bdev_map: dict[int, Ptr[BlockDevice]] = fresh(dict)
    chrdev_map: dict = fresh(dict)
    device_add: list[Callable] = fresh(list)
    copy_task: list[Callable] = fresh(list)
    exit_task: list[Callable] = fresh(list)
    tasks: dict[int, Ptr[TaskStruct]] = fresh(dict)
    init_task: Ptr[TaskStruct] = None
    node: Ptr[Lruvec] = None
    log: deque = fresh(lambda: deque(maxlen=4096))
    baton: Any = None
    fs_bio_set: list[Ptr[Bio]] = fresh(list)
    blkdev_majors: dict[int, bytes] = fresh(dict)
    fput: Callable = None
    tracers: list = fresh(list)
    next_pid: int = 1
    next_mount_id: int = 1
    next_dev: int = 1
    next_ino: int = 1
    lock_order: dict = fresh(dict)
    open_flags: dict[tuple, Ptr[OpenFlags]] = fresh(dict)
    state: dict = fresh(dict)
    running: bool = True
    clock: Callable = None
    namespace_sem: Embedded[RwSemaphore] = embedded(RwSemaphore, name="namespace_sem")
