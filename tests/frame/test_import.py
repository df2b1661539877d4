"""`import vfslab` needs the standard library only, and little of it."""

import json
import subprocess
import sys

import pytest

# Slow to load, or missing where there are no processes, sockets and threads (a browser): none is needed to read a disk.
HEAVY = "asyncio ctypes email http IPython multiprocessing numpy socket sqlite3 ssl subprocess tqdm unittest urllib.request xml".split()

# Run in a fresh process: what the import brought in, by which file, and how long it took.
PROBE = """
import json, sys, time
before = set(sys.modules)
start = time.perf_counter()
{code}
seconds = time.perf_counter() - start
new = sorted(set(sys.modules) - before)
print(json.dumps([seconds, new, sorted(name for name in new if name.partition(".")[0] not in sys.stdlib_module_names)]))
"""

IMPORT = "import vfslab"
# The whole guest, as boot() needs it; the pieces that a kernel loads late are imported too.
GUEST = """
import importlib, pkgutil, vfslab
for info in pkgutil.walk_packages(vfslab.__path__, "vfslab."):
    if info.name.split(".")[1] in ("lib", "include", "kernel", "block", "mm", "fs", "drivers", "init", "user"):
        importlib.import_module(info.name)
"""


def probe(code):
    done = subprocess.run([sys.executable, "-c", PROBE.format(code=code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("code", [IMPORT, GUEST], ids=["import vfslab", "the guest"])
def test_only_the_standard_library_is_loaded(code, record_property):
    seconds, new, strangers = probe(code)
    print(f"{seconds:.3f} s, {len(new)} modules: {' '.join(new)}")
    record_property("seconds", seconds)
    assert [name for name in strangers if name.partition(".")[0] not in ("vfslab", "crc32c")] == []


def test_import_vfslab_loads_nothing_heavy():
    _, new, _ = probe(IMPORT)
    assert [name for name in new if name in HEAVY] == []


def test_the_guest_loads_nothing_that_a_browser_lacks():
    _, new, _ = probe(GUEST)
    assert [name for name in new if name in ("multiprocessing", "socket", "ssl", "subprocess", "tqdm")] == []


def test_the_probe_sees_what_is_loaded():
    _, new, strangers = probe("import xml.dom, pytest")
    assert "xml.dom" in new and "pytest" in strangers
