"""Fast commits replayed in memory give the tree that Linux's own replay gives."""

import os
import stat
import struct

import pytest

from tests.fs.ext4.replays import crashed, linux, ours, replay
from tests.fs.jbd2.journals import journal_bytes, journal_of, journal_over
from tests.images import build, contents
from tests.images.awkward import AWKWARD
from tests.oracle import FREE_COUNTS, differences, sha256
from vfslab.lib.crc32c import crc32c_by_table

pytestmark = [pytest.mark.needs_program("mke2fs", "debugfs"), pytest.mark.needs_loop]
LEFT_BY_LINUX = [spec for spec in AWKWARD if spec.name.startswith("fast-commit")]
# Linux stamps a directory with the moment of the replay; a directory that grows may become a hash tree there
DIRECTORY_FIELDS = ("st_mtime_ns", "st_ctime_ns", "st_size", "st_blocks")


def tree_differences(image):
    """Return (lines, RecoveryInfo): in what our replay differs from Linux's."""
    found, info = ours(image)
    truth = linux(image)
    for entries in (found, truth):
        for entry in entries.values():
            if stat.S_ISDIR(entry["st_mode"]):
                for field in DIRECTORY_FIELDS:
                    entry.pop(field)
    return differences(truth, found, ignore=FREE_COUNTS), info


@pytest.mark.parametrize("spec", LEFT_BY_LINUX, ids=lambda spec: spec.name)
def test_images_left_by_linux(spec):
    lines, info = tree_differences(build(spec))
    assert lines == [] and info.damage is None
    assert commits_in(info) >= 1


def commits_in(info):
    """Return how many fast commits were replayed."""
    return int(info.fc_text.split()[0]) if info.fc_text else 0


class Changer:
    """Random changes below a directory; each commits by fsync of one file, so that notes gather."""

    def __init__(self, root, rng, sizes=(0, 10, 3000, 20000)):
        self.root, self.rng, self.sizes, self.count = f"{root}/work", rng, sizes, 0
        self.directories = [self.root] + [f"{self.root}/dir{n}" for n in range(3)]
        for directory in self.directories:
            os.mkdir(directory)
        self.files = [self.new_file() for _ in range(12)]
        self.syncer = os.open(f"{self.root}/syncer", os.O_RDWR | os.O_CREAT)
        os.sync()

    def name(self):
        self.count += 1
        return f"{self.rng.choice(self.directories)}/n{self.count}" + "x" * self.rng.choice((0, 5, 90))

    def new_file(self):
        path = self.name()
        with open(path, "wb") as file:
            file.write(self.rng.randbytes(self.rng.choice(self.sizes)))
        return path

    def run(self, steps):
        for _ in range(steps):
            action = self.rng.choice((self.create, self.write, self.cut, self.punch, self.allocate,
                                      self.move, self.link, self.unlink, self.mode))  # fmt: skip
            action(self.rng.choice(self.files))
            if self.rng.random() < 0.4:
                self.commit()
        self.commit()

    def commit(self):
        os.pwrite(self.syncer, b"s", 0)
        os.fsync(self.syncer)

    def create(self, path):
        self.files.append(self.new_file())

    def write(self, path):
        with open(path, "r+b") as file:
            file.seek(self.rng.randrange(0, 200000))
            file.write(self.rng.randbytes(self.rng.randrange(1, 9000)))

    def cut(self, path):
        os.truncate(path, self.rng.randrange(0, 60000))

    def punch(self, path):
        contents.fallocate(path, contents.PUNCH_HOLE | contents.KEEP_SIZE, 4096 * self.rng.randrange(8), 8192)

    def allocate(self, path):
        contents.fallocate(path, 0, self.rng.randrange(100000), 20000)

    def move(self, path):
        self.files.remove(path)
        self.files.append(self.name())
        os.rename(path, self.files[-1])

    def link(self, path):
        self.files.append(self.name())
        os.link(path, self.files[-1])

    def unlink(self, path):
        if len(self.files) > 4:
            self.files.remove(path)
            os.unlink(path)

    def mode(self, path):
        os.chmod(path, self.rng.randrange(0o1000))
        os.utime(path, ns=(1, self.rng.randrange(1 << 33) * 10**9 + 7))


# room enough: Linux 6.18 reads one block too far when the area is full to the last block, and refuses the mount
AREA = ("-J", "size=4,fast_commit_size=512")
FEATURES = {
    "4k": ("-b", "4096", "-O", "fast_commit"),
    "1k": ("-b", "1024", "-O", "fast_commit"),
    "no-csum": ("-b", "1024", "-O", "fast_commit,^metadata_csum,^64bit"),
    "uninit_bg": ("-b", "1024", "-O", "fast_commit,^metadata_csum,uninit_bg"),
    "meta_bg": ("-b", "1024", "-O", "fast_commit,meta_bg,^resize_inode"),
    "bigalloc": ("-b", "1024", "-C", "4096", "-O", "fast_commit,bigalloc"),
    "inline_data": ("-b", "4096", "-I", "512", "-O", "fast_commit,inline_data"),
    "csum_seed": ("-b", "4096", "-O", "fast_commit,metadata_csum_seed", "-I", "1024"),
    "inode-128": ("-b", "1024", "-O", "fast_commit", "-I", "128"),
}


@pytest.mark.parametrize("features", FEATURES)
def test_random_changes_replay_as_linux_does(tmp_path, rng, features):
    image = tmp_path / "fc.img"
    with crashed(image, "24M", *FEATURES[features], *AREA) as point:
        # a file that outgrows its inode is lost by Linux's replay: see the test below
        Changer(point, rng, (600, 20000) if features == "inline_data" else (0, 10, 3000, 20000)).run(60)
    lines, info = tree_differences(image)
    assert lines == [] and info.damage is None


def test_full_area_is_replayed_to_its_end(tmp_path):
    """15 fast commits fill an area of 16 blocks, of which one is not used. (Linux refuses this mount.)"""
    image = tmp_path / "fc.img"
    with crashed(image, "24M", "-b", "1024", "-O", "fast_commit") as point:
        fd = os.open(f"{point}/file", os.O_CREAT | os.O_RDWR)
        os.sync()
        for number in range(16):
            os.pwrite(fd, b"%x" % number, number)
            os.fsync(fd)
            if commits_in(replay(image)[1]) == 15:
                break
    found, info = ours(image)
    assert commits_in(info) == 15
    assert found["/file"]["st_size"] == number + 1


def test_file_that_outgrew_its_inode_keeps_what_was_synced(tmp_path):
    """Linux 6.18 applies the new blocks while the inode still says "inline data", and loses them."""
    image = tmp_path / "fc.img"
    with crashed(image, "24M", *FEATURES["inline_data"], *AREA) as point:
        fd = os.open(f"{point}/grows", os.O_CREAT | os.O_RDWR)
        os.pwrite(fd, b"small", 0)
        small = os.open(f"{point}/stays", os.O_CREAT | os.O_RDWR)
        os.sync()
        os.pwrite(small, b"inside the inode", 0)
        os.pwrite(fd, b"large" * 1000, 5)
        os.fsync(fd)
        os.fsync(small)
    found, info = ours(image)
    assert "fast commits" in info.fc_text and info.damage is None
    for name, content in (("grows", b"small" + b"large" * 1000), ("stays", b"inside the inode")):
        (tmp_path / name).write_bytes(content)
        assert found[f"/{name}"]["sha256"] == sha256(os, tmp_path / name, len(content), [])


def test_many_names_in_an_indexed_directory(tmp_path):
    image = tmp_path / "fc.img"
    with crashed(image, "24M", "-b", "1024", "-O", "fast_commit", *AREA) as point:
        os.mkdir(f"{point}/big")
        for number in range(1500):
            os.close(os.open(f"{point}/big/name-{number:05d}", os.O_CREAT))
        os.sync()
        fd = os.open(f"{point}/one", os.O_CREAT | os.O_RDWR)
        os.sync()
        for number in range(0, 120):
            os.link(f"{point}/one", f"{point}/big/link-{number:05d}")
            os.unlink(f"{point}/big/name-{number * 7:05d}")
            if number % 10 == 0:
                os.pwrite(fd, b"x", number)
                os.fsync(fd)
        os.fsync(fd)
    lines, info = tree_differences(image)
    assert lines == [] and info.damage is None
    assert "fast commits" in info.fc_text


def test_extent_tree_that_outgrows_the_inode(tmp_path):
    """1,000 extents: two levels of index blocks are built for them in free blocks."""
    image = tmp_path / "fc.img"
    with crashed(image, "24M", "-b", "1024", "-O", "fast_commit", *AREA) as point:
        fd = os.open(f"{point}/holes", os.O_CREAT | os.O_RDWR)
        os.pwrite(fd, b"first", 0)
        os.sync()
        for number in range(1000):
            os.pwrite(fd, b"%d" % number, number * 4096)
            if number % 50 == 0:
                os.fsync(fd)
        os.fsync(fd)
    lines, info = tree_differences(image)
    assert [line for line in lines if "st_blocks" not in line] == [] and info.damage is None
    assert "fast commits" in info.fc_text


# --- damage --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image():
    return build(LEFT_BY_LINUX[0])


def notes_start(image):
    """Return where in the journal file the fast-commit area begins, in bytes."""
    journal = journal_of(image)
    return journal.j_fc_first * journal.j_blocksize


def test_F1_each_damaged_byte_ends_the_replay_at_the_commit_before(image, rng):
    data, first = journal_bytes(image), notes_start(image)
    whole, all_of_it = replay(image)
    for block in range(commits_in(all_of_it)):
        changed = bytearray(data)
        changed[first + block * 4096 + rng.randrange(20, 150)] ^= 1 << rng.randrange(8)
        overlay, info = replay(image, journal_over(changed, 4096))
        if block == 0:
            assert info.fc_text == "" and "cannot be replayed" in info.damage
        else:
            assert commits_in(info) == block
        assert overlay != whole


def test_linux_refuses_a_damaged_first_fast_commit_too(image, tmp_path):
    from tests.fs.jbd2.journals import put_journal
    from tests.images import copy_of, e2fs

    data, first = journal_bytes(image), notes_start(image)
    data[first + 100] ^= 4
    copy = copy_of(image, tmp_path / "damaged.img")
    put_journal(copy, data)
    with pytest.raises(e2fs.ToolError), e2fs.mounted(copy, "rw"):
        pass
    assert replay(copy)[1].damage


def with_notes(image, *notes):
    """Return the journal with these notes, (tag, value) pairs, as its only fast commit, checksum and all."""
    data, first = journal_bytes(image), notes_start(image)
    _, info = replay(image)
    tid = info.end_transaction
    text = struct.pack("<HHII", 9, 8, 0, tid) + b"".join(struct.pack("<HH", tag, len(v)) + v for tag, v in notes)
    text += struct.pack("<HHI", 8, 8, tid)
    text += struct.pack("<I", crc32c_by_table(0, text))
    data[first : first + 4096] = text.ljust(4096, b"\0")
    return journal_over(data, 4096)


def extent(block, length, disk):
    return struct.pack("<IHHI", block, length, disk >> 32, disk & 0xFFFFFFFF)


HOSTILE = {
    "blocks outside": (1, struct.pack("<I", 13) + extent(0, 5, 1 << 40)),
    "name for no inode": (3, struct.pack("<II", 2, 4000) + b"name"),
    "inode beyond the last": (4, struct.pack("<II", 2, 0xFFFFFFFF) + b"name"),
    "inode 0": (6, struct.pack("<I", 0) + bytes(160)),
    "a file as directory": (4, struct.pack("<II", 13, 14) + b"name"),
    "directory beyond the last": (4, struct.pack("<II", 0x7FFFFFFF, 14) + b"name"),
}


@pytest.mark.parametrize("note", HOSTILE)
def test_F3_what_cannot_be_done_changes_nothing_and_is_told(image, note):
    before, _ = replay(image, with_notes(image))
    overlay, info = replay(image, with_notes(image, (4, struct.pack("<II", 12, 14) + b"fine"), HOSTILE[note]))
    assert "cannot be replayed" in info.damage and info.fc_text == ""
    assert overlay == before


def test_notes_of_random_bytes_never_raise(image, rng):
    lengths = {1: 16, 2: 12, 3: 12, 4: 12, 5: 12, 6: 164}
    for _ in range(300):
        notes = []
        for _ in range(6):
            tag = rng.choice(list(lengths))
            value = bytearray(rng.randbytes(lengths[tag]))
            value[:4] = struct.pack("<I", rng.choice((2, 11, 12, 13, 14, 18, 19, 20, 3000)))
            if tag in (3, 4, 5):
                value[4:8] = struct.pack("<I", rng.randrange(1, 24))
            notes.append((tag, bytes(value)))
        overlay, _ = replay(image, with_notes(image, *notes))
        assert all(len(block) == 4096 for block in overlay.values())


def test_F2_replaying_twice_gives_the_same(image):
    """A crash after Linux's replay, before the journal was marked empty, makes it replay again."""
    notes = [(4, struct.pack("<II", 12, 14) + b"again"), (5, struct.pack("<II", 12, 15) + b"base2"),
             (1, struct.pack("<I", 13) + extent(9, 3, 1500)), (2, struct.pack("<III", 18, 0, 1))]  # fmt: skip
    once, info = replay(image, with_notes(image, *notes))
    assert info.damage is None
    twice, _ = replay(image, with_notes(image, *notes, *notes))
    assert once == twice
