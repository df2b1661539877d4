"""At the root follow_dotdot gives nd.path itself; here it is moved on before the walk has left it.

fails: mounted_root
"""


# step 2
def handle_dots(nd):
    if LAST_TYPES[nd.last] != LAST_DOTDOT:
        return
    if nd.root is None:
        nd.root = nd.task.fs.root
    place = path_get(follow_dotdot(nd))
    traverse_mounts(place, nd)
    move_to(nd, place)
