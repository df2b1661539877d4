"""The function_graph tracer: what it sees, what it costs when it is off, how it tells errors from results."""

import sys
import threading

import pytest

import vfslab
from vfslab.kernel.trace import function_graph
from vfslab.kernel.tracepoint import describe


@pytest.fixture
def booted():
    with vfslab.boot() as kernel:
        yield kernel, kernel.process()


def test_a_read_is_seen_from_the_system_call_down_to_the_driver(booted):
    kernel, p = booted
    kernel.attach("vda", vfslab.deck_image(), read_only=True)
    p.mkdir("/mnt")
    p.mount("/dev/vda", "/mnt", "ext4", "ro")
    fd = p.open("/mnt/a123/b456/test.c", p.O_RDONLY)
    with function_graph(kernel.kernel) as trace:
        p.read(fd, 100)
    assert [root.function for root in trace.roots] == ["sys_read"]
    layers = list(dict.fromkeys(call.layer for call in trace.calls()))
    assert layers == ["fs", "mm", "fs/ext4", "block", "drivers"]
    issued = [point for point in trace.points if point.name == "block_rq_issue"]
    assert [(point.values["sector"], point.values["bytes"]) for point in issued] == [(1166 * 8, 4096)]
    assert issued[0].call.layer == "block"
    p.close(fd)


def test_an_error_is_an_error_and_none_is_a_result(booted):
    kernel, p = booted
    with function_graph(kernel.kernel) as trace:
        with pytest.raises(FileNotFoundError):
            p.stat("/absent")
        p.mkdir("/made")
    (stat, mkdir) = trace.roots
    assert stat.error == "ENOENT" and stat.result is None
    assert mkdir.error is None and mkdir.result is not None
    (added,) = trace.find("d_instantiate")[:1]
    assert added.error is None and added.result == "None"
    assert any(call.error == "ENOENT" for call in stat.walk() if call is not stat)


def test_T1_each_call_that_began_has_ended_and_lies_within_its_caller(booted):
    kernel, p = booted
    with function_graph(kernel.kernel) as trace:
        p.makedirs("/a/b/c")
        p.listdir("/a")
    calls = list(trace.calls())
    assert len(calls) > 50
    for call in calls:
        assert (call.result is None) != (call.error is None), call
        assert call.began <= call.ended
        if call.parent is not None:
            assert call.parent.began <= call.began and call.ended <= call.parent.ended


def test_T2_another_kernel_is_not_seen(booted):
    kernel, p = booted
    with vfslab.boot() as other:
        q = other.process()
        with function_graph(kernel.kernel) as trace:
            q.mkdir("/x")
            assert trace.roots == []
            p.mkdir("/y")
        assert [root.function for root in trace.roots] == ["sys_mkdirat"]


def test_T3_the_hooks_are_gone_afterwards_whatever_happened(booted):
    kernel, p = booted
    before = sys.gettrace()
    with pytest.raises(ZeroDivisionError), function_graph(kernel.kernel) as trace:
        p.mkdir("/a")
        1 / 0  # noqa: B018
    seen = len(list(trace.calls()))
    p.mkdir("/b")
    assert len(list(trace.calls())) == seen
    assert kernel.kernel.tracers == [] and sys.gettrace() is before
    if hasattr(sys, "monitoring"):
        assert sys.monitoring.get_tool(3) is None


def test_arguments_are_told_as_they_were_when_the_call_began(booted):
    kernel, p = booted
    with function_graph(kernel.kernel) as trace:
        p.mkdir("/etc")
    (instantiate, *_) = trace.find("d_instantiate")
    assert instantiate.args["dentry"].endswith("(etc)")
    assert instantiate.objects["dentry"].d_name == b"etc"


def test_functions_can_be_chosen_and_frames_taken_at_them(booted):
    kernel, p = booted
    p.makedirs("/a/b")
    with function_graph(
        kernel.kernel,
        functions=["walk_component", "link_path_walk", "filename_lookup"],
        roots=lambda: [p.task.nameidata],
    ) as trace:
        p.stat("/a/b")
    assert {call.function for call in trace.calls()} <= {"walk_component", "link_path_walk", "filename_lookup"}
    assert len(trace.frames) == len(trace.moments) == 2 * len(list(trace.calls()))
    inside = [frame for frame in trace.frames if any(record.cls.__name__ == "Nameidata" for record in frame.values())]
    assert inside


def test_a_thread_of_another_kernel_does_not_disturb(booted):
    kernel, p = booted
    with vfslab.boot() as other:
        q = other.process()
        stop = threading.Event()

        def work():
            while not stop.is_set():
                q.listdir("/")

        thread = threading.Thread(target=work)
        thread.start()
        try:
            with function_graph(kernel.kernel) as trace:
                for number in range(20):
                    p.mkdir(f"/{number}")
        finally:
            stop.set()
            thread.join()
    assert [root.function for root in trace.roots] == ["sys_mkdirat"] * 20


def test_a_few_numbers_are_told_as_they_are_and_more_are_counted():
    assert describe((1, 587, 3)) == "(1, 587, 3)"
    assert describe([(0, 4, 100, 1), (4, 2, 300, 2)]) == "[(0, 4, 100, 1), (4, 2, 300, 2)]"
    assert describe((1, "a")) == "tuple[2]" and describe([1] * 5) == "list[5]" and describe(()) == "tuple[0]"
