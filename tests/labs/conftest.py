"""The functions that these tests put into kernels are wrong on purpose, and leave them as wrong functions do."""

import pytest


@pytest.fixture(autouse=True)
def kernels_are_in_order():
    """Take the place of the check of all other tests; what a right solution leaves is observed by the labs' own checks."""
    yield


@pytest.fixture(autouse=True)
def progress_of_its_own(tmp_path, monkeypatch):
    """Keep each test's progress in a file of its own."""
    monkeypatch.setenv("VFSLAB_PROGRESS", str(tmp_path / "progress.json"))
