"""Rank 0: value types, the clock, durations, canonical bytes and errors. No I/O, and no import from another room."""
