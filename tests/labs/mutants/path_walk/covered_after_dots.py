"""After `..` nobody looks whether the place is covered.

fails: stacked_mounts
also: mounted_root
"""


# step 2
def handle_dots(nd):
    if LAST_TYPES[nd.last] != LAST_DOTDOT:
        return
    if nd.root is None:
        nd.root = nd.task.fs.root
    move_to(nd, path_get(follow_dotdot(nd)))
