"""Images with journals to replay, and e2fsck as the judge of what replaying must give.

journal_of(image)   the journal as load_journal() gives it; debugfs tells where its blocks lie
judge(image)        {block: bytes} of what `e2fsck -E journal_only` changes in a copy
"""

import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from tests.images import e2fs
from vfslab.fs.jbd2.journal import load_journal
from vfslab.lib.crc32c import crc32c_by_table

SUPERBLOCK = 1024


def block_size(image):
    """Return the block size of an ext4 image."""
    with open(image, "rb") as file:
        file.seek(SUPERBLOCK + 0x18)
        return 1024 << struct.unpack("<I", file.read(4))[0]


def journal_bytes(image):
    """Return the journal file of an image; -c: its bitmaps may be older than their checksums."""
    with tempfile.TemporaryDirectory(prefix="vfslab-journal-") as work:
        dumped = Path(work, "journal")
        e2fs.run("debugfs", "-c", "-R", f"dump <8> {dumped}", image)
        return bytearray(dumped.read_bytes())


def journal_over(data, size):
    """Return the journal in these bytes."""
    return load_journal(lambda number: bytes(data[number * size : (number + 1) * size]), size, len(data) // size)


def journal_of(image):
    """Return the journal of an image."""
    return journal_over(journal_bytes(image), block_size(image))


def blocks_of(image):
    """Return a function (block) -> bytes, and the number of blocks, of an image held in memory."""
    data, size = Path(image).read_bytes(), block_size(image)
    return (lambda number: data[number * size : (number + 1) * size]), len(data) // size


def judge(image):
    """Return {block: bytes} of all blocks that e2fsck's replay changes, journal and superblock excepted."""
    with tempfile.TemporaryDirectory(prefix="vfslab-journal-") as work:
        copy = Path(work, "copy.img")
        shutil.copy(image, copy)
        os.chmod(copy, 0o600)
        done = subprocess.run(
            ["e2fsck", "-fy", "-E", "journal_only", copy], env=e2fs.ENV, capture_output=True, timeout=60
        )
        assert done.returncode in (0, 1), done.stdout
        before, count = blocks_of(image)
        after, _ = blocks_of(copy)
        not_ours = set(journal_blocks(image)) | {SUPERBLOCK // block_size(image)}
        return {
            block: after(block) for block in range(count) if block not in not_ours and before(block) != after(block)
        }


def journal_blocks(image):
    """Return the blocks that the journal file takes."""
    return [int(word) for word in e2fs.run("debugfs", "-c", "-R", "blocks <8>", image).split()]


def disagreements(image, overlay):
    """Return the blocks in which an overlay differs from what e2fsck makes of the image."""
    before, count = blocks_of(image)
    judged = judge(image)
    super_block = SUPERBLOCK // block_size(image)
    ours = {block: data for block, data in overlay.items() if block != super_block and before(block) != data}
    return sorted(block for block in set(ours) | set(judged) if ours.get(block) != judged.get(block))


# --- journals written here, block by block ------------------------------------------------------------

MAGIC = 0xC03B3998
COMPAT_CHECKSUM, REVOKE, WIDE, ASYNC, CSUM_V2, CSUM_V3 = 1, 1, 2, 4, 8, 16


class LogWriter:
    """Writes transactions into the bytes of a journal file, from the on-disk documentation alone."""

    def __init__(self, data, size, compat=0, incompat=REVOKE, first_sequence=1, start=1):
        self.data, self.size, self.compat, self.incompat = data, size, compat, incompat
        self.sequence, self.position, self.time = first_sequence, start, 1_700_000_000
        self.uuid = bytes(range(16))
        self.seed = crc32c_by_table(~0, self.uuid)
        self.last = len(data) // size
        head = struct.pack(">III IIIII i III 16s I", MAGIC, 4, 0, size, self.last, 1, first_sequence, start, 0,
                           compat, incompat, 0, self.uuid, 1)  # fmt: skip
        block = bytearray(head.ljust(1024, b"\0"))
        if incompat & (CSUM_V2 | CSUM_V3):
            block[0x50] = 4
            struct.pack_into(">I", block, 0xFC, crc32c_by_table(~0, block))
        self.put(0, block)

    @property
    def checked(self):
        return self.incompat & (CSUM_V2 | CSUM_V3)

    def put(self, number, block):
        self.data[number * self.size : (number + 1) * self.size] = bytes(block).ljust(self.size, b"\0")

    def append(self, block):
        """Write the next block of the ring; return its number."""
        number = self.position
        self.put(number, block)
        self.position = number + 1 if number + 1 < self.last else 1
        return number

    def header(self, kind):
        return struct.pack(">III", MAGIC, kind, self.sequence & 0xFFFFFFFF)

    def with_tail(self, block):
        """Return a descriptor or revoke block with its checksum at the end."""
        block = bytearray(bytes(block).ljust(self.size, b"\0"))
        if self.checked:
            block[-4:] = bytes(4)
            struct.pack_into(">I", block, self.size - 4, crc32c_by_table(self.seed, block))
        return block

    def tag(self, block, data, flags):
        crc = crc32c_by_table(crc32c_by_table(self.seed, struct.pack(">I", self.sequence & 0xFFFFFFFF)), data)
        if self.incompat & CSUM_V3:
            tag = struct.pack(">IIII", block & 0xFFFFFFFF, flags, block >> 32, crc)
        else:
            tag = struct.pack(">IHH", block & 0xFFFFFFFF, crc & 0xFFFF if self.incompat & CSUM_V2 else 0, flags)
            tag += struct.pack(">I", block >> 32) if self.incompat & WIDE else b""
            tag += b"\0\0" if self.incompat & CSUM_V2 else b""
        return tag if flags & 2 else tag + self.uuid

    def transaction(self, blocks=(), revoked=(), commit=True):
        """Append a transaction: (block, bytes) pairs, revoked block numbers, and the commit block."""
        written = bytearray()
        room = (self.size - 12 - 4 - 16) // 20
        blocks = list(blocks)
        for start in range(0, len(blocks), room):
            written += self.descriptor(blocks[start : start + room])
        if revoked:
            code = ">Q" if self.incompat & WIDE else ">I"
            body = b"".join(struct.pack(code, block) for block in revoked)
            self.append(self.with_tail(self.header(5) + struct.pack(">I", 16 + len(body)) + body))
        if commit:
            self.append(self.commit_block(written))
        self.sequence = self.sequence + 1 & 0xFFFFFFFF

    def descriptor(self, blocks):
        tags, copies = b"", []
        for index, (block, data) in enumerate(blocks):
            flags = (2 if index else 0) | (8 if index == len(blocks) - 1 else 0)
            if data[:4] == struct.pack(">I", MAGIC):
                flags, data = flags | 1, bytes(4) + data[4:]
            tags += self.tag(block, data, flags)
            copies.append(data)
        head = self.with_tail(self.header(1) + tags)
        for block in (head, *copies):
            self.append(block)
        return bytes(head) + b"".join(copies)

    def commit_block(self, written):
        block = bytearray(self.header(2).ljust(self.size, b"\0"))
        self.time += 1
        struct.pack_into(">QI", block, 0x30, self.time, 0)
        if self.compat & COMPAT_CHECKSUM:
            block[0xC:0xE] = b"\1\4"
            struct.pack_into(">I", block, 0x10, crc32_msb_first(bytes(written)))
        if self.checked:
            struct.pack_into(">I", block, 0x10, crc32c_by_table(self.seed, block))
        return block


def crc32_msb_first(data):
    """Return the CRC-32 that takes the highest bit first, bit by bit, from ~0 on."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def put_journal(image, data):
    """Write the bytes of a journal file into an image, and say that it needs recovery."""
    size = block_size(image)
    with open(image, "r+b") as file:
        for index, block in enumerate(journal_blocks(image)):
            file.seek(block * size)
            file.write(data[index * size : (index + 1) * size])
    needs_recovery(image, True)


def needs_recovery(image, flag):
    """Say in an image's superblock whether its journal must be replayed. (debugfs refuses an image with old bitmaps.)"""
    with open(image, "r+b") as file:
        file.seek(SUPERBLOCK)
        raw = bytearray(file.read(1024))
        (features,) = struct.unpack_from("<I", raw, 0x60)
        struct.pack_into("<I", raw, 0x60, features | 4 if flag else features & ~4)
        if raw[0x65] & 4:  # metadata_csum
            struct.pack_into("<I", raw, 0x3FC, crc32c_by_table(~0, raw[:0x3FC]))
        file.seek(SUPERBLOCK)
        file.write(raw)
