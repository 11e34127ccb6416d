"""Reasons to retrain, one file each.

retrain=[retrain.every("30d"), retrain.on_decay(cool_down="3d", at_most="4/day"), retrain.on_drift(), retrain.on_change()]
"""

from modelwright.control.triggers.every import every
from modelwright.control.triggers.on_change import on_change
from modelwright.control.triggers.on_decay import on_decay
from modelwright.control.triggers.on_drift import on_drift
from modelwright.control.triggers.on_rows import on_rows

__all__ = ["every", "on_change", "on_decay", "on_drift", "on_rows"]
