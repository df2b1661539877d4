"""Character devices of drivers: number, operations, node.

    device_create(b"null", MKDEV(1, 3), 0o666, null_fops)     /dev/null is there
    device_destroy(MKDEV(1, 3))                               and gone

Linux: device_create() of drivers/base/core.c, cdev_add() of fs/char_dev.c.   Chapter 9.
"""

from __future__ import annotations

from vfslab.block.bdev import announce
from vfslab.include.device import Device
from vfslab.include.fs import FileOperations
from vfslab.include.uapi.stat import S_IFCHR
from vfslab.kernel.errno import EBUSY
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import kfree, kzalloc


def device_create(name: bytes, devt: int, mode: int, fops: FileOperations) -> Device:
    """Return a new character device: its number leads to fops, and its node appears."""
    chrdev_map = cpu.kernel.chrdev_map
    if devt in chrdev_map:
        raise EBUSY(name)
    device = kzalloc(Device, init_name=name, devt=devt, mode=S_IFCHR | mode, fops=fops)
    chrdev_map[devt] = device
    announce(device, True)
    return device


def device_destroy(devt: int) -> None:
    """Take a character device away."""
    device = cpu.kernel.chrdev_map.pop(devt)
    announce(device, False)
    kfree(device)
