"""The directory is not checked where the next component is a dot.

fails: dots_need_a_directory
also: dots_balance
"""


# step 1
def link_path_walk(text, nd):
    nd.remaining = split_path(text)
    nd.trailing_slash = text[-1:] == b"/"
    nd.last = b""
    while nd.remaining:
        if nd.remaining[-1] not in LAST_TYPES:
            may_lookup(nd)
        nd.last = nd.remaining.pop()
        if nd.remaining:
            walk_component(nd, 0)
    nd.last_type = LAST_TYPES.get(nd.last, LAST_NORM)
