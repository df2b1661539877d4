"""One class for each reader, all with the same few methods, each written as that library wants to be used.

A reader is imported when it is opened, so that its import can be measured; this
module itself imports next to nothing.
"""

import os
import zlib

MIB = 1 << 20


class OsReader:
    """Anything with the names of `os`: Linux's own mount, and a vfslab process."""

    def __init__(self, o, root):
        self.o, self.root = o, root

    def lstat(self, path):
        status = self.o.lstat(self.root + path)
        return status.st_ino, status.st_mode, status.st_mtime_ns

    def walk(self, top):
        lstat, scandir = self.o.lstat, self.o.scandir
        count, todo = 0, [self.root + top]
        while todo:
            folder = todo.pop()
            with scandir(folder) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}"
                    lstat(path)
                    count += 1
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(path)
        return count

    def read_file(self, path):
        fd = self.o.open(self.root + path, os.O_RDONLY)
        try:
            parts = []
            while part := self.o.read(fd, MIB):
                parts.append(part)
            return b"".join(parts)
        finally:
            self.o.close(fd)

    def stream(self, path, size):
        fd = self.o.open(self.root + path, os.O_RDONLY)
        crc = 0
        while part := self.o.read(fd, MIB):
            crc = zlib.crc32(part, crc)
        self.o.close(fd)
        return crc

    def at(self, path, offsets):
        fd, pread, crc = self.o.open(self.root + path, os.O_RDONLY), self.o.pread, 0
        for offset in offsets:
            crc = zlib.crc32(pread(fd, 4096, offset), crc)
        self.o.close(fd)
        return crc

    def listdir(self, path):
        return len(self.o.listdir(self.root + path))


class Kernel(OsReader):
    """Linux's ext4 on a loop device, through os."""

    def __init__(self, image, mount, memory):
        super().__init__(os, mount)


class Vfslab(OsReader):
    """vfslab, through a process of a fresh kernel."""

    def __init__(self, image, mount, memory):
        import vfslab

        self.kernel = vfslab.boot(memory=memory) if memory else vfslab.boot()
        self.kernel.attach("vda", image, read_only=True)
        p = self.kernel.process(uid=0, gid=0)
        if "mnt" not in p.listdir("/"):
            p.mkdir("/mnt")
        p.mount("/dev/vda", "/mnt", "ext4", "ro")
        super().__init__(p, "/mnt")


class Host:
    """No filesystem at all: as many bytes straight from the image file."""

    def __init__(self, image, mount, memory):
        self.fd = os.open(image, os.O_RDONLY)

    def stream(self, start, size):
        crc = 0
        for offset in range(start, start + size, MIB):
            crc = zlib.crc32(os.pread(self.fd, MIB, offset), crc)
        return crc


class Dissect:
    """dissect.extfs, pure Python."""

    def __init__(self, image, mount, memory):
        from dissect.extfs import ExtFS

        self.fs = ExtFS(open(image, "rb"))  # noqa: SIM115

    @staticmethod
    def status(inode):
        return inode.inum, inode.inode.i_mode, inode.mtime_ns

    def lstat(self, path):
        return self.status(self.fs.get(path))

    def walk(self, top):
        count, todo = 0, [self.fs.get(top)]
        while todo:
            for inode in todo.pop().iterdir():
                if inode.filename in (".", ".."):
                    continue
                mode = self.status(inode)[1]
                count += 1
                if mode & 0o170000 == 0o040000:
                    todo.append(inode)
        return count

    def read_file(self, path):
        return self.fs.get(path).open().read()

    def stream(self, path, size):
        file, crc = self.fs.get(path).open(), 0
        while part := file.read(MIB):
            crc = zlib.crc32(part, crc)
        return crc

    def at(self, path, offsets):
        file, crc = self.fs.get(path).open(), 0
        for offset in offsets:
            file.seek(offset)
            crc = zlib.crc32(file.read(4096), crc)
        return crc

    def listdir(self, path):
        return sum(inode.filename not in (".", "..") for inode in self.fs.get(path).iterdir())


class Ext4:
    """ext4 of the package index, pure Python."""

    def __init__(self, image, mount, memory):
        import ext4

        self.directory = ext4.Directory
        self.volume = ext4.Volume(open(image, "rb"))  # noqa: SIM115

    @staticmethod
    def status(inode):
        return inode.i_no, int(inode.i_mode), int(inode.i_mtime) * 10**9 + (int(inode.i_mtime_extra) >> 2)

    def lstat(self, path):
        return self.status(self.volume.inode_at(path) if path != "/" else self.volume.root)

    def walk(self, top):
        count, todo = 0, [self.volume.inode_at(top)]
        while todo:
            for entry, _ in todo.pop().opendir():
                if entry.name_bytes in (b".", b".."):
                    continue
                inode = self.volume.inodes[entry.inode]
                self.status(inode)
                count += 1
                if isinstance(inode, self.directory):
                    todo.append(inode)
        return count

    def read_file(self, path):
        return self.volume.inode_at(path).open().read()

    def stream(self, path, size):
        file, crc = self.volume.inode_at(path).open(), 0
        while part := file.read(MIB):
            crc = zlib.crc32(part, crc)
        return crc

    def at(self, path, offsets):
        file, crc = self.volume.inode_at(path).open(), 0
        for offset in offsets:
            file.seek(offset)
            crc = zlib.crc32(file.read(4096), crc)
        return crc

    def listdir(self, path):
        return sum(entry.name_bytes not in (b".", b"..") for entry, _ in self.volume.inode_at(path).opendir())


class Tsk:
    """pytsk3: The Sleuth Kit, in C."""

    def __init__(self, image, mount, memory):
        import pytsk3

        self.fs = pytsk3.FS_Info(pytsk3.Img_Info(image))

    @staticmethod
    def status(meta):
        return meta.addr, int(meta.mode), meta.mtime * 10**9 + meta.mtime_nano

    def lstat(self, path):
        number, mode, mtime = self.status(self.fs.open(path).info.meta)
        return number, mode, mtime

    def walk(self, top):
        count, todo = 0, [self.fs.open_dir(path=top)]
        while todo:
            for entry in todo.pop():
                if entry.info.name.name in (b".", b".."):
                    continue
                meta = entry.info.meta
                self.status(meta)
                count += 1
                if int(meta.type) == 2:  # TSK_FS_META_TYPE_DIR
                    todo.append(entry.as_directory())
        return count

    def read_file(self, path):
        file = self.fs.open(path)
        return file.read_random(0, file.info.meta.size)

    def stream(self, path, size):
        file, crc = self.fs.open(path), 0
        for offset in range(0, size, MIB):
            crc = zlib.crc32(file.read_random(offset, min(MIB, size - offset)), crc)
        return crc

    def at(self, path, offsets):
        file, crc = self.fs.open(path), 0
        for offset in offsets:
            crc = zlib.crc32(file.read_random(offset, 4096), crc)
        return crc

    def listdir(self, path):
        return sum(entry.info.name.name not in (b".", b"..") for entry in self.fs.open_dir(path=path))


class Fsext:
    """libfsext, in C."""

    def __init__(self, image, mount, memory):
        import pyfsext

        self.volume = pyfsext.volume()
        self.volume.open(image)

    @staticmethod
    def status(entry):
        return entry.inode_number, entry.file_mode, entry.get_modification_time_as_integer()

    def lstat(self, path):
        return self.status(self.volume.get_file_entry_by_path(path))

    def walk(self, top):
        count, todo = 0, [self.volume.get_file_entry_by_path(top)]
        while todo:
            for entry in todo.pop().sub_file_entries:
                mode = self.status(entry)[1]
                count += bool(entry.name)
                if mode & 0o170000 == 0o040000:
                    todo.append(entry)
        return count

    def read_file(self, path):
        entry = self.volume.get_file_entry_by_path(path)
        return entry.read_buffer(entry.size)

    def stream(self, path, size):
        entry, crc = self.volume.get_file_entry_by_path(path), 0
        for offset in range(0, size, MIB):
            crc = zlib.crc32(entry.read_buffer_at_offset(min(MIB, size - offset), offset), crc)
        return crc

    def at(self, path, offsets):
        entry, crc = self.volume.get_file_entry_by_path(path), 0
        for offset in offsets:
            crc = zlib.crc32(entry.read_buffer_at_offset(4096, offset), crc)
        return crc

    def listdir(self, path):
        return sum(bool(entry.name) for entry in self.volume.get_file_entry_by_path(path).sub_file_entries)


READERS = {
    "kernel": Kernel,
    "host": Host,
    "pytsk3": Tsk,
    "libfsext": Fsext,
    "dissect": Dissect,
    "ext4": Ext4,
    "vfslab": Vfslab,
}
