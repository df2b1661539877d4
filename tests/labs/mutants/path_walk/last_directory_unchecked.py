"""The directory of the last name is not checked.

fails: who_may_search
also: dots_balance dots_need_a_directory other_callers
"""


# step 1
def link_path_walk(text, nd):
    nd.remaining = split_path(text)
    nd.trailing_slash = text[-1:] == b"/"
    nd.last = b""
    while nd.remaining:
        if len(nd.remaining) > 1:
            may_lookup(nd)
        nd.last = nd.remaining.pop()
        if nd.remaining:
            walk_component(nd, 0)
    nd.last_type = LAST_TYPES.get(nd.last, LAST_NORM)
