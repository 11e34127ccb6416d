"""Rank 12: the loop: candidate, shadow, promotion, triggers, rehearsal. One state machine over the journal."""
