"""The example's own system on 32 connections: 33 features of history, nearly all over past outcomes of one key."""

from datetime import timedelta
from pathlib import Path

from benchmarks.serving.work import Work
from benchmarks.serving.work import prepare as prepared

SYSTEM = Path(__file__).parents[2] / "examples" / "electricity" / "system.py"
CONNECTIONS = 32
STEP = timedelta(minutes=30)


def prepare(folder: Path) -> Work:
    """Train the example."""
    return prepared(folder, SYSTEM, STEP)
