"""The checks of the lab path_walk tell right from wrong: mutants fail for their reason, other right solutions pass."""

import pytest

from tests.labs.flow import failing, mutants, right_ones
from vfslab.teach.labs.checks import told
from vfslab.teach.labs.model import load

LAB = "path_walk"
MUTANTS, RIGHT = mutants(LAB), right_ones(LAB)


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


def test_there_are_enough_of_both():
    assert len(MUTANTS) >= 10 and len(RIGHT) >= 3


def test_every_check_is_failed_by_a_mutant_of_its_own():
    assert load(LAB).checks.keys() == {named for named, _related, _functions in MUTANTS.values()}


def test_a_walk_without_end_is_ended_and_told():
    loop = "def link_path_walk(text, nd):\n    while True:\n        pass\n"
    failed = failing(LAB, {(1, "link_path_walk"): loop}, seconds=0.2)
    assert told(failed["plain_names"].seen) == "no end"
