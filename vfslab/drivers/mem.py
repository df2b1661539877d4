"""/dev/null, /dev/zero, /dev/full, /dev/random, /dev/urandom.

Linux: drivers/char/mem.c, random.c.   Chapter 9.
Left out: /dev/mem, /dev/kmsg, mmap of /dev/zero.
"""

from __future__ import annotations

import os
from types import MappingProxyType

from vfslab.drivers.base import device_create
from vfslab.include.device import MEM_MAJOR
from vfslab.include.fs import File, FileOperations
from vfslab.include.kernel import Kernel
from vfslab.include.uapi.stat import MKDEV
from vfslab.include.uio import IovIter, Kiocb
from vfslab.kernel.errno import ENOSPC
from vfslab.kernel.iov_iter import copy_from_iter, copy_to_iter

CHUNK = 1 << 20  # what is made at a time


def null_lseek(file: File, offset: int, whence: int) -> int:
    """Go nowhere."""
    file.f_pos = 0
    return 0


def read_null(iocb: Kiocb, it: IovIter) -> int:
    """There is nothing."""
    return 0


def write_null(iocb: Kiocb, it: IovIter) -> int:
    """Take everything, keep nothing."""
    done = 0
    while it.count:
        done += len(copy_from_iter(CHUNK, it))
    return done


def read_zero(iocb: Kiocb, it: IovIter) -> int:
    """Give as many zeros as are wanted."""
    done = 0
    while it.count:
        done += copy_to_iter(bytes(min(it.count, CHUNK)), it)
    return done


def write_full(iocb: Kiocb, it: IovIter) -> int:
    """A disk that is always full."""
    raise ENOSPC


def read_random(iocb: Kiocb, it: IovIter) -> int:
    """Give random bytes, those of the host."""
    done = 0
    while it.count:
        done += copy_to_iter(os.urandom(min(it.count, CHUNK)), it)
    return done


null_fops = FileOperations(llseek=null_lseek, read_iter=read_null, write_iter=write_null)
zero_fops = FileOperations(llseek=null_lseek, read_iter=read_zero, write_iter=write_null)
full_fops = FileOperations(llseek=null_lseek, read_iter=read_zero, write_iter=write_full)
random_fops = FileOperations(llseek=null_lseek, read_iter=read_random, write_iter=write_null)

MEM_DEVICES = MappingProxyType(
    {3: (b"null", null_fops), 5: (b"zero", zero_fops), 7: (b"full", full_fops), 8: (b"random", random_fops)}
    | {9: (b"urandom", random_fops)}
)


def chr_dev_init(kernel: Kernel) -> None:
    """Bring the devices into the running kernel."""
    for minor, (name, fops) in MEM_DEVICES.items():
        device_create(name, MKDEV(MEM_MAJOR, minor), 0o666, fops)
