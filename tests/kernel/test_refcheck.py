"""The recount of references must see a count that is wrong, else it proves nothing."""

import pytest

import vfslab
from tests.kernel_checks import check
from vfslab.lib.kstruct import KernelBug


@pytest.fixture
def machine():
    with vfslab.boot() as machine:
        yield machine


def test_a_kernel_at_rest_is_in_order(machine):
    p = machine.process()
    p.makedirs("/a/b")
    p.open("/a/f", p.O_RDWR | p.O_CREAT)
    p.fork().chdir("/a/b")
    assert check(machine.kernel) == []


@pytest.mark.parametrize("error", [1, -1])
def test_a_forgotten_or_doubled_dput_is_seen(machine, error):
    p = machine.process()
    p.mkdir("/a")
    p.chdir("/a")
    dentry = p.task.fs.pwd.dentry
    dentry.d_count += error
    assert [line for line in check(machine.kernel) if "d_count" in line and "'a'" in line]
    dentry.d_count -= error


def test_wrong_counts_of_files_mounts_and_inodes_are_seen(machine):
    p = machine.process()
    fd = p.open("/f", p.O_RDWR | p.O_CREAT)
    file = p.task.files.fdt[fd]
    for obj, member in (
        (file, "f_count"),
        (file.f_inode, "i_count"),
        (file.f_path.mnt._container, "mnt_count"),
        (file.f_path.dentry.d_sb, "s_active"),
    ):
        setattr(obj, member, getattr(obj, member) + 1)
        assert [line for line in check(machine.kernel) if member in line]
        setattr(obj, member, getattr(obj, member) - 1)
    assert check(machine.kernel) == []


def test_a_pointer_to_freed_memory_is_seen(machine):
    from vfslab.include.sched import FsStruct
    from vfslab.init.main import running
    from vfslab.kernel.slab import kfree, kzalloc

    p = machine.process()
    with running(machine.kernel):
        good, p.task.fs = p.task.fs, kzalloc(FsStruct)
        kfree(p.task.fs)
    with pytest.raises(KernelBug, match="freed"):
        check(machine.kernel)
    p.task.fs = good
