"""All that is global in Linux, as one object: two kernels can live side by side.

Linux: the static variables of fs/dcache.c (dentry_hashtable), fs/inode.c (inode_hashtable),
fs/namespace.c (mount_hashtable), fs/filesystems.c, block/genhd.c, ...   A hash table is a dict here.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable
from typing import Any

from vfslab.include.spinlock import RwSemaphore
from vfslab.lib.kstruct import Embedded, KObject, Ptr, embedded, kstruct


@kstruct
class Kernel(KObject):
    """One running kernel.

    sys_call_table   {name: function(*args)}; composed by init from the tables of the files that define them
    dentry_hashtable {(parent Dentry, name): Dentry}; inode_hashtable {(sb, ino): Inode}
    mount_hashtable  {(parent Vfsmount, mountpoint Dentry): Mount}; mountpoint_hashtable {Dentry: Mountpoint}
    bdev_map         {device number: BlockDevice}; chrdev_map {device number: Device}
    device_add       functions (BlockDevice, added: bool) to tell when a device comes or goes (devtmpfs)
    copy_task        functions (child, parent) to call when a task forks: files, paths, namespaces are copied above us
    exit_task        functions (task) to call when a task exits
    fs_bio_set       bios at rest, for the next bio_alloc(); blkdev_majors {major: name of its driver}
    fput             fs/file_table.py:fput, for drivers that hold an open file (loop); set by blkdev_init()
    log              the kernel log: (level, text); dmesg prints it; bounded
    baton            lets one host thread in at a time
    state            free for modules: {module name: its own structure} (loop devices, workqueues, ...)
    """

    release: bytes = b"6.12.0-vfslab"
    sys_call_table: dict = dataclasses.field(default_factory=dict)
    file_systems: dict[bytes, Ptr[FileSystemType]] = dataclasses.field(default_factory=dict)
    super_blocks: list[Ptr[SuperBlock]] = dataclasses.field(default_factory=list)
    dentry_hashtable: dict = dataclasses.field(default_factory=dict)
    inode_hashtable: dict = dataclasses.field(default_factory=dict)
    mount_hashtable: dict = dataclasses.field(default_factory=dict)
    mountpoint_hashtable: dict = dataclasses.field(default_factory=dict)
    disks: dict[bytes, Ptr[Gendisk]] = dataclasses.field(default_factory=dict)
    bdev_map: dict[int, Ptr[BlockDevice]] = dataclasses.field(default_factory=dict)
    chrdev_map: dict = dataclasses.field(default_factory=dict)
    device_add: list[Callable] = dataclasses.field(default_factory=list)
    copy_task: list[Callable] = dataclasses.field(default_factory=list)
    exit_task: list[Callable] = dataclasses.field(default_factory=list)
    tasks: dict[int, Ptr[TaskStruct]] = dataclasses.field(default_factory=dict)
    init_task: Ptr[TaskStruct] = None
    node: Ptr[Lruvec] = None
    log: deque = dataclasses.field(default_factory=lambda: deque(maxlen=4096))
    baton: Any = None
    fs_bio_set: list[Ptr[Bio]] = dataclasses.field(default_factory=list)
    blkdev_majors: dict[int, bytes] = dataclasses.field(default_factory=dict)
    fput: Callable = None
    tracers: list = dataclasses.field(default_factory=list)
    next_pid: int = 1
    next_mount_id: int = 1
    next_dev: int = 1
    next_ino: int = 1
    lock_order: dict = dataclasses.field(default_factory=dict)
    state: dict = dataclasses.field(default_factory=dict)
    running: bool = True
    clock: Callable = None
    namespace_sem: Embedded[RwSemaphore] = embedded(RwSemaphore, name="namespace_sem")
