"""Regular files: opening, seeking, and where their data lies.

Reading is filemap's (mm/filemap.py), through ext4_aops.

Linux: fs/ext4/file.c, ext4_fiemap of extents.c.   Chapter 5.
Left out: writing, direct I/O, DAX, mmap.
"""

from __future__ import annotations

from vfslab.fs.ext4.ext4 import EXT4_I, EXT4_MAP_HOLE, EXT4_MAP_MAPPED, EXT4_MAP_UNWRITTEN, EXT4_SB
from vfslab.fs.ext4.extents import EXT_MAX_BLOCKS
from vfslab.fs.ext4.format import EXT4_EXTENTS_FL, EXT4_INLINE_DATA_FL
from vfslab.fs.ext4.inline import ext4_inline_content
from vfslab.fs.ext4.inode import ext4_getattr, ext4_inode_location, ext4_map_blocks
from vfslab.fs.ext4.readpage import ext4_aops
from vfslab.fs.ext4.xattr import ext4_listxattr
from vfslab.fs.read_write import generic_file_llseek_size, vfs_setpos
from vfslab.include.fs import S_ENCRYPTED, File, FileOperations, Inode, InodeOperations
from vfslab.include.uapi.fcntl import SEEK_DATA, SEEK_HOLE
from vfslab.kernel.errno import ENOENT, ENOKEY, ENXIO
from vfslab.mm.filemap import generic_file_read_iter

FIEMAP_EXTENT_LAST, FIEMAP_EXTENT_NOT_ALIGNED, FIEMAP_EXTENT_DATA_INLINE, FIEMAP_EXTENT_UNWRITTEN = (
    1,
    0x100,
    0x200,
    0x800,
)


def ext4_file_open(inode: Inode, file: File) -> None:
    """Let everything be opened but what would show ciphertext.

    The page cache gets its operations here, not in ext4_iget: most inodes are only looked at, and need none.
    """
    if inode.i_flags & S_ENCRYPTED:
        raise ENOKEY(f"inode #{inode.i_ino} is encrypted")
    inode.i_mapping.a_ops = ext4_aops


def ext4_llseek(file: File, offset: int, whence: int) -> int:
    """Return the new position; SEEK_DATA and SEEK_HOLE know the file's map."""
    inode = file.f_inode
    sbi = EXT4_SB(inode.i_sb)
    maxbytes = inode.i_sb.s_maxbytes if EXT4_I(inode).i_flags & EXT4_EXTENTS_FL else sbi.s_bitmap_maxbytes
    if whence in (SEEK_DATA, SEEK_HOLE):
        if not 0 <= offset < inode.i_size:
            raise ENXIO(offset)
        return vfs_setpos(file, seek_in_map(inode, offset, whence == SEEK_DATA), maxbytes)
    return generic_file_llseek_size(file, offset, whence, maxbytes, inode.i_size)


def seek_in_map(inode: Inode, offset: int, wants_data: bool) -> int:
    """Return the first place from offset on that is data, or a hole; ENXIO if no data follows. Unwritten is a hole."""
    if EXT4_I(inode).i_flags & EXT4_INLINE_DATA_FL:
        return seek_inline(inode, offset, wants_data)
    bits, size = inode.i_blkbits, inode.i_size
    pos = offset
    while pos < size:
        lblk = pos >> bits
        if lblk >= EXT_MAX_BLOCKS:
            break
        state, _, length = ext4_map_blocks(inode, lblk)
        if (state == EXT4_MAP_MAPPED) == wants_data:
            return pos
        pos = lblk + length << bits
    if wants_data:
        raise ENXIO(offset)
    return size


def seek_inline(inode: Inode, offset: int, wants_data: bool) -> int:
    """As seek_in_map, for data inside the inode: one piece of data. ENOENT if i_size promises more, as in Linux."""
    end = min(len(ext4_inline_content(inode)), inode.i_size)
    if offset >= end or (end < inode.i_size and not wants_data):
        raise ENOENT(offset)
    return offset if wants_data else end


def ext4_fiemap(inode: Inode, start: int, length: int) -> list[tuple[int, int, int, int]]:
    """Return (byte of the file, byte of the device, bytes, FIEMAP_EXTENT_*) of what lies between start and its end."""
    if EXT4_I(inode).i_flags & EXT4_INLINE_DATA_FL:
        block, offset = ext4_inode_location(inode.i_sb, inode.i_ino)
        flags = FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_LAST
        return [(0, (block << inode.i_blkbits) + offset + 0x28, inode.i_size, flags)] if start < inode.i_size else []
    bits, found = inode.i_blkbits, []
    lblk = start >> bits
    end = min(start + length + (1 << bits) - 1 >> bits, EXT_MAX_BLOCKS)
    if not EXT4_I(inode).i_flags & EXT4_EXTENTS_FL:
        end = min(end, -(-inode.i_size >> bits))
    while lblk < end:
        state, pblk, blocks = ext4_map_blocks(inode, lblk)
        if state != EXT4_MAP_HOLE:
            flags = FIEMAP_EXTENT_UNWRITTEN if state == EXT4_MAP_UNWRITTEN else 0
            found.append((lblk << bits, pblk << bits, blocks << bits, flags))
        lblk += blocks
    if found and lblk >= EXT_MAX_BLOCKS:
        found[-1] = (*found[-1][:3], found[-1][3] | FIEMAP_EXTENT_LAST)
    return found


ext4_file_operations = FileOperations(llseek=ext4_llseek, read_iter=generic_file_read_iter, open=ext4_file_open)

ext4_file_inode_operations = InodeOperations(getattr=ext4_getattr, listxattr=ext4_listxattr, fiemap=ext4_fiemap)
ext4_special_inode_operations = InodeOperations(getattr=ext4_getattr, listxattr=ext4_listxattr)
