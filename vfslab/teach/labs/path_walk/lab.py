"""The lab path_walk: link_path_walk by steps, with `cat /a/b` first, then `..`, symbolic links, mounts, and the short way."""

from __future__ import annotations

from typing import Any

from vfslab.teach.labs.model import Check, Lab, Step
from vfslab.viz.views import PATH_WALK


def boot() -> Any:
    """Return a running kernel that was booted without walking a path: /dev is there all the same."""
    from vfslab.init.machine import Machine
    from vfslab.init.main import start_kernel
    from vfslab.teach.labs.world import make_dev

    machine = Machine(start_kernel(devices=False))
    make_dev(machine)
    return machine


STATIONS = (
    "path_init link_path_walk may_lookup walk_component lookup_fast lookup_slow handle_dots follow_dotdot step_into "
    "step_onto_mount traverse_mounts choose_mountpoint pick_link put_links terminate_walk"
)

LAB = Lab(
    name="path_walk",
    title="The path walk in your own hand",
    chapter="07_path_walk.ipynb",
    minutes=90,
    aims=("write it",),
    needs="chapter 7",
    boot=boot,
    view=PATH_WALK,
    stations=tuple(STATIONS.split()),
    for_now=(("fs/namei.py:lookup_fast", "return None"), ("fs/namei.py:step_onto_mount", "return False")),
    steps=(
        Step(
            number=1,
            title="Plain names",
            asks=("fs/namei.py:may_lookup", "fs/namei.py:link_path_walk"),
            checks=(
                Check(
                    name="plain_names",
                    points=3,
                    says="a path of plain names leads to what it names",
                    hint="Each name but the last is looked up and stepped into; nd.last is the one that is left.",
                ),
                Check(
                    name="who_may_search",
                    points=2,
                    says="a directory that may not be searched lets nobody through, a file least of all",
                    hint="may_lookup runs before each name: first the kind of the inode, then the permission.",
                ),
            ),
        ),
    ),
)
