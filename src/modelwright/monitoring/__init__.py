"""Rank 11: what the log says about how the system does: performance from outcomes, drift from inputs."""
