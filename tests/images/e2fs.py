"""e2fsprogs and the kernel's own ext4, as tools that make and judge images.

    mke2fs, debugfs, e2fsck     work on plain files, need no root
    mounted(image)              the kernel's mount on a loop device, needs root

Every program runs with a fixed clock and with our own mke2fs.conf, so that the
distribution's defaults do not leak into an image.
"""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path

TIME = 1635724800  # 2021-11-01 00:00:00 UTC
UUID = "64656b20-7666-736c-6162-202065787434"
HASH_SEED = "5eed0001-0002-4003-8004-000500060007"
CONF = Path(__file__).with_name("mke2fs.conf")
ENV = {
    "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin",
    "MKE2FS_CONFIG": str(CONF),
    "E2FSPROGS_FAKE_TIME": str(TIME),
    "SOURCE_DATE_EPOCH": str(TIME),
    "TZ": "UTC",
    "LC_ALL": "C",
    "DEBUGFS_PAGER": "__none__",
    "MKE2FS_DEVICE_SECTSIZE": "512",
}


class ToolError(Exception):
    """A program of e2fsprogs, or a mount, failed; the text says what it said."""


def run(*command, stdin=None, ok=(0,), timeout=60):
    """Run a command; return what it printed. An exit status outside ok is a ToolError."""
    done = subprocess.run([os.fspath(word) for word in command], input=stdin, env=ENV, text=True,
                          errors="surrogateescape", capture_output=True, timeout=timeout)  # fmt: skip
    if done.returncode not in ok:
        raise ToolError(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


@cache
def missing():
    """Return why images cannot be made here, or None."""
    for program in ("mke2fs", "debugfs", "e2fsck"):
        if shutil.which(program, path=ENV["PATH"]) is None:
            return f"{program} (e2fsprogs) is not installed"
    return None


@cache
def cannot_mount():
    """Return why the kernel cannot be asked here, or None."""
    if missing():
        return missing()
    if os.geteuid() != 0:
        return "loop mounts need root"
    if not os.path.exists("/dev/loop-control"):
        return "no loop devices here"
    with tempfile.TemporaryDirectory(prefix="vfslab-probe-") as work:
        image = Path(work, "probe.img")
        mke2fs(image, "1M", "-t", "ext2")
        try:
            with mounted(image):
                return None
        except ToolError as error:
            return f"a loop mount fails here: {error}"


def mke2fs(path, size, *options):
    """Make a filesystem in a new sparse file of the given size ("8M")."""
    Path(path).unlink(missing_ok=True)
    extended = f"hash_seed={HASH_SEED},root_owner=0:0,lazy_itable_init=1"
    options = list(options)
    if "-E" in options:
        at = options.index("-E")
        extended += "," + options[at + 1]
        del options[at : at + 2]
    run("truncate", "-s", size, path)
    return run("mke2fs", "-q", "-F", "-U", UUID, "-E", extended, *options, path)


def debugfs(path, requests):
    """Carry out debugfs requests, one a line, on an image; a request that complains is a ToolError."""
    command = ["debugfs", "-w", "-f", "-", os.fspath(path)]
    text = f"set_current_time @{TIME}\n{requests}\n"
    done = subprocess.run(
        command, input=text.encode(errors="surrogateescape"), env=ENV, capture_output=True, timeout=60
    )
    said = [line for line in done.stderr.decode(errors="replace").splitlines() if not line.startswith("debugfs 1.")]
    if done.returncode or said:
        raise ToolError(f"debugfs {path}: {'; '.join(said)}")
    return done.stdout.decode(errors="surrogateescape")


def ask(path, request):
    """Return what debugfs answers to one request that changes nothing."""
    return run("debugfs", "-R", request, path)


def e2fsck(path):
    """Return (exit status, output) of `e2fsck -fn`: 0 is a clean filesystem; the image is not changed."""
    done = subprocess.run(["e2fsck", "-fn", os.fspath(path)], env=ENV, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(errors="replace")


@contextmanager
def mounted(image, options="ro"):
    """Mount an image on a loop device; yield the mount point.

    The loop device is writable only if "rw" is among the options; so a dirty journal needs a copy and "rw".
    """
    point = tempfile.mkdtemp(prefix="vfslab-mnt-")
    words = options.split(",")
    read_only = [] if "rw" in words else ["--read-only"]
    device = None
    try:
        device = run("losetup", "--find", "--show", *read_only, image).strip()
        run("mount", "-t", "ext4", "-o", options, device, point)
        try:
            yield point
        finally:
            unmount(point)
    finally:
        if device:
            run("losetup", "--detach", device, ok=(0, 1))
        os.rmdir(point)


def unmount(point):
    """Unmount, waiting a moment for a program of the desktop that looks into it; detach lazily as the last resort."""
    try:
        run("umount", point)
    except ToolError:
        run("sleep", "0.3")
        run("umount", "--lazy", point)


def shutdown(point, flags=1):
    """Stop a mounted filesystem at once (EXT4_IOC_SHUTDOWN), as a power cut does.

    flags 1 commits the journal first and 2 does not; in both cases nothing is checkpointed.
    """
    import fcntl
    import struct

    fd = os.open(point, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, 0x8004587D, struct.pack("<I", flags))
    finally:
        os.close(fd)
