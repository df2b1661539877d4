"""The same batch over a Dask cluster: two workers, each with boxes of its own. Needs `pip install 'vfslab[dask]'`."""

import os
import signal
import threading
import time

import pytest
from distributed import LocalCluster

from tests.grading import workshop
from tests.grading.test_batch import boxes_of, read, vfslab
from vfslab.teach.grading.batch import Journal, grade_all
from vfslab.teach.grading.dask import Cluster
from vfslab.teach.grading.merge import Submission


@pytest.fixture(scope="module")
def cluster():
    workshop.backend_or_skip("namespaces")
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as made:
        yield made


class Unusable(Exception):
    pass


def test_the_command_grades_on_two_workers_as_it_does_here(cluster, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        workshop.write(folder, name, workshop.solved())
    workshop.write(folder, "d", workshop.answering("import os\nos._exit(1)"))
    (folder / "e.ipynb").symlink_to("/etc/passwd")
    arguments = ["grade", folder, "--lab", workshop.LAB, "--dask", cluster.scheduler_address, "-o", tmp_path / "r.csv"]
    done = vfslab(*arguments)
    assert done.returncode == 0, done.stderr
    rows = read(tmp_path / "r.csv")
    assert [row["points"] for row in rows] == [str(workshop.lab().points)] * 3 + ["0", "0"]
    assert [row["status"] for row in rows] == ["graded"] * 3 + ["stopped", "refused"]
    assert not boxes_of(tmp_path)


def test_both_workers_work_and_one_that_dies_spoils_no_row(cluster, tmp_path):
    paths = [workshop.write(tmp_path, str(number), workshop.solved()) for number in range(8)]
    pool = Cluster(cluster.scheduler_address, Unusable)
    used = {name: worker["pid"] for name, worker in pool.client.run(lambda: {"pid": os.getpid()}).items()}
    assert len(used) == 2
    timer = threading.Timer(3, os.kill, (next(iter(used.values())), signal.SIGKILL))
    timer.start()
    rows = grade_all([Submission(path) for path in paths], workshop.small_batch("namespaces"), Journal(None), pool=pool)
    assert [row.status for row in rows] == ["graded"] * 8 and {row.points for row in rows} == {rows[0].most}, rows


def test_an_address_where_nobody_answers_is_one_line(tmp_path):
    began = time.monotonic()
    path = workshop.write(tmp_path, "a", workshop.solved())
    done = vfslab("grade", path, "--lab", workshop.LAB, "--dask", "tcp://127.0.0.1:9", "-o", tmp_path / "r.csv")
    assert done.returncode == 2 and "no Dask scheduler answers there" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr and time.monotonic() - began < 40
