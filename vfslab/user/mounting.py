"""mount(8) in small: from "ro,noatime,loop" to mount(2), and umount.

"ro,noatime,commit=5"  ──▶  MS_RDONLY | MS_NOATIME, and "commit=5" for the filesystem
"loop"                 ──▶  a free /dev/loopN over the file; it goes when the mount goes
"""

from __future__ import annotations

import errno
from types import MappingProxyType
from typing import Any

from vfslab.include.uapi import mount as ms
from vfslab.kernel.syscall import syscall
from vfslab.user.abi import path_bytes, raise_error
from vfslab.user.loop import loop_attach

SET = MappingProxyType(
    {
        "ro": ms.MS_RDONLY,
        "nosuid": ms.MS_NOSUID,
        "nodev": ms.MS_NODEV,
        "noexec": ms.MS_NOEXEC,
        "sync": ms.MS_SYNCHRONOUS,
        "dirsync": ms.MS_DIRSYNC,
        "remount": ms.MS_REMOUNT,
        "noatime": ms.MS_NOATIME,
        "nodiratime": ms.MS_NODIRATIME,
        "relatime": ms.MS_RELATIME,
        "strictatime": ms.MS_STRICTATIME,
        "lazytime": ms.MS_LAZYTIME,
        "nosymfollow": ms.MS_NOSYMFOLLOW,
        "silent": ms.MS_SILENT,
        "bind": ms.MS_BIND,
        "rbind": ms.MS_BIND | ms.MS_REC,
        "move": ms.MS_MOVE,
        "unbindable": ms.MS_UNBINDABLE,
        "private": ms.MS_PRIVATE,
        "slave": ms.MS_SLAVE,
        "shared": ms.MS_SHARED,
        "runbindable": ms.MS_UNBINDABLE | ms.MS_REC,
        "rprivate": ms.MS_PRIVATE | ms.MS_REC,
        "rslave": ms.MS_SLAVE | ms.MS_REC,
        "rshared": ms.MS_SHARED | ms.MS_REC,
    }
)
CLEAR = MappingProxyType(
    {
        "rw": ms.MS_RDONLY,
        "suid": ms.MS_NOSUID,
        "dev": ms.MS_NODEV,
        "exec": ms.MS_NOEXEC,
        "async": ms.MS_SYNCHRONOUS,
        "atime": ms.MS_NOATIME,
        "diratime": ms.MS_NODIRATIME,
        "norelatime": ms.MS_RELATIME,
        "nostrictatime": ms.MS_STRICTATIME,
        "nolazytime": ms.MS_LAZYTIME,
        "symfollow": ms.MS_NOSYMFOLLOW,
        "loud": ms.MS_SILENT,
    }
)
IGNORED = frozenset(("defaults", "auto", "noauto", "user", "nouser", "users", "nofail", "owner", "group", "_netdev"))
NEEDS_NO_TYPE = ms.MS_BIND | ms.MS_REMOUNT | ms.MS_MOVE
NEEDS_NO_TYPE |= ms.MS_UNBINDABLE | ms.MS_PRIVATE | ms.MS_SLAVE | ms.MS_SHARED
RETRY_READ_ONLY = (errno.EACCES, errno.EROFS)


def parse_options(options: str) -> tuple[int, str, dict[str, str]]:
    """Return (MS_* flags, what is left for the filesystem, mount's own options) of "ro,loop,data=journal"."""
    flags, rest = 0, []
    own: dict[str, str] = {}
    for option in filter(None, split_options(options)):
        key, _, value = option.partition("=")
        if option in SET:
            flags |= SET[option]
        elif option in CLEAR:
            flags &= ~CLEAR[option]
            own |= {option: ""} if option == "rw" else {}
        elif key in ("loop", "offset", "sizelimit"):
            own[key] = value
        elif option not in IGNORED and not key.startswith("x-"):
            rest.append(option)
    return flags, ",".join(rest), own


def split_options(options: str) -> list[str]:
    """Return the options between commas; a comma inside double quotes belongs to its option."""
    found, inside, current = [], False, ""
    for letter in options:
        if letter == '"':
            inside = not inside
        if letter == "," and not inside:
            found.append(current)
            current = ""
        else:
            current += letter
    return [*found, current]


class MountCalls:
    """mount, umount and namespaces; a part of Process."""

    task: Any

    def mount(self, source: Any, target: Any, fstype: str | None = None, options: Any = "") -> None:
        """Mount source on target. fstype None tries all types that live on devices.

        options is text as for mount -o, or an int of MS_* flags. A device that cannot be written
        is mounted read-only, as mount(8) does, unless "rw" was asked for.
        """
        if isinstance(options, int):
            flags, data, own = options, "", {}
        else:
            flags, data, own = parse_options(options or "")
        held = None
        if "loop" in own:
            source, held = self._loop_setup(source, flags, own)
        try:
            if fstype in (None, "auto") and not flags & NEEDS_NO_TYPE:
                self._mount_guessing(source, target, flags, data, "rw" in own)
            else:
                self._mount_typed(source, target, fstype, flags, data, "rw" in own)
        finally:
            if held is not None:
                self.close(held)  # now the mount keeps the device, or nobody does

    def _mount_once(self, source: Any, target: Any, fstype: str | None, flags: int, data: str) -> int:
        """Return the result of one mount(2)."""
        name = None if source is None else path_bytes("mount", source)
        kind = None if fstype is None else fstype.encode()
        return syscall(
            self.task, "mount", name, path_bytes("mount", target), kind, flags, self.fsencode(data) if data else None
        )

    def _mount_typed(self, source: Any, target: Any, fstype: str | None, flags: int, data: str, writable: bool) -> None:
        """Mount with a known type, a second time read-only if the device says that it cannot be written."""
        result = self._mount_once(source, target, fstype, flags, data)
        if -result in RETRY_READ_ONLY and not flags & (ms.MS_RDONLY | ms.MS_BIND) and not writable:
            result = self._mount_once(source, target, fstype, flags | ms.MS_RDONLY, data)
        if result < 0:
            raise_error(result, target if -result in (errno.ENOENT, errno.ENOTDIR) else source)

    def _mount_guessing(self, source: Any, target: Any, flags: int, data: str, writable: bool) -> None:
        """Mount with each type that wants a device until one takes it; EINVAL means "not mine"."""
        last = -errno.ENODEV
        for fstype in self._filesystems_on_devices():
            try:
                self._mount_typed(source, target, fstype, flags, data, writable)
                return
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                last = -error.errno
        raise_error(last, source)

    def _filesystems_on_devices(self) -> list[str]:
        """Return the names of the types that live on block devices, from what /proc/filesystems would say."""
        lines = syscall(self.task, "proc_filesystems").decode().splitlines()
        return [name for nodev, name in (line.split("\t") for line in lines) if not nodev]

    def _loop_setup(self, source: Any, flags: int, own: dict[str, str]) -> tuple[str, int]:
        """Return the loop device that was set up over the file source, and an open descriptor of it."""
        read_only = bool(flags & ms.MS_RDONLY)
        return loop_attach(
            self, source, own["loop"], read_only, int(own.get("offset") or 0), int(own.get("sizelimit") or 0)
        )

    def umount(self, target: Any, flags: int = 0) -> None:
        """Take the topmost mount away from target; MNT_DETACH does not wait until nobody uses it."""
        result = syscall(self.task, "umount2", path_bytes("umount", target), flags)
        if result < 0:
            raise_error(result, target)

    umount2 = umount

    def unshare(self, flags: int) -> None:
        """unshare(2): CLONE_NEWNS gives this process a copy of its mount namespace."""
        result = syscall(self.task, "unshare", flags)
        if result < 0:
            raise_error(result)
