"""A slash at the end of a path is forgotten.

fails: plain_names
also: other_callers
"""


# step 1
def link_path_walk(text, nd):
    nd.remaining = split_path(text)
    nd.trailing_slash = False
    nd.last = b""
    while nd.remaining:
        may_lookup(nd)
        nd.last = nd.remaining.pop()
        if nd.remaining:
            walk_component(nd, 0)
    nd.last_type = LAST_TYPES.get(nd.last, LAST_NORM)
