"""Extended attributes: the same names in the same order, values and errors as Linux; damage is told, never followed."""

import errno
import os
import struct

import pytest

from tests.images import build, e2fs
from tests.images.awkward import AWKWARD
from tests.oracle import vfslab_process
from vfslab.fs.ext4.format import ext4_inode
from vfslab.fs.ext4.xattr import (
    ext4_acl_to_xattr,
    ext4_xattr_block_csum,
    ext4_xattr_block_entries,
    ext4_xattr_hash_entry,
    ext4_xattr_ibody_entries,
    value_words,
)
from vfslab.kernel.errno import EINVAL, ENODATA
from vfslab.lib.crc32c import crc32c
from vfslab.lib.ondisk import FormatError

needs_mount = [pytest.mark.needs_loop, pytest.mark.needs_program("mke2fs", "debugfs")]
WITH_XATTRS = [spec for spec in AWKWARD if "xattrs" in spec.fill]
ACL = struct.pack("<I HHI HHI HHI HHI HHI HHI", 2, 1, 6, 0xFFFFFFFF, 2, 4, 1000, 4, 4, 0xFFFFFFFF, 8, 6, 2000,
                  16, 6, 0xFFFFFFFF, 32, 0, 0xFFFFFFFF)  # fmt: skip


def real(*names):
    """Decorate a test that compares with Linux."""

    def decorate(test):
        for mark in needs_mount:
            test = mark(test)
        return test

    return decorate


def everything(o, root):
    """Return {path: [(name, value or error number), ...]} in the order that listxattr gives."""
    found = {}
    for directory, subdirs, files in o.walk(root):
        for name in [".", *subdirs, *files]:
            path = f"{directory}/{name}"
            found[path[len(root) :]] = [
                (xattr, value(o, path, xattr)) for xattr in o.listxattr(path, follow_symlinks=False)
            ]
    return found


def value(o, path, name):
    try:
        return o.getxattr(path, name, follow_symlinks=False)
    except OSError as error:
        return error.errno


def fill(root):
    """All namespaces on all kinds of inodes, in the inode and beyond it, removed and replaced ones among them."""
    os.mkdir(f"{root}/directory")
    os.mknod(f"{root}/fifo", 0o10600)
    for name in ("plain", "mixed"):
        with open(f"{root}/{name}", "w"):
            pass
    os.symlink("plain", f"{root}/link")
    for path in ("plain", "mixed", "directory"):
        for number in (3, 1, 2):
            os.setxattr(f"{root}/{path}", f"user.number{number}", b"v" * number * 40)
            os.setxattr(f"{root}/{path}", f"trusted.number{number}", b"t" * number)
        os.setxattr(f"{root}/{path}", "user.\udcff\udc80 odd", b"\0\1\2")
        os.setxattr(f"{root}/{path}", "user.empty", b"")
        os.setxattr(f"{root}/{path}", "system.posix_acl_access", ACL)
    os.setxattr(f"{root}/directory", "system.posix_acl_default", ACL)
    for path in ("link", "fifo"):
        os.setxattr(f"{root}/{path}", "trusted.t", path.encode(), follow_symlinks=False)
        os.setxattr(f"{root}/{path}", "security.s", path.encode(), follow_symlinks=False)
    os.removexattr(f"{root}/mixed", "user.number1")
    os.setxattr(f"{root}/mixed", "user.number2", b"now longer than it was before" * 8)
    os.setxattr(f"{root}/mixed", "user.late", b"x")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("xattr") / "all.img"
    e2fs.mke2fs(path, "8M", "-t", "ext4", "-b", "1024", "-O", "^has_journal")
    with e2fs.mounted(path, "rw") as point:
        fill(point)
    return path


@real()
@pytest.mark.parametrize("spec", WITH_XATTRS, ids=lambda spec: spec.name)
def test_X3_names_order_and_values_are_those_of_linux(spec):
    path = build(spec)
    with e2fs.mounted(path) as point, vfslab_process(path) as (p, ours):
        truth = everything(os, point)
        assert everything(p, ours) == truth
    assert sum(map(len, truth.values())) > 10


@real()
def test_all_namespaces_on_all_kinds_of_inodes(image):
    with e2fs.mounted(image) as point, vfslab_process(image) as (p, ours):
        truth = everything(os, point)
        assert everything(p, ours) == truth
        assert [name for name, _ in truth["/link"]] == ["trusted.t", "security.s"]
        for name in ("user.none", "trusted.none", "user.", "nonsense", "foreign.name", "system.data", "system.richacl",
                     "system.posix_acl_default", "gnu.translator", "security.none", "user." + "n" * 251):  # fmt: skip
            for path in ("plain", "link", "directory", "fifo"):
                assert value(p, f"{ours}/{path}", name) == value(os, f"{point}/{path}", name), (path, name)


@real()
def test_a_user_does_not_see_trusted_names(image):
    import vfslab

    with e2fs.mounted(image) as point:
        everybody = [name for name in os.listxattr(f"{point}/plain") if not name.startswith("trusted.")]
        pid = os.fork()
        if not pid:  # Linux answers in a process of its own, which gives its rights away
            os.chdir(point)
            os.setgid(1)
            os.setuid(1)
            unseen = value(os, "plain", "trusted.number1") == errno.ENODATA
            os._exit(0 if unseen and os.listxattr("plain") == everybody else 1)
        assert os.waitpid(pid, 0)[1] == 0
    with vfslab.boot() as kernel:
        kernel.attach("vda", str(image), read_only=True)
        root = kernel.process(uid=0, gid=0)
        root.mkdir("/x")
        root.mount("/dev/vda", "/x", "ext4", "ro")
        user = kernel.process(uid=1, gid=1)
        assert user.listxattr("/x/plain") == everybody and len(everybody) >= 6
        assert value(user, "/x/plain", "trusted.number1") == errno.ENODATA
        assert value(root, "/x/plain", "trusted.number1") == b"t"


# --- sums and hashes ---------------------------------------------------------------------------------------


def inodes_with_block(data):
    """Yield (inode number, raw inode, number of its attribute block) of a one-group image in blocks of 1 KiB."""
    table = struct.unpack_from("<I", data, 2048 + 8)[0] * 1024
    for index in range(10, 40):
        raw = data[table + index * 256 :][:256]
        if ext4_inode(raw).i_mode:
            yield index + 1, raw, ext4_inode(raw).i_file_acl


@real()
def test_hashes_and_checksums_that_linux_wrote(image):
    data, seen = image.read_bytes(), 0
    seed = crc32c(~0, data[1024 + 0x68 : 1024 + 0x78])
    for _, raw, block in inodes_with_block(data):
        entries = [(entry, raw) for entry in ext4_xattr_ibody_entries(raw, 256)]
        if block:
            buffer = data[block * 1024 : block * 1024 + 1024]
            assert struct.unpack_from("<I", buffer, 16)[0] == ext4_xattr_block_csum(seed, block, buffer)
            in_block = ext4_xattr_block_entries(buffer)
            whole = 0
            for entry in in_block:
                whole = (whole << 16 ^ whole >> 16 ^ entry.hash) & 0xFFFFFFFF
            assert struct.unpack_from("<I", buffer, 12)[0] == whole
            entries += [(entry, buffer) for entry in in_block]
        for entry, buffer in entries:
            words = value_words(buffer[entry.value_at : entry.value_at + entry.value_size])
            assert entry.hash in (
                0,
                ext4_xattr_hash_entry(entry.name, words),
                ext4_xattr_hash_entry(entry.name, words, True),
            )
            seen += entry.hash != 0
    assert seen > 15


# --- lists of access rights ---------------------------------------------------------------------------------


def test_acl_entries_get_an_id():
    stored = struct.pack("<I HH HHI HH", 1, 1, 6, 2, 4, 1000, 32, 0)
    assert ext4_acl_to_xattr(stored) == struct.pack(
        "<I HHI HHI HHI", 2, 1, 6, 0xFFFFFFFF, 2, 4, 1000, 32, 0, 0xFFFFFFFF
    )


@pytest.mark.parametrize(
    "raw", [b"", b"\1\0", b"\2\0\0\0\1\0\6\0", b"\1\0\0\0\1", b"\1\0\0\0\2\0\4\0\0", b"\1\0\0\0\3\0\4\0"]
)
def test_acl_that_is_not_in_order_is_refused(raw):
    with pytest.raises(EINVAL):
        ext4_acl_to_xattr(raw)


def test_empty_acl_is_none():
    with pytest.raises(ENODATA):
        ext4_acl_to_xattr(b"\1\0\0\0")


# --- damage --------------------------------------------------------------------------------------------------

HEADER = struct.pack("<IIIII 12x", 0xEA020000, 1, 1, 0, 0)


def block_with(*entries, size=1024):
    """Return an attribute block with raw entries: (name length, offset, inode, size, name)."""
    body = b"".join(struct.pack("<BBHIII", length, 1, offset, inum, value_size, 0) + name + bytes(-len(name) % 4)
                    for length, offset, inum, value_size, name in entries)  # fmt: skip
    return (HEADER + body).ljust(size, b"\0")


HOSTILE = {
    "name beyond the end": block_with(*[(250, 0, 0, 0, b"n" * 250)] * 3, (255, 0, 0, 0, b"n" * 150)),
    "list without an end": HEADER + b"\1" * 992,
    "value beyond the end": block_with((1, 1020, 0, 8, b"a")),
    "value among the entries": block_with((1, 40, 0, 8, b"a")),
    "value over the end mark": block_with((1, 52, 0, 4, b"a")),
    "value of 4 GiB": block_with((1, 512, 0, 0xFFFFFFFF, b"a")),
    "value in an inode, of 4 GiB": block_with((1, 512, 12, 0xFFFFFFFF, b"a")),
    "NUL in a name": block_with((3, 512, 0, 1, b"a\0b")),
    "several blocks": HEADER[:8] + b"\2" + block_with()[9:],
    "another magic": b"\1" + block_with()[1:],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_X1_damaged_block_is_refused_with_the_place(what):
    with pytest.raises(FormatError) as raised:
        ext4_xattr_block_entries(HOSTILE[what])
    assert raised.value.field in ("e_name_len", "e_name", "e_value_offs", "e_value_size", "h_magic", "h_blocks")


def test_the_same_block_without_the_damage_is_read():
    entries = ext4_xattr_block_entries(block_with((1, 1016, 0, 8, b"a"), (2, 1012, 0, 2, b"bb"), (1, 0, 0, 0, b"c")))
    assert [(e.name, e.value_at, e.value_size) for e in entries] == [(b"a", 1016, 8), (b"bb", 1012, 2), (b"c", 0, 0)]


def test_random_bytes_give_entries_inside_or_a_refusal(rng):
    refused = 0
    for _ in range(3000):
        block = bytearray(block_with((1, 1016, 0, 8, b"a"), (2, 1000, 0, 9, b"bb"), (1, 0, 0, 0, b"c")))
        for _ in range(rng.randrange(1, 4)):
            block[rng.randrange(32, 100)] = rng.randrange(256)
        raw = bytes(128) + struct.pack("<HH", 32, 0) + bytes(28) + block[:4] + block[32:124]
        for read, buffer in (
            (ext4_xattr_block_entries, bytes(block)),
            (lambda raw: ext4_xattr_ibody_entries(raw, 256), raw),
        ):
            try:
                for entry in read(buffer):
                    inside = entry.value_at + entry.value_size <= len(buffer)
                    assert not entry.value_size or entry.value_inum or inside
            except FormatError:
                refused += 1
    assert 500 < refused < 6000


@real()
@pytest.mark.parametrize("what", HOSTILE)
def test_linux_gives_the_same_error_for_a_damaged_block(tmp_path, what):
    path = tmp_path / "damaged.img"
    e2fs.mke2fs(path, "4M", "-t", "ext4", "-b", "1024", "-I", "128", "-O", "^metadata_csum,^has_journal")
    with e2fs.mounted(path, "rw") as point:
        with open(f"{point}/file", "w"):
            pass
        os.setxattr(f"{point}/file", "user.a", b"x" * 50)
    data = bytearray(path.read_bytes())
    table = struct.unpack_from("<I", data, 2048 + 8)[0] * 1024
    block = next(
        ext4_inode(data, at).i_file_acl for at in range(table, table + 128 * 40, 128) if ext4_inode(data, at).i_file_acl
    )
    data[block * 1024 : block * 1024 + 1024] = HOSTILE[what]
    path.write_bytes(data)
    with e2fs.mounted(path) as point, vfslab_process(path) as (p, ours):
        for call in (lambda o, root: o.listxattr(f"{root}/file"), lambda o, root: o.getxattr(f"{root}/file", "user.a")):
            numbers = []
            for o, root in ((os, point), (p, ours)):
                with pytest.raises(OSError) as raised:
                    call(o, root)
                numbers.append(raised.value.errno)
            assert numbers[0] == numbers[1] == errno.EUCLEAN


@real()
def test_wrong_checksum_of_a_block_is_EBADMSG(image, tmp_path):
    data = bytearray(image.read_bytes())
    block = next(block for _, _, block in inodes_with_block(data) if block)
    data[block * 1024 + 900] ^= 1
    damaged = tmp_path / "damaged.img"
    damaged.write_bytes(data)
    with e2fs.mounted(damaged) as point, vfslab_process(damaged) as (p, ours):
        found = []
        for o, root in ((os, point), (p, ours)):
            bad = []
            for name in ("plain", "mixed", "directory"):
                try:
                    o.listxattr(f"{root}/{name}")
                except OSError as error:
                    bad.append((name, error.errno))
            found.append(bad)
    assert found[0] == found[1] and {number for _, number in found[0]} == {errno.EBADMSG}


@real()
@pytest.mark.parametrize("damage", ["value", "size", "flag", "number"])
def test_X2_value_in_an_inode_must_fit_its_entry(tmp_path, damage):
    path = tmp_path / "ea.img"
    e2fs.mke2fs(path, "4M", "-t", "ext4", "-b", "1024", "-O", "ea_inode,^metadata_csum,^has_journal")
    with e2fs.mounted(path, "rw") as point:
        with open(f"{point}/file", "w"):
            pass
        os.setxattr(f"{point}/file", "user.big", b"big" * 1500)
    data = bytearray(path.read_bytes())
    table = struct.unpack_from("<I", data, 2048 + 8)[0] * 1024
    holder = next(at for at in range(table, table + 256 * 40, 256) if ext4_inode(data, at).i_flags & 0x200000)
    if damage == "value":
        data[data.index(b"bigbigbig") + 2] ^= 1
    elif damage == "size":
        ext4_inode(data, holder).i_size_lo -= 1
    elif damage == "flag":
        ext4_inode(data, holder).i_flags &= ~0x200000
    else:
        at = data.index(struct.pack("<II", (holder - table) // 256 + 1, 4500))
        struct.pack_into("<I", data, at, 7)
    path.write_bytes(data)
    with e2fs.mounted(path) as point, vfslab_process(path) as (p, ours):
        assert value(p, f"{ours}/file", "user.big") == value(os, f"{point}/file", "user.big") == errno.EUCLEAN
        assert p.lstat(f"{ours}/file").st_size == 0, "the file itself is fine"
