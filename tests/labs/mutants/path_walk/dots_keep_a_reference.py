"""The walk takes one reference too many when it moves up.

fails: dots_balance
also: mounts_balance short_balance
"""


# step 2
def handle_dots(nd):
    if LAST_TYPES[nd.last] != LAST_DOTDOT:
        return
    if nd.root is None:
        nd.root = nd.task.fs.root
    step_up_or_down(nd, path_get(follow_dotdot(nd)))
