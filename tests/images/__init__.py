"""Images for tests: made from a specification, kept in a cache under the hash of it.

    spec  ->  mke2fs [-d tree]  ->  mount, fill through os  ->  debugfs  ->  cache/NAME-HASH.img

    matrix.py   pairwise over block size, inode size, feature set and contents
    awkward.py  one image for each thing that readers are known to get wrong
    contents.py what is put in      e2fs.py  the programs and mounts

The same specification gives the same tree each time. $VFSLAB_IMAGE_CACHE names
the cache directory; without it, one under the system's temporary directory is used.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from . import contents, e2fs

__all__ = ["Spec", "build", "cache_dir", "copy_of"]


@dataclass(frozen=True)
class Spec:
    """All that makes an image.

    tune    debugfs requests on the empty filesystem
    fill    names of functions(root), run in turn
    source  the module beside contents that holds functions of this image alone
    filled  "kernel": in a mount; "mke2fs": in a host directory given to `mke2fs -d`; "": not at all
    finish  name of a function(path) that changes the image afterwards
    truth   who knows what the image holds: "kernel" by mounting it, "tree" the host directory
    clean   `e2fsck -fn` is expected to find nothing
    dirty   the journal needs recovery: judged on a copy that the kernel may replay
    """

    name: str
    size: str = "8M"
    options: tuple = ("-t", "ext4")
    fill: tuple = ()
    filled: str = "kernel"
    tune: str = ""
    mount: str = "rw"
    finish: str = ""
    source: str = "contents"
    truth: str = "kernel"
    clean: bool = True
    dirty: bool = False
    why: str = ""

    def function(self, name):
        """Return the function of that name, from the module that `source` names or from contents."""
        module = import_module(f"{__package__}.{self.source}")
        return getattr(module, name, None) or getattr(contents, name)


@cache
def cache_dir():
    """Return the directory that keeps images and manifests."""
    name = os.environ.get("VFSLAB_IMAGE_CACHE") or os.path.join(tempfile.gettempdir(), f"vfslab-images-{os.getuid()}")
    Path(name).mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(name)


@cache
def generators():
    """Return a hash over what decides an image and its manifest beside the specification."""
    digest = hashlib.sha256(os.uname().release.encode())
    for file in sorted(Path(__file__).parent.glob("*")):
        digest.update(file.read_bytes() if file.is_file() else b"")
    digest.update(Path(__file__).parents[1].joinpath("oracle.py").read_bytes())
    mke2fs = shutil.which("mke2fs", path=e2fs.ENV["PATH"])
    digest.update(Path(mke2fs).read_bytes() if mke2fs else b"")
    return digest.hexdigest()


def build(spec):
    """Return the path of the image, made now or taken from the cache. Nobody may write to it."""
    text = json.dumps(asdict(spec), sort_keys=True) + generators()
    path = cache_dir() / f"{spec.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.img"
    if path.exists():
        return path
    work = Path(tempfile.mkdtemp(prefix=f".{spec.name}-", dir=cache_dir()))
    try:
        image = work / "image"
        make(spec, image, work)
        if spec.clean:
            status, text = e2fs.e2fsck(image)
            if status:
                raise e2fs.ToolError(f"{spec.name}: e2fsck -fn says {status}: {text}")
        image.chmod(0o444)
        for extra in work.iterdir():
            if extra != image and extra.suffix == ".json":
                extra.replace(path.with_suffix(extra.suffix))
        image.rename(path)
        forget_older(path)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return path


def make(spec, image, work):
    """Make the image at the path `image`; with truth "tree", keep the manifest of the tree beside it."""
    options = list(spec.options)
    if spec.filled == "mke2fs":
        tree = work / "tree"
        tree.mkdir()
        for name in spec.fill:
            spec.function(name)(str(tree))
        options += ["-d", tree]
        if spec.truth == "tree":
            from tests.oracle import manifest

            (work / "truth.json").write_text(json.dumps(manifest(os, str(tree))))
    e2fs.mke2fs(image, spec.size, *options)
    if spec.tune:
        e2fs.debugfs(image, spec.tune)
    if spec.filled == "kernel" and spec.fill:
        with e2fs.mounted(image, spec.mount) as point:
            for name in spec.fill:
                spec.function(name)(point)
    if spec.finish:
        spec.function(spec.finish)(image)


def forget_older(path, age=3600):
    """Remove what the cache kept under the same name and another hash, unless a run of the last hour may want it."""
    name = path.stem.rpartition("-")[0]
    for old in path.parent.glob(f"{name}-*"):
        if re.fullmatch(re.escape(name) + r"-[0-9a-f]{12}\.(img|json)", old.name) and old.stem != path.stem:
            with suppress(FileNotFoundError):
                if time.time() - old.stat().st_mtime > age:
                    old.unlink()


def copy_of(path, target):
    """Copy an image to target, writable, keeping its holes; return target."""
    e2fs.run("cp", "--sparse=always", path, target)
    os.chmod(target, 0o644)
    return Path(target)
