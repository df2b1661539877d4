"""What ext4 looks like on the disk: every structure, byte by byte, each declared once.

    block 0                                                     one block group
    ├─ 1024 bytes for a boot loader
    ├─ ext4_super_block (at byte 1024, whatever the block size)
    ├─ ext4_group_desc × groups                where each group's parts lie
    ├─ block bitmap, inode bitmap              one bit per cluster, one bit per inode
    ├─ ext4_inode × s_inodes_per_group         the inode table
    └─ data: files, directories (ext4_dir_entry_2), extent trees (ext4_extent_header ...)

An inode says where its data lies in its 60 bytes i_block: an extent tree, a table of block
numbers (ext2, ext3), a symlink's target, or the data itself (inline_data).

All numbers are little-endian. Sources: the kernel documentation "ext4 Data Structures and
Algorithms" (kernel.org, filesystems/ext4), its section named at each structure, and images made by
mke2fs 1.47.

Linux: fs/ext4/ext4.h, ext4_extents.h, xattr.h, fast_commit.h.   Chapter 3.
Left out: the Hurd's and Masix' meanings of the osd1 and osd2 members.
"""

from types import MappingProxyType

from vfslab.lib.ondisk import Layout, array, chars, hilo, le16, le32, le64, les32, u8

SUPERBLOCK_OFFSET = 1024  # bytes from the start of the device
EXT4_SUPER_MAGIC = 0xEF53
EXT4_EXT_MAGIC = 0xF30A
EXT4_XATTR_MAGIC = 0xEA020000
EXT4_MMP_MAGIC = 0x004D4D50
EXT4_ORPHAN_BLOCK_MAGIC = 0x0B10CA04

EXT4_GOOD_OLD_REV, EXT4_DYNAMIC_REV = 0, 1
EXT4_GOOD_OLD_INODE_SIZE, EXT4_GOOD_OLD_FIRST_INO = 128, 11
EXT4_MIN_DESC_SIZE, EXT4_MIN_DESC_SIZE_64BIT = 32, 64
EXT4_MIN_BLOCK_SIZE, EXT4_MAX_BLOCK_SIZE = 1024, 65536

EXT4_BAD_INO, EXT4_ROOT_INO, EXT4_USR_QUOTA_INO, EXT4_GRP_QUOTA_INO = 1, 2, 3, 4
EXT4_BOOT_LOADER_INO, EXT4_UNDEL_DIR_INO, EXT4_RESIZE_INO, EXT4_JOURNAL_INO = 5, 6, 7, 8

EXT4_NDIR_BLOCKS, EXT4_IND_BLOCK, EXT4_DIND_BLOCK, EXT4_TIND_BLOCK, EXT4_N_BLOCKS = 12, 12, 13, 14, 15
I_BLOCK_OFFSET, I_BLOCK_SIZE = 0x28, 60  # where i_block lies in the inode, in bytes
EXT_INIT_MAX_LEN = 32768  # blocks; an ee_len above it means "unwritten, ee_len - 32768 blocks"
EXT4_MAX_EXTENT_DEPTH = 5
EXT4_NAME_LEN = 255
EXT4_LINK_MAX = 65000


def _bits(names: str) -> MappingProxyType:
    """Return {bit: name} for names in the order of the bits; "-" stands for a bit without a name."""
    return MappingProxyType({1 << bit: name for bit, name in enumerate(names.split()) if name != "-"})


def _list(names: str) -> MappingProxyType:
    """Return {value: name} for names of the values 0, 1, 2 ...; "-" stands for a value without a name."""
    return MappingProxyType({value: name for value, name in enumerate(names.split()) if name != "-"})


# --- feature bits, named as dumpe2fs prints them (section "The Super Block") ------------------------

EXT4_FEATURE_COMPAT = _bits(
    "dir_prealloc imagic_inodes has_journal ext_attr resize_inode dir_index lazy_bg - snapshot_bitmap "
    "sparse_super2 fast_commit stable_inodes orphan_file"
)
EXT4_FEATURE_INCOMPAT = _bits(
    "compression filetype needs_recovery journal_dev meta_bg - extent 64bit mmp flex_bg ea_inode - dirdata "
    "metadata_csum_seed large_dir inline_data encrypt casefold"
)
EXT4_FEATURE_RO_COMPAT = _bits(
    "sparse_super large_file - huge_file uninit_bg dir_nlink extra_isize - quota bigalloc "
    "metadata_csum replica read-only project shared_blocks verity orphan_present"
)

COMPAT_HAS_JOURNAL, COMPAT_RESIZE_INODE, COMPAT_DIR_INDEX = 0x4, 0x10, 0x20
COMPAT_SPARSE_SUPER2, COMPAT_FAST_COMMIT, COMPAT_ORPHAN_FILE = 0x200, 0x400, 0x1000
INCOMPAT_COMPRESSION, INCOMPAT_FILETYPE, INCOMPAT_RECOVER, INCOMPAT_JOURNAL_DEV = 0x1, 0x2, 0x4, 0x8
INCOMPAT_META_BG, INCOMPAT_EXTENTS, INCOMPAT_64BIT, INCOMPAT_MMP, INCOMPAT_FLEX_BG = 0x10, 0x40, 0x80, 0x100, 0x200
INCOMPAT_EA_INODE, INCOMPAT_DIRDATA, INCOMPAT_CSUM_SEED, INCOMPAT_LARGEDIR = 0x400, 0x1000, 0x2000, 0x4000
INCOMPAT_INLINE_DATA, INCOMPAT_ENCRYPT, INCOMPAT_CASEFOLD = 0x8000, 0x10000, 0x20000
RO_COMPAT_SPARSE_SUPER, RO_COMPAT_LARGE_FILE, RO_COMPAT_HUGE_FILE, RO_COMPAT_GDT_CSUM = 0x1, 0x2, 0x8, 0x10
RO_COMPAT_DIR_NLINK, RO_COMPAT_EXTRA_ISIZE, RO_COMPAT_QUOTA, RO_COMPAT_BIGALLOC = 0x20, 0x40, 0x100, 0x200
RO_COMPAT_METADATA_CSUM, RO_COMPAT_READONLY, RO_COMPAT_PROJECT = 0x400, 0x1000, 0x2000
RO_COMPAT_SHARED_BLOCKS, RO_COMPAT_VERITY, RO_COMPAT_ORPHAN_PRESENT = 0x4000, 0x8000, 0x10000

EXT4_VALID_FS, EXT4_ERROR_FS, EXT4_ORPHAN_FS = 1, 2, 4
EXT2_FLAGS_SIGNED_HASH, EXT2_FLAGS_UNSIGNED_HASH, EXT2_FLAGS_TEST_FILESYS = 1, 2, 4

STATES = _bits("clean errors orphans - - fast-commit-replay")
ERRORS = MappingProxyType({1: "Continue", 2: "Remount read-only", 3: "Panic"})
CREATORS = _list("Linux Hurd Masix FreeBSD Lites")
REVISIONS = _list("original dynamic")
HASHES = _list("legacy half_md4 tea legacy_u half_md4_u tea_u siphash")
SB_FLAGS = _bits("signed_directory_hash unsigned_directory_hash test_filesystem")
MOUNT_OPTS = _bits(
    "debug bsdgroups user_xattr acl uid16 journal_data journal_data_ordered - nobarrier block_validity "
    "discard nodelalloc"
)


class ext4_super_block(Layout, size=1024):
    """The filesystem as a whole; backups lie at the start of some groups (section "The Super Block")."""

    s_inodes_count = le32("inodes in all")
    s_blocks_count_lo = le32("blocks in all, lower 32 bits")
    s_r_blocks_count_lo = le32("blocks only the super-user may take")
    s_free_blocks_count_lo = le32("free blocks (clusters, under bigalloc)")
    s_free_inodes_count = le32("free inodes")
    s_first_data_block = le32("block of the superblock: 1 with blocks of 1 KiB, else 0")
    s_log_block_size = le32("block size is 1024 << this")
    s_log_cluster_size = le32("cluster size is 1024 << this, under bigalloc; else as the block size")
    s_blocks_per_group = le32("blocks in a group")
    s_clusters_per_group = le32("clusters in a group; as many as blocks without bigalloc")
    s_inodes_per_group = le32("inodes in a group")
    s_mtime = le32("last mount, seconds since 1970")
    s_wtime = le32("last write, seconds since 1970")
    s_mnt_count = le16("mounts since the last check")
    s_max_mnt_count = le16("mounts after which to check")
    s_magic = le16("0xEF53", at=0x38)
    s_state = le16("state at the last unmount", flags=STATES)
    s_errors = le16("what to do when an error is found", enum=ERRORS)
    s_minor_rev_level = le16("minor revision")
    s_lastcheck = le32("last check, seconds since 1970")
    s_checkinterval = le32("longest time between checks, seconds")
    s_creator_os = le32("system that made it", enum=CREATORS)
    s_rev_level = le32("0: sizes are fixed; 1: the members from s_first_ino on count", enum=REVISIONS)
    s_def_resuid = le16("user who may take reserved blocks")
    s_def_resgid = le16("group that may take reserved blocks")
    s_first_ino = le32("first inode not reserved", at=0x54)
    s_inode_size = le16("bytes of an inode")
    s_block_group_nr = le16("group this copy lies in")
    s_feature_compat = le32("features one may not know of", flags=EXT4_FEATURE_COMPAT)
    s_feature_incompat = le32("features one must know to read", flags=EXT4_FEATURE_INCOMPAT)
    s_feature_ro_compat = le32("features one must know to write", flags=EXT4_FEATURE_RO_COMPAT)
    s_uuid = chars(16, "identity of the volume")
    s_volume_name = chars(16, "label")
    s_last_mounted = chars(64, "directory it was last mounted on")
    s_algorithm_usage_bitmap = le32("for compression, never used")
    s_prealloc_blocks = u8("blocks to allocate ahead for files", at=0xCC)
    s_prealloc_dir_blocks = u8("blocks to allocate ahead for directories")
    s_reserved_gdt_blocks = le16("blocks kept free behind the descriptors, for growing")
    s_journal_uuid = chars(16, "identity of the external journal")
    s_journal_inum = le32("inode of the journal")
    s_journal_dev = le32("device of the external journal")
    s_last_orphan = le32("head of the list of deleted but open inodes")
    s_hash_seed = array(le32, 4, "seed of the directory hash")
    s_def_hash_version = u8("hash for new directories", enum=HASHES)
    s_jnl_backup_type = u8("1: s_jnl_blocks holds the journal's i_block and i_size")
    s_desc_size = le16("bytes of a group descriptor, with 64bit; else 32")
    s_default_mount_opts = le32("mount options in force by default", at=0x100, flags=MOUNT_OPTS)
    s_first_meta_bg = le32("first group laid out by meta_bg")
    s_mkfs_time = le32("when it was made, seconds since 1970")
    s_jnl_blocks = array(le32, 17, "backup of the journal inode: i_block[15], i_size_high, i_size_lo")
    s_blocks_count_hi = le32("blocks in all, upper 32 bits", at=0x150)
    s_r_blocks_count_hi = le32("reserved blocks, upper 32 bits")
    s_free_blocks_count_hi = le32("free blocks, upper 32 bits")
    s_min_extra_isize = le16("extra bytes that every inode has")
    s_want_extra_isize = le16("extra bytes that new inodes get")
    s_flags = le32("flags", flags=SB_FLAGS)
    s_raid_stride = le16("blocks on one disk before the next")
    s_mmp_update_interval = le16("seconds between checks for a second user (mmp)")
    s_mmp_block = le64("block of mmp_struct")
    s_raid_stripe_width = le32("blocks on all data disks")
    s_log_groups_per_flex = u8("a flexible group is 1 << this groups")
    s_checksum_type = u8("1: crc32c")
    s_encryption_level = u8("version of the encryption")
    s_reserved_pad = u8("padding")
    s_kbytes_written = le64("KiB written in its life")
    s_snapshot_inum = le32("snapshots, never used", at=0x180)
    s_snapshot_id = le32("snapshots, never used")
    s_snapshot_r_blocks_count = le64("snapshots, never used")
    s_snapshot_list = le32("snapshots, never used")
    s_error_count = le32("errors seen", at=0x194)
    s_first_error_time = le32("first error: when")
    s_first_error_ino = le32("first error: inode")
    s_first_error_block = le64("first error: block")
    s_first_error_func = chars(32, "first error: function")
    s_first_error_line = le32("first error: line")
    s_last_error_time = le32("last error: when")
    s_last_error_ino = le32("last error: inode")
    s_last_error_line = le32("last error: line")
    s_last_error_block = le64("last error: block")
    s_last_error_func = chars(32, "last error: function")
    s_mount_opts = chars(64, "mount options as text", at=0x200)
    s_usr_quota_inum = le32("inode of the user quota")
    s_grp_quota_inum = le32("inode of the group quota")
    s_overhead_clusters = le32("clusters taken by the filesystem itself")
    s_backup_bgs = array(le32, 2, "the two groups with backups, under sparse_super2")
    s_encrypt_algos = array(u8, 4, "encryption algorithms")
    s_encrypt_pw_salt = chars(16, "salt of the password hash")
    s_lpf_ino = le32("inode of lost+found")
    s_prj_quota_inum = le32("inode of the project quota")
    s_checksum_seed = le32("start value of checksums, with metadata_csum_seed; else crc32c of s_uuid")
    s_wtime_hi = u8("s_wtime, upper 8 bits", at=0x274)
    s_mtime_hi = u8("s_mtime, upper 8 bits")
    s_mkfs_time_hi = u8("s_mkfs_time, upper 8 bits")
    s_lastcheck_hi = u8("s_lastcheck, upper 8 bits")
    s_first_error_time_hi = u8("s_first_error_time, upper 8 bits")
    s_last_error_time_hi = u8("s_last_error_time, upper 8 bits")
    s_first_error_errcode = u8("first error: number")
    s_last_error_errcode = u8("last error: number")
    s_encoding = le16("character set of names that ignore case (casefold); 1: UTF-8 12.1")
    s_encoding_flags = le16("1: refuse names that are not in it")
    s_orphan_file_inum = le32("inode of the orphan file")
    s_reserved = array(le32, 94, "padding", at=0x284)
    s_checksum = le32("crc32c of the 1020 bytes before it", at=0x3FC)

    s_blocks_count = hilo("s_blocks_count_hi", "s_blocks_count_lo", "blocks in all")
    s_r_blocks_count = hilo("s_r_blocks_count_hi", "s_r_blocks_count_lo", "reserved blocks")
    s_free_blocks_count = hilo("s_free_blocks_count_hi", "s_free_blocks_count_lo", "free blocks")


EXT4_BG_INODE_UNINIT, EXT4_BG_BLOCK_UNINIT, EXT4_BG_INODE_ZEROED = 1, 2, 4
BG_FLAGS = _bits("INODE_UNINIT BLOCK_UNINIT ITABLE_ZEROED")


def _long_descriptor(view: Layout) -> bool:
    """True if the descriptor's own buffer holds the upper halves too (s_desc_size is 64 or more)."""
    return len(view.buffer) - view.offset >= EXT4_MIN_DESC_SIZE_64BIT


class ext4_group_desc(Layout, size=64):
    """One block group: 32 bytes, or 64 and more with 64bit (section "Block Group Descriptors").

    Take a view over exactly s_desc_size bytes: the members without _lo count the upper halves if they are there.
    """

    bg_block_bitmap_lo = le32("block of the block bitmap")
    bg_inode_bitmap_lo = le32("block of the inode bitmap")
    bg_inode_table_lo = le32("first block of the inode table")
    bg_free_blocks_count_lo = le16("free blocks (clusters, under bigalloc)")
    bg_free_inodes_count_lo = le16("free inodes")
    bg_used_dirs_count_lo = le16("directories")
    bg_flags = le16("what has never been written", flags=BG_FLAGS)
    bg_exclude_bitmap_lo = le32("snapshots, never used")
    bg_block_bitmap_csum_lo = le16("checksum of the block bitmap")
    bg_inode_bitmap_csum_lo = le16("checksum of the inode bitmap")
    bg_itable_unused_lo = le16("inodes at the table's end that were never used")
    bg_checksum = le16("checksum of this descriptor", at=0x1E)
    bg_block_bitmap_hi = le32("block of the block bitmap, upper 32 bits")
    bg_inode_bitmap_hi = le32("block of the inode bitmap, upper 32 bits")
    bg_inode_table_hi = le32("first block of the inode table, upper 32 bits")
    bg_free_blocks_count_hi = le16("free blocks, upper 16 bits")
    bg_free_inodes_count_hi = le16("free inodes, upper 16 bits")
    bg_used_dirs_count_hi = le16("directories, upper 16 bits")
    bg_itable_unused_hi = le16("inodes never used, upper 16 bits")
    bg_exclude_bitmap_hi = le32("snapshots, never used")
    bg_block_bitmap_csum_hi = le16("checksum of the block bitmap, upper 16 bits")
    bg_inode_bitmap_csum_hi = le16("checksum of the inode bitmap, upper 16 bits")
    bg_reserved = le32("padding")

    bg_block_bitmap = hilo("bg_block_bitmap_hi", "bg_block_bitmap_lo", "block of the block bitmap", _long_descriptor)
    bg_inode_bitmap = hilo("bg_inode_bitmap_hi", "bg_inode_bitmap_lo", "block of the inode bitmap", _long_descriptor)
    bg_inode_table = hilo("bg_inode_table_hi", "bg_inode_table_lo", "first block of the inodes", _long_descriptor)
    bg_free_blocks_count = hilo("bg_free_blocks_count_hi", "bg_free_blocks_count_lo", "free blocks", _long_descriptor)
    bg_free_inodes_count = hilo("bg_free_inodes_count_hi", "bg_free_inodes_count_lo", "free inodes", _long_descriptor)
    bg_used_dirs_count = hilo("bg_used_dirs_count_hi", "bg_used_dirs_count_lo", "directories", _long_descriptor)
    bg_itable_unused = hilo("bg_itable_unused_hi", "bg_itable_unused_lo", "inodes never used", _long_descriptor)
    bg_block_bitmap_csum = hilo("bg_block_bitmap_csum_hi", "bg_block_bitmap_csum_lo", "checksum", _long_descriptor)
    bg_inode_bitmap_csum = hilo("bg_inode_bitmap_csum_hi", "bg_inode_bitmap_csum_lo", "checksum", _long_descriptor)


EXT4_SYNC_FL, EXT4_IMMUTABLE_FL, EXT4_APPEND_FL, EXT4_NOATIME_FL = 0x8, 0x10, 0x20, 0x80
EXT4_COMPR_FL, EXT4_NODUMP_FL, EXT4_ENCRYPT_FL, EXT4_INDEX_FL = 0x4, 0x40, 0x800, 0x1000
EXT4_DIRSYNC_FL, EXT4_TOPDIR_FL, EXT4_HUGE_FILE_FL, EXT4_EXTENTS_FL = 0x10000, 0x20000, 0x40000, 0x80000
EXT4_VERITY_FL, EXT4_EA_INODE_FL, EXT4_INLINE_DATA_FL = 0x100000, 0x200000, 0x10000000
EXT4_PROJINHERIT_FL, EXT4_CASEFOLD_FL = 0x20000000, 0x40000000

INODE_FLAGS = _bits(
    "SECRM UNRM COMPR SYNC IMMUTABLE APPEND NODUMP NOATIME DIRTY COMPRBLK NOCOMPR ENCRYPT INDEX IMAGIC "
    "JOURNAL_DATA NOTAIL DIRSYNC TOPDIR HUGE_FILE EXTENTS VERITY EA_INODE - - - DAX - - INLINE_DATA "
    "PROJINHERIT CASEFOLD"
)


class ext4_inode(Layout, size=160):
    """A file without its names: 128 bytes, and as many of the extra ones as i_extra_isize says (section "Index Nodes").

    The rest of s_inode_size bytes holds extended attributes.
    """

    i_mode = le16("file type and permissions")
    i_uid = le16("owner, lower 16 bits")
    i_size_lo = le32("size in bytes, lower 32 bits")
    i_atime = les32("last access, seconds since 1970")
    i_ctime = les32("last change of the inode")
    i_mtime = les32("last change of the data")
    i_dtime = le32("when it was deleted; or the next inode of the orphan list")
    i_gid = le16("group, lower 16 bits")
    i_links_count = le16("names; 1 for a directory of more than 65000 (dir_nlink)")
    i_blocks_lo = le32("space taken, in sectors of 512 bytes, or in blocks with HUGE_FILE")
    i_flags = le32("flags", flags=INODE_FLAGS)
    l_i_version = le32("version, for NFS; reference count of a value in an inode of its own (ea_inode)")
    i_block = chars(60, "extent tree, block numbers, target of a symlink, or the data", at=0x28)
    i_generation = le32("generation, for NFS", at=0x64)
    i_file_acl_lo = le32("block of extended attributes")
    i_size_high = le32("size in bytes, upper 32 bits")
    i_obso_faddr = le32("fragment address, never used")
    l_i_blocks_high = le16("space taken, upper 16 bits")
    l_i_file_acl_high = le16("block of extended attributes, upper 16 bits")
    l_i_uid_high = le16("owner, upper 16 bits")
    l_i_gid_high = le16("group, upper 16 bits")
    l_i_checksum_lo = le16("checksum of the inode, lower 16 bits", at=0x7C)
    l_i_reserved = le16("padding")
    i_extra_isize = le16("how many bytes from here on are in use", at=0x80)
    i_checksum_hi = le16("checksum of the inode, upper 16 bits")
    i_ctime_extra = le32("nanoseconds << 2 | two more bits of the seconds")
    i_mtime_extra = le32("nanoseconds << 2 | two more bits of the seconds")
    i_atime_extra = le32("nanoseconds << 2 | two more bits of the seconds")
    i_crtime = les32("when it was made, seconds since 1970")
    i_crtime_extra = le32("nanoseconds << 2 | two more bits of the seconds")
    i_version_hi = le32("version, upper 32 bits")
    i_projid = le32("project")

    i_size = hilo("i_size_high", "i_size_lo", "size in bytes")
    i_blocks = hilo("l_i_blocks_high", "i_blocks_lo", "space taken")
    i_file_acl = hilo("l_i_file_acl_high", "i_file_acl_lo", "block of extended attributes")
    i_uid32 = hilo("l_i_uid_high", "i_uid", "owner")
    i_gid32 = hilo("l_i_gid_high", "i_gid", "group")


# --- the extent tree (section "Extent Tree") ---------------------------------------------------------


class ext4_extent_header(Layout, size=12):
    """Opens each node of an extent tree: in i_block, or in a block."""

    eh_magic = le16("0xF30A")
    eh_entries = le16("entries that follow")
    eh_max = le16("entries there is room for")
    eh_depth = le16("0: the entries are extents; else indexes of nodes of depth - 1")
    eh_generation = le32("of the tree, used by Lustre")


class ext4_extent_idx(Layout, size=12):
    """Inner node: the node at ei_leaf covers the file from ei_block on, up to the next index."""

    ei_block = le32("first file block covered")
    ei_leaf_lo = le32("block of the node below")
    ei_leaf_hi = le16("block of the node below, upper 16 bits")
    ei_unused = le16("padding")

    ei_leaf = hilo("ei_leaf_hi", "ei_leaf_lo", "block of the node below")


class ext4_extent(Layout, size=12):
    """Leaf: ee_len file blocks from ee_block on lie in one piece on the disk from ee_start on."""

    ee_block = le32("first file block")
    ee_len = le16("blocks; above 32768: unwritten, and 32768 more than the blocks")
    ee_start_hi = le16("first disk block, upper 16 bits")
    ee_start_lo = le32("first disk block, lower 32 bits")

    ee_start = hilo("ee_start_hi", "ee_start_lo", "first disk block")


class ext4_extent_tail(Layout, size=4):
    """Behind the eh_max entries of a node that is a block of its own (metadata_csum)."""

    et_checksum = le32("crc32c of seed, inode number, generation and the node up to here")


# --- directories (section "Directory Entries") -------------------------------------------------------

FILE_TYPES = _list("unknown file dir chr blk fifo sock symlink")
EXT4_FT_DIR_CSUM = 0xDE


class ext4_dir_entry(Layout, size=8):
    """One name in a directory without the filetype feature; the name follows."""

    inode = le32("inode number; 0: unused space")
    rec_len = le16("bytes to the next entry; see ext4_rec_len_from_disk()")
    name_len = le16("bytes of the name")


class ext4_dir_entry_2(Layout, size=8):
    """One name in a directory; the name follows, then padding to a multiple of 4."""

    inode = le32("inode number; 0: unused space")
    rec_len = le16("bytes to the next entry; see ext4_rec_len_from_disk()")
    name_len = u8("bytes of the name")
    file_type = u8("file type, as a hint", enum=FILE_TYPES)


class ext4_dir_entry_hash(Layout, size=8):
    """Behind the padded name in a directory that is both encrypted and case-insensitive."""

    hash = le32("hash of the folded name")
    minor_hash = le32("its second half")


class ext4_dir_entry_tail(Layout, size=12):
    """The last 12 bytes of a directory block under metadata_csum, disguised as an unused entry."""

    det_reserved_zero1 = le32("inode number 0")
    det_rec_len = le16("12")
    det_reserved_zero2 = u8("name length 0")
    det_reserved_ft = u8("0xDE, no file type")
    det_checksum = le32("crc32c of seed, inode number, generation and the block up to here")


# Hash tree: block 0 of the directory is dx_root; inner blocks are dx_node; both look like a directory
# block without names to whoever does not know of trees (section "Hash Tree Directories").


class dx_root_info(Layout, size=8):
    """Behind the entries `.` and `..` of block 0."""

    reserved_zero = le32("0")
    hash_version = u8("hash of the names", enum=HASHES)
    info_length = u8("8")
    indirect_levels = u8("levels between root and leaves: 0 or 1, with large_dir 2")
    unused_flags = u8("0")


class dx_entry(Layout, size=8):
    """Names whose hash is at least `hash` are found below `block`, up to the next entry's hash."""

    hash = le32("lowest hash; its lowest bit: names of this hash began in the block before")
    block = le32("block of the directory")


class dx_countlimit(Layout, size=8):
    """Lies over the first dx_entry, which needs no hash: everything is at least 0."""

    limit = le16("entries there is room for, this one included")
    count = le16("entries in use, this one included")
    block = le32("block of the directory for the lowest hashes")


class dx_root(Layout, size=32):
    """Block 0 of an indexed directory; dx_countlimit and dx_entry follow."""

    dot_inode = le32("this directory")
    dot_rec_len = le16("12")
    dot_name_len = u8("1")
    dot_file_type = u8("2", enum=FILE_TYPES)
    dot_name = chars(4, "`.`")
    dotdot_inode = le32("the directory above")
    dotdot_rec_len = le16("the rest of the block: hides the tree")
    dotdot_name_len = u8("2")
    dotdot_file_type = u8("2", enum=FILE_TYPES)
    dotdot_name = chars(4, "`..`")
    reserved_zero = le32("0")
    hash_version = u8("hash of the names", enum=HASHES)
    info_length = u8("8")
    indirect_levels = u8("levels between root and leaves")
    unused_flags = u8("0")


class dx_node(Layout, size=8):
    """Inner block of the tree; dx_countlimit and dx_entry follow."""

    fake_inode = le32("0: an unused entry ...")
    fake_rec_len = le16("... over the whole block")
    fake_name_len = u8("0")
    fake_file_type = u8("0")


class dx_tail(Layout, size=8):
    """Behind the `limit` entries of dx_root or dx_node (metadata_csum)."""

    dt_reserved = le32("0")
    dt_checksum = le32("crc32c of seed, inode number, generation, the entries in use and dt_reserved")


# --- extended attributes (section "Extended Attributes") ---------------------------------------------

XATTR_NAMES = _list(
    "- user. system.posix_acl_access system.posix_acl_default trusted. - security. system. system.richacl encryption."
)


class ext4_xattr_ibody_header(Layout, size=4):
    """Opens the attributes behind the inode's own members; entries follow."""

    h_magic = le32("0xEA020000")


class ext4_xattr_header(Layout, size=32):
    """Opens a block of attributes (i_file_acl); entries follow, values lie at its end."""

    h_magic = le32("0xEA020000")
    h_refcount = le32("inodes that share the block")
    h_blocks = le32("1")
    h_hash = le32("of all attributes: finds equal blocks to share")
    h_checksum = le32("crc32c of seed, block number and the block")
    h_reserved = array(le32, 3, "padding")


class ext4_xattr_entry(Layout, size=16):
    """One attribute; the name without its prefix follows, padded to a multiple of 4. Four zero bytes end the list."""

    e_name_len = u8("bytes of the name")
    e_name_index = u8("prefix of the name", enum=XATTR_NAMES)
    e_value_offs = le16("where the value lies: from the first entry (inode) or from the block's start")
    e_value_inum = le32("inode that holds the value (ea_inode), or 0")
    e_value_size = le32("bytes of the value")
    e_hash = le32("of name and value")


# --- others ---------------------------------------------------------------------------------------


class mmp_struct(Layout, size=1024):
    """Who has it mounted, written every few seconds (section "Multiple Mount Protection")."""

    mmp_magic = le32("0x004D4D50")
    mmp_seq = le32("counts up while mounted; 0xFF4D4D50: clean; 0xE24D4D50: in e2fsck")
    mmp_time = le64("last update, seconds since 1970")
    mmp_nodename = chars(64, "host")
    mmp_bdevname = chars(32, "device")
    mmp_check_interval = le16("seconds between checks")
    mmp_pad1 = le16("padding")
    mmp_pad2 = array(le32, 226, "padding")
    mmp_checksum = le32("crc32c of seed and the 1020 bytes before it", at=0x3FC)


class ext4_orphan_block_tail(Layout, size=8):
    """The last 8 bytes of each block of the orphan file; before them inode numbers, 0 for none."""

    ob_magic = le32("0x0B10CA04")
    ob_checksum = le32("crc32c of seed, inode number, generation, block number and the inode numbers")
