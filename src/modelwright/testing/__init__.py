"""Oracles and conformance suites, shipped so that anyone can hold an implementation to them; imported by no room."""
