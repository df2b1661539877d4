"""ioctls of block devices.   Linux: include/uapi/linux/fs.h; the numbers are those of 64-bit machines.

Where C stores through a pointer, ours returns: BLKGETSIZE64 gives the size in bytes.
"""

BLKROSET = 0x125D  # arg: 1 makes the device read-only, 0 writable
BLKROGET = 0x125E  # returns 1 for a read-only device
BLKRRPART = 0x125F  # read the partition table again
BLKGETSIZE = 0x1260  # returns the size in sectors of 512 bytes
BLKFLSBUF = 0x1261  # write out and drop what is cached of the device
BLKRAGET = 0x1263  # returns the read-ahead in sectors of 512 bytes
BLKSSZGET = 0x1268  # returns the logical block size: the smallest that can be read or written
BLKPBSZGET = 0x127B  # returns the physical block size
BLKBSZGET = 0x80081270  # returns the block size of the device's page cache
BLKBSZSET = 0x40081271  # arg: set it
BLKGETSIZE64 = 0x80081272  # returns the size in bytes
