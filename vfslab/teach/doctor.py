"""doctor: is the installation complete, and what does each missing part cost?"""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys

PARTS = (
    ("jupyterlab", "the book in JupyterLab", "lab"),
    ("ipywidgets", "sliders and buttons in notebooks", "lab"),
    ("graphviz", "DOT text in notebooks", "lab"),
    ("pygraphviz", "pictures without the program dot", "lab"),
    ("crc32c", "checksums at full speed (else pure Python, some 100 times slower)", "lab"),
    ("nbval", "checking notebooks", "test"),
    ("pytest", "the tests", "test"),
    ("jupyter_book", "building the static book", "book"),
)
PROGRAMS = (("mke2fs", "making images of your own"), ("e2fsck", "the tests' second opinion"), ("dot", "pictures"))


# In the Python of a browser nothing can be installed, and no program can be started.
IN_BROWSER = (PARTS[1],)


def doctor() -> tuple[list[str], bool]:
    """Return (lines of a report, True if all that the first chapters need is there)."""
    import vfslab

    lines = [f"vfslab {vfslab.__version__}, Python {platform.python_version()} on {sys.platform}"]
    lines.append(check_stack(vfslab))
    complete = lines[-1].startswith("ok")
    here = sys.platform != "emscripten"
    for module, purpose, extra in PARTS if here else IN_BROWSER:
        found = importlib.util.find_spec(module) is not None
        lines.append(
            f"{'ok     ' if found else 'missing'} {module}: {purpose}"
            + ("" if found else f"; pip install 'vfslab[{extra}]'")
        )
        complete = complete and (found or extra != "lab" or module in ("crc32c", "pygraphviz"))
    for program, purpose in PROGRAMS if here else ():
        found = shutil.which(program) is not None or shutil.which(program, path="/usr/sbin:/sbin") is not None
        lines.append(f"{'ok     ' if found else 'without'} {program}: {purpose}")
    from vfslab.viz.render import HINT, engine_name

    engine = engine_name()
    lines.append(f"ok      pictures are drawn by {engine}" if engine else f"missing pictures: {HINT}")
    lines.append("complete" if complete and engine else "not complete: see the lines that say missing")
    return lines, bool(complete and engine)


def check_stack(vfslab) -> str:
    """Boot, mount the image that ships, read one file; return the line that tells how it went."""
    from vfslab.teach.livepatch import aside

    try:
        with aside(), vfslab.boot() as kernel:
            kernel.attach("vda", vfslab.deck_image(), read_only=True)
            process = kernel.process()
            process.mkdir("/mnt")
            process.mount("/dev/vda", "/mnt", "ext4", "ro")
            fd = process.open("/mnt/a123/b456/test.c", process.O_RDONLY)
            length = len(process.read(fd, 4096))
            process.close(fd)
        return f"ok      a kernel boots, mounts the shipped image and reads {length} bytes"
    except OSError as error:
        return f"missing the shipped image cannot be read: {error}"
