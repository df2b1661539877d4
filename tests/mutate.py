"""Damage ext4 images where a reader looks, one blow each, the same for the same seed.

    base = Base(data)                   find what is where, once
    data, told = base.mutant(7)         one damaged copy, and what was done to it

A blow falls on the superblock, a group descriptor, a bitmap, a used inode, an extent or indirect
block, a directory or hash-tree block, an attribute block, a long symlink or the journal. It comes in eight
ways: a bit, a byte, an interesting number, a small difference, zeros, noise, a
piece copied from elsewhere, the end cut off. Half of the mutants get their checksums made good
again, so that the damage lies behind them and the reader's own checks must hold.

The parser and the checksums here are this file's own, so that no error of the reader can hide in them:
`Base` first verifies every checksum of the healthy image with the code that later makes them good.
"""

import random
import struct

KINDS = ("superblock", "descriptor", "block-bitmap", "inode-bitmap", "inode", "extent", "indirect", "directory", "hash-tree", "xattr",
         "symlink", "journal")  # fmt: skip
WAYS = ("bit", "byte", "number", "delta", "zero", "noise", "copy", "cut")
NUMBERS = (0, 1, 2, 3, 7, 8, 10, 11, 12, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xF30A, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000,
           0xEA020000, 0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip
# What no checksum of ext4 covers, or not in every image: a change there can be seen by nobody.
UNCOVERED = {"symlink", "journal", "journal-data"}
GDT_CSUM, METADATA_CSUM = 0x10, 0x400  # s_feature_ro_compat
META_BG, BIT64, CSUM_SEED = 0x10, 0x80, 0x2000  # s_feature_incompat
INODE_INDEX, INODE_EXTENTS, INODE_INLINE = 0x1000, 0x80000, 0x10000000
S_IFMT, S_IFDIR, S_IFLNK = 0xF000, 0x4000, 0xA000
JOURNAL_INO, JBD2_MAGIC, JBD2_CSUM_V3 = 8, b"\xc0\x3b\x39\x98", 0x10
JBD2_SUPER, JBD2_COMMIT = (3, 4), 2  # h_blocktype


# --- checksums ---------------------------------------------------------------------------------


def reflected_table(polynomial):
    """Return the 256 steps of a CRC that takes the lowest bit first."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        table.append(value)
    return table


CASTAGNOLI, ARC = reflected_table(0x82F63B78), reflected_table(0xA001)


def crc(table, start, *pieces):
    """Return the CRC of some pieces of bytes, begun at start, not inverted at the end: as ext4 stores it."""
    value = start
    for piece in pieces:
        for byte in piece:
            value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    return value


def crc32c(start, *pieces):
    """Return the CRC-32C of the pieces."""
    return crc(CASTAGNOLI, start, *pieces)


def le32(number):
    """Return four bytes."""
    return struct.pack("<I", number)


def get(data, form, offset):
    """Return one number from data."""
    return struct.unpack_from("<" + form, data, offset)[0]


# --- where everything is -----------------------------------------------------------------------


class Region:
    """One structure of the image: what it is, where, how long, and of which inode or group."""

    __slots__ = ("kind", "start", "length", "owner")

    def __init__(self, kind, start, length, owner):
        self.kind, self.start, self.length, self.owner = kind, start, length, owner

    def __str__(self):
        return f"{self.kind} of {self.owner} at {self.start:#x}"


class Base:
    """A healthy image and all of its metadata."""

    def __init__(self, data, kinds=()):
        """kinds: strike these alone. A dirty journal needs it, beside which other blocks are out of date: and there the
        copies of blocks in the journal, "journal-data", are of use."""
        self.data = bytes(data)
        self.read_super()
        self.regions = [region for region in self.find() if region.kind in (kinds or KINDS)]
        self.by_kind = {}
        for region in self.regions:
            self.by_kind.setdefault(region.kind, []).append(region)
        self.verify()

    def read_super(self):
        """Take from the superblock what the rest needs."""
        data = self.data
        if get(data, "H", 0x438) != 0xEF53:
            raise ValueError("no ext4 superblock")
        self.bs = 1024 << get(data, "I", 0x418)
        self.compat, self.incompat, self.ro_compat = struct.unpack_from("<III", data, 0x45C)
        if self.incompat & META_BG:
            raise ValueError("a base with meta_bg is not known here")
        self.inodes_per_group = get(data, "I", 0x428)
        self.blocks_per_group = get(data, "I", 0x420)
        self.inode_size = get(data, "H", 0x458) if get(data, "I", 0x44C) else 128
        self.desc_size = (get(data, "H", 0x4FE) if self.incompat & BIT64 else 0) or 32
        self.gdt = (get(data, "I", 0x414) + 1) * self.bs
        self.groups = -(-get(data, "I", 0x400) // self.inodes_per_group)
        self.uuid = data[0x468:0x478]
        self.csum = bool(self.ro_compat & METADATA_CSUM)
        self.seed = get(data, "I", 0x670) if self.incompat & CSUM_SEED else crc32c(0xFFFFFFFF, self.uuid)

    def desc(self, group):
        """Return the offset of a group's descriptor."""
        return self.gdt + group * self.desc_size

    def inode_at(self, ino):
        """Return the offset of an inode."""
        group, index = divmod(ino - 1, self.inodes_per_group)
        return get(self.data, "I", self.desc(group) + 8) * self.bs + index * self.inode_size

    def find(self):
        """Yield all regions."""
        yield Region("superblock", 1024, 1024, "the filesystem")
        for group in range(self.groups):
            desc = self.desc(group)
            yield Region("descriptor", desc, self.desc_size, group)
            yield Region("block-bitmap", get(self.data, "I", desc) * self.bs, self.bs, group)
            bitmap = get(self.data, "I", desc + 4) * self.bs
            yield Region("inode-bitmap", bitmap, self.bs, group)
            if get(self.data, "H", desc + 0x12) & 1:
                continue  # the inode bitmap was never written
            for index in range(self.inodes_per_group):
                if self.data[bitmap + index // 8] >> index % 8 & 1:
                    yield from self.of_inode(group * self.inodes_per_group + index + 1)

    def of_inode(self, ino):
        """Yield the regions of one used inode: itself and the metadata it points to."""
        at, data = self.inode_at(ino), self.data
        mode, flags = get(data, "H", at), get(data, "I", at + 0x20)
        if mode == 0:
            return
        yield Region("inode", at, self.inode_size, ino)
        if acl := get(data, "I", at + 0x68):
            yield Region("xattr", acl * self.bs, self.bs, ino)
        if flags & INODE_INLINE or not get(data, "I", at + 0x1C):
            return
        if mode & S_IFMT not in (0x8000, S_IFDIR, S_IFLNK) or (
            mode & S_IFMT == S_IFLNK and get(data, "I", at + 4) < 60
        ):
            return
        blocks = self.extents(ino, at + 40, 60) if flags & INODE_EXTENTS else self.pointers(ino, at + 40)
        logical = 0
        for item in blocks:
            if isinstance(item, Region):
                yield item
                continue
            yield from self.content(ino, mode, flags, logical, item * self.bs)
            logical += 1

    def content(self, ino, mode, flags, logical, start):
        """Yield the region of a block of content, if it is metadata."""
        if mode & S_IFMT == S_IFDIR:
            indexed = (
                flags & INODE_INDEX
                and (logical == 0 or get(self.data, "IH", start) == 0)
                and self.is_dx(start, logical)
            )
            yield Region("hash-tree" if indexed else "directory", start, self.bs, ino)
        elif mode & S_IFMT == S_IFLNK:
            yield Region("symlink", start, self.bs, ino)
        elif ino == JOURNAL_INO and any(self.data[start : start + self.bs]):
            yield Region(
                "journal" if self.data[start : start + 4] == JBD2_MAGIC else "journal-data", start, self.bs, ino
            )

    def is_dx(self, start, logical):
        """Is this block of an indexed directory a root or a node of the tree?"""
        return logical == 0 or struct.unpack_from("<IH", self.data, start) == (0, self.bs)

    def extents(self, ino, at, length):
        """Yield regions of tree blocks, and block numbers of content, in logical order."""
        entries, depth = get(self.data, "H", at + 2), get(self.data, "H", at + 6)
        for entry in range(at + 12, at + 12 + 12 * entries, 12):
            if depth:
                child = get(self.data, "I", entry + 4) * self.bs
                yield Region("extent", child, self.bs, ino)
                yield from self.extents(ino, child, self.bs)
            else:
                count, block = get(self.data, "H", entry + 4), get(self.data, "I", entry + 8)
                if count <= 32768:
                    yield from range(block, block + count)

    def pointers(self, ino, at):
        """Yield the same of a block-mapped inode."""
        for slot in range(15):
            if block := get(self.data, "I", at + 4 * slot):
                yield from self.below(ino, block, max(slot - 11, 0))

    def below(self, ino, block, depth):
        """Yield what lies under one pointer."""
        if depth == 0:
            yield block
            return
        start = block * self.bs
        yield Region("indirect", start, self.bs, ino)
        for (child,) in struct.iter_unpack("<I", self.data[start : start + self.bs]):
            if child:
                yield from self.below(ino, child, depth - 1)

    # --- checksums of the regions ---

    def inode_seed(self, data, ino):
        """Return what the checksums of an inode and of its blocks begin with."""
        return crc32c(self.seed, le32(ino), data[self.inode_at(ino) + 100 :][:4])

    def sums(self, data, region):
        """Return [(offset, form, value)] of the checksum fields that this region's bytes decide."""
        function = getattr(self, "sum_" + region.kind.replace("-", "_"), None)
        if region.kind == "descriptor" and self.ro_compat & (GDT_CSUM | METADATA_CSUM):
            return function(data, region)
        return list(function(data, region)) if self.csum and function else []

    def sum_superblock(self, data, region):
        return [(1024 + 0x3FC, "I", crc32c(0xFFFFFFFF, data[1024 : 1024 + 0x3FC]))]

    def sum_descriptor(self, data, region):
        before, after = (
            data[region.start : region.start + 0x1E],
            data[region.start + 0x20 : region.start + self.desc_size],
        )
        if self.csum:
            value = crc32c(self.seed, le32(region.owner), before, b"\0\0", after)
        else:
            value = crc(ARC, 0xFFFF, self.uuid, le32(region.owner), before, after)
        return [(region.start + 0x1E, "H", value & 0xFFFF)]

    def bitmap_sum(self, data, region, bits, lo, hi, uninit):
        desc = self.desc(region.owner)
        if get(self.data, "H", desc + 0x12) & uninit:
            return []
        value = crc32c(self.seed, data[region.start : region.start + bits // 8])
        fields = [(desc + lo, "H", value & 0xFFFF)] + ([(desc + hi, "H", value >> 16)] if self.desc_size >= 64 else [])
        return fields

    def sum_block_bitmap(self, data, region):
        return self.bitmap_sum(data, region, self.blocks_per_group, 0x18, 0x38, 2)

    def sum_inode_bitmap(self, data, region):
        return self.bitmap_sum(data, region, self.inodes_per_group, 0x1A, 0x3A, 1)

    def sum_inode(self, data, region):
        raw = bytearray(data[region.start : region.start + region.length])
        wide = region.length > 128 and get(raw, "H", 0x80) >= 4
        struct.pack_into("<H", raw, 0x7C, 0)
        if wide:
            struct.pack_into("<H", raw, 0x82, 0)
        value = crc32c(self.seed, le32(region.owner), raw[100:104], raw)
        return [(region.start + 0x7C, "H", value & 0xFFFF)] + (
            [(region.start + 0x82, "H", value >> 16)] if wide else []
        )

    def sum_extent(self, data, region):
        tail = 12 + 12 * get(data, "H", region.start + 4)
        if tail + 4 > self.bs:
            return []
        return [
            (
                region.start + tail,
                "I",
                crc32c(self.inode_seed(data, region.owner), data[region.start : region.start + tail]),
            )
        ]

    def sum_directory(self, data, region):
        end = region.start + self.bs
        return [(end - 4, "I", crc32c(self.inode_seed(data, region.owner), data[region.start : end - 12]))]

    def sum_hash_tree(self, data, region):
        first = region.start + (8 if struct.unpack_from("<IH", data, region.start) == (0, self.bs) else 0x20)
        limit, count = struct.unpack_from("<HH", data, first)
        tail = first + 8 * limit
        if tail + 8 > region.start + self.bs or count > limit:
            return []
        seed = self.inode_seed(data, region.owner)
        return [(tail + 4, "I", crc32c(seed, data[region.start : first + 8 * count], data[tail : tail + 4], bytes(4)))]

    def sum_xattr(self, data, region):
        raw = bytearray(data[region.start : region.start + self.bs])
        struct.pack_into("<I", raw, 16, 0)
        return [(region.start + 16, "I", crc32c(self.seed, struct.pack("<Q", region.start // self.bs), raw))]

    def sum_journal(self, data, region):
        """The journal's own: in the superblock, the commit block, and the tails of descriptor and revoke blocks."""
        first = next(region for region in self.by_kind["journal"])
        if not self.big(self.data, first.start + 0x28) & JBD2_CSUM_V3:
            return []
        kind = self.big(data, region.start + 4)
        if kind in JBD2_SUPER:
            place, length, seed = 0xFC, 1024, 0xFFFFFFFF
        else:
            place, length = 0x10 if kind == JBD2_COMMIT else self.bs - 4, self.bs
            seed = crc32c(0xFFFFFFFF, self.data[first.start + 0x30 : first.start + 0x40])
        raw = bytearray(data[region.start : region.start + length])
        raw[place : place + 4] = bytes(4)
        value = crc32c(seed, raw)
        return [(region.start + place, "I", int.from_bytes(value.to_bytes(4, "big"), "little"))]

    @staticmethod
    def big(data, offset):
        """Return a number of the journal, whose order of bytes is the other one."""
        return struct.unpack_from(">I", data, offset)[0]

    def verify(self):
        """Refuse an image of which this file reads a checksum wrong."""
        for region in self.regions:
            for offset, form, value in self.sums(self.data, region):
                if get(self.data, form, offset) != value:
                    raise ValueError(f"{region}: checksum field at {offset:#x} does not hold {value:#x}")

    def make_good(self, data, region):
        """Write the checksums that the region's bytes decide, and what these in turn decide."""
        for offset, form, value in self.sums(data, region):
            struct.pack_into("<" + form, data, offset, value)
        if region.kind.endswith("bitmap"):
            self.make_good(data, Region("descriptor", self.desc(region.owner), self.desc_size, region.owner))
        if region.kind == "inode" and self.csum:
            for below in self.regions:  # a new generation is a new seed for the inode's blocks
                if below.owner == region.owner and below.kind in ("extent", "directory", "hash-tree"):
                    self.make_good(data, below)

    # --- the blow ---

    def mutant(self, seed, redo=None):
        """Return (bytearray, what was done, region). redo: are checksums made good? None: half of the time."""
        chance = random.Random(f"mutant {seed}")
        region = chance.choice(self.by_kind[chance.choice(sorted(self.by_kind))])
        way = chance.choice(WAYS)
        redone = chance.random() < 0.5 if redo is None else redo
        data = bytearray(self.data)
        told = getattr(self, "do_" + way)(chance, data, region)
        if redone and way != "cut":
            self.make_good(data, region)
        return data, f"{region}: {told}{', checksum made good' if redone and way != 'cut' else ''}", region

    def place(self, chance, region, width=1):
        """Return an offset in the region, rather one where something stands."""
        for _ in range(4):
            offset = region.start + chance.randrange(region.length // width) * width
            if any(self.data[offset : offset + width]):
                break
        return offset

    def do_bit(self, chance, data, region):
        offset, bit = self.place(chance, region), chance.randrange(8)
        data[offset] ^= 1 << bit
        return f"bit {bit} of byte {offset - region.start:#x} turned"

    def do_byte(self, chance, data, region):
        offset, value = self.place(chance, region), chance.randrange(256)
        data[offset] = value
        return f"byte {offset - region.start:#x} = {value:#x}"

    def do_number(self, chance, data, region):
        width, form = chance.choice(((2, "<H"), (4, "<I")))
        offset, value = self.place(chance, region, width), chance.choice(NUMBERS) & (1 << 8 * width) - 1
        struct.pack_into(form, data, offset, value)
        return f"u{8 * width} at {offset - region.start:#x} = {value:#x}"

    def do_delta(self, chance, data, region):
        width, form = chance.choice(((2, "<H"), (4, "<I")))
        offset, delta = self.place(chance, region, width), chance.choice((-256, -16, -4, -2, -1, 1, 2, 4, 16, 256))
        (value,) = struct.unpack_from(form, data, offset)
        struct.pack_into(form, data, offset, (value + delta) & (1 << 8 * width) - 1)
        return f"u{8 * width} at {offset - region.start:#x} {delta:+}"

    def span(self, chance, region):
        """Return (start, end) of a piece of the region, sometimes all of it."""
        if chance.random() < 0.2:
            return region.start, region.start + region.length
        start = self.place(chance, region, 4)
        return start, min(start + chance.choice((4, 8, 12, 16, 64, 256)), region.start + region.length)

    def do_zero(self, chance, data, region):
        start, end = self.span(chance, region)
        data[start:end] = bytes(end - start)
        return f"{end - start} bytes from {start - region.start:#x} zeroed"

    def do_noise(self, chance, data, region):
        start, end = self.span(chance, region)
        data[start:end] = chance.randbytes(end - start)
        return f"{end - start} bytes from {start - region.start:#x} are noise"

    def do_copy(self, chance, data, region):
        other = chance.choice(self.regions)
        length = min(region.length, other.length)
        data[region.start : region.start + length] = self.data[other.start : other.start + length]
        return f"{length} bytes copied from {other}"

    def do_cut(self, chance, data, region):
        end = region.start + chance.choice((0, region.length // 2, region.length))
        del data[end:]
        return f"the image ends at {end:#x}"
