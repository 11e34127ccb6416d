"""Rank 2: metrics, row losses, sequential tests and distances between distributions; numpy alone."""
