"""Faults that a rehearsal puts into its history or its loop, one file a family, and what came of them."""
