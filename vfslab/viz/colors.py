"""Colours that stay apart for the colour-blind, and in grey by lightness and border.

Tints and borders after the palette of Okabe and Ito (2008), which was made to be told apart
with each common kind of colour blindness.
"""

from __future__ import annotations

from types import MappingProxyType

# group: (fill of the title row, border, pattern of the border)
GROUPS = MappingProxyType(
    {
        "task": ("#F5F0C8", "#8A7B00", "solid"),
        "file": ("#FBE3C0", "#B36B00", "solid"),
        "dentry": ("#CDE8F7", "#1F78B4", "solid"),
        "inode": ("#CFEBDD", "#00744F", "solid"),
        "super": ("#E9D3E4", "#96437A", "solid"),
        "mount": ("#D6DBF5", "#3A4BA8", "solid"),
        "mm": ("#E4E4E4", "#555555", "solid"),
        "block": ("#F7D4C4", "#B8400E", "solid"),
        "driver": ("#E6D0C0", "#7A3E12", "solid"),
        "disk": ("#FFFFFF", "#222222", "dashed"),
        "user": ("#FFFFFF", "#222222", "solid"),
        "other": ("#F2F2F2", "#666666", "solid"),
    }
)

CHANGED = "#FFE680"

OF_CLASS = MappingProxyType(
    {
        "TaskStruct": "task", "FilesStruct": "task", "FsStruct": "task", "Nameidata": "task", "Filename": "task",
        "Cred": "task", "Nsproxy": "task", "Path": "task", "Saved": "task",
        "File": "file", "Kiocb": "file", "IovIter": "file", "FileRaState": "file",
        "Dentry": "dentry", "Inode": "inode", "Ext4InodeInfo": "inode",
        "SuperBlock": "super", "FileSystemType": "super", "Ext4SbInfo": "super",
        "Mount": "mount", "Vfsmount": "mount", "MntNamespace": "mount", "Mountpoint": "mount", "mount_hashtable": "mount",
        "AddressSpace": "mm", "Folio": "mm", "Lruvec": "mm", "BufferHead": "mm",
        "Bio": "block", "Request": "block", "RequestQueue": "block", "BlockDevice": "block", "Gendisk": "block",
        "BlkMqHwCtx": "block", "QueueLimits": "block",
    }
)  # fmt: skip


def group_of(cls_name: str) -> str:
    """Return the colour group of a structure by the name of its class."""
    return OF_CLASS.get(cls_name, "other")
