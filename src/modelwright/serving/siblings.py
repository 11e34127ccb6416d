"""What the workers of one server share beside the log: each one's metrics, so that whichever is asked tells of all.

A worker leaves its metrics in a folder, under its place's name, often and before it is asked for them. Whoever is asked adds
up what lies there. A worker that is started in the place of one that died goes on from what that one left, so no counter
goes back. The folder belongs to the parent of the workers; nothing here reads the log.
"""

import time
from contextlib import suppress
from pathlib import Path

PUBLISH_S = 0.25
"""How often a worker leaves its metrics, in seconds: so old may those of the others be."""
STALE_S = 5.0
"""A worker that was silent for so long, in seconds, has no present state to add."""
LARGEST = ("modelwright_release_info", "modelwright_log_head", "modelwright_canary_share")
"""Gauges that are the same of every worker, give or take a moment: the largest counts, not the sum."""


class _Family:
    """One metric: its two comment lines, and its values by sample in the order they came."""

    def __init__(self, help: str) -> None:
        self.help = help
        self.type = ""
        self.values: dict[str, float] = {}

    @property
    def is_state(self) -> bool:
        """Whether it says how things are now, and not how often something happened."""
        return self.type.endswith(" gauge")


def parsed(text: str) -> dict[str, _Family]:
    """The families of a text in Prometheus' form, by name."""
    families: dict[str, _Family] = {}
    family = _Family("")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = families.setdefault(line.split(" ", 3)[2], _Family(line))
        elif line.startswith("# TYPE "):
            family.type = line
        elif line:
            sample, _, value = line.rpartition(" ")
            family.values[sample] = float(value)
    return families


def added(parts: list[dict[str, _Family]]) -> str:
    """The sum of several workers' metrics, as text."""
    whole: dict[str, _Family] = {}
    for part in parts:
        for name, family in part.items():
            into = whole.setdefault(name, _Family(family.help))
            into.type = family.type
            for sample, value in family.values.items():
                before = into.values.get(sample, 0.0)
                into.values[sample] = max(before, value) if name in LARGEST else before + value
    lines: list[str] = []
    for family in whole.values():
        lines += [family.help, family.type]
        lines += [
            f"{sample} {int(value) if value.is_integer() else f'{value:.6f}'}"
            for sample, value in family.values.items()
        ]
    return "\n".join(lines) + "\n"


class Siblings:
    """One worker's view of the folder. One thread."""

    def __init__(self, folder: Path, slot: int) -> None:
        self.folder = folder
        self._mine = folder / f"{slot}.metrics"
        self._before = self._read(self._mine, events_only=True)

    def publish(self, own: str) -> None:
        """Leave this worker's metrics for the others; what cannot be left now is left the next time."""
        fresh = self._mine.with_suffix(".new")
        with suppress(OSError):
            fresh.write_text(added([parsed(own), self._before]))
            fresh.replace(self._mine)

    def whole(self, own: str) -> str:
        """The metrics of the whole server. What this says is published first, so that it holds though this worker dies."""
        self.publish(own)
        silent = time.time() - STALE_S
        parts = [parsed(own), self._before]
        for path in sorted(self.folder.glob("*.metrics")):
            if path != self._mine:
                parts.append(self._read(path, events_only=self._written(path) < silent))
        return added(parts)

    @staticmethod
    def _written(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    @staticmethod
    def _read(path: Path, *, events_only: bool) -> dict[str, _Family]:
        try:
            families = parsed(path.read_text())
        except OSError:
            return {}
        return {name: family for name, family in families.items() if not (events_only and family.is_state)}
