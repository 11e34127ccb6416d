"""Rank 5: features. One kernel, two hosts: sorted histories offline, one key online, equal to the last bit."""
