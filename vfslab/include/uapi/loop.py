"""The loop driver's face: ioctls of /dev/loop-control and /dev/loopN, and the structures they take.

    LOOP_CTL_GET_FREE                      on /dev/loop-control: returns the number of a free device
    LOOP_CONFIGURE, loop_config            on /dev/loopN: file and options at once (since 5.8)
    LOOP_SET_FD, fd                        the file alone
    LOOP_CLR_FD                            let the file go, now or at the last close
    LOOP_GET_STATUS64                      returns a loop_info64, as bytes

Linux: include/uapi/linux/loop.h.
"""

from vfslab.lib.ondisk import Layout, array, chars, le32, le64, nested

LOOP_SET_FD = 0x4C00
LOOP_CLR_FD = 0x4C01
LOOP_SET_STATUS64 = 0x4C04
LOOP_GET_STATUS64 = 0x4C05
LOOP_SET_CAPACITY = 0x4C07
LOOP_SET_BLOCK_SIZE = 0x4C09
LOOP_CONFIGURE = 0x4C0A
LOOP_CTL_ADD = 0x4C80
LOOP_CTL_REMOVE = 0x4C81
LOOP_CTL_GET_FREE = 0x4C82

LO_FLAGS_READ_ONLY = 1
LO_FLAGS_AUTOCLEAR = 4
LO_FLAGS_PARTSCAN = 8
LO_FLAGS_DIRECT_IO = 16
LO_NAME_SIZE = 64


class loop_info64(Layout, size=232):
    lo_device = le64("device number of the filesystem that the file lies on")
    lo_inode = le64("its inode number there")
    lo_rdevice = le64("its own device number, if it is a block device")
    lo_offset = le64("first byte of the file that is sector 0")
    lo_sizelimit = le64("bytes that the device may show; 0: all there are")
    lo_number = le32("N of /dev/loopN")
    lo_encrypt_type = le32("0; no longer used")
    lo_encrypt_key_size = le32("0; no longer used")
    lo_flags = le32("", flags={1: "READ_ONLY", 4: "AUTOCLEAR", 8: "PARTSCAN", 16: "DIRECT_IO"})
    lo_file_name = chars(LO_NAME_SIZE, "name of the file, as whoever set it up wants it shown")
    lo_crypt_name = chars(LO_NAME_SIZE, "0; no longer used")
    lo_encrypt_key = chars(32, "0; no longer used")
    lo_init = array(le64, 2, "0; no longer used")


class loop_config(Layout, size=304):
    fd = le32("the file, as a descriptor of the caller")
    block_size = le32("logical block size in bytes; 0: 512")
    info = nested(loop_info64, "offset, size limit, flags and name")
    reserved = array(le64, 8, "0")
