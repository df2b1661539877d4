"""The GUID partition table: header and entries with checksums, twice on the disk.

    block 0      protective MBR: one entry of type EE over the whole disk
    block 1      header       ──partition_entry_lba──▶ block 2..33  entries, 128 bytes each
    ...
    last - 32    entries again ◀──partition_entry_lba── header again, in the last block

The header has a checksum, and holds that of the entries. If the first copy is damaged, the second
is used, with a line in the log. A hybrid MBR (EE beside other entries) is still a GPT disk.

Linux: block/partitions/efi.c; UEFI 2.10, section 5.   Chapter 9.
Differs: Linux looks for the copy in the last block only with the boot parameter `gpt`; we always do.

Always true
  E1  entries are used only if both checksums over them are right
  E2  at most limit - 1 partitions; a table larger than 4 MiB is refused before it is read
"""

from __future__ import annotations

import zlib

from vfslab.block.partitions.check import ParsedPartitions, put_partition, read_part_sector
from vfslab.block.partitions.msdos import EFI_PMBR_OSTYPE_EFI_GPT, MSDOS_LABEL_MAGIC, msdos_label, msdos_partition
from vfslab.lib.ondisk import Layout, chars, le32, le64

GPT_HEADER_SIGNATURE = b"EFI PART"
GPT_PRIMARY_PARTITION_TABLE_LBA = 1
MAX_TABLE_BYTES = 4 << 20


class gpt_header(Layout, size=92):
    signature = chars(8, "EFI PART")
    revision = le32("00010000")
    header_size = le32("bytes that header_crc32 covers")
    header_crc32 = le32("CRC-32 of the header, this member taken as 0")
    reserved1 = le32("0")
    my_lba = le64("block this header lies in")
    alternate_lba = le64("block the other header lies in")
    first_usable_lba = le64("first block for partitions")
    last_usable_lba = le64("last block for partitions")
    disk_guid = chars(16, "name of the disk")
    partition_entry_lba = le64("first block of the entries")
    num_partition_entries = le32("how many there are")
    sizeof_partition_entry = le32("bytes of one")
    partition_entry_array_crc32 = le32("CRC-32 of all entries")


class gpt_entry(Layout, size=128):
    partition_type_guid = chars(16, "zero: unused")
    unique_partition_guid = chars(16, "name of the partition")
    starting_lba = le64("first block")
    ending_lba = le64("last block, itself included")
    attributes = le64("flags")
    partition_name = chars(72, "label in UTF-16")


def efi_partition(state: ParsedPartitions) -> bool:
    """Read a GPT, if the MBR says that there is one."""
    if not is_pmbr(state):
        return False
    found = find_valid_gpt(state)
    if found is None:
        state.log("partition table: the MBR promises a GPT, but neither copy of it is intact")
        return False
    import uuid  # only a GPT needs it, and it asks the host a lot first

    header, entries = found
    scale = state.sector_size // 512
    for number in range(1, min(header.num_partition_entries, state.limit - 1) + 1):
        entry = gpt_entry(entries, (number - 1) * gpt_entry.size)
        if not is_pte_valid(entry, state.last_lba):
            continue
        size = (entry.ending_lba - entry.starting_lba + 1) * scale
        name = str(uuid.UUID(bytes_le=bytes(entry.unique_partition_guid))).encode()
        put_partition(state, number, entry.starting_lba * scale, size, name)
    return True


def is_pmbr(state: ParsedPartitions) -> bool:
    """True if sector 0 holds an MBR with an entry of type EE that starts at block 1."""
    sector = read_part_sector(state, 0)
    if sector is None or msdos_label(sector).magic != MSDOS_LABEL_MAGIC:
        return False
    entries = [msdos_partition(sector, 446 + 16 * slot) for slot in range(4)]
    return any(e.sys_ind == EFI_PMBR_OSTYPE_EFI_GPT and e.start_sect == 1 for e in entries)


def find_valid_gpt(state: ParsedPartitions) -> tuple[gpt_header, bytes] | None:
    """Return header and entries of the first copy, or of the second if the first is damaged, or None."""
    first = read_gpt(state, GPT_PRIMARY_PARTITION_TABLE_LBA)
    if first is None:
        second = read_gpt(state, state.last_lba)
        if second is not None:
            state.log("partition table: the first GPT is damaged, the one at the end of the disk is used")
        return second
    if read_gpt(state, first[0].alternate_lba) is None:
        state.log("partition table: the second GPT is damaged or missing, the first one is used")
    elif first[0].alternate_lba != state.last_lba:
        state.log(f"partition table: the second GPT is in block {first[0].alternate_lba}, not in the last one")
    return first


def read_gpt(state: ParsedPartitions, lba: int) -> tuple[gpt_header, bytes] | None:
    """Return the header in block lba and its entries, if both checksums are right and the numbers make sense."""
    scale = state.sector_size // 512
    block = read_part_sector(state, lba * scale, state.sector_size)
    if block is None or not is_header_valid(block, lba, state.last_lba):
        return None
    header = gpt_header(block)
    size = header.num_partition_entries * header.sizeof_partition_entry
    padded = size + -size % state.sector_size
    entries = read_part_sector(state, header.partition_entry_lba * scale, padded)
    if entries is None or zlib.crc32(entries[:size]) != header.partition_entry_array_crc32:
        return None
    return header, entries


def is_header_valid(block: bytes, lba: int, last_lba: int) -> bool:
    """True if block holds a header that belongs in block lba of a disk whose last block is last_lba."""
    header = gpt_header(block)
    if header.signature != GPT_HEADER_SIGNATURE or not gpt_header.size <= header.header_size <= len(block):
        return False
    covered = bytearray(block[: header.header_size])
    covered[16:20] = bytes(4)
    if zlib.crc32(covered) != header.header_crc32 or header.my_lba != lba:
        return False
    if header.first_usable_lba > last_lba or header.last_usable_lba > last_lba:
        return False
    if header.last_usable_lba < header.first_usable_lba or header.sizeof_partition_entry != gpt_entry.size:
        return False
    return 0 < header.num_partition_entries * gpt_entry.size <= MAX_TABLE_BYTES


def is_pte_valid(entry: gpt_entry, last_lba: int) -> bool:
    """True for an entry that is in use and lies on the disk."""
    return (
        entry.partition_type_guid != bytes(16)
        and entry.starting_lba <= last_lba
        and entry.ending_lba <= last_lba
        and entry.starting_lba <= entry.ending_lba
    )
