"""Rank 11: answers requests. `dataplane` knows no transport; `http` is thin over it."""
