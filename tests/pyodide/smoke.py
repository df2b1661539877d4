"""What must work in the Python of a browser: boot, attach the deck's image, mount it, list it, read a file."""

import os
import sys

sys.path.insert(0, "/repository")
sys.dont_write_bytecode = True

import vfslab  # noqa: E402

print(f"python {sys.version.split()[0]} on {sys.platform}")
with vfslab.boot() as kernel:
    kernel.attach("vda", vfslab.deck_image(), read_only=True)
    p = kernel.process(uid=0, gid=0)
    p.mkdir("/mnt")
    p.mount("/dev/vda", "/mnt", "ext4", "ro")
    print("root", *sorted(p.listdir("/mnt")))
    path = "/mnt/a123/b456/test.c"
    fd = p.open(path, os.O_RDONLY)
    print("inode", p.fstat(fd).st_ino, "bytes", len(p.read(fd, 4096)))
    p.close(fd)
    p.umount("/mnt")
