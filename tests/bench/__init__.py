"""What reading costs: vfslab against the kernel and against other readers, on one image, in one run.

    python -m tests.bench --quick        small sizes, a minute
    python -m tests.bench                the sizes that the musts are stated for
    python -m tests.bench --only walk --rounds 5 --readers kernel,vfslab

    image.py      the image and the plan of what is read from it
    readers.py    one class for each reader: open, lstat, walk, read, list
    workloads.py  the rows: one function each over such a reader, with its must and its aim
    run.py        a process for each reader, rounds interleaved
    __main__.py   medians, the table, the verdicts

Needs root for the loop mount that is the measure. The peers come from the extra `bench`.
"""
