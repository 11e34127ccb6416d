"""Rank 3: the log. LMDB holds what must be safe now, Delta Lake holds it for good; nothing else writes either."""
