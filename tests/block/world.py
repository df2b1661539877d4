"""A kernel with disks and nothing else, for tests of the block layer and of drivers.

world = World()
disk = world.attach("vda", bytearray(1 << 20))      a hostdisk
world.read(disk.part0, 8, 2)                        two sectors, through submit_bio
scripted = world.scripted(sectors=2048)             a driver that notes each request and does as told
"""

import threading

from vfslab.block.bio import bio_add_mem, bio_alloc, bio_put
from vfslab.block.blk_core import submit_bio_wait
from vfslab.block.blk_mq import blk_mq_end_request, rq_segments
from vfslab.block.genhd import blk_mq_alloc_disk, device_add_disk, set_capacity
from vfslab.drivers import hostdisk
from vfslab.fs.block_dev import blkdev_init
from vfslab.include.blk_types import (
    BLK_STS_OK,
    BLK_STS_RESOURCE,
    REQ_FUA,
    REQ_OP_FLUSH,
    REQ_OP_MASK,
    REQ_OP_READ,
    REQ_OP_WRITE,
)
from vfslab.include.blkdev import BlkMqOps, BlockDeviceOperations, QueueLimits
from vfslab.include.kernel import Kernel
from vfslab.include.mm_types import Lruvec
from vfslab.include.sched import Cred, FilesStruct, TaskStruct
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import Slab, kzalloc


class World:
    """One running kernel, entered by this thread until another one is."""

    def __init__(self, memory=16 << 20):
        kernel = self.kernel = Kernel()
        kernel._slab = Slab()
        kernel.baton = threading.RLock()
        kernel.clock = lambda: 0
        cpu.kernel = kernel
        task = kernel.init_task = kzalloc(TaskStruct, kernel=kernel)
        self.enter()
        task.cred, task.files = kzalloc(Cred), kzalloc(FilesStruct)
        kernel.node = kzalloc(Lruvec, limit_pages=memory >> 12)
        blkdev_init(kernel)

    def enter(self):
        cpu.kernel, cpu.current = self.kernel, self.kernel.init_task

    def attach(self, name, source, read_only=False):
        return hostdisk.attach(self.kernel, name, source, read_only)

    def detach(self, disk):
        hostdisk.detach(self.kernel, disk)

    def scripted(self, sectors=2048, **limits):
        return Scripted(sectors, **limits)

    def read(self, bdev, sector, count=1, flags=0):
        buffer = memoryview(bytearray(count * 512))
        submit(bdev, REQ_OP_READ | flags, sector, buffer)
        return bytes(buffer)

    def write(self, bdev, sector, data, flags=0):
        submit(bdev, REQ_OP_WRITE | flags, sector, memoryview(bytearray(data)))

    @property
    def log(self):
        return [text for _level, text in self.kernel.log]


def submit(bdev, opf, sector, *segments):
    """Send one bio and wait for it."""
    bio = make_bio(bdev, opf, sector, *segments)
    try:
        submit_bio_wait(bio)
    finally:
        bio_put(bio)


def make_bio(bdev, opf, sector, *segments):
    """Return a bio that is ready to be submitted."""
    bio = bio_alloc(bdev, opf)
    bio.bi_sector = sector
    for segment in segments:
        if len(segment):
            bio_add_mem(bio, segment)
    return bio


class Scripted:
    """A disk in memory that notes (operation, sector, sectors, segments) of each request.

    deferred   requests are only begun by queue_rq, and end when the queue is polled
    busy       how many times queue_rq says that it can take nothing now
    fail       {number of the request: status}
    """

    def __init__(self, sectors, **limits):
        self.content, self.log = bytearray(sectors * 512), []
        self.deferred, self.busy, self.fail, self.begun = False, 0, {}, []
        ops = BlkMqOps(queue_rq=self.queue_rq, poll=self.poll)
        self.disk = blk_mq_alloc_disk(ops, kzalloc(QueueLimits, **limits), self)
        self.disk.disk_name, self.disk.major, self.disk.fops = b"scripted", 200, BlockDeviceOperations()
        set_capacity(self.disk, sectors)
        device_add_disk(self.disk)
        self.bdev = self.disk.part0
        self.log.clear()  # of looking for partitions

    def queue_rq(self, hctx, rq):
        if self.busy:
            self.busy -= 1
            return BLK_STS_RESOURCE
        names = {REQ_OP_READ: "read", REQ_OP_WRITE: "write", REQ_OP_FLUSH: "flush"}
        name = names[rq.cmd_flags & REQ_OP_MASK] + ("+fua" if rq.cmd_flags & REQ_FUA else "")
        segments = [] if rq.bio is None else rq_segments(rq)
        assert sum(map(len, segments)) == rq.data_len and len(segments) == rq.nr_phys_segments
        self.log.append((name, rq.sector, rq.data_len >> 9, len(segments)))
        number = len(self.log)
        if number in self.fail:
            return self.fail[number]
        if self.deferred:
            self.begun.append(rq)
        else:
            self.finish(rq)
        return BLK_STS_OK

    def finish(self, rq):
        at = rq.sector * 512
        for segment in [] if rq.bio is None else rq_segments(rq):
            if rq.cmd_flags & 1:
                self.content[at : at + len(segment)] = segment
            else:
                segment[:] = self.content[at : at + len(segment)]
            at += len(segment)
        blk_mq_end_request(rq, BLK_STS_OK)

    def poll(self, hctx):
        begun, self.begun = self.begun, []
        for rq in begun:
            self.finish(rq)
        return len(begun)
