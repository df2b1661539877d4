"""One image for each thing that ext4 readers are known to get wrong.

AWKWARD lists the specifications; `why` says what the reader must do right. The
fill and finish functions that only these images need stand here too.
"""

import fcntl
import os
import shutil
import struct
from functools import partial

from .. import images
from . import contents, e2fs
from .contents import attempt, bigdir, fallocate, pattern, put, scattered, write_at

Spec = partial(images.Spec, source="awkward")

# --- journals that were not played back --------------------------------------------------------


def journal_left(root):
    """Change much, commit the journal, stop as at a power cut: what was done stands in the journal only."""
    os.makedirs(f"{root}/kept")
    for number in range(30):
        put(f"{root}/kept/old{number}", 1000 + number)
    os.sync()
    for number in range(0, 30, 2):
        os.unlink(f"{root}/kept/old{number}")
    for number in range(40):
        put(f"{root}/kept/new{number}", 2000 + number)
    os.rename(f"{root}/kept/new1", f"{root}/renamed")
    os.symlink("renamed", f"{root}/link")
    os.chmod(f"{root}/kept/new2", 0o4711)
    os.sync()
    e2fs.shutdown(root, 1)


def journal_revoked(root):
    """Blocks that were metadata in the journal and are file data now: replay must skip the revoked ones."""
    bigdir(root, 300, 100)
    os.sync()
    for name in os.listdir(f"{root}/big"):
        os.unlink(f"{root}/big/{name}")
    os.rmdir(f"{root}/big")
    for number in range(40):
        put(f"{root}/data{number}", 8000)
    os.sync()
    e2fs.shutdown(root, 1)


def journal_escaped(root):
    """A metadata block beginning with the journal's magic: a directory's data cannot, a slow symlink's block can."""
    magic = struct.pack(">I", 0xC03B3998)
    os.sync()
    for number in range(4):
        os.symlink(magic + b"s" * 200 + b"%d" % number, os.fsencode(root) + b"/escaped%d" % number)
    os.sync()
    e2fs.shutdown(root, 1)


def fast_commits(root):
    """After a full commit, changes that fsync left as fast commits: new, longer, renamed, unlinked, punched, xattr."""
    os.mkdir(f"{root}/fast")
    for number in range(6):
        put(f"{root}/fast/base{number}", 5000)
    os.sync()
    directory = os.open(f"{root}/fast", os.O_RDONLY)
    for number in range(5):
        put(f"{root}/fast/made{number}", 3000 + number)
        sync_file(f"{root}/fast/made{number}")
    with open(f"{root}/fast/base0", "ab") as file:
        file.write(pattern("more", 30000))
        os.fsync(file.fileno())
    os.rename(f"{root}/fast/base1", f"{root}/fast/moved")
    os.link(f"{root}/fast/base2", f"{root}/fast/second")
    os.unlink(f"{root}/fast/base3")
    sync_file(f"{root}/fast/moved")
    os.truncate(f"{root}/fast/base4", 100)
    sync_file(f"{root}/fast/base4")
    fallocate(f"{root}/fast/base5", contents.PUNCH_HOLE | contents.KEEP_SIZE, 0, 4096)
    sync_file(f"{root}/fast/base5")
    os.close(directory)
    e2fs.shutdown(root, 2)


def sync_file(path):
    """fsync one file."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def orphans(root):
    """Files unlinked or cut while they are open, at the moment the power goes: they stand on the orphan list."""
    put(f"{root}/stays", 100)
    for number in range(5):
        put(f"{root}/gone{number}", 4000)
    os.sync()
    held = [os.open(f"{root}/gone{number}", os.O_RDWR) for number in range(5)]
    for number in range(5):
        os.unlink(f"{root}/gone{number}")
    os.sync()
    e2fs.shutdown(root, 1)
    for fd in held:
        os.close(fd)


def copied_while_mounted(image):
    """Copy an image from under a mount whose last commit is not yet checkpointed."""
    with e2fs.mounted(image, "rw") as root:
        os.mkdir(f"{root}/before")
        put(f"{root}/before/file", 5000)
        os.sync()
        for number in range(100):
            put(f"{root}/before/file{number}", 100)
        for name in ("file", "file1", "file3"):
            os.rename(f"{root}/before/{name}", f"{root}/{name}-moved")
        sync_file(f"{root}/before/file99")
        shutil.copyfile(image, f"{image}.copy")
    os.replace(f"{image}.copy", image)


def debugfs_journal(version, wide=False):
    """Return a finish function: a transaction that debugfs writes, with the given checksum version, 0 for none."""

    def finish(image):
        checksum = f"-c -v {version}" if version else ""
        source = f"{image}.block"
        with open(source, "wb") as file:
            file.write(pattern("journal", 1024))
        target = int(e2fs.ask(image, "bmap target 0").split()[0])
        victim = int(e2fs.ask(image, "bmap revoked 0").split()[0])
        e2fs.debugfs(image, f"jo {checksum}\njw -b {target} {source}\njw -b {victim} {source}\njc")
        e2fs.debugfs(image, f"jo {checksum}\njw -r {victim}\njc")
        os.unlink(source)

    return finish


journal_plain = debugfs_journal(0)
journal_v3 = debugfs_journal(3)


def two_targets(root):
    """Two files of one block, to be overwritten through the journal."""
    put(f"{root}/target", 1024)
    put(f"{root}/revoked", 1024)


# --- layouts -----------------------------------------------------------------------------------


def inline(root):
    """Files and directories of every size around the point where they leave the inode."""
    os.mkdir(f"{root}/inline")
    for size in (0, 1, 4, 59, 60, 61, 62, 90, 100, 120, 130, 155, 156, 160, 161, 200, 400, 500, 512, 700, 900, 1000):
        put(f"{root}/inline/f{size}", size)
    put(f"{root}/inline/with-xattr", 100)
    attempt(os.setxattr, f"{root}/inline/with-xattr", "user.x", b"y" * 30)
    for count in range(0, 24, 2):
        os.mkdir(f"{root}/inline/d{count}")
        for number in range(count):
            put(f"{root}/inline/d{count}/n{number}", number)
    for length in (1, 20, 50, 150):
        os.mkdir(f"{root}/inline/long{length}")
        put(f"{root}/inline/long{length}/" + "x" * length, 3)
    os.mkdir(f"{root}/inline/holed")
    for number in range(6):
        put(f"{root}/inline/holed/n{number}", 1)
    for number in (0, 3, 5):
        os.unlink(f"{root}/inline/holed/n{number}")
    os.truncate(f"{root}/inline/f59", 30)
    put(f"{root}/inline/longer", 30)
    with open(f"{root}/inline/zeros", "wb") as file:
        file.truncate(5000)
    os.truncate(f"{root}/inline/longer", 100)


def fill_inodes(root):
    """Use every inode, the last one of the filesystem too."""
    number = 0
    while True:
        try:
            put(f"{root}/file{number:05d}", 3)
        except OSError:
            break
        number += 1


def tight_block(root):
    """Directories whose last block ends in an entry of exactly 12 bytes: 1 to 4 letters."""
    bs = contents.block_size(root)
    usable = bs - 12  # a checksum tail of 12 bytes stands at the end, where there are checksums
    for usable_bytes, label in ((usable, "tail"), (bs, "bare")):
        os.mkdir(f"{root}/tight-{label}")
        left = usable_bytes - 24
        number = 0
        while left > 12 + 12:
            record = min(264, left - 12)
            record -= record % 4
            length = min(record - 8, 255)
            put(f"{root}/tight-{label}/" + f"{number:03d}".ljust(length, "t")[:length])
            left -= record
            number += 1
        while left >= 12:
            put(f"{root}/tight-{label}/z{left // 12}")
            left -= 12


def tight_indeed(image):
    """Make sure that in one of the directories an entry of 12 bytes is the last of its block."""
    data, bs = image.read_bytes(), 1024
    for name in ("tight-tail", "tight-bare"):
        start, last, offset = int(e2fs.ask(image, f"bmap {name} 0").split()[0]) * bs, None, 0
        while offset < bs:
            inode, length = struct.unpack_from("<IH", data, start + offset)
            last = length if inode else last  # the tail with the checksum has inode 0
            offset += length
        if last == 12:
            return
    raise e2fs.ToolError("no directory ends in an entry of 12 bytes")


def longest_extent(root):
    """A file that fills more than one extent of 32768 blocks of 1 KiB."""
    put(f"{root}/longest", 33000 * 1024)


def beside_longest(image):
    """Add the longest unwritten extent, and make the first one 32768 blocks long: libext2fs ends one at 32767."""
    start = int(e2fs.ask(image, "bmap longest 0"))
    if int(e2fs.ask(image, "bmap longest 32999")) != start + 32999:
        raise e2fs.ToolError("the file is not in one piece")
    e2fs.debugfs(image, f"eo longest\nroot\nreplace_node 0 32768 {start}\n"
                        f"next_sibling\nreplace_node 32768 232 {start + 32768}\nextent_close")  # fmt: skip
    e2fs.debugfs(image, "write /dev/null unwritten\nfallocate /unwritten 0 33000\n"
                        f"set_inode_field /unwritten size {33001 * 1024}")  # fmt: skip
    for name, length in (("longest", " 32768 "), ("unwritten", " 32767 ")):
        if length not in (found := e2fs.ask(image, f"dump_extents /{name}")):
            raise e2fs.ToolError(f"{name}: no extent of{length}blocks: {found}")


def deepest(root):
    """An extent tree of depth 3: more than 4 x 84 leaves of 84 extents in blocks of 1 KiB."""
    scattered(root, pieces=28600)


def deep_enough(image):
    """Make sure of the depth."""
    if "/ 3" not in (found := e2fs.ask(image, "dump_extents /scattered")):
        raise e2fs.ToolError(f"the tree is not of depth 3: {found[:200]}")


def stale_extents(root):
    """Unwritten extents over blocks that hold another file's old bytes."""
    put(f"{root}/old", 2_000_000)
    os.sync()
    os.unlink(f"{root}/old")
    os.sync()
    for number in range(4):
        fallocate(f"{root}/new{number}", 0, 0, 400_000)
    write_at(f"{root}/new1", 8192, size=10)


def stale_indeed(image):
    """Make sure that an unwritten extent stands over bytes that are not zero."""
    block = int(e2fs.ask(image, "bmap new0 20").split()[0])
    with open(image, "rb") as file:
        file.seek(block * 4096)
        if not any(file.read(4096)):
            raise e2fs.ToolError("the unwritten extent stands over zeros")


def two_levels(image):
    """Make sure that the hash tree has an inner level."""
    if "Indirect levels: 1" not in (found := e2fs.ask(image, "htree_dump /deep")):
        raise e2fs.ToolError(f"the hash tree has one level: {found[:300]}")


def uncounted(image):
    """Make a directory's link count 1, as the kernel does above 65000 subdirectories."""
    e2fs.debugfs(image, "set_inode_field /mid/d70 links_count 1")


def sparse_giant(root):
    """A sparse file whose size needs i_size_high, and on 64bit a block count that does."""
    write_at(f"{root}/giant", 0, (1 << 33) + 4096, (1 << 40))


# --- flags and features that a mount here cannot make ------------------------------------------


def casefold_flag(image):
    """Give a directory the casefold flag, as `chattr +F` does, and make its name tree agree (it is linear)."""
    e2fs.debugfs(image, "set_inode_field /folded flags 0x40080000")


def folded(root):
    """A directory that is to become case-insensitive."""
    os.mkdir(f"{root}/folded")
    for name in ("Makefile", "README", "straße", "ÄÖÜ"):
        put(f"{root}/folded/{name}", 30)
    put(f"{root}/plain", 10)


def encrypted(root):
    """A directory under an fscrypt policy; its key goes with the mount."""
    os.mkdir(f"{root}/secret")
    put(f"{root}/plain", 100)
    key = bytes(range(64))
    # struct fscrypt_add_key_arg: key_spec {u32 type, u32 reserved, u8 u[32]}, raw_size, key_id, flags, reserved[7], raw
    argument = bytearray(struct.pack("<II32sIII28s", 2, 0, b"", len(key), 0, 0, b"") + key)
    fd = os.open(root, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, 0xC0506617, argument, True)
    finally:
        os.close(fd)
    identifier = bytes(argument[8:24])
    fd = os.open(f"{root}/secret", os.O_RDONLY)
    try:
        # struct fscrypt_policy_v2: version 2, AES-256-XTS, AES-256-CTS, padding 32, reserved, identifier
        fcntl.ioctl(fd, 0x800C6613, struct.pack("<BBBB4s16s", 2, 1, 4, 3, b"", identifier))
    finally:
        os.close(fd)
    for number in range(5):
        put(f"{root}/secret/hidden{number}", 3000)
    os.mkdir(f"{root}/secret/inner")
    os.symlink("hidden0", f"{root}/secret/link")


def other_uuid(image):
    """Change the UUID; the checksum seed stays."""
    e2fs.run("tune2fs", "-U", "0badc0de-1111-4222-8333-444455556666", image)


NO_CSUM = "^metadata_csum"
AWKWARD = [
    # dirty journals
    Spec("journal-dirty", "8M", ("-t", "ext4", "-b", "1024"), ("journal_left",), clean=False, dirty=True,
         why="replay: what was committed is in the journal only"),
    Spec("journal-dirty-4k", "16M", ("-t", "ext4", "-b", "4096"), ("journal_left",), clean=False, dirty=True,
         why="the same in 4 KiB blocks, checksum version 3"),
    Spec("journal-32bit", "8M", ("-t", "ext4", "-O", f"{NO_CSUM},^64bit"), ("journal_left",), clean=False, dirty=True,
         why="journal tags of 8 bytes"),
    Spec("journal-ext3", "8M", ("-t", "ext3"), ("journal_left",), clean=False, dirty=True, why="ext3's journal"),
    Spec("journal-v1", "8M", ("-t", "ext4", "-O", NO_CSUM), ("journal_left",), mount="rw,journal_checksum",
         clean=False, dirty=True, why="checksum in the commit block"),
    Spec("journal-async", "8M", ("-t", "ext4"), ("journal_left",), mount="rw,journal_async_commit,data=writeback", clean=False,
         dirty=True, why="a commit block without a barrier before it"),
    Spec("journal-data", "8M", ("-t", "ext4"), ("journal_left",), mount="rw,data=journal", clean=False, dirty=True,
         why="file data stands in the journal"),
    Spec("journal-revoke", "8M", ("-t", "ext4", "-b", "1024"), ("journal_revoked",), clean=False, dirty=True,
         why="revoked blocks are not written back over newer data"),
    Spec("journal-escape", "8M", ("-t", "ext4"), ("journal_escaped",), mount="rw,data=journal", clean=False, dirty=True,
         why="a block that begins with the journal's magic is kept escaped"),
    Spec("journal-copied", "8M", ("-t", "ext4"), finish="copied_while_mounted", clean=False, dirty=True,
         why="copied while mounted"),
    Spec("journal-debugfs", "8M", ("-t", "ext4", "-b", "1024", "-O", NO_CSUM), ("two_targets",), finish="journal_plain",
         clean=False, dirty=True, why="a transaction without checksums, then a revoke"),
    Spec("journal-v3", "8M", ("-t", "ext4", "-b", "1024"), ("two_targets",), finish="journal_v3", clean=False,
         dirty=True, why="checksum version 3 written by debugfs"),
    Spec("fast-commit", "16M", ("-t", "ext4", "-b", "4096", "-O", "fast_commit"), ("fast_commits",), clean=False,
         dirty=True, why="fast commits after the last full one"),
    Spec("fast-commit-1k", "16M", ("-t", "ext4", "-b", "1024", "-O", "fast_commit"), ("fast_commits",), clean=False,
         dirty=True, why="fast commits over several small blocks"),
    Spec("orphan-list", "8M", ("-t", "ext4"), ("orphans",), clean=False, dirty=True, why="orphans in the inode list"),
    Spec("orphan-file", "8M", ("-t", "ext4", "-O", "orphan_file"), ("orphans",), clean=False, dirty=True,
         why="orphans in the orphan file"),
    # inline data
    Spec("inline-256", "8M", ("-t", "ext4", "-I", "256", "-O", "inline_data"), ("inline", "names"), why="inline data"),
    Spec("inline-512", "8M", ("-t", "ext4", "-I", "512", "-b", "4096", "-O", "inline_data"), ("inline",), why="inline data"),
    Spec("inline-1024", "8M", ("-t", "ext4", "-I", "1024", "-b", "4096", "-O", "inline_data"), ("inline", "xattrs"),
         why="inline data beside attributes"),
    # block maps
    Spec("ext2-1k", "8M", ("-t", "ext2", "-b", "1024"), ("indirect", "holes", "names"), why="indirect blocks, NULL double, holes"),
    Spec("ext2-2k", "8M", ("-t", "ext2", "-b", "2048"), ("indirect", "holes"), why="the same"),
    Spec("ext3-4k", "16M", ("-t", "ext3", "-b", "4096"), ("indirect", "holes"), why="the same"),
    Spec("ext2-old", "8M", ("-t", "ext2", "-O", "none", "-r", "0"), ("middling",), why="revision 0: no features, inodes of 128 bytes"),
    Spec("ext2-no-filetype", "8M", ("-t", "ext2", "-O", "^filetype"), ("middling",), why="types only in the inodes"),
    # numbers at their ends
    Spec("last-inode", "8M", ("-t", "ext4", "-N", "256"), ("fill_inodes",), why="the last inode is in use"),
    Spec("last-inode-ext2", "4M", ("-t", "ext2", "-N", "128"), ("fill_inodes",), why="the last inode is in use"),
    Spec("tight-block", "8M", ("-t", "ext4", "-O", "^dir_index"), ("tight_block",), finish="tight_indeed", why="a last entry of 12 bytes"),
    Spec("tight-block-ext2", "8M", ("-t", "ext2", "-O", "^dir_index"), ("tight_block",), finish="tight_indeed", why="a last entry of 12 bytes, no tail"),
    Spec("extent-32768", "96M", ("-t", "ext4", "-b", "1024", "-G", "64", "-O", "^has_journal,^resize_inode,sparse_super2", "-E", "num_backup_sb=0"),
         ("longest_extent",), filled="mke2fs", finish="beside_longest", why="32768 blocks are initialised"),
    Spec("giant", "16M", ("-t", "ext4", "-b", "4096"), ("sparse_giant",), why="sizes over 2^32"),
    Spec("dir-nlink", "8M", ("-t", "ext4"), ("middling",), finish="uncounted", clean=False, why="a link count of 1 means many"),
    # trees
    Spec("depth-3", "48M", ("-t", "ext4", "-b", "1024", "-O", "^has_journal"), ("deepest",), finish="deep_enough", why="an extent tree of depth 3"),
    Spec("stale", "8M", ("-t", "ext4", "-b", "4096", "-O", "^has_journal"), ("stale_extents",), finish="stale_indeed", why="old bytes behind unwritten extents"),
    Spec("htree-2", "16M", ("-t", "ext4", "-b", "1024"), ("bundle_deep",), finish="two_levels", why="a hash tree of two levels"),
    Spec("largedir", "32M", ("-t", "ext4", "-b", "1024", "-O", "large_dir"), ("bundle_deep",), why="large_dir"),
    Spec("ghosts", "8M", ("-t", "ext4", "-b", "1024"), ("emptied",), why="stale names in slack space are no names"),
    # groups
    Spec("bigalloc", "32M", ("-t", "ext4", "-O", "bigalloc", "-C", "16384"), ("bundle_names", "holes", "unwritten", "sizes"), why="clusters"),
    Spec("meta-bg", "64M", ("-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"), ("middling", "sizes"), why="descriptors stand in their groups"),
    Spec("meta-bg-many", "256M", ("-t", "ext4", "-b", "1024", "-g", "1024", "-O", "meta_bg,^resize_inode", "-N", "8192"), ("middling", "sizes"),
         why="many meta groups"),
    Spec("many-groups", "64M", ("-t", "ext4", "-b", "1024", "-g", "512", "-N", "4096"), ("middling", "names"), why="many small groups"),
    Spec("sparse-super2", "32M", ("-t", "ext4", "-b", "1024", "-O", "sparse_super2,^resize_inode"), ("middling",), why="two backups"),
    Spec("uninit-bg", "32M", ("-t", "ext4", "-b", "1024", "-O", f"{NO_CSUM},uninit_bg"), ("middling", "sizes"), why="crc16 descriptors, uninit groups"),
    Spec("csum-seed", "8M", ("-t", "ext4", "-O", "metadata_csum_seed"), ("middling", "xattrs"), finish="other_uuid", why="checksums start from s_checksum_seed"),
    # attributes
    Spec("ea-inode", "16M", ("-t", "ext4", "-b", "4096", "-O", "ea_inode"), ("xattrs",), why="values in inodes of their own"),
    Spec("ea-inode-1k", "16M", ("-t", "ext4", "-b", "1024", "-O", "ea_inode"), ("xattrs",), why="values in inodes of their own"),
    Spec("xattr-128", "8M", ("-t", "ext4", "-I", "128"), ("xattrs",), why="no room in the inode"),
    Spec("quota", "16M", ("-t", "ext4", "-I", "256", "-O", "quota,project", "-E", "quotatype=usrquota:grpquota:prjquota"), ("middling",), filled="mke2fs", clean=False, why="quota files, project ids"),
    Spec("mmp", "8M", ("-t", "ext4", "-O", "mmp", "-E", "mmp_update_interval=1"), ("middling",), filled="mke2fs", why="multi-mount protection, idle"),
    Spec("inode-1024", "8M", ("-t", "ext4", "-b", "2048", "-I", "1024"), ("nodes", "xattrs"), why="big inodes"),
    # where Linux cannot judge
    Spec("blocks-64k", "64M", ("-t", "ext4", "-b", "65536"), ("bundle_names", "bundle_dirs", "sizes"), filled="mke2fs", truth="tree",
         why="blocks of 64 KiB: rec_len has its own coding there"),
    Spec("blocks-16k", "32M", ("-t", "ext4", "-b", "16384"), ("bundle_names", "bundle_dirs", "sizes"), filled="mke2fs", truth="tree",
         why="blocks larger than the page of this machine"),
    Spec("casefold", "8M", ("-t", "ext4", "-O", "casefold", "-E", "encoding=utf8"), ("folded",), filled="mke2fs", finish="casefold_flag",
         truth="tree", clean=False, why="exact names are found"),
    Spec("encrypted", "16M", ("-t", "ext4", "-b", "4096", "-O", "encrypt"), ("encrypted",), why="ENOKEY, never ciphertext"),
]  # fmt: skip
BY_NAME = {spec.name: spec for spec in AWKWARD}
