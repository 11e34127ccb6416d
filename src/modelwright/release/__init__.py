"""Rank 6: a release folder: read, verified, loaded and run. All of a model that serving opens."""
