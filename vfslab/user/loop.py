"""A disk over a file of the guest: what losetup(8) does, for mount -o loop."""

from __future__ import annotations

import os
from typing import Any

from vfslab.include.uapi.fcntl import O_CLOEXEC, O_RDONLY, O_RDWR
from vfslab.include.uapi.loop import (
    LO_FLAGS_AUTOCLEAR,
    LO_FLAGS_READ_ONLY,
    LO_NAME_SIZE,
    LOOP_CONFIGURE,
    LOOP_CTL_GET_FREE,
    loop_config,
)

CONTROL = "/dev/loop-control"


def loop_attach(
    p: Any, source: Any, device: str, read_only: bool, offset: int = 0, sizelimit: int = 0
) -> tuple[str, int]:
    """Return (loop device that now shows source, open descriptor of it). device "" means any free one.

    The device goes with its last user, so the caller closes the descriptor when it is mounted, or has failed to be.
    """
    if not device:
        control = p.open(CONTROL, O_RDWR | O_CLOEXEC)
        try:
            device = f"/dev/loop{p.ioctl(control, LOOP_CTL_GET_FREE)}"
        finally:
            p.close(control)
    file, read_only = open_source(p, source, read_only)
    try:
        disk = p.open(device, (O_RDONLY if read_only else O_RDWR) | O_CLOEXEC)
        try:
            p.ioctl(disk, LOOP_CONFIGURE, configuration(p, source, file, read_only, offset, sizelimit))
        except BaseException:
            p.close(disk)
            raise
    finally:
        p.close(file)
    return device, disk


def open_source(p: Any, source: Any, read_only: bool) -> tuple[int, bool]:
    """Return (descriptor, read_only): a file that cannot be written gives a read-only disk."""
    if not read_only:
        try:
            return p.open(source, p.O_RDWR), False
        except OSError:
            pass
    return p.open(source, p.O_RDONLY), True


def configuration(p: Any, source: Any, fd: int, read_only: bool, offset: int, sizelimit: int) -> bytes:
    """Return a loop_config for LOOP_CONFIGURE."""
    config = loop_config(bytearray(loop_config.size))
    config.fd = fd
    config.info.lo_offset, config.info.lo_sizelimit = offset, sizelimit
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR | (LO_FLAGS_READ_ONLY if read_only else 0)
    config.info.lo_file_name = p.fsencode(os.fspath(source))[: LO_NAME_SIZE - 1]
    return bytes(config)
