"""Command lines that several files of tests start."""

import sys
from pathlib import Path


def without_log(release: Path) -> list[str]:
    """`modelwright serve --no-log` on a free port; its first line of output is JSON that says which."""
    return [sys.executable, "-m", "modelwright.app.cli", "serve", str(release), "--no-log", "--port", "0", "--json"]
