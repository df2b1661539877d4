"""Where bytes go to or come from: the iov_iter of read and write, and the kiocb that asks for them.

Linux: include/linux/uio.h, struct kiocb of include/linux/fs.h.
Left out: user page tables. A read collects bytes, or fills the caller's buffers in place.
"""

from __future__ import annotations

from vfslab.lib.kstruct import KObject, Ptr, kstruct

IOCB_APPEND, IOCB_DIRECT, IOCB_NOWAIT, IOCB_SYNC = 2, 0x20000, 8, 4


@kstruct
class Kiocb(KObject):
    """One read or write under way: which file, from where."""

    ki_filp: Ptr[File] = None
    ki_pos: int = 0
    ki_flags: int = 0


@kstruct
class IovIter(KObject):
    """What is left of the caller's buffers.

    count     bytes still wanted (read) or still to be taken (write)
    chunks    read into nothing in particular: pieces collected for one bytes object
    segments  read into or write from these buffers (memoryviews), the first one current
    """

    count: int = 0
    chunks: list = None
    segments: list = None
    iov_offset: int = 0
    data_source: bool = False
