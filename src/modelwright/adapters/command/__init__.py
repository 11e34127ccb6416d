"""Alerts by a program of the user's."""
