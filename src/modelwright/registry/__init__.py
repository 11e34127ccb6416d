"""Rank 10: releases are published here: whole or not at all, named by what they contain, each with its card."""
