"""The words of `modelwright parity`."""

import argparse

from modelwright.app.words.parser import Parser, add_common, print_json


def add(sub: Parser) -> None:
    """Add its options."""
    add_common(sub, _parity)
    sub.add_argument(
        "--replay",
        dest="of",
        action="store_const",
        const="replay",
        help="of the last replay instead of the running system",
    )
    sub.add_argument(
        "--since",
        metavar="WHEN",
        help="only the latest predictions: a duration (7d, up to the newest one) or a sequence number of the log",
    )


def _parity(options: argparse.Namespace) -> int:
    from modelwright.app.commands.parity import parity
    from modelwright.app.system import load
    from modelwright.app.terminal import parity_table, terminal, watching

    console = terminal(quiet=options.json)
    with watching(console, "computing again what was served") as watch:
        result = parity(load(options.system), options.of, options.since, watch.reach)
    if options.json:
        print_json(result)
    else:
        parity_table(console, result)
    # Nothing compared is no parity.
    return 1 if result.differ or not result.checked + result.shadow else 0
