"""Partition tables: made by sfdisk and sgdisk, read by us, judged by partx (util-linux's own reader); and damaged ones."""

import json
import shutil
import struct
import subprocess
import time
import zlib

import pytest

from tests.block.world import World
from tests.conftest import needs_program
from vfslab.block.partitions.check import DISK_MAX_PARTS
from vfslab.block.partitions.core import bdev_disk_changed
from vfslab.block.partitions.efi import gpt_entry, gpt_header
from vfslab.kernel.errno import EBUSY

MIB = 1 << 20


def sfdisk(path, script, size=64 * MIB, *options):
    """Make an image with the partition table that the script describes."""
    with open(path, "wb") as image:
        image.truncate(size)
    subprocess.run(["sfdisk", "-q", *options, path], input=script, text=True, check=True, capture_output=True)
    return path


def ours(source, world=None):
    """Return {number: (start, sectors, uuid)} as our kernel finds it, and the kernel."""
    world = world or World()
    disk = world.attach("vda", source, read_only=True)
    parts = {n: (p.bd_start_sect, p.bd_nr_sectors, p.bd_meta_uuid.decode()) for n, p in disk.part_tbl.items() if n}
    for start, count, _uuid in parts.values():  # T1
        assert start >= 0 and count > 0 and start + count <= disk.part0.bd_nr_sectors
    assert len(parts) < DISK_MAX_PARTS  # T2
    return parts, world


def partx(path):
    """Return {number: (start, sectors, uuid)} as partx(8) reads the image."""
    done = subprocess.run(
        ["partx", "--show", "--bytes", "--noheadings", "--output", "NR,START,SECTORS,UUID,TYPE", path],
        capture_output=True,
        text=True,
        check=True,
    )
    parts = {}
    for line in done.stdout.splitlines():
        number, start, count, *rest = line.split()
        extended = rest[-1].lower() in ("0x5", "0xf", "0x85")
        parts[int(number)] = (int(start), 2 if extended else int(count), rest[0].lower())
    return parts


# --- tables of the real tools ---------------------------------------------------------------------

MBR = "label: dos\nlabel-id: 0x1234abcd\n,10M\n,5M,82\n,20M,5\n,10M\n,5M,83\n,6M,83\n,1M,83\n"
GPT = "label: gpt\n,10M\nstart=40960,size=5M,name=boot\n,1M\n"


@needs_program("sfdisk", "partx")
def test_an_mbr_with_logical_partitions(tmp_path):
    image = sfdisk(tmp_path / "mbr", MBR)
    parts, world = ours(image)
    assert parts == partx(image)
    assert parts[1] == (2048, 20480, "1234abcd-01") and sorted(parts) == [1, 2, 3, 4, 5, 6, 7]
    assert world.kernel.disks[b"vda"].part_tbl[5].bd_device == b"vda5"
    assert world.log == [" vda: vda1 vda2 vda3 vda4 vda5 vda6 vda7"]


@needs_program("sfdisk", "partx")
def test_a_gpt(tmp_path):
    image = sfdisk(tmp_path / "gpt", GPT)
    parts, world = ours(image)
    assert parts == partx(image) and sorted(parts) == [1, 2, 3]
    assert world.log == [" vda: vda1 vda2 vda3"]


@needs_program("sgdisk", "partx")
def test_a_hybrid_table_is_a_gpt(tmp_path):
    image = tmp_path / "hybrid"
    with open(image, "wb") as file:
        file.truncate(64 * MIB)
    for options in (["-n1:2048:+8M", "-n2:0:+8M", "-n9:0:+1M"], ["-h1:2"]):
        subprocess.run(["sgdisk", *options, image], check=True, capture_output=True)
    kinds = {image.read_bytes()[446 + 16 * slot + 4] for slot in range(4)}
    assert 0xEE in kinds and len(kinds - {0}) > 1, "sgdisk made no hybrid table"
    parts, _ = ours(image)
    assert parts == partx(image) and sorted(parts) == [1, 2, 9]


@needs_program("sfdisk", "partx")
@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_random_tables(tmp_path, rng, label):
    for case in range(6):
        script, room = [f"label: {label}"], 60
        logical = label == "dos" and rng.random() < 0.7
        if logical:
            script.append(",40M,5")
            room = 16
        for _ in range(rng.randrange(1, 4)):
            size = rng.randrange(1, 5)
            if room > size + 1:
                script.append(f",{size}M" + (",83" if label == "dos" else ""))
                room -= size + 1
        while len(script) < 4 and logical:
            script.append(",1M,83")
        script += (
            [f",{rng.randrange(1, 3)}M,83" for _ in range(rng.randrange(8))] if logical and len(script) > 4 else []
        )
        image = sfdisk(tmp_path / f"random{case}", "\n".join(script) + "\n")
        parts, _ = ours(image)
        assert parts == partx(image), script
        listed = json.loads(subprocess.run(["sfdisk", "-J", image], capture_output=True, check=True).stdout)
        extended = {"5", "f", "85"}
        expected = [
            (p["start"], 2 if p["type"] in extended else p["size"]) for p in listed["partitiontable"]["partitions"]
        ]
        assert sorted((start, count) for start, count, _ in parts.values()) == sorted(expected)


@needs_program("sfdisk")
def test_128_partitions_and_more_device_numbers_than_the_disk_has(tmp_path):
    lines = [f"start={2048 + 64 * i},size=64" for i in range(128)]
    image = sfdisk(tmp_path / "many", "label: gpt\n" + "\n".join(lines) + "\n")
    parts, world = ours(image)
    assert {n: start for n, (start, _, _) in parts.items()} == {i + 1: 2048 + 64 * i for i in range(128)}
    numbers = {part.bd_dev for part in world.kernel.bdev_map.values()}
    assert len(numbers) == 129
    assert world.kernel.disks[b"vda"].part_tbl[16].bd_dev >> 8 & 0xFFF == 259


# --- damaged GPTs ---------------------------------------------------------------------------------


@pytest.fixture
def gpt(tmp_path):
    if shutil.which("sfdisk") is None:
        pytest.skip("needs the program sfdisk, which is not installed")
    return bytearray(sfdisk(tmp_path / "gpt", "label: gpt\n,1M\n,1M\n,1M\n", 8 * MIB).read_bytes())


def reseal(image, lba=1):
    """Compute both checksums of the header in block lba anew, after it was changed on purpose."""
    header = gpt_header(image, lba * 512)
    start = header.partition_entry_lba * 512
    header.partition_entry_array_crc32 = zlib.crc32(image[start : start + header.num_partition_entries * 128])
    header.header_crc32 = 0
    header.header_crc32 = zlib.crc32(image[lba * 512 : lba * 512 + header.header_size])


@pytest.mark.parametrize("place", [512, 512 + 16, 512 + 24, 512 + 40, 512 + 72, 1024, 1024 + 33])
def test_E1_with_the_first_copy_damaged_the_second_is_used(gpt, place):
    good, _ = ours(gpt)
    gpt[place] ^= 0x40
    parts, world = ours(gpt)
    assert parts == good
    assert any("first GPT is damaged" in line for line in world.log)


def test_with_the_second_copy_damaged_there_is_a_line(gpt):
    good, _ = ours(gpt)
    gpt[-512] ^= 1
    parts, world = ours(gpt)
    assert parts == good and any("second GPT is damaged or missing" in line for line in world.log)


def test_a_disk_that_grew_still_has_its_gpt(gpt):
    good, _ = ours(gpt)
    parts, world = ours(gpt + bytes(MIB))
    assert parts == good and any("not in the last one" in line for line in world.log)


def test_with_both_copies_damaged_there_are_no_partitions_and_one_line(gpt):
    gpt[520] ^= 1
    gpt[-500] ^= 1
    parts, world = ours(gpt)
    assert parts == {} and len(world.log) == 1 and "neither copy" in world.log[0]


def test_without_a_protective_mbr_a_gpt_is_not_looked_for(gpt):
    gpt[446 + 4] = 0x83
    parts, _ = ours(gpt)
    assert sorted(parts) == [1] and parts[1][0] == 1  # what the MBR says


def test_E2_a_table_of_gigabytes_is_refused_before_it_is_read(gpt):
    for lba in (1, len(gpt) // 512 - 1):
        header = gpt_header(gpt, lba * 512)
        header.num_partition_entries = 0x02000000
        header.header_crc32 = 0
        header.header_crc32 = zlib.crc32(gpt[lba * 512 : lba * 512 + header.header_size])
    began = time.monotonic()
    parts, _ = ours(gpt)
    assert parts == {} and time.monotonic() - began < 1


def test_T1_entries_beyond_the_end_or_backwards_are_skipped(gpt):
    last = len(gpt) // 512 - 1
    for number, (start, end) in enumerate([(2048, last + 1), (9000, 8999), (8192, 8199)]):
        entry = gpt_entry(gpt, 1024 + 128 * number)
        entry.starting_lba, entry.ending_lba = start, end
    reseal(gpt)
    parts, _ = ours(gpt)
    assert {n: span[:2] for n, span in parts.items()} == {3: (8192, 8)}


# --- damaged MBRs ---------------------------------------------------------------------------------


def entry(kind, start, count, boot=0):
    return struct.pack("<B3xB3xII", boot, kind, start, count)


def mbr(*entries, size=4 * MIB):
    """Return an image with these entries in sector 0."""
    image = bytearray(size)
    put_table(image, 0, *entries)
    return image


def put_table(image, sector, *entries):
    image[sector * 512 + 446 : sector * 512 + 446 + 16 * len(entries)] = b"".join(entries)
    image[sector * 512 + 510 : sector * 512 + 512] = b"\x55\xaa"


def test_P1_a_chain_of_extended_partitions_that_bites_its_tail_ends():
    image = mbr(entry(5, 100, 4000))
    put_table(image, 100, entry(0x83, 1, 10), entry(5, 100, 500))
    put_table(image, 200, entry(0x83, 1, 10), entry(5, 0, 500))
    parts, world = ours(image)
    assert [(n, *span[:2]) for n, span in parts.items()] == [(1, 100, 2), (5, 101, 10), (6, 201, 10)]
    assert any("comes back to sector 100" in line for line in world.log)


def test_P1_a_long_chain_is_cut_at_the_limit():
    image = mbr(entry(5, 100, 8000))
    for i in range(400):
        put_table(image, 100 + 4 * i, entry(0x83, 1, 2), entry(5, 4 * (i + 1), 4))
    parts, _ = ours(image)
    assert max(parts) == DISK_MAX_PARTS - 1


def test_a_chain_without_partitions_is_given_up():
    image = mbr(entry(5, 100, 8000))
    for i in range(1000):
        put_table(image, 100 + i, entry(5, i + 1, 4))
    began = time.monotonic()
    parts, _ = ours(image)
    assert sorted(parts) == [1] and time.monotonic() - began < 1


def test_T1_what_reaches_over_the_end_is_cut_and_what_lies_behind_it_skipped():
    parts, world = ours(mbr(entry(0x83, 8000, 1000), entry(0x83, 8192, 1), entry(0x83, 10, 0xFFFFFFFF)))
    assert {n: span[:2] for n, span in parts.items()} == {1: (8000, 192), 3: (10, 8182)}
    assert sum("cut off" in line for line in world.log) == 2 and sum("skipped" in line for line in world.log) == 1


def test_overlapping_partitions_are_there_with_a_line():
    parts, world = ours(mbr(entry(0x83, 10, 100), entry(0x83, 50, 100)))
    assert len(parts) == 2 and any("p2 overlaps p1" in line for line in world.log)


def test_a_boot_sector_of_a_filesystem_is_no_table():
    image = mbr(entry(0x6E, 1, 100, boot=0x20))
    parts, world = ours(image)
    assert parts == {} and world.log == []


def test_an_empty_disk_has_no_partitions():
    for source in (b"", b"x", bytes(512), bytes(4096)):
        assert ours(source)[0] == {}


def test_tables_count_in_logical_blocks():
    """A disk with blocks of 4096 bytes: a table that says 2 means byte 8192."""
    world = World()
    disk = world.scripted(sectors=8192, logical_block_size=4096)
    image = mbr(entry(0x83, 2, 3))
    disk.content[:512] = image[:512]
    bdev_disk_changed(disk.disk)
    part = disk.disk.part_tbl[1]
    assert (part.bd_start_sect, part.bd_nr_sectors) == (16, 24)


def test_a_table_is_not_read_again_while_a_partition_is_open():
    from vfslab.fs.block_dev import bdev_file_open_by_dev, bdev_fput
    from vfslab.include.fs import FMODE_READ

    world = World()
    image = mbr(entry(0x83, 10, 100))
    disk = world.attach("vda", image)
    file = bdev_file_open_by_dev(disk.part_tbl[1].bd_dev, FMODE_READ)
    with pytest.raises(EBUSY):
        bdev_disk_changed(disk)
    bdev_fput(file)
    put_table(image, 0, entry(0x83, 20, 7), entry(0x83, 40, 8))
    bdev_disk_changed(disk)
    assert {n: p.bd_start_sect for n, p in disk.part_tbl.items() if n} == {1: 20, 2: 40}


@pytest.mark.parametrize("base", ["mbr", "gpt"])
def test_mutants_neither_hang_nor_break(tmp_path, rng, base, gpt):
    """Whatever 1 to 40 bytes of the tables become: partitions that lie on the disk, or none."""
    if base == "mbr":
        image = mbr(entry(0x83, 10, 100), entry(5, 1000, 3000), entry(0x83, 5000, 100))
        for i in range(5):
            put_table(image, 1000 + 100 * i, entry(0x83, 1, 50), entry(5, 100 * (i + 1), 100))
        places = [446 + i for i in range(66)] + [1000 * 512 + 51200 * i + 446 + j for i in range(5) for j in range(66)]
    else:
        image, places = gpt, [446 + i for i in range(66)] + list(range(512, 1024 + 512))
    found, began = 0, time.monotonic()
    for _ in range(300):
        mutant = bytearray(image)
        for _ in range(rng.choice([1, 1, 2, 5, 40])):
            mutant[rng.choice(places)] = rng.choice([0, 1, 5, 0x80, 0xEE, 0xFF, rng.randrange(256)])
        if base == "gpt" and rng.random() < 0.7:
            header = gpt_header(mutant, 512)
            if header.header_size == 92 and header.partition_entry_lba * 512 < len(mutant):
                header.num_partition_entries = min(header.num_partition_entries, 1000)
                reseal(mutant)
        found += bool(ours(mutant)[0])
    assert found > 30 and time.monotonic() - began < 60
