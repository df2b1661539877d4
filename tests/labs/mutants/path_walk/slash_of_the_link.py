"""The slash at the end of a link's text counts as that of the path.

fails: links
"""


# step 3
def link_path_walk(text, nd):
    nd.remaining = split_path(text)
    nd.trailing_slash = text[-1:] == b"/"
    nd.last = b""
    while nd.remaining:
        may_lookup(nd)
        nd.last = nd.remaining.pop()
        if not put_links(nd):
            break
        link = walk_component(nd, 0)
        if link is not None:
            nd.trailing_slash = link[-1:] == b"/"
            nd.remaining = split_path(link)
            put_links(nd)
    put_links(nd)
    nd.last_type = LAST_TYPES.get(nd.last, LAST_NORM)
