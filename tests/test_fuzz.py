"""Damaged images: every one ends as the contract of `vfslab check` says, and none changes in silence.

500 mutants of each base in process; ten of each as a command of its own, which must leave the file
alone, say one line where it refuses, and keep to its time and memory. `make fuzz` runs 10,000 of each.
"""

import hashlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests import fuzz, images
from tests.images import e2fs
from tests.images.bases import bases
from tests.mutate import WAYS, Base

pytestmark = [pytest.mark.needs_loop, pytest.mark.needs_program("mke2fs", "debugfs", "e2fsck")]
NAMES = ["ext4", "ext4-redone", "no-csum", "ext2", "inline", "journal"]
TOP = Path(__file__).resolve().parents[1]
IN_PROCESS = 500
AS_COMMAND = 10
FIRST_AS_COMMAND = 100_000  # other mutants than those in process


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_500_mutants_end_as_promised(name, capsys):
    verdicts, defects, slowest = fuzz.some(name, 0, IN_PROCESS)
    with capsys.disabled():
        print(f"\n{name}: {dict(verdicts)}, slowest {slowest[0]:.2f} s (mutant {slowest[1]})")
    told = [f"{name} {seed}: {verdict}: {told}\n    " + "\n    ".join(lines) for seed, verdict, lines, told in defects]
    assert not told, "\n".join(told[:10])
    assert sum(verdicts.values()) == IN_PROCESS
    assert verdicts["damage"] + verdicts["refused"] > IN_PROCESS // 10, "the blows do not reach what is read"


def limits():
    """Set the limits of one command, in the child."""
    resource.setrlimit(resource.RLIMIT_AS, (fuzz.MEMORY, fuzz.MEMORY))


def command(image, *options):
    """Run `python -m vfslab check`; return what ended."""
    words = [sys.executable, "-m", "vfslab", "check", *options, os.fspath(image)]
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        words, capture_output=True, text=True, timeout=fuzz.SECONDS, preexec_fn=limits, env=env, cwd=TOP
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_mutants_as_commands_keep_the_contract(name, tmp_path):
    victim = bases()[name]
    base = Base(images.build(victim.spec).read_bytes(), victim.kinds)
    image = tmp_path / "mutant.img"
    for seed in range(FIRST_AS_COMMAND, FIRST_AS_COMMAND + AS_COMMAND):
        data, told, _ = base.mutant(seed, victim.redo)
        image.write_bytes(data)
        done = command(image)
        said = f"{name} {seed}: {told}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        assert fuzz.classify(done.returncode, (done.stdout + done.stderr).splitlines()) in fuzz.GOOD, said
        assert hashlib.sha256(image.read_bytes()).digest() == hashlib.sha256(data).digest(), f"{said}\nimage modified"


def test_manifest_of_the_command_is_lines_of_json(tmp_path):
    done = command(images.build(bases()["ext4"].spec), "--manifest")
    entries = {entry["path"]: entry for entry in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0, done.stderr
    assert entries["/etc/hosts"]["size"] == 100
    assert entries["/etc/hosts"]["sha256"] == hashlib.sha256(images.contents.pattern("hosts", 100)).hexdigest()


def test_mutants_are_the_same_each_time_and_of_every_way():
    """Control of the mutator: seeds decide, every way and kind comes, and few mutants equal their base."""
    data = images.build(bases()["ext4"].spec).read_bytes()
    base, again = Base(data), Base(data)
    made = [base.mutant(seed) for seed in range(300)]
    assert [bytes(data) for data, _, _ in made[:50]] == [bytes(again.mutant(seed)[0]) for seed in range(50)]
    assert {region.kind for _, _, region in made} == set(base.by_kind)
    assert sum(bytes(data) == base.data for data, _, _ in made) < 30
    words = " ".join(told for _, told, _ in made)
    signs = ("turned", "byte ", "u16", "zeroed", "noise", "copied", "ends at", "+1")
    assert len(signs) == len(WAYS) and all(sign in words for sign in signs)


def test_checksums_made_good_satisfy_e2fsck(tmp_path):
    """Control of the mutator's checksums: a changed inode with its checksum made good is none that e2fsck calls wrong."""
    base = Base(images.build(bases()["ext4"].spec).read_bytes())
    image = tmp_path / "changed.img"
    region = next(region for region in base.by_kind["inode"] if region.owner > 11)
    for redone, expected in ((False, True), (True, False)):
        data = bytearray(base.data)
        data[region.start + 2] = 77  # the owner: any number is a good one
        if redone:
            base.make_good(data, region)
        image.write_bytes(data)
        assert ("checksum does not match" in e2fs.e2fsck(image)[1]) is expected
