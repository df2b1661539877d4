"""A hole is as long as the runs before it reach.

fails: holes_remembered
also: out_of_order nothing_lost
"""


# step 5
def with_holes(runs: list[Run], first: int, end: int) -> list[Run]:
    covered, at = [], first
    for run in runs:
        if run[0] > at:
            covered.append((at, run[0], 0, EXT4_MAP_HOLE))
        covered.append(run)
        at = run[0] + run[1]
    if at < end:
        covered.append((at, end - at, 0, EXT4_MAP_HOLE))
    return covered
