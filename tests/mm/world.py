"""A small world for the page cache: a kernel with a memory limit, a disk of bytes, files in pieces on it.

    world = World(memory=4 << 20, disk=16 << 20)
    file = world.file(size=1 << 20, extents=[(0, 40, 256)])    file block, disk block, blocks
    world.pread(file, 4096, 0)                                  what filemap_read gives
    world.disk.log                                              [(byte, length), ...] that were read

The disk is a driver without a request queue, so each bio of the page cache is one entry of the log.
"""

from types import SimpleNamespace

from vfslab.block.bio import bio_endio
from vfslab.fs.buffer import block_invalidate_folio, block_read_full_folio, try_to_free_buffers
from vfslab.fs.mpage import mpage_read_folio, mpage_readahead
from vfslab.include.blk_types import BLK_STS_IOERR, BlockDevice
from vfslab.include.blkdev import BlockDeviceOperations, Gendisk, QueueLimits, RequestQueue
from vfslab.include.buffer_head import BH_MAPPED, BH_UNWRITTEN
from vfslab.include.fs import AddressSpaceOperations, File, Inode, SuperBlock
from vfslab.include.kernel import Kernel
from vfslab.include.mm_types import Lruvec
from vfslab.include.sched import TaskStruct
from vfslab.include.uio import Kiocb
from vfslab.kernel.errno import EFSCORRUPTED
from vfslab.kernel.iov_iter import iov_iter_bytes, iov_iter_result, iov_iter_source
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import Slab, kzalloc
from vfslab.mm.filemap import filemap_read, generic_file_write_iter


class Disk:
    """A device over a bytearray that logs what it is asked, and fails at the sectors in `bad`."""

    def __init__(self, content):
        self.content, self.log, self.written, self.bad = content, [], [], set()
        self.bdev = kzalloc(BlockDevice, bd_nr_sectors=len(content) >> 9, bd_device=b"test")
        disk = kzalloc(Gendisk, fops=BlockDeviceOperations(submit_bio=self.submit_bio), part0=self.bdev)
        disk.queue = kzalloc(RequestQueue, disk=disk, limits=kzalloc(QueueLimits))
        self.bdev.bd_disk, self.bdev.bd_queue = disk, disk.queue
        sb = kzalloc(SuperBlock)
        inode = kzalloc(Inode, i_sb=sb, i_size=len(content))
        self.bdev.bd_mapping = inode.i_data
        inode.i_data.a_ops = AddressSpaceOperations(
            read_folio=lambda file, folio: block_read_full_folio(folio, self.get_block),
            readahead=lambda rac: mpage_readahead(rac, self.get_block),
            release_folio=try_to_free_buffers,
            invalidate_folio=block_invalidate_folio,
        )

    def get_block(self, inode, iblock, bh, create):
        bh.b_bdev, bh.b_blocknr = self.bdev, iblock
        bh.b_state |= BH_MAPPED

    def submit_bio(self, bio):
        at = bio.bi_sector << 9
        if self.bad.intersection(range(bio.bi_sector, bio.bi_sector + (bio.bi_size >> 9))):
            self.log.append((at, bio.bi_size))
            bio.bi_status = BLK_STS_IOERR
        elif bio.bi_opf & 1:
            self.written.append((at, bio.bi_size))
            for segment in bio.bi_io_vec:
                self.content[at : at + len(segment)] = segment
                at += len(segment)
        else:
            self.log.append((at, bio.bi_size))
            for segment in bio.bi_io_vec:
                segment[:] = self.content[at : at + len(segment)]
                at += len(segment)
        bio_endio(bio)


class World:
    """One kernel that is running here, its disk, and a superblock over it."""

    def __init__(self, memory=4 << 20, disk=8 << 20, blkbits=12, rng=None):
        self.kernel = Kernel()
        self.kernel._slab = Slab()
        cpu.kernel = self.kernel
        self.task = cpu.current = kzalloc(TaskStruct, kernel=self.kernel)
        self.node = self.kernel.node = kzalloc(Lruvec, limit_pages=memory >> 12)
        content = bytearray(disk)
        if rng is not None:
            content[:] = rng.randbytes(disk)
        self.disk, self.blkbits = Disk(content), blkbits
        self.sb = kzalloc(SuperBlock, s_bdev=self.disk.bdev, s_blocksize=1 << blkbits, s_blocksize_bits=blkbits)

    def inode(self, size, extents, unwritten=(), corrupt=None):
        """Return an inode of size bytes whose blocks lie as extents (file block, disk block, count) say."""

        def get_block(inode, iblock, bh, create):
            if corrupt is not None and iblock >= corrupt:
                raise EFSCORRUPTED(b"extent")
            unit = 1 << inode.i_blkbits
            self.asked.append(iblock)
            following = [first for first, _disk, _count in extents if first > iblock]
            length = (min(following) - iblock) if following else 1 << 40
            for first, disk, count in extents:
                if first <= iblock < first + count:
                    bh.b_state |= BH_MAPPED | (BH_UNWRITTEN if first in unwritten else 0)
                    bh.b_blocknr = disk + iblock - first
                    length = first + count - iblock
            bh.b_size = min(bh.b_size, length * unit)

        self.asked = []
        inode = kzalloc(Inode, i_sb=self.sb, i_size=size, i_blkbits=self.blkbits)
        inode.i_data.a_ops = AddressSpaceOperations(
            read_folio=lambda file, folio: mpage_read_folio(folio, get_block),
            readahead=lambda rac: mpage_readahead(rac, get_block),
        )
        return inode

    def file(self, size, extents=None, **more):
        """Return a new file of size bytes, open for reading; without extents it lies at the start of the disk."""
        blocks = -(-size >> self.blkbits)
        inode = self.inode(size, [(0, 0, blocks)] if extents is None else extents, **more)
        return self.open(inode)

    def open(self, inode):
        return kzalloc(File, f_inode=inode, f_mapping=inode.i_mapping, f_mode=3)

    def expected(self, size, extents, unwritten=()):
        """Return what such a file must contain, from the bytes of the disk."""
        content = bytearray(size)
        for first, disk, count in extents:
            if first not in unwritten:
                piece = self.disk.content[disk << self.blkbits : disk + count << self.blkbits]
                at = first << self.blkbits
                content[at : at + len(piece)] = piece
        return bytes(content[:size])

    def pread(self, file, count, pos):
        it = iov_iter_bytes(count)
        done = filemap_read(Kiocb(file, pos), it)
        data = iov_iter_result(it)
        assert len(data) == done
        return data

    def pwrite(self, file, data, pos):
        return generic_file_write_iter(Kiocb(file, pos), iov_iter_source([data]))

    def charged(self):
        """Return the bytes that count against the limit."""
        return self.node.nr_pages * 4096 + self.node.slab_bytes

    def check(self, *mappings):
        """The invariants of the lists and of the trees."""
        node = self.node
        assert node.nr_inactive == sum(folio.nr_pages for folio in node.inactive)
        assert node.nr_active == sum(folio.nr_pages for folio in node.active)
        kept = sum(size * len(views) for size, views in node.free_folios.items())
        in_files = 0
        for mapping in mappings:
            assert mapping.nrpages == len(mapping.i_pages)
            in_files += mapping.nrpages
            for index, folio in mapping.i_pages.items():
                assert folio.mapping is mapping and folio.index <= index < folio.index + folio.nr_pages
                assert len(folio.mem) == folio.nr_pages * 4096
                assert folio._refcount == 1
        if mappings:
            assert node.nr_pages == kept + in_files
        return SimpleNamespace(kept=kept, in_files=in_files)
