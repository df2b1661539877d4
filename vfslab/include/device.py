"""A device that is no block device, as far as its node in /dev goes.

Linux: struct device of include/linux/device.h. A block device carries its name and number itself.
"""

from __future__ import annotations

from vfslab.lib.kstruct import KObject, Ptr, kstruct

MEM_MAJOR, RAMDISK_MAJOR, LOOP_MAJOR, MISC_MAJOR, BLOCK_EXT_MAJOR = 1, 1, 7, 10, 259
LOOP_CTRL_MINOR = 237


@kstruct
class Device(KObject):
    """A character device: its name in /dev, its number, type and permissions, and what opening it leads to."""

    init_name: bytes = b""
    devt: int = 0
    mode: int = 0
    fops: Ptr[FileOperations] = None
