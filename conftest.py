"""What holds for every test and every notebook that pytest runs.

Nothing skips silently: with VFSLAB_NO_SKIP=1 (as .ci/run sets it) a skip is a failure that says why it would have skipped.
Notebooks are compared by their printed text. A picture depends on the fonts of the machine, so it is never compared.
"""

import os

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return fail_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return fail_if_skipped((yield))


def fail_if_skipped(report):
    """Return the report; a skip has become a failure where skips are not allowed."""
    if os.environ.get("VFSLAB_NO_SKIP") == "1" and report.skipped and not hasattr(report, "wasxfail"):
        where_and_why = report.longrepr
        reason = where_and_why[-1] if isinstance(where_and_why, tuple) else where_and_why
        report.outcome = "failed"
        report.longrepr = (
            f"{reason}\nA skip fails here, because VFSLAB_NO_SKIP=1 says that this machine can run every test."
        )
    return report


def pytest_collectstart(collector):
    """Leave out of nbval's comparison what differs between two machines that are both right."""
    skip_compare = getattr(collector, "skip_compare", None)
    if skip_compare is not None:
        collector.skip_compare = (*skip_compare, "image/svg+xml", "text/html", "stderr")
