"""Views: which structures a picture shows, and which of their members. A view is data.

    trace(p.stat, "/a", view=PATH_WALK)
    draw(file, view=FILES)
    draw(file, view=FILES | {"Inode": ("i_ino", "i_size")})     one's own

"*" stands for all members of a class. "path.dentry" is a member of an embedded structure, shown
where it lies. Classes that are not named are not drawn. EVERYTHING is what trace() takes when
nothing is said: each structure that a learner meets, with the members that matter most.
"""

from __future__ import annotations

from types import MappingProxyType

PATH_WALK = MappingProxyType(
    {
        "TaskStruct": ("comm", "fs"),
        "FsStruct": ("root.dentry", "pwd.dentry"),
        "Nameidata": ("last", "path.mnt", "path.dentry", "inode", "remaining", "depth", "stack", "name"),
        "Saved": ("link.dentry", "name"),
        "Filename": ("name",),
        "Path": ("mnt", "dentry"),
        "Mount": ("mnt_devname", "mnt_parent", "mnt_mountpoint", "mnt.mnt_root"),
        "Dentry": ("d_name", "d_parent", "d_inode", "d_flags", "d_count"),
        "Inode": ("i_ino", "i_mode", "i_link"),
    }
)

MOUNTS = MappingProxyType(
    {
        "TaskStruct": ("comm", "nsproxy"),
        "Nsproxy": ("mnt_ns",),
        "MntNamespace": ("root", "nr_mounts", "mounts"),
        "Mount": ("mnt_devname", "mnt_parent", "mnt_mountpoint", "mnt_count", "mnt.mnt_root", "mnt.mnt_sb", "mnt.mnt_flags"),
        "Mountpoint": ("m_dentry", "m_count"),
        "SuperBlock": ("s_id", "s_type", "s_root", "s_bdev", "s_flags", "s_active"),
        "FileSystemType": ("name",),
        "BlockDevice": ("bd_device", "bd_nr_sectors"),
        "Dentry": ("d_name", "d_flags", "d_count"),
    }
)  # fmt: skip

FILES = MappingProxyType(
    {
        "TaskStruct": ("pid", "comm", "files"),
        "FilesStruct": ("fdt", "close_on_exec"),
        "File": ("f_flags", "f_pos", "f_count", "f_path.dentry", "f_inode", "f_op"),
        "Dentry": ("d_name", "d_inode", "d_count"),
        "Inode": ("i_ino", "i_mode", "i_nlink", "i_size", "i_count"),
    }
)

PAGE_CACHE = MappingProxyType(
    {
        "File": ("f_pos", "f_count", "f_mapping", "f_ra.start", "f_ra.size", "f_ra.async_size"),
        "Kiocb": ("ki_filp", "ki_pos"),
        "IovIter": ("count",),
        "ReadaheadControl": ("file", "mapping", "_index", "_nr_pages"),
        "Inode": ("i_ino", "i_size", "i_mapping"),
        "AddressSpace": ("host", "nrpages", "i_pages", "a_ops"),
        "Folio": ("index", "nr_pages", "flags", "_refcount", "mapping", "mem"),
        "BufferHead": ("b_blocknr", "b_size", "b_state", "b_folio"),
        "Bio": ("bi_sector", "bi_size", "bi_bdev", "bi_status"),
        "BlockDevice": ("bd_device", "bd_mapping"),
    }
)

BLOCK = MappingProxyType(
    {
        "Bio": ("bi_opf", "bi_sector", "bi_size", "bi_bdev", "bi_status", "bi_next"),
        "BlkPlug": ("mq_list", "depth"),
        "Request": ("q", "sector", "data_len", "bio", "biotail", "part", "tag"),
        "BlkMqHwCtx": ("queue", "dispatch"),
        "RequestQueue": ("disk", "hctx", "mq_ops", "elevator", "queue_flags"),
        "Gendisk": ("disk_name", "part0", "part_tbl", "queue", "fops", "state"),
        "BlockDevice": ("bd_device", "bd_start_sect", "bd_nr_sectors", "bd_disk", "bd_openers"),
    }
)

EXT4 = MappingProxyType(
    {
        "SuperBlock": ("s_id", "s_root", "s_fs_info", "s_bdev", "s_op"),
        "Ext4SbInfo": ("*",),
        "Ext4InodeInfo": ("i_flags", "i_extents", "i_data", "vfs_inode.i_ino", "vfs_inode.i_size", "vfs_inode.i_mapping"),
        "Inode": ("i_ino", "i_mode", "i_size", "i_blocks", "i_mapping", "i_op"),
        "AddressSpace": ("nrpages", "i_pages", "a_ops"),
        "Folio": ("index", "nr_pages", "flags", "mem"),
        "BufferHead": ("b_blocknr", "b_size", "b_state", "b_folio", "b_data"),
        "Dentry": ("d_name", "d_inode", "d_parent"),
        "BlockDevice": ("bd_device", "bd_mapping"),
    }
)  # fmt: skip

EVERYTHING = MappingProxyType(
    {
        "TaskStruct": ("pid", "comm", "fs", "files"),
        "FsStruct": ("root.mnt", "root.dentry", "pwd.mnt", "pwd.dentry"),
        "FilesStruct": ("fdt",),
        "Nameidata": PATH_WALK["Nameidata"],
        "Saved": PATH_WALK["Saved"],
        "Filename": PATH_WALK["Filename"],
        "Path": PATH_WALK["Path"],
        "File": ("f_flags", "f_pos", "f_count", "f_path.mnt", "f_path.dentry", "f_inode", "f_mapping"),
        "Kiocb": PAGE_CACHE["Kiocb"],
        "IovIter": PAGE_CACHE["IovIter"],
        "ReadaheadControl": PAGE_CACHE["ReadaheadControl"],
        "Mount": ("mnt_devname", "mnt_parent", "mnt_mountpoint", "mnt_count", "mnt.mnt_root", "mnt.mnt_sb"),
        "Mountpoint": MOUNTS["Mountpoint"],
        "SuperBlock": ("s_id", "s_type", "s_root", "s_bdev", "s_active"),
        "FileSystemType": ("name",),
        "Dentry": ("d_name", "d_parent", "d_inode", "d_flags", "d_count"),
        "Inode": ("i_ino", "i_mode", "i_nlink", "i_size", "i_count", "i_sb", "i_mapping"),
        "Ext4InodeInfo": EXT4["Ext4InodeInfo"],
        "AddressSpace": PAGE_CACHE["AddressSpace"],
        "Folio": PAGE_CACHE["Folio"],
        "BufferHead": PAGE_CACHE["BufferHead"],
        "Bio": BLOCK["Bio"],
        "BlkPlug": BLOCK["BlkPlug"],
        "Request": BLOCK["Request"],
        "RequestQueue": BLOCK["RequestQueue"],
        "Gendisk": BLOCK["Gendisk"],
        "BlockDevice": ("bd_device", "bd_start_sect", "bd_nr_sectors", "bd_disk", "bd_openers"),
    }
)
