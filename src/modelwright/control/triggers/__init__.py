"""Reasons to retrain, one file each.

retrain=[retrain.every("30d"), retrain.on_decay()]
"""

from modelwright.control.triggers.every import every
from modelwright.control.triggers.on_decay import on_decay

__all__ = ["every", "on_decay"]
