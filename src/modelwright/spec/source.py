"""Where history comes from: `source.files("payments/*.csv")`, relative to the system file."""

from pathlib import Path

import msgspec

from modelwright.core.errors import DataError, DeclarationError


class Files(msgspec.Struct, frozen=True):
    """Glob patterns of CSV, Parquet or JSON-lines files."""

    patterns: tuple[str, ...]

    def paths(self, home: Path) -> list[Path]:
        """The files the patterns match, sorted; DataError where a pattern matches none."""
        found: list[Path] = []
        for pattern in self.patterns:
            path = Path(pattern)
            base, glob = (
                (Path(path.anchor), str(path.relative_to(path.anchor))) if path.is_absolute() else (home, pattern)
            )
            matches = sorted(base.glob(glob))
            if not matches:
                raise DataError(f"source.files({pattern!r}): nothing matches in {base}; check the path or the pattern")
            found += [match for match in matches if match not in found]
        return found


def files(*patterns: str) -> Files:
    """History in files: CSV (`.csv`, `.txt`, also gzipped), Parquet or JSON lines (`.jsonl`, `.ndjson`).

    Patterns may hold `*`, `?` and `**`; relative ones are relative to the system file.
    """
    if not patterns or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise DeclarationError(f"source.files{patterns!r}: give at least one path or pattern, as a string")
    return Files(patterns)
