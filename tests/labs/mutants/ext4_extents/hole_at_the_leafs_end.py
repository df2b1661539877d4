"""The hole behind a leaf's last run is not remembered.

fails: holes_remembered
also: out_of_order nothing_lost
"""


# step 5
def with_holes(runs: list[Run], first: int, end: int) -> list[Run]:
    covered, at = [], first
    for run in runs:
        if run[0] > at:
            covered.append((at, run[0] - at, 0, EXT4_MAP_HOLE))
        covered.append(run)
        at = run[0] + run[1]
    return covered
