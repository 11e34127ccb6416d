"""The words of `modelwright ingest`."""

import argparse
from pathlib import Path

from modelwright.app.words.parser import Parser, add_common, print_json


def add(sub: Parser) -> None:
    """Add its options."""
    add_common(sub, _ingest, system="required")
    sub.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files (default: the declared sources)")
    sub.add_argument("--event", metavar="NAME", help="the event they are of, where it is not the system's own")


def _ingest(options: argparse.Namespace) -> int:
    from modelwright.app.commands.ingest import ingest
    from modelwright.app.system import load
    from modelwright.app.terminal import figures, terminal, watching

    console = terminal(quiet=options.json)
    with watching(console, "reading") as watch:
        summary = ingest(
            load(options.system), options.paths, lambda path, rows: watch.step(f"reading {path.name}"), options.event
        )
    if options.json:
        print_json(summary)
        return 0
    figures(
        console,
        [
            ("files", f"{summary.files:,}"),
            ("rows", f"{summary.rows:,}"),
            ("new events", f"{summary.events:,}"),
            ("new outcomes", f"{summary.outcomes:,}"),
            ("known already", f"{summary.duplicates:,}"),
            ("quarantined", f"{summary.quarantined:,}"),
            *((f"  {count:,}", reason) for reason, count in list(summary.reasons.items())[:10]),
        ],
    )
    return 0
