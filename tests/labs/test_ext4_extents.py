"""The checks of the lab ext4_extents tell right from wrong, and its disks are what the tools that made ext4 say they are."""

import ast
import json
import random
import subprocess

import pytest

import vfslab
from tests.conftest import needs_program
from tests.labs.flow import failing, mutants, right_ones
from vfslab.data import climb_image
from vfslab.kernel.trace import function_graph
from vfslab.teach import labs
from vfslab.teach.labs import checks
from vfslab.teach.labs.checks import Stage, told
from vfslab.teach.labs.ext4_extents import real
from vfslab.teach.labs.ext4_extents.acts import mounted, pretend_bigger
from vfslab.teach.labs.ext4_extents.disk import Disk, labelled, number, shown
from vfslab.teach.labs.ext4_extents.problems import problem
from vfslab.teach.labs.ext4_extents.programs import Shell
from vfslab.teach.labs.model import load
from vfslab.teach.source import package_functions

LAB = "ext4_extents"
MUTANTS, RIGHT = mutants(LAB), right_ones(LAB)


# --- right and wrong solutions ---------------------------------------------------------------------------


def test_the_package_passes_its_own_checks():
    assert failing(LAB, {}) == {}


@pytest.mark.parametrize("seed", [0, 20261120])
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_solution_that_is_written_otherwise_passes(name, seed):
    assert {check: str(wrong) for check, wrong in failing(LAB, RIGHT[name], seed).items()} == {}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_solution_fails_its_check_and_no_unrelated_one(name):
    named, related, functions = MUTANTS[name]
    failed = failing(LAB, functions)
    assert named in failed, f"{named} holds, though {name} is wrong"
    assert failed.keys() <= {named, *related}, f"{failed.keys() - {named, *related}} have nothing to do with {name}"


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_solution_leaves_the_checks_of_earlier_steps_alone(name):
    named, related, functions = MUTANTS[name]
    lab, first = load(LAB), min(step for step, _function in functions)
    assert all(lab.step_of(check).number >= first for check in (named, *related))


def test_every_check_is_failed_by_a_mutant_of_its_own():
    assert load(LAB).checks.keys() == {named for named, _related, _functions in MUTANTS.values()}


def test_mutants_differ_from_the_solution():
    lab = load(LAB)
    for name, (_named, _related, functions) in MUTANTS.items():
        for (step, function), text in functions.items():
            reference = lab.solution(lab.step(step), "fs/ext4/extents.py", function)
            assert ast.dump(bare(text)) != ast.dump(bare(reference)), name


def bare(text):
    """Return a function's syntax without its docstring, its types and its decorators."""
    node = ast.parse(text).body[0]
    node.body = node.body[1:] if ast.get_docstring(node) else node.body
    return ast.Module(node.body, [])


def test_a_function_without_end_is_ended_and_told():
    failed = failing(LAB, {(2, "ext4_ext_map_blocks"): "def ext4_ext_map_blocks(inode, lblk):\n    while 1: pass\n"})
    assert told(failed["in_pieces"].seen) == "no end"


def test_answers_are_asked_for_functions_of_the_package():
    functions = package_functions("fs/ext4/extents.py")
    assert all(name in functions for _step, _file, name in load(LAB).answers())


# --- disks and problems ------------------------------------------------------------------------------------


@needs_program("debugfs")
@pytest.mark.parametrize("seed", range(4))
def test_debugfs_reads_planted_trees_as_they_were_meant(tmp_path, seed):
    disk, meant = Disk(random.Random(seed)), {}
    for name, depth in zip("abcdef", range(6), strict=True):
        runs = disk.runs(3 * 2**depth if depth < 5 else 32, gap=3, longest=2, unwritten=0.3, start=seed % 2)
        disk.file(name, runs, depth, room=2)
        meant[name] = runs
    path = tmp_path / "planted.img"
    path.write_bytes(disk.image)
    for name, runs in meant.items():
        lines = [real.span(start, count) + ": " + real.span(block, count) for start, count, block, _ in runs]
        lines = [line + ("" if run[3] else ", unwritten") for line, run in zip(lines, runs, strict=True)]
        assert real.by_debugfs(str(path), number(name)) == lines


@needs_program("e2fsck")
def test_e2fsck_finds_nothing_wrong_with_planted_trees_but_the_counts(tmp_path):
    disk = Disk(random.Random(1))
    disk.file("a", disk.runs(4, gap=2))
    disk.file("b", disk.runs(16, gap=2, unwritten=0.5), depth=2, room=3)
    path = tmp_path / "planted.img"
    path.write_bytes(disk.image)
    said = subprocess.run(["e2fsck", "-fn", path], capture_output=True, text=True).stdout
    assert "i_blocks is" in said  # it did look at these files, whose blocks nobody has counted
    trees = [line for line in said.splitlines() if "extent" in line and "could be narrower" not in line]
    assert "checksum" not in said and not trees, said


def test_a_block_says_where_it_lies():
    image = labelled()
    assert shown(image[700 * 1024 : 703 * 1024] + bytes(1024), 4) == ["4 to 6: disk blocks 700 to 702", "7: zeros"]
    assert shown(b"x" * 1024) == ["0: something else"]


def test_the_same_seed_gives_the_same_problem_and_others_give_others():
    lab = load(LAB)
    for name in lab.checks:
        first, again, other = (json.dumps(checks.expected(lab, name, seed)) for seed in (5, 5, 6))
        assert first == again != other, name


def test_mounting_a_planted_disk_asks_for_no_extent():
    lab = load(LAB)
    stage = Stage(lab, lab.check("one_piece"))
    try:
        with function_graph(stage.kernel, functions=["ext4_ext_check_inode", "ext4_ext_map_blocks"]) as trace:
            mounted(stage, stage.process(), Disk(random.Random(0)))
        assert not trace.find("ext4_ext_check_inode") and not trace.find("ext4_ext_map_blocks")
    finally:
        stage.close()


def test_pencil_problems_have_answers_that_the_kernel_gives(capsys):
    disk = Disk(random.Random(0))
    for seed in range(40):
        one = problem(seed)
        if one.inner:
            continue
        disk.root("a", one.i_block)
        disk.size("a", 4000 << 10)
        with vfslab.boot() as k:
            shell = Shell(k, disk.image)
            shell.mount()
            pretend_bigger(shell.p)
            capsys.readouterr()
            for lblk in one.places:
                shell.ask("/mnt/a", lblk)
                said, right = capsys.readouterr().out, one.right(lblk)
                assert said.startswith(f"written, disk block {right}," if isinstance(right, int) else right), (
                    seed,
                    said,
                )


# --- the notebook's programs ---------------------------------------------------------------------------------


def test_what_is_still_to_be_written_is_one_line(capsys):
    k = labs.open(LAB).boot()
    try:
        shell = Shell(k, climb_image())
        shell.mount()
        assert capsys.readouterr().out.splitlines()[-1] == "mount: Function not implemented"
        assert shell.i_block("hello.txt")[:2] == b"\x0a\xf3"
    finally:
        k.shutdown()


@needs_program("mke2fs", "debugfs")
def test_an_image_of_the_tools_is_read_as_debugfs_reads_it(tmp_path, capsys):
    for seed in (1, 2):
        path = real.make_image(str(tmp_path), seed)
        with vfslab.boot() as k:
            real.compare(k, path)
        assert capsys.readouterr().out.endswith("debugfs says the same\n")
