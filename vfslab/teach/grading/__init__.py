"""Grading: submissions go in, a table with a reason for each point comes out.

    vfslab grade submissions/ --lab path_walk -o report.csv --html report/

    merge.py   what is taken from a submission: the sources of its answer cells, into a notebook made here
    strip.py   the package that goes into the box: without what the lab asks for
    box.py     the box: bubblewrap, or namespaces.py, or a refusal; inside/ is what runs first in it
    plugin.py  pytest --nbval outside the box, its kernel inside; run.py one submission, with a watchdog
    batch.py   many of them, with a journal; dask.py on many machines; report.py CSV, pages, grade book
    local.py   one's own notebook: which checks hold, never a grade

Promised: a submission cannot read the solution, the expectations or another submission, write outside its box, use the
network, outlive its grading, take more than its time and memory, change its own or another's result, break the batch.
Not promised: that nobody pastes the public source of this package as an answer of his own (that is
plagiarism, and looks like a right answer), holes of the host's kernel, time that another process can measure.
"""
