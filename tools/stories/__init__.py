"""One description per story: what a graph of `workflows/` is made of, in Python, once for all its files."""
