"""What a test may ask for: rights, programs, a seed.

A test that needs more than Python says so with a mark, and is skipped with the reason where that is missing:

    @pytest.mark.needs_root                         # or, imported from here: @needs_root
    @pytest.mark.needs_loop                         # root and a free loop device
    @pytest.mark.needs_program("mke2fs", "debugfs")

A test that draws random cases takes the fixture `rng`. Its seed is printed at the head of each run; VFSLAB_SEED=n repeats one.
"""

import functools
import os
import random
import shutil
import subprocess

import pytest
from hypothesis import settings

needs_root = pytest.mark.needs_root
needs_loop = pytest.mark.needs_loop
needs_program = pytest.mark.needs_program

SEED = int(os.environ.get("VFSLAB_SEED", "1"))
# Where Debian keeps mke2fs, losetup and mount, which an ordinary user's PATH may leave out.
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

# A shared machine may stop for a moment: a slow example is not a wrong one.
settings.register_profile("vfslab", deadline=None, print_blob=True)
settings.load_profile("vfslab")


def pytest_report_header(config):
    return f"random seed: {SEED} (VFSLAB_SEED={SEED} repeats this run)"


@pytest.fixture
def seed():
    """Return the seed of this run, for a test that makes its own generators."""
    print(f"VFSLAB_SEED={SEED}")
    return SEED


@pytest.fixture
def rng(seed, request):
    """Return a generator of its own for each test: the same seed and test give the same numbers."""
    return random.Random(f"{seed} {request.node.nodeid}")


def pytest_runtest_setup(item):
    reason = missing(item)
    if reason:
        pytest.skip(reason)


def missing(item):
    """Return what the machine lacks to run this test, in words, or None."""
    for mark in item.iter_markers("needs_program"):
        absent = [name for name in mark.args if shutil.which(name) is None]
        if absent:
            return f"needs the program {', '.join(absent)}, which is not installed"
    needs_a_loop = item.get_closest_marker("needs_loop")
    if (needs_a_loop or item.get_closest_marker("needs_root") or item.get_closest_marker("root")) and not is_root():
        return "needs the rights of root"
    if needs_a_loop and no_loop_device():
        return f"needs a loop device: {no_loop_device()}"
    return None


def is_root():
    return hasattr(os, "geteuid") and os.geteuid() == 0


@functools.cache
def no_loop_device():
    """Return why there is no free loop device here, or "" if there is one."""
    if shutil.which("losetup") is None:
        return "the program losetup is not installed"
    done = subprocess.run(["losetup", "--find"], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr.strip() or "losetup --find found none"


# The checks that follow every test of the kernel (reference counts against the declared pointers, no
# task left inside a system call) belong to tests/kernel_checks.py; it is taken in here when it exists.
try:
    from tests.kernel_checks import *  # noqa: F403
except ModuleNotFoundError as missing_module:
    if missing_module.name != "tests.kernel_checks":
        raise
