"""The words of `modelwright predict`."""

import argparse
from pathlib import Path

from modelwright.app.words.parser import Parser, add_common, print_json


def add(sub: Parser) -> None:
    """Add its options."""
    add_common(sub, _predict, system="none")
    sub.add_argument(
        "what", type=Path, metavar="SYSTEM", help="the Python file that declares the System, or a release folder"
    )
    sub.add_argument("given", type=Path, metavar="IN", help="CSV, Parquet or JSON lines")
    sub.add_argument("out", type=Path, metavar="OUT", help="CSV or Parquet, by its suffix")


def _predict(options: argparse.Namespace) -> int:
    from modelwright.app.commands.predict import predict, predict_with
    from modelwright.app.system import load
    from modelwright.app.terminal import figures, terminal, watching

    console = terminal(quiet=options.json)
    files = options.given, options.out
    with watching(console, "reading") as watch:
        if options.what.is_dir():
            result = predict_with(options.what, *files, watch)
        else:
            result = predict(load(options.what), *files, watch)
    if options.json:
        print_json(result)
        return 0
    figures(
        console,
        [
            ("rows", f"{result.rows:,}"),
            ("refused", f"{result.refused:,}"),
            ("release", result.release),
            ("rows a second", f"{result.rows_per_second:,.0f}"),
            ("written to", result.out),
        ],
    )
    return 0
