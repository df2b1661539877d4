"""What must be true of every kernel after every test that booted one.

Reference counts equal the references that are found; no task is left inside a system call, no lock
is held, no path walk is under way. A kernel that a test shut down must be empty.
"""

import pytest

import vfslab
from vfslab.include.dcache import DCACHE_UNHASHED, Dentry
from vfslab.kernel.refcheck import recount


@pytest.fixture(autouse=True)
def kernels_are_in_order(monkeypatch):
    """Watch the kernels that a test boots; check each when it is about to shut down, and when the test is over."""
    booted, errors = [], []
    start, stop = vfslab.Machine.__init__, vfslab.Machine.shutdown

    def watched_start(machine, kernel):
        start(machine, kernel)
        booted.append(kernel)

    def watched_stop(machine):
        if machine.kernel.running:
            errors.extend(check(machine.kernel))
        stop(machine)

    monkeypatch.setattr(vfslab.Machine, "__init__", watched_start)
    monkeypatch.setattr(vfslab.Machine, "shutdown", watched_stop)
    yield
    for kernel in booted:
        errors.extend(check(kernel))
    assert not errors, "\n".join(errors)


def check(kernel):
    """Return one line for each thing that is wrong with a kernel at rest."""
    errors = recount(kernel, pinned)
    for task in kernel.tasks.values():
        if task.held:
            errors.append(f"{task} still holds {task.held}")
        if task.nameidata is not None:
            errors.append(f"{task} is still on the walk {task.nameidata}")
    if not kernel.running:
        errors += [f"{what} outlived the shutdown" for what in left_over(kernel)]
    return errors


def left_over(kernel):
    """Return what a kernel has that was shut down, though it should have nothing."""
    tables = (kernel.mount_hashtable, kernel.mountpoint_hashtable, kernel.tasks)
    dentries = kernel._slab.alive(Dentry)
    return [one for table in tables for one in table.values()] + [f"{dentries} dentries"] * bool(dentries)


def pinned(obj):
    """Return 1 for a name on a filesystem that lives in its dentries alone: it holds one reference of its own."""
    if not isinstance(obj, Dentry) or obj.d_inode is None or obj.d_parent is obj or obj.d_flags & DCACHE_UNHASHED:
        return 0
    lookup = obj.d_parent.d_inode.i_op.lookup
    return int(lookup is not None and lookup.__name__ == "simple_lookup")
