"""Questions to the kernel below: each is asked of it, and where it cannot be asked the answer is None."""

import os
import sys

import pytest

from vfslab.include.uapi.fcntl import RESOLVE_BENEATH
from vfslab.teach import live

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@pytest.fixture
def asked(tmp_path):
    """Return a folder, if openat2 may be called here."""
    if live.lookup(tmp_path) is None:
        pytest.skip("needs Linux 5.6 or newer, and a sandbox that lets openat2 through")
    return tmp_path


def test_the_release_is_that_of_uname():
    assert live.release() == os.uname().release


def test_a_lookup_says_what_openat2_says(asked):
    (asked / "there").touch()
    assert live.lookup(asked / "there") == "found"
    assert live.lookup(asked / "missing") == "ENOENT"
    assert live.lookup(asked / "there" / "below") == "ENOTDIR"
    assert live.lookup(f"{asked}/..", RESOLVE_BENEATH) == "EXDEV"


def test_where_it_cannot_be_asked_there_is_no_answer(monkeypatch, tmp_path):
    monkeypatch.setattr(live, "SYS_OPENAT2", 100_000)  # no such call: ENOSYS
    assert live.lookup(tmp_path) is None
    monkeypatch.setattr(sys, "platform", "darwin")
    assert live.release() is None
    assert live.lookup(tmp_path) is None
