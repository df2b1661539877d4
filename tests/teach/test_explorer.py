"""The explorer says of an image what e2fsprogs say of it, and has a page for every address on every damaged one."""

import json
import os
import re
import subprocess
import sys
import time
import tracemalloc
from functools import cache
from pathlib import Path

import pytest

import vfslab
from tests.conftest import needs_program
from tests.images import e2fs
from vfslab.fs.ext4.format import EXT4_SUPER_MAGIC
from vfslab.teach.explorer import explore
from vfslab.teach.explorer.html import PATTERNS
from vfslab.teach.explorer.page import Cells, Table, plain
from vfslab.teach.explorer.places import KINDS
from vfslab.teach.explorer.source import Unusable
from vfslab.teach.explorer.text import to_text
from vfslab.viz.widget import _file

# name: options of mke2fs and the size; each is filled from the same tree
KINDS_OF_IMAGES = {
    "ext4": ("24M", "-t ext4 -b 1024 -N 512 -J size=1"),
    "ext4-4k": ("16M", "-t ext4 -b 4096 -I 256 -J size=4"),
    "no-flex": ("24M", "-t ext4 -b 1024 -N 512 -O ^flex_bg,^metadata_csum,uninit_bg,^has_journal"),
    "meta-bg": ("24M", "-t ext4 -b 1024 -N 512 -O meta_bg,^resize_inode,^has_journal"),
    "sparse-super2": ("24M", "-t ext4 -b 1024 -N 512 -O sparse_super2,^resize_inode,^has_journal"),
    "bigalloc": ("24M", "-t ext4 -b 1024 -C 8192 -N 512 -O bigalloc,^resize_inode,^has_journal"),
    "inline": ("8M", "-t ext4 -b 1024 -I 256 -N 512 -O inline_data,^has_journal"),
    "ext3": ("24M", "-t ext3 -b 1024 -N 512 -J size=1"),
    "ext2": ("24M", "-t ext2 -b 1024 -N 512"),
}
pytestmark = needs_program("mke2fs", "debugfs", "dumpe2fs")


@cache
def tree():
    """Return a folder with something of everything that mke2fs -d takes."""
    import tempfile

    root = Path(tempfile.mkdtemp(prefix="vfslab-explorer-"))
    (root / "a" / "b" / "c").mkdir(parents=True)
    (root / "a" / "small").write_bytes(b"twelve bytes")
    (root / "a" / "b" / "five-million").write_bytes(bytes(range(256)) * 20000)
    os.link(root / "a" / "small", root / "a" / "b" / "hard")
    os.symlink("small", root / "a" / "short-link")
    os.symlink("x" * 200, root / "a" / "long-link")
    os.symlink("a/b", root / "way")
    with open(root / "holes", "wb") as file:
        for place in range(0, 3_000_000, 16384):  # an extent for each piece: more than fit into the inode
            file.seek(place)
            file.write(b"piece")
    (root / "many").mkdir()
    for number in range(300):
        (root / "many" / f"name-{number:04d}").write_bytes(b"" if number % 50 else b"content")
    (root / "odd \x07 näme").write_bytes(b"odd")
    return root


@cache
def image_path(kind):
    """Return the path of an image of one kind, with a large attribute on one file."""
    size, options = KINDS_OF_IMAGES[kind]
    path = tree().parent / f"{tree().name}-{kind}.img"
    subprocess.run(
        ["mke2fs", "-q", "-F", *options.split(), "-d", str(tree()), str(path), size], env=e2fs.ENV, check=True
    )
    value = tree().parent / f"{tree().name}-value"
    value.write_bytes(b"v" * 600)
    e2fs.debugfs(path, f"ea_set -f {value} /a/small user.large\n")
    return path


@pytest.fixture(scope="module", autouse=True)
def cleaned():
    """Remove tree and images in the end."""
    yield
    import shutil

    if tree.cache_info().currsize:
        for path in tree().parent.glob(f"{tree().name}*"):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


@pytest.fixture(params=KINDS_OF_IMAGES)
def made(request):
    """Return (path, explorer) of each kind of image."""
    path = image_path(request.param)
    return path, explore(path)


def debugfs(path, *requests):
    """Return what debugfs prints for requests, from a file of them."""
    text = "".join(f"{request}\n" for request in requests)
    done = subprocess.run(["debugfs", "-f", "-", str(path)], input=text, env=e2fs.ENV, capture_output=True, text=True,
                          errors="surrogateescape")  # fmt: skip
    return done.stdout


def used_inodes(path, count):
    """Return the inodes that debugfs calls in use."""
    said = debugfs(path, *(f"testi <{ino}>" for ino in range(1, count + 1)))
    return [int(number) for number in re.findall(r"Inode (\d+) is marked in use", said)]


# --- against e2fsprogs --------------------------------------------------------------------------------


def test_owners_of_all_blocks_are_those_of_icheck(made):
    path, view = made
    image = view.image
    said = debugfs(path, *(f"icheck {' '.join(map(str, range(low, min(low + 500, image.disk.blocks))))}"
                           for low in range(0, image.disk.blocks, 500)))  # fmt: skip
    true = {int(block): int(ino) for block, ino in re.findall(r"^(\d+)\t(\d+)$", said, re.M)}
    assert len(true) > 2000 and true, "icheck has found owners"
    ours = {}
    answer = image.owners.within(0, image.disk.blocks)
    assert answer.complete
    for claim in answer.claims:
        ours |= dict.fromkeys(range(claim.first, claim.first + claim.count), claim.ino)
    assert ours == true
    for block in list(true)[::97]:
        assert {claim.ino for claim in image.block(block).owners.claims} == {true[block]}


def test_extents_of_all_files_are_those_of_debugfs(made):
    path, view = made
    inodes = []
    for ino in used_inodes(path, view.image.disk.sb.s_inodes_count):
        inode = view.image.inode(ino)
        # the resize inode's map is no file's; debugfs takes the target of a short symlink for block numbers
        if ino != 7 and not (inode.i_mode >> 12 == 0o12 and inode.i_size < 60):
            inodes.append(ino)
    said = debugfs(path, *(f"blocks <{ino}>" for ino in inodes)).split("debugfs: blocks ")[1:]
    assert len(said) == len(inodes)
    for ino, text in zip(inodes, said, strict=True):
        true = sorted(map(int, re.findall(r"\d+", text.split("\n", 1)[1])))
        found, problems = view.image.extents(ino)
        assert sorted(run.disk + step for run in found for step in range(run.count)) == true and not problems, ino
    assert sum(bool(view.image.extents(ino)[0]) for ino in inodes) >= 7


def test_deep_trees_are_followed_as_debugfs_does():
    path = image_path("ext4")
    view = explore(path)
    ino = view.image.page("/holes")
    number = int(re.search(r"[Ii]node (\d+)", ino.title)[1])
    said = debugfs(path, f"ex <{number}>")
    leaves = re.findall(r"^\s*(\d+)/\s*(\d+)\s+\d+/\s*\d+\s+(\d+) -\s+(\d+)\s+(\d+) -\s+(\d+)\s+(\d+)", said, re.M)
    true = [(int(low), int(count), int(disk)) for level, depth, low, _, disk, _, count in leaves if level == depth]
    found, _ = view.image.extents(number)
    assert [(run.logical, run.count, run.disk) for run in found if run.what == "data"] == true
    assert len(true) > 100 and any(run.what == "node" for run in found)


def test_groups_are_those_of_dumpe2fs(made):
    path, view = made
    said = subprocess.run(["dumpe2fs", str(path)], env=e2fs.ENV, capture_output=True, text=True, check=True).stdout
    groups = re.split(r"^Group (?=\d+: )", said, flags=re.M)[1:]
    assert len(groups) == view.image.disk.groups
    for number, text in enumerate(groups):
        low, high = map(int, re.search(r"Blocks (\d+)-(\d+)", text).groups())
        assert view.image.disk.group_range(number) == (low, high)
        places = {place.kind: place for place in view.image.group(number)}
        assert places["block bitmap"].first == int(re.search(r"Block bitmap at (\d+)", text)[1])
        assert places["inode bitmap"].first == int(re.search(r"Inode bitmap at (\d+)", text)[1])
        first, last = map(int, re.search(r"Inode table at (\d+)-(\d+)", text).groups())
        assert (places["table"].first, places["table"].count) == (first, last - first + 1)
        copy = re.search(r"(?:Primary|Backup) superblock at (\d+)", text)
        assert ("super" in places) == bool(copy) and (not copy or places["super"].first == int(copy[1]))
        described = re.search(r"Group descriptors? at (\d+)(?:-(\d+))?", text)
        assert ("descriptors" in places) == bool(described)
        if described:
            assert places["descriptors"].first == int(described[1])
        free = re.search(r"Free blocks: *(.*)", text)[1]
        listed = dict(view.page(f"group {number}").parts[0].rows)["Free blocks"]
        if "never written" not in plain(listed) and len(free.split(", ")) < 20 and view.image.disk.per_cluster == 1:
            assert plain(listed).replace("none", "") == free


def test_members_of_inodes_are_those_of_stat(made):
    path, view = made
    for name in ("/a", "/a/small", "/a/b/five-million", "/a/long-link", "/holes", "/many"):
        said = debugfs(path, f'stat "{name}"')
        number, size, links, blocks = (
            re.search(rf"{word}: *(\d+)", said)[1] for word in ("Inode", "Size", "Links", "Blockcount")
        )
        mode = re.search(r"Mode: +(\d+)", said)[1]
        text = view.text(name)
        assert f"inode {number}:" in text.splitlines()[0].lower()
        assert re.search(rf"Size +{size} bytes\n", text) and re.search(rf"Links +{links}\n", text)
        assert re.search(rf"Type .*{mode[-3:]}\)\n", text) and f"i_blocks {blocks} " in text


def test_names_of_inodes_are_those_of_ncheck(made):
    path, view = made
    inodes = used_inodes(path, view.image.disk.sb.s_inodes_count)
    said = debugfs(path, f"ncheck {' '.join(map(str, inodes))}")
    true = {}
    for ino, name in re.findall(r"^(\d+)\t(.+)$", said, re.M):
        true.setdefault(int(ino), set()).add(name.replace("//", "/"))
    ours = {ino: set(view.image.names.of(ino)) for ino in true if ino != 2}
    odd = {ino for ino, names in true.items() if any("n" in name and "me" in name and "odd" in name for name in names)}
    assert {ino: names for ino, names in ours.items() if ino not in odd} == {
        ino: names for ino, names in true.items() if ino not in odd and ino != 2
    }
    assert any("odd \\x07 näme" in name for ino in odd for name in ours[ino]), "a bell does not ring in the page"


def test_a_clean_image_has_no_page_that_tells_of_damage(made):
    _, view = made
    seen = crawl(view, 400)
    for address, page in seen.items():
        assert not [plain(text) for kind, text in page.notes if kind != "info"], address
    assert len(seen) > 200


@pytest.mark.parametrize("name", ["xattr-128", "ea-inode-1k", "depth-3", "orphan-file", "quota", "bigalloc"])
def test_an_awkward_image_that_is_clean_has_no_page_that_tells_of_damage_either(name):
    from tests import images
    from tests.images import awkward

    if e2fs.cannot_mount():
        pytest.skip(e2fs.cannot_mount())
    path = images.build(awkward.BY_NAME[name])
    for address, page in crawl(explore(path), 250).items():
        notes = [plain(text) for kind, text in page.notes if kind != "info"]
        assert not notes or notes[0].startswith("no such name"), (address, notes)


def crawl(view, most):
    """Return {address: page} of all pages that can be reached, up to a number of them."""
    waiting, seen = ["super", "map", "groups", "journal", "inodes", "help", "/", "/way/c", "/a/short-link"], {}
    while waiting and len(seen) < most:
        address = waiting.pop(0)
        if address in seen or (address == "journal" and not view.image.places.journal()):
            continue
        seen[address] = page = view.page(address)
        to_text(page)
        waiting += [link for link in page.links() if not link.startswith("byte") and link != "block 35"]
        waiting += [f"byte {span.offset + page.dump.base:#x}" for span in (page.dump.spans[:3] if page.dump else [])]
    return {address: page for address, page in seen.items() if address not in ("help",)}


# --- the image of the book ----------------------------------------------------------------------------------


def test_the_figures_of_the_slides_stand_on_the_pages():
    view = explore()
    assert "35 * 4096 + 1 * 128 = 143488 = 0x23080" in view.text("inode 2")
    byte = view.text("byte 0x23680")
    assert "inode 14, 0 bytes in" in byte and "ext4_inode.i_mode = 0120777" in byte and "<--" in byte
    walk = view.page("/a123/b456/test.c").parts[0]
    assert isinstance(walk, Table) and [plain(row[4]) for row in walk.rows] == ["inode 12", "inode 13", "inode 16"]
    assert "/a123/b456/test-hard-link.c" in view.text("inode 16") and "test.c" in view.text("inode 14")
    assert "inode bitmap of group 0" in view.text("block 19") and "inode table of group 0" in view.text("block 35")
    assert "Inode 2" in view.text("INODE  2") and "block 19" in view.text("byte 0x13000")


def test_a_map_of_few_blocks_has_a_letter_for_each():
    cells = next(part for part in explore().page("map").parts if isinstance(part, Cells))
    assert (cells.per_cell, len(cells.letters)) == (1, 4096)
    assert cells.letters[0:5] == "SGRBD" and cells.letters[19] == "I" and cells.letters[35:163] == "T" * 128
    assert cells.letters[1163:1168].count("D") >= 1 and set(cells.letters[1168:]) == {"."}
    assert cells.told(35) == "block 35: inode table"


def test_addresses_that_make_no_sense_say_what_does():
    view = explore()
    for address in ("35", "block", "inode zero", "blok 3", "byte", "<script>alert(1)</script>", "block 99999999999999999999",
                    "inode 0", "inode 5000", "group 1", "byte 0xffffffffff", "blocks 5000-6000", "/a123/nothing", "/a123/b456/test.c/x",
                    "dir 16", "extents 0", "names 99999", "journal 99999999", "groups 77", "inodes 9-3", "block -1"):  # fmt: skip
        page = view.page(address)
        assert to_text(page) and (page.notes or address in ("journal 99999999", "groups 77")), address
    assert "no address" in view.text("35") and "numbered 1 to 4096" in view.text("inode 5000")
    assert "no such name in inode 12" in view.text("/a123/nothing")


def test_what_cannot_be_opened_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "empty").touch()
    for source in ("nowhere.img", tmp_path, tmp_path / "empty", 7, b"" * 0 + b"x" * 100):
        if source == b"x" * 100:
            assert "no superblock" in explore(source).text("block 3") or "there are bytes" in explore(source).text()
            continue
        with pytest.raises(Unusable) as told:
            explore(source)
        assert "\n" not in str(told.value) and told.value._render_traceback_() == [f"explore: {told.value}"]


def test_a_partition_is_opened_by_its_number(tmp_path):
    table = bytearray(1 << 20)
    entry = bytes([0, 0, 0, 0, 0x83, 0, 0, 0]) + (2048).to_bytes(4, "little") + (16 << 11).to_bytes(4, "little")
    table[446:462], table[510:512] = entry, b"\x55\xaa"
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(table) + vfslab.deck_image())
    assert "inode 16" in explore(f"{path}#1").text("/a123/b456/test.c")
    for wrong, said in ((path, "partitioned, name one of"), (f"{path}#2", "no such partition")):
        with pytest.raises(Unusable, match=said):
            explore(wrong)


def test_the_log_of_a_journal_is_told_as_debugfs_tells_it():
    from tests import images
    from tests.images.bases import bases

    if "journal" not in bases():
        pytest.skip("only a kernel leaves a journal that is worth replaying: " + str(e2fs.cannot_mount()))
    path = images.build(bases()["journal"].spec)
    said = e2fs.ask(path, "logdump")
    true = [(int(number), int(block), kind) for number, kind, block in re.findall(
        r"Found expected sequence (\d+), type \d+ \((descriptor|commit|revoke)[^)]*\) at block (\d+)", said)]  # fmt: skip
    page = explore(path).page("journal")
    rows = {(int(row[2]), int(row[0]), row[3]) for row in page.parts[-1].rows}
    assert len(true) >= 3 and set(true) <= rows
    tags = re.findall(r"FS block (\d+) logged at", e2fs.ask(path, "logdump -a"))
    links = {
        link for row in page.parts[-1].rows for link in (piece.address for piece in row[4] if hasattr(piece, "address"))
    }
    assert len(links & {f"block {tag}" for tag in tags}) > 3 or not tags
    assert "needs_recovery" in explore(path).text()


def test_a_bytearray_is_seen_as_it_is_now():
    data = bytearray(vfslab.deck_image())
    view = explore(data)
    assert "checksum of the superblock" not in view.text("super")
    data[1024 + 0x10] ^= 1
    assert "The checksum of the superblock is wrong" in view.text("super")
    data[1024 + 0x10] ^= 1
    at = view.image.disk.inode_offset(16)
    data[at + 26] = 7
    text = view.text("inode 16")
    assert "The checksum of inode 16 is wrong" in text and "2 names were found, but i_links_count is 7" in text


def test_a_device_of_a_running_kernel_is_explored_through_its_calls():
    with vfslab.boot() as k:
        k.attach("vda", vfslab.deck_image(), read_only=True)
        view = explore(k.process(), device="/dev/vda")
        assert "inode 16" in view.text("/a123/b456/test.c").lower()
    assert "its kernel was shut down" in view.text("inode 2")


# --- damage -----------------------------------------------------------------------------------------------


def test_a_lost_superblock_is_replaced_by_its_copy():
    data = bytearray(image_path("ext4").read_bytes())
    data[1024:2048] = bytes(1024)
    view = explore(data)
    text = view.text()
    assert "magic 0x0000" in text and "This is the copy in 8193: mount with the option sb=8193" in text
    assert "twelve bytes" in view.text("/a/small")
    whole = explore(image_path("ext4"), sb=8193)
    assert "twelve bytes" in whole.text("/a/small")


def test_without_any_superblock_there_are_bytes():
    view = explore(bytes(1 << 20))
    assert "No copy of the superblock was found" in view.text() and "s_magic                  0x0" in view.text()
    assert "zeros" in view.text("block 3") or "0x" in view.text("block 3")
    assert "no superblock" in view.text("inode 2")
    json.dumps(view.payload())


def test_the_word_of_a_kernel_is_told_with_links():
    data = bytearray(vfslab.deck_image())
    assert "Its metadata is right" in explore(data).text("mount")
    data[0x23780 + 4] ^= 3
    view = explore(data)
    page = view.page("mount")
    assert "inode 16: checksum invalid" in to_text(page) and "inode 16" in page.links()
    data[1024 + 56] ^= 1
    assert "cannot be mounted" in view.text("mount") and "s_magic" in view.text("mount")


def test_two_owners_of_one_block_are_told():
    data = bytearray(vfslab.deck_image())
    view = explore(data)
    at = view.image.disk.inode_offset(15)
    data[at + 0x28 + 12 + 8 : at + 0x28 + 12 + 12] = (1166).to_bytes(
        4, "little"
    )  # hello.c's extent begins where test.c's does
    text = view.text("block 1166")
    assert "2 inodes claim this block: 15, 16" in text
    data[at + 0x28 + 12 + 8 : at + 0x28 + 12 + 12] = (35).to_bytes(4, "little")
    assert "An inode claims a block that the filesystem needs for itself" in view.text("block 35")


def test_a_tree_that_bites_its_tail_ends():
    data = bytearray(image_path("ext4").read_bytes())
    view = explore(data)
    number = int(re.search(r"[Ii]node (\d+)", view.page("/holes").title)[1])
    node = next(run.disk for run in view.image.extents(number)[0] if run.what == "node")
    data[node * 1024 + 6] = 1  # eh_depth: an inner node, which leads to itself
    data[node * 1024 + 16 : node * 1024 + 20] = node.to_bytes(4, "little")
    page = view.page(f"extents {number}")
    assert any(kind == "bad" for kind, _ in page.notes) and len(page.parts[-1].rows) <= 256


@pytest.mark.parametrize("base", ["ext4-redone", "no-csum", "ext2", "inline"])
def test_a_hundred_damaged_images_have_all_their_pages(base, rng):
    from tests import images
    from tests.images.bases import bases
    from tests.mutate import Base

    if e2fs.missing():
        pytest.skip(e2fs.missing())
    healthy = Base(Path(images.build(bases()[base].spec)).read_bytes())
    slowest = 0.0
    for seed in range(25):
        data, told, region = healthy.mutant(rng.randrange(1 << 30))
        view = explore(data)
        addresses = ["super", "groups", "group 0", "map", "journal", "inodes", "dir 2", "extents 8", "/etc/hosts"]
        addresses.append(f"byte {min(region.start, len(data) - 1):#x}")
        addresses += [f"{form} {region.owner}" for form in ("inode", "extents", "dir", "group", "block")
                      if isinstance(region.owner, int)]  # fmt: skip
        for address in addresses:
            start = time.perf_counter()
            page = view.live_page(address)
            slowest = max(slowest, time.perf_counter() - start)
            assert page["title"] and len(page["html"]) + len(page["dump"]) < 1 << 20, (seed, told, address)
            addresses += view.page(address).links()[: 30 - len(addresses)]
        json.dumps(view.payload()).encode()
    print(f"\nslowest page {slowest:.3f} s")


@pytest.mark.parametrize("member, value", [
    ("s_blocks_per_group", 1), ("s_blocks_per_group", 0xFFFFFFFF), ("s_inodes_per_group", 0xFFFFFFFF), ("s_inodes_per_group", 1),
    ("s_inodes_count", 0xFFFFFFFF), ("s_blocks_count_lo", 0xFFFFFFFF), ("s_blocks_count_hi", 0xFFFF), ("s_desc_size", 0xFFFF),
    ("s_desc_size", 1), ("s_inode_size", 0), ("s_inode_size", 0xFFFF), ("s_first_data_block", 0xFFFFFFFF), ("s_log_block_size", 6),
    ("s_log_cluster_size", 0xFFFFFFFF), ("s_reserved_gdt_blocks", 0xFFFF), ("s_log_groups_per_flex", 255), ("s_journal_inum", 16),
    ("s_first_ino", 0xFFFFFFFF), ("s_rev_level", 0), ("s_free_inodes_count", 0xFFFFFFFF),
])  # fmt: skip
def test_members_of_the_superblock_that_cannot_be_cost_neither_time_nor_memory(member, value):
    from vfslab.fs.ext4.format import RO_COMPAT_BIGALLOC, ext4_super_block

    data = bytearray(vfslab.deck_image())
    sb = ext4_super_block(data, 1024)
    setattr(sb, member, value)
    if member == "s_log_cluster_size":
        sb.s_feature_ro_compat |= RO_COMPAT_BIGALLOC
    tracemalloc.start()
    start = time.perf_counter()
    view = explore(data)
    for address in (
        "super",
        "groups",
        "group 0",
        "map",
        "inodes",
        "inode 2",
        "block 35",
        "dir 2",
        "/a123",
        "journal",
        "byte 0x5000",
    ):
        assert view.live_page(address)["title"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"\n{member} = {value}: {time.perf_counter() - start:.2f} s, {peak >> 20} MiB at most")
    assert peak < 200 << 20


# --- size -------------------------------------------------------------------------------------------------


def test_a_sparse_image_of_64_GiB_opens_at_once(tmp_path):
    path = tmp_path / "big.img"
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-d", str(tree()), str(path), "64G"],
                   env=e2fs.ENV, check=True)  # fmt: skip
    start = time.perf_counter()
    view = explore(path)
    view.payload()
    opened = time.perf_counter() - start
    assert view.image.disk.blocks == 16 << 20
    cells = view.cells()
    assert len(cells.letters) <= 4096 and cells.per_cell == 4096 and "J" in cells.letters
    slowest = {}
    for address in (
        "map",
        "groups 500",
        "group 511",
        "inode 2",
        "/a/small",
        "block 16777215",
        "block 9000000",
        "inodes",
        "blocks 0-65535",
    ):
        start = time.perf_counter()
        assert view.text(address)
        slowest[address] = round(time.perf_counter() - start, 3)
    print(f"\n64 GiB: opened with its first page in {opened:.3f} s; pages {slowest}")
    data = view.image.extents(int(re.search(r"inode (\d+)", view.page("/a/b/five-million").title)[1]))[0][-1]
    assert [claim.what for claim in view.image.block(data.disk).owners.claims] == ["data"]


def test_the_search_for_an_owner_says_how_far_it_came_and_goes_on(monkeypatch):
    from vfslab.teach.explorer import owners

    monkeypatch.setattr(owners, "EFFORT", 40)
    monkeypatch.setattr(owners, "SMALL", 0)
    view = explore(image_path("no-flex"))
    free = view.image.disk.blocks - 1
    first = view.image.owners.of(free)
    assert not first.complete and first.read < view.image.disk.groups or view.image.owners.cut
    page = view.page(f"block {free}")
    assert any(link.startswith(f"block {free} effort") for link in page.links())
    found = view.image.extents(int(re.search(r"inode (\d+)", view.page("/holes").title)[1]))[0]
    block = found[-1].disk
    more = view.image.owners.of(block, 64)
    assert more.read >= first.read


# --- how it is shown ------------------------------------------------------------------------------------------


def test_each_kind_of_block_has_a_colour_and_is_told_apart_without_it():
    css = _file("explorer.css")
    for letter, name in KINDS.values():
        assert f".vx-k{ {'.': 'free', '?': 'unknown'}.get(letter, letter) } " in css, name
    letters = [letter for letter, _ in KINDS.values()]
    assert len(set(letters)) == len(letters) and set(PATTERNS) <= set(letters)


def test_nothing_of_the_image_reaches_html_unescaped():
    data = bytearray(vfslab.deck_image())
    data[1024 + 0x78 : 1024 + 0x88] = b"<script>x()</scr"
    view = explore(data)
    at = 1164 * 4096 + 0x18 + 8
    data[at : at + 6] = b"<b>&\x1b["
    for address in ("super", "dir 13", "/<b>"):
        told = view.live_page(address)
        assert (
            "<script" not in told["html"] + told["dump"]
            and "<b>&" not in told["html"] + told["dump"]
            and "\x1b" not in json.dumps(told["text"])
        )


def test_static_pages_need_no_script_and_are_at_most_24(monkeypatch):
    monkeypatch.setenv("VFSLAB_STATIC", "1")
    view = explore(pages=["super", "inode 2", "/a123", *(f"block {n}" for n in range(40))])
    bundle = view._repr_mimebundle_()
    html = bundle["text/html"]
    assert html.count("<section ") == 24 and "<script" not in html and "data-address" not in html
    assert "application/vnd.jupyter.widget-view+json" not in bundle and bundle["text/plain"].startswith(
        "the book's image"
    )
    wanted = set(re.findall(r'href="#([^"]+)"', html))
    assert wanted and wanted <= set(re.findall(r'id="([^"]+)"', html)), "each link leads somewhere"
    visited = explore()
    visited.text("inode 2"), visited.go("/a123")
    assert visited.static_html().count("<section ") == 2


def test_the_text_twin_is_what_a_terminal_sees():
    view = explore(at="inode 2")
    assert str(view) == view.text() == view.text("inode 2") and str(view).startswith(
        "Inode 2: directory, root directory"
    )
    view.go("/a123")
    assert "Inode 12" in str(view) or "inode 12" in str(view)
    assert view._repr_mimebundle_()["text/plain"]


def test_exploring_starts_no_kernel():
    code = "import sys, vfslab; v = vfslab.explore(); v.text('/a123'); assert 'vfslab.init.machine' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_magic_number_of_tests_is_the_one_of_the_format():
    assert EXT4_SUPER_MAGIC == 0xEF53
