"""The generated matrix: an image for each pair of block size, inode size, features, hash and contents.

What is true of each is asked of Linux, which mounts the same image. Blocks of 64 KiB
Linux cannot mount on a machine with 4 KiB pages: there the tree that was given to
`mke2fs -d` is the truth, and debugfs is asked whether it arrived.
"""

import os

import pytest

from tests import images, oracle
from tests.images import e2fs
from tests.images.matrix import AXES, MATRIX

pytestmark = [pytest.mark.needs_loop, pytest.mark.needs_program("mke2fs", "debugfs", "e2fsck")]
BY_LINUX = [spec for spec in MATRIX if spec.truth == "kernel"]
BY_TREE = [spec for spec in MATRIX if spec.truth == "tree" and "data" not in spec.name]  # debugfs writes holes out


def test_matrix_has_forty_images_and_every_value_of_every_axis(capsys):
    with capsys.disabled():
        print(
            f"\nmatrix of {len(MATRIX)} images: "
            + "; ".join(f"{axis} {', '.join(map(str, AXES[axis]))}" for axis in AXES)
        )
    words = [set(spec.name.split("-")) for spec in MATRIX]
    assert len(MATRIX) >= 40
    for values in AXES.values():
        for value in values:
            assert any(str(value) in row for row in words), value


@pytest.mark.parametrize("spec", MATRIX, ids=lambda spec: spec.name)
def test_same_tree_as_linux(spec):
    ours = oracle.vfslab_manifest(images.build(spec))
    lines = oracle.compare(spec, ours)
    assert not lines, "\n".join(lines)


@pytest.mark.parametrize("spec", BY_LINUX[::9], ids=lambda spec: spec.name)
def test_control_linux_agrees_with_itself(spec):
    with oracle.kernel_mount(images.build(spec)) as point:
        assert not oracle.compare(spec, oracle.manifest(os, point))


@pytest.mark.parametrize("spec", BY_TREE[::3], ids=lambda spec: spec.name)
def test_control_debugfs_agrees_with_the_tree(spec, tmp_path):
    e2fs.ask(images.build(spec), f"rdump / {tmp_path}")
    ours = oracle.manifest(os, str(tmp_path))
    skip = {path for path in ours if path.startswith("/nodes")}  # rdump makes no device nodes
    truth = {path: entry for path, entry in oracle.truth(spec).items() if not path.startswith("/nodes")}
    ours = {path: entry for path, entry in ours.items() if path not in skip}
    loose = ("st_mtime_ns", "xattrs", "st_nlink", "st_uid", "st_gid", "st_mode", "st_rdev")
    assert not oracle.differences_from_tree(truth, ours, ignore=loose)


def test_control_one_changed_byte_is_seen(tmp_path):
    spec = MATRIX[0]
    changed = images.copy_of(images.build(spec), tmp_path / "changed.img")
    e2fs.debugfs(changed, "set_inode_field /mid/d1/file0 uid 7")
    with oracle.kernel_mount(changed) as point:
        lines = oracle.compare(spec, oracle.manifest(os, point))
    assert lines == ["'/mid/d1/file0' st_uid: 0, we say 7"]
