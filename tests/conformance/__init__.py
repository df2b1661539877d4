"""One behaviour suite over os-like objects: the same claims hold on Linux itself and on each filesystem of vfslab."""
