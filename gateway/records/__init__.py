"""Is the record good.

Rules as pure functions over a record and its context, and the tables they look up.
"""
