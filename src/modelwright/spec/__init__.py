"""Rank 1: what a user declares. Validated when made; knows no file, no model library and no server."""
