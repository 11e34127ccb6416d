"""Rank 8: a fitted estimator in a faster form, and the proof that it says the same."""

from modelwright.spec.bounds import within

__all__ = ["within"]
