"""What comes after a link is lost.

fails: links
also: across_mounts links_balance many_links
"""


# step 3
def put_links(nd):
    while not nd.remaining and nd.depth:
        waiting = nd.stack.pop()
        nd.depth -= 1
        path_put(waiting.link)
    return nd.remaining
