"""The short way is never taken.

fails: short_way
"""


# step 5
def step_onto_mount(nd, dentry):
    return False
