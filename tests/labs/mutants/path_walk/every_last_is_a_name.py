"""The last component is always said to be a plain name.

fails: other_callers
"""


# step 1
def link_path_walk(text, nd):
    nd.remaining = split_path(text)
    nd.trailing_slash = text[-1:] == b"/"
    nd.last = b""
    while nd.remaining:
        may_lookup(nd)
        nd.last = nd.remaining.pop()
        if nd.remaining:
            walk_component(nd, 0)
    nd.last_type = LAST_NORM
