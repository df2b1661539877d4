"""A link that is left keeps its references.

fails: links_balance
"""


# step 3
def put_links(nd):
    while not nd.remaining and nd.depth:
        waiting = nd.stack.pop()
        nd.depth -= 1
        nd.remaining = waiting.name
    return nd.remaining
