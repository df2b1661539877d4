"""Live structures, their memory and their locks: the claims K1 to K3 of kstruct, slab and locking."""

from __future__ import annotations

import pytest

from vfslab.include.fs import Inode
from vfslab.include.kernel import Kernel
from vfslab.include.sched import TaskStruct
from vfslab.include.spinlock import Mutex, RwSemaphore, Spinlock
from vfslab.kernel.locking import down_read, down_write, mutex_lock, spin_lock
from vfslab.kernel.sched import cpu
from vfslab.kernel.slab import Slab, kfree, kzalloc
from vfslab.lib.kstruct import (
    Embedded,
    KernelBug,
    KObject,
    Ptr,
    Ref,
    UseAfterFree,
    container_of,
    embedded,
    kstruct,
    late,
    members,
)


@kstruct
class Wheel(KObject):
    size: int = 26
    spokes: list = None


@kstruct(count="b_count")
class Bicycle(KObject):
    b_count: int = 1
    b_owner: Ref[TaskStruct] = None
    b_shop: Ptr[Kernel] = None
    front: Embedded[Wheel] = embedded(Wheel, size=28)
    rear: Embedded[Wheel] = embedded(Wheel)
    steered: Ptr[Wheel] = late(lambda bicycle: bicycle.front)


@kstruct
class Unicycle(KObject):
    only: Embedded[Wheel] = embedded(Wheel, now=True, size=20)


@pytest.fixture
def world():
    """A kernel with two tasks, the first one running."""
    kernel = Kernel()
    kernel._slab = Slab()
    outer = cpu.current, cpu.kernel
    first, second = TaskStruct(pid=1, kernel=kernel), TaskStruct(pid=2, kernel=kernel)
    cpu.current, cpu.kernel = first, kernel
    yield first, second
    cpu.current, cpu.kernel = outer


# --- K1 ------------------------------------------------------------------------------------------------------


def test_K1_a_member_that_is_not_declared_cannot_be_set():
    bicycle = Bicycle()
    with pytest.raises(AttributeError):
        bicycle.bell = 1
    with pytest.raises(AttributeError):
        _ = bicycle.bell
    with pytest.raises(TypeError):
        Bicycle(bell=1)


def test_K1_a_subclass_without_slots_would_be_caught():
    class Loose(Bicycle):
        pass

    Loose().bell = 1  # so this is what the claim guards against: kstruct gives every class slots
    assert not hasattr(Bicycle(), "__dict__") and not hasattr(Inode(), "__dict__")


def test_shared_default_is_refused():
    with pytest.raises(TypeError, match="fresh"):

        @kstruct
        class Bad(KObject):
            things: Embedded[list] = []  # noqa: RUF012


def test_members_tell_kinds_and_targets():
    kinds = {member.name: (member.kind, member.target) for member in members(Bicycle)}
    assert kinds["b_owner"] == ("Ref", "TaskStruct") and kinds["b_shop"] == ("Ptr", "Kernel")
    assert kinds["front"] == ("Embedded", "Wheel") and kinds["b_count"][0] == "value"
    assert Bicycle._count == "b_count"


# --- K2 ------------------------------------------------------------------------------------------------------


def test_K2_container_of_is_the_object_around():
    one, other = Bicycle(), Bicycle()
    assert container_of(one.front, Bicycle, "front") is one
    assert container_of(other.rear, Bicycle, "rear") is other
    assert one.front is one.front and one.front is not other.front
    assert (one.front.size, one.rear.size) == (28, 26)


def test_K2_anything_else_is_a_bug():
    bicycle = Bicycle()
    for ptr, cls, member in (
        (bicycle.front, Bicycle, "rear"),
        (Wheel(), Bicycle, "front"),
        (bicycle.front, Wheel, "size"),
    ):
        with pytest.raises(KernelBug):
            container_of(ptr, cls, member)
    replaced = bicycle.front
    bicycle.front = Wheel()
    with pytest.raises(KernelBug):
        container_of(replaced, Bicycle, "front")


def test_late_member_is_made_once_and_can_be_set():
    bicycle = Bicycle()
    assert bicycle.steered is bicycle.front
    bicycle.steered = bicycle.rear
    assert bicycle.steered is bicycle.rear
    inode = Inode()
    assert inode.i_mapping is inode.i_data and inode.i_data.host is inode


# --- K3 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", [
    lambda b: b.b_count, lambda b: setattr(b, "b_count", 2), lambda b: b.front, lambda b: delattr(b, "b_owner"),
    lambda b: kfree(b), lambda b: b._annotations, lambda b: setattr(b, "front", None), lambda b: b.nonsense,
])  # fmt: skip
def test_K3_every_use_after_kfree_is_told(world, use):
    bicycle = kzalloc(Bicycle)
    assert bicycle.b_count == 1
    kfree(bicycle)
    with pytest.raises(UseAfterFree, match="Bicycle#1"):
        use(bicycle)


def test_K2_what_is_embedded_now_is_there_and_numbered_before_it_is_touched(world):
    unicycle = kzalloc(Unicycle)
    assert cpu.kernel._slab.alive(Wheel) == 1
    wheel = unicycle.only
    assert (wheel.size, repr(wheel)) == (20, "Wheel#1") and unicycle.only is wheel
    assert container_of(wheel, Unicycle, "only") is unicycle
    kfree(unicycle)
    with pytest.raises(UseAfterFree):
        _ = wheel.size


def test_K3_what_is_embedded_goes_with_the_object(world):
    bicycle = kzalloc(Bicycle)
    front = bicycle.front
    kfree(bicycle)
    with pytest.raises(UseAfterFree, match=r"Wheel#1\.size"):
        _ = front.size
    with pytest.raises(UseAfterFree):
        container_of(front, Bicycle, "front")


def test_K3_what_is_only_pointed_to_stays(world):
    wheel, bicycle = kzalloc(Wheel), kzalloc(Bicycle)
    bicycle.front = wheel  # lies elsewhere
    bicycle.steered = wheel
    kfree(bicycle)
    assert wheel.size == 26


def test_a_freed_object_can_still_be_named(world):
    bicycle = kzalloc(Bicycle)
    kfree(bicycle)
    assert repr(bicycle) == "Bicycle#1"


# --- kernel/slab.py --------------------------------------------------------------------------------------------


def test_objects_are_numbered_by_kernel_and_type(world):
    task, _ = world
    assert [repr(kzalloc(cls)) for cls in (Wheel, Bicycle, Wheel)] == ["Wheel#1", "Bicycle#1", "Wheel#2"]
    other = Kernel()
    other._slab = Slab()
    cpu.kernel = other
    assert repr(kzalloc(Wheel)) == "Wheel#1"
    cpu.kernel = task.kernel
    assert repr(kzalloc(Wheel)) == "Wheel#3"


def test_alive_counts_what_is_not_freed_embedded_ones_too(world):
    slab = cpu.kernel._slab
    bicycles = [kzalloc(Bicycle) for _ in range(3)]
    assert bicycles[0].front and slab.alive(Wheel) == 1, "an embedded structure is made when it is touched"
    kfree(bicycles[0])
    kfree(bicycles[1])
    assert (slab.alive(Bicycle), slab.alive(Wheel), slab.allocated[Bicycle]) == (1, 0, 3)


# --- kernel/locking.py -------------------------------------------------------------------------------------------


def test_K1_the_owner_is_who_holds_the_lock_alone(world):
    task, _ = world
    lock, semaphore = Spinlock(name="a"), RwSemaphore(name="b")
    with spin_lock(lock), down_write(semaphore):
        assert (lock.owner, semaphore.owner, semaphore.count) == (task, task, -1)
    assert (lock.owner, semaphore.owner, semaphore.count) == (None, None, 0)
    with down_read(semaphore):
        assert (semaphore.owner, semaphore.count) == (None, 1)


def test_K2_held_lists_locks_innermost_last(world):
    task, _ = world
    outer, inner = Mutex(name="outer"), Spinlock(name="inner")
    with mutex_lock(outer), spin_lock(inner):
        assert task.held == [outer, inner]
    assert task.held == []


def test_a_lock_is_given_back_when_the_body_fails(world):
    task, _ = world
    for enter, lock in (
        (spin_lock, Spinlock(name="a")),
        (down_read, RwSemaphore(name="b")),
        (down_write, RwSemaphore(name="c")),
    ):
        with pytest.raises(ZeroDivisionError), enter(lock):
            _ = 1 / 0
        assert task.held == [] and lock.owner is None and not getattr(lock, "count", 0)


def test_one_s_own_lock_again_is_a_bug(world):
    lock = Spinlock(name="a")
    with spin_lock(lock):
        with pytest.raises(KernelBug, match="it holds"), spin_lock(lock):
            pass
        assert lock.owner is cpu.current, "the first holder keeps it"
    semaphore = RwSemaphore(name="b")
    with down_read(semaphore), pytest.raises(KernelBug), down_write(semaphore):
        pass
    assert semaphore.count == 0


def test_another_s_lock_is_a_bug_and_stays_his(world):
    first, second = world
    lock, semaphore = Spinlock(name="a"), RwSemaphore(name="b")
    with spin_lock(lock), down_write(semaphore):
        cpu.current = second
        for enter, what in ((spin_lock, lock), (down_read, semaphore), (down_write, semaphore)):
            with pytest.raises(KernelBug, match="is held by"), enter(what):
                pass
            assert second.held == [], "what was not taken is not held"
        cpu.current = first
    assert lock.owner is None and first.held == []


def test_readers_share(world):
    first, second = world
    semaphore = RwSemaphore(name="b")
    with down_read(semaphore):
        cpu.current = second
        with down_read(semaphore):
            assert semaphore.count == 2
        with pytest.raises(KernelBug, match="1 readers"), down_write(semaphore):
            pass
        cpu.current = first
    assert semaphore.count == 0


def test_locks_in_both_orders_are_a_bug_even_without_a_collision(world):
    a, b, other_a = Spinlock(name="a"), Spinlock(name="b"), Spinlock(name="a")
    with spin_lock(a), spin_lock(b):
        pass
    with spin_lock(b), pytest.raises(KernelBug, match="the other way"), spin_lock(other_a):
        pass


def test_two_locks_of_a_class_need_the_word_nested(world):
    parent, child = Spinlock(name="d_lock"), Spinlock(name="d_lock")
    with spin_lock(parent):
        with pytest.raises(KernelBug, match="of its class"), spin_lock(child):
            pass
        with spin_lock(child, nested=True):
            assert cpu.current.held == [parent, child]
