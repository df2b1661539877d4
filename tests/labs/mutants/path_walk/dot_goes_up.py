"""A single dot goes up as two do.

fails: dots
also: across_mounts dots_balance links links_balance many_links
"""


# step 2
def handle_dots(nd):
    if not nd.last:
        return
    if nd.root is None:
        nd.root = nd.task.fs.root
    step_up_or_down(nd, follow_dotdot(nd))
