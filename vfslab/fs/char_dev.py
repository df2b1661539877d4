"""Character devices: the node's number leads to a driver's own file operations.

    open("/dev/null") ──▶ chrdev_open ──kernel.chrdev_map[number]──▶ Device.fops, from now on the file's f_op

Linux: fs/char_dev.c.   Chapter 9.
"""

from __future__ import annotations

from vfslab.include.fs import File, FileOperations, Inode
from vfslab.include.kernel import Kernel
from vfslab.kernel.errno import ENXIO
from vfslab.kernel.sched import cpu


def chrdev_open(inode: Inode, file: File) -> None:
    """Give file the operations of the driver with the node's number; ENXIO if there is none."""
    device = cpu.kernel.chrdev_map.get(inode.i_rdev)
    if device is None:
        raise ENXIO(f"device {inode.i_rdev:#x}")
    file.f_op = device.fops
    if device.fops.open is not None:
        device.fops.open(inode, file)


def_chr_fops = FileOperations(open=chrdev_open)


def chrdev_init(kernel: Kernel) -> None:
    """Let nodes of character devices be opened in this kernel."""
    kernel.state["def_chr_fops"] = def_chr_fops
