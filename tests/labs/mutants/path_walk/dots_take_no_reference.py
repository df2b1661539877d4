"""The walk moves up without taking references.

fails: dots_balance
also: across_mounts dots jail links mounted_root mounts_balance refused_mounts short_balance short_way stacked_mounts two_views
"""


# step 2
def handle_dots(nd):
    if LAST_TYPES[nd.last] != LAST_DOTDOT:
        return
    if nd.root is None:
        nd.root = nd.task.fs.root
    move_to(nd, follow_dotdot(nd))
