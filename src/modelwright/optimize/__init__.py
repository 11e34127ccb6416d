"""Rank 8: a fitted estimator in a faster form, and the proof that it says the same."""
