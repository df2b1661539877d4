"""No name is ever found in memory.

fails: known_names
"""


# step 5
def lookup_fast(nd):
    return None
