"""The partition table of the PC: four entries in sector 0, and a chain of more inside an extended one.

    sector 0        p1   p2   p3 (extended)   p4                       signature 55 AA
                              |
    first EBR       p5, link ──▶ second EBR   p6, link ──▶ ...         links count from the first EBR

The container of an extended partition gets a device of two sectors, so that a boot loader
can be put there and nothing else can be done by mistake.

Linux: block/partitions/msdos.c.   Chapter 9.
Left out: BSD, Solaris, Unixware and Minix tables inside a partition; the AIX signature.

Always true
  P1  the chain of EBRs ends: no EBR is read twice, and there are at most limit partitions
  P2  a disk with a protective entry (EE) in the table is left to efi.py
"""

from __future__ import annotations

from vfslab.block.partitions.check import ParsedPartitions, put_partition, read_part_sector
from vfslab.lib.ondisk import Layout, array, chars, le16, le32, u8

DOS_EXTENDED_PARTITION, WIN98_EXTENDED_PARTITION, LINUX_EXTENDED_PARTITION = 0x05, 0x0F, 0x85
EFI_PMBR_OSTYPE_EFI_GPT = 0xEE
MSDOS_LABEL_MAGIC = 0xAA55
EBR_MAX_EMPTY = 100  # links in a row that lead to no partition


class msdos_partition(Layout, size=16):
    boot_ind = u8("80: boot from here, 0: not; anything else and this is no table")
    start_chs = array(u8, 3, "first sector as head, sector, cylinder; unused")
    sys_ind = u8("type of content", enum={0: "unused", 5: "extended", 0x82: "swap", 0x83: "Linux", 0xEE: "GPT"})
    end_chs = array(u8, 3, "last sector as head, sector, cylinder; unused")
    start_sect = le32("first sector, in logical blocks")
    nr_sects = le32("length, in logical blocks")


class msdos_label(Layout, size=512):
    boot_code = chars(440, "program of the boot loader")
    disk_signature = le32("serial number of the disk")
    unknown = le16("0")
    entries = chars(64, "four times msdos_partition")
    magic = le16("AA55", at=510)


def msdos_parser(state: ParsedPartitions) -> bool:
    """Read the table in sector 0 and the extended partitions it names."""
    sector = read_part_sector(state, 0)
    if sector is None or msdos_label(sector).magic != MSDOS_LABEL_MAGIC:
        return False
    entries = [msdos_partition(sector, 446 + 16 * slot) for slot in range(4)]
    if any(entry.boot_ind not in (0, 0x80) for entry in entries):
        return False  # a boot sector of FAT or NTFS ends with the same two bytes
    if any(entry.sys_ind == EFI_PMBR_OSTYPE_EFI_GPT for entry in entries):
        return False
    signature = msdos_label(sector).disk_signature
    scale = state.sector_size // 512
    state.next = 5
    for number, entry in enumerate(entries, 1):
        start, size = entry.start_sect * scale, entry.nr_sects * scale
        if not size:
            continue
        if is_extended(entry):
            put_partition(state, number, start, min(size, max(scale, 2)), partition_uuid(signature, number))
            parse_extended(state, start, size, signature)
        else:
            put_partition(state, number, start, size, partition_uuid(signature, number))
    return True


def is_extended(entry: msdos_partition) -> bool:
    """True for an entry that leads to another table instead of to data."""
    return entry.sys_ind in (DOS_EXTENDED_PARTITION, WIN98_EXTENDED_PARTITION, LINUX_EXTENDED_PARTITION)


def partition_uuid(signature: int, number: int) -> bytes:
    """Return what PARTUUID= calls a partition of a disk with this signature."""
    return b"%08x-%02x" % (signature, number)


def parse_extended(state: ParsedPartitions, first_sector: int, first_size: int, signature: int) -> None:
    """Follow the chain of EBRs from first_sector on; each holds data partitions and a link to the next."""
    scale = state.sector_size // 512
    this_sector, this_size = first_sector, first_size
    seen, empty = set(), 0
    while state.next < state.limit and empty <= EBR_MAX_EMPTY:
        if this_sector in seen:
            return state.log(f"partition table: the chain of extended partitions comes back to sector {this_sector}")
        seen.add(this_sector)
        sector = read_part_sector(state, this_sector)
        if sector is None or msdos_label(sector).magic != MSDOS_LABEL_MAGIC:
            return state.log(f"partition table: no extended table in sector {this_sector}")
        entries = [msdos_partition(sector, 446 + 16 * slot) for slot in range(4)]
        empty += 1
        for slot, entry in enumerate(entries):
            start, size = this_sector + entry.start_sect * scale, entry.nr_sects * scale
            if not size or is_extended(entry):
                continue
            # Slots 3 and 4 are no part of the format; believed only where they stay inside.
            inside = start - this_sector + size <= this_size and start + size <= first_sector + first_size
            if slot < 2 or inside:
                put_partition(state, state.next, start, size, partition_uuid(signature, state.next))
                state.next += 1
                empty = 0
        links = [entry for entry in entries if entry.nr_sects and is_extended(entry)]
        if not links:
            return None
        this_sector = first_sector + links[0].start_sect * scale
        this_size = links[0].nr_sects * scale
    return None
