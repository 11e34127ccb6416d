"""Rank 15: what a person meets. Commands, wiring, the rehearsal report and the live console; no room imports this one."""
