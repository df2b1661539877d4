"""Advice of a program on how it will use a file.

Linux: mm/fadvise.c.   Chapter 8.
Left out: POSIX_FADV_NOREUSE has no effect, as before Linux 6.3.
"""

from __future__ import annotations

from vfslab.include.fs import FMODE_RANDOM, File, FileRaState
from vfslab.include.mm_types import PAGE_SHIFT, PAGE_SIZE
from vfslab.kernel.errno import EINVAL
from vfslab.mm.readahead import file_ra_state_init, force_page_cache_readahead
from vfslab.mm.truncate import invalidate_mapping_pages

POSIX_FADV_NORMAL, POSIX_FADV_RANDOM, POSIX_FADV_SEQUENTIAL = 0, 1, 2
POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED, POSIX_FADV_NOREUSE = 3, 4, 5


def generic_fadvise(file: File, offset: int, length: int, advice: int) -> None:
    """Take advice for length bytes from offset on (0: to the end of the file); EINVAL for an unknown one.

    NORMAL, RANDOM and SEQUENTIAL speak of the open file as a whole. DONTNEED leaves out pages in part.
    """
    if length < 0 or offset < 0:
        raise EINVAL(length)
    mapping = file.f_mapping
    end = offset + length if length else mapping.host.i_size
    if advice in (POSIX_FADV_NORMAL, POSIX_FADV_RANDOM, POSIX_FADV_SEQUENTIAL):
        file.f_mode &= ~FMODE_RANDOM
        ra = file.f_ra or file_ra_state_init(file)
        ra.ra_pages = FileRaState().ra_pages
        if advice == POSIX_FADV_RANDOM:
            file.f_mode |= FMODE_RANDOM
        elif advice == POSIX_FADV_SEQUENTIAL:
            ra.ra_pages *= 2
    elif advice == POSIX_FADV_WILLNEED:
        last = min(end, mapping.host.i_size)
        force_page_cache_readahead(
            mapping, file, offset >> PAGE_SHIFT, (last - 1 >> PAGE_SHIFT) - (offset >> PAGE_SHIFT) + 1
        )
    elif advice == POSIX_FADV_DONTNEED:
        whole_file = end >= mapping.host.i_size
        last = (end + PAGE_SIZE - 1 if whole_file else end) >> PAGE_SHIFT
        invalidate_mapping_pages(mapping, (offset + PAGE_SIZE - 1) >> PAGE_SHIFT, last - 1)
    elif advice != POSIX_FADV_NOREUSE:
        raise EINVAL(advice)
