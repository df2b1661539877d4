"""Snapshots: values of one moment, kept while the kernel runs on."""

from __future__ import annotations

import vfslab
from vfslab.kernel.slab import kfree
from vfslab.kernel.snapshot import Bytes, Key, More, changes, take
from vfslab.lib.kstruct import Embedded, KObject, Ptr, Ref, embedded, fresh, kstruct


@kstruct
class Leaf(KObject):
    value: int = 0


@kstruct
class Node(KObject):
    name: bytes = b""
    next: Ref[Node] = None
    leaf: Embedded[Leaf] = embedded(Leaf)
    table: dict = fresh(dict)
    data: bytearray = None
    other: Ptr[Leaf] = None


def test_a_frame_keeps_what_was_and_not_what_is():
    with vfslab.boot() as kernel:
        p = kernel.process()
        p.mkdir("/a")
        root = kernel.kernel.init_task.fs.root.dentry
        before = take([root])
        names = {record.members.get("d_name") for record in before.values() if record.cls.__name__ == "Dentry"}
        assert b"a" in names
        p.rename("/a", "/b")
        still = {record.members.get("d_name") for record in before.values() if record.cls.__name__ == "Dentry"}
        assert b"a" in still and b"b" not in still
        changed = [(change.member, change.before, change.after) for change in changes(before, take([root]))]
        assert ("d_name", b"a", b"b") in changed


def test_an_embedded_member_nobody_touched_is_not_brought_into_being():
    node = Node(name=b"n")
    (record,) = take([node]).values()
    assert "leaf" not in record.members
    node.leaf.value = 3
    frame = take([node])
    assert len(frame) == 2


def test_buffers_become_lengths_and_long_tables_are_cut():
    node = Node(data=bytearray(5000), table={number: number for number in range(100)})
    (record,) = take([node]).values()
    assert record.members["data"] == Bytes(5000)
    assert len(record.members["table"]) == 65 and More(36) in record.members["table"]


def test_cycles_and_shared_objects_are_visited_once():
    one, two = Node(name=b"1"), Node(name=b"2")
    one.next, two.next = two, one
    frame = take([one, two])
    assert len(frame) == 2
    assert {record.members["next"] for record in frame.values()} == set(frame)


def test_changes_tell_what_came_and_went():
    one, two = Node(name=b"1"), Node(name=b"2")
    before = take([one])
    one.next = two
    after = take([one])
    found = list(changes(before, after))
    assert any(change.member == "next" and isinstance(change.after, Key) for change in found)
    assert any(change.member == "" and change.before is None for change in found)
    back = list(changes(after, before))
    assert any(change.member == "" and change.after is None for change in back)


def test_a_freed_object_is_told_and_does_not_raise():
    node = Node(name=b"x")
    kfree(node)
    (record,) = take([node]).values()
    assert record.members == {"freed": True}


def test_operation_tables_go_by_their_names():
    with vfslab.boot() as kernel:
        frame = take([kernel.kernel.init_task.fs.root.dentry.d_inode])
        tables = {record.members.get("i_op") for record in frame.values()}
        assert "ramfs_dir_inode_operations" in tables
