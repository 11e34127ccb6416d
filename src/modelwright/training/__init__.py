"""Rank 7: the point-in-time training set, its split by time, the fit, the baseline and the tracked run."""
