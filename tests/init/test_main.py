"""Booting: fast, from the standard library alone, and always a fresh world."""

import subprocess
import sys
import time

import pytest

import vfslab


def run(program):
    """Run a program in a fresh interpreter without site packages; return what it prints."""
    return subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True).stdout


def test_importing_vfslab_loads_next_to_nothing():
    loaded = run(
        "import sys; sys.path.insert(0, '.'); import vfslab; print(*[m for m in sys.modules if m.startswith('vfslab')])"
    )
    assert loaded.split() == ["vfslab"]


def test_booting_needs_the_standard_library_only():
    program = """
import sys; sys.path.insert(0, '.')
before = set(sys.modules)
import vfslab
with vfslab.boot() as k:
    k.process().mkdir('/a')
top = {name.partition('.')[0] for name in set(sys.modules) - before}
print(sorted(top - set(sys.stdlib_module_names) - {'vfslab'}))
"""
    assert run(program).strip() == "[]"


def test_booting_is_quick():
    vfslab.boot().shutdown()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        machine = vfslab.boot()
        times.append(time.perf_counter() - start)
        machine.shutdown()
    assert min(times) < 0.02


def test_a_fresh_kernel_has_dev_and_a_log():
    with vfslab.boot() as machine:
        p = machine.process()
        assert p.listdir("/") == ["dev"]
        assert "null" in p.listdir("/dev")
        assert machine.dmesg()[0].startswith("Linux version 6.12")


def test_a_kernel_without_memory_is_refused():
    with pytest.raises(ValueError):
        vfslab.boot(memory=1000)


def test_a_stopped_kernel_says_so():
    machine = vfslab.boot()
    machine.shutdown()
    for call in (machine.process, lambda: machine.attach("vda", b"")):
        with pytest.raises(RuntimeError):
            call()
