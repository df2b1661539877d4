"""What `vfslab grade` does: its arguments, and what it says.

vfslab grade my.ipynb                                             one's own notebook: local.py
vfslab grade submissions/ --lab path_walk -o report.csv --html report/     a class
"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from vfslab.teach.labs.model import Lab, NoLab, load


def grade(args: Any, unusable: type[Exception]) -> int:
    """Check one's own notebook or grade a class; return the exit status: 0 done, 1 a check does not hold (one's own)."""
    from vfslab.teach.grading.merge import Refused

    try:
        if args.lab is None or args.output is None:
            return own(args, unusable)
        return of_class(args, load(args.lab), unusable)
    except (NoLab, Refused) as error:
        raise unusable(str(error)) from None


def own(args: Any, unusable: type[Exception]) -> int:
    """Run the shown checks on one notebook."""
    if args.output or args.html or args.gradebook or len(args.submissions) > 1:
        raise unusable("grading a class needs both --lab and -o; without them one notebook, your own, is checked")
    from vfslab.teach.grading.local import check_own

    return 0 if check_own(Path(args.submissions[0]), args.lab) else 1


def of_class(args: Any, lab: Lab, unusable: type[Exception]) -> int:
    """Grade all submissions and write the reports."""
    missing = [name for name in ("pytest", "nbval", "ipykernel", "nbformat") if importlib.util.find_spec(name) is None]
    if missing:
        raise unusable(f"grading needs {', '.join(missing)}: pip install 'vfslab[test]'")
    from vfslab.teach.grading.batch import Journal, grade_all
    from vfslab.teach.grading.box import NoBox, available
    from vfslab.teach.grading.merge import found
    from vfslab.teach.grading.report import write_csv, write_gradebook, write_html

    submissions = list(found(args.submissions))
    if not submissions:
        raise unusable(f"{', '.join(args.submissions)}: no notebooks there")
    try:
        backend = "unsafe" if args.unsafe else available(args.backend)
    except NoBox as error:
        raise unusable(str(error)) from None
    journal = Journal(Path(args.output + ".journal"))
    batch = journal.batch(lab, backend, all_seconds=args.seconds, cell_seconds=min(20.0, args.seconds))
    pool = None
    if args.dask:
        from vfslab.teach.grading.dask import Cluster

        pool = Cluster(args.dask, unusable)
    rows = grade_all(submissions, batch, journal, args.jobs, not args.quiet and sys.stderr.isatty(), pool)
    write_csv(Path(args.output), rows, lab)
    if args.html:
        write_html(Path(args.html), rows, lab, batch.seeds)
    if args.gradebook:
        write_gradebook(Path(args.gradebook), rows, lab)
    told = Counter(row.status for row in rows)
    print(f"{len(rows)} submissions: " + ", ".join(f"{count} {status}" for status, count in sorted(told.items())))
    if told["interrupted"]:
        print(f"interrupted: the same command goes on where this one ended ({journal.path})", file=sys.stderr)
        return 130
    journal.done()
    return 0
