"""The lists of what to install agree: pyproject.toml, environment.yml, the Makefile and the README."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

TOP = Path(__file__).parents[2]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
ENVIRONMENT = yaml.safe_load((TOP / "environment.yml").read_text())
CONDA = [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)]
PIP = [line for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict) for line in entry["pip"]]
TARGETS = ["lab", "test", "book", "lite", "pdf", "lint", "fuzz", "bench"]


def extras_of(requirement):
    """Return all requirements that one such as vfslab[all] stands for."""
    found = []
    for extra in requirement.extras:
        for inner in map(Requirement, EXTRAS[extra]):
            found += extras_of(inner) if inner.name == "vfslab" else [inner]
    return found


def test_conda_installs_the_package_with_all_extras():
    (line,) = PIP
    assert line.startswith("-e .")
    names = {each.name for each in extras_of(Requirement("vfslab" + line.removeprefix("-e .")))}
    for extra in ("lab", "test", "book"):
        assert {Requirement(text).name for text in EXTRAS[extra]} <= names


def test_conda_has_a_python_that_the_package_takes():
    (python,) = [Requirement(entry) for entry in CONDA if Requirement(entry).name == "python"]
    wanted = SpecifierSet(PROJECT["requires-python"])
    versions = [f"3.{minor}" for minor in range(8, 20)]
    assert all(version in wanted for version in versions if version in python.specifier)
    classified = {text.rpartition(" ")[2] for text in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", text)}
    assert {version for version in versions if version in python.specifier} == classified


def test_what_conda_installs_itself_has_the_same_bounds():
    ours = {each.name: each.specifier for each in extras_of(Requirement("vfslab[all]"))}
    for entry in map(Requirement, CONDA):
        if entry.name in ours and entry.name != "graphviz":  # conda's graphviz is the program, PyPI's the module
            assert entry.specifier == ours[entry.name], entry


def test_every_picture_engine_of_conda_is_the_program():
    assert "graphviz" in CONDA and "pip" in CONDA


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_is_one_command_with_and_without_make(target):
    makefile = (TOP / "Makefile").read_text()
    readme = (TOP / "README.md").read_text()
    assert target in re.search(r"^(lab .*):$", makefile, re.MULTILINE)[1].split()
    assert f"make {target}" in readme and f"python3 make.py {target}" in readme


def test_an_upper_bound_keeps_the_book_on_the_jupyter_book_that_builds_offline():
    (book,) = [Requirement(text) for text in EXTRAS["book"]]
    assert "1.0.4.post1" in book.specifier and "2.0" not in book.specifier


def test_import_needs_no_package_and_the_command_line_only_tqdm():
    assert [Requirement(text).name for text in PROJECT["dependencies"]] == ["tqdm"]
