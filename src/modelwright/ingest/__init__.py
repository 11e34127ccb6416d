"""Rank 4: from sources to the log: read, check against the contract, give ids, quarantine what is truly bad."""
