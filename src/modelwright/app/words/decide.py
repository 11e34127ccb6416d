"""The words of people in charge: `modelwright approve`, `reject`, `rollback`, `pause`, `resume`."""

import argparse

from modelwright.app.words.parser import Parser, add_common, print_json


def add(sub: Parser) -> None:
    """Add its options."""
    add_common(sub, _decide)
    sub.add_argument("--why", required=True, help="the reason, for the journal")
    sub.add_argument("--who", default=None, help="whose decision it is (default: your name on this machine)")


def _decide(options: argparse.Namespace) -> int:
    from modelwright.app.commands.decide import decide
    from modelwright.app.system import load
    from modelwright.app.terminal import decision_line, terminal

    release = getattr(options, "release", None)
    row = decide(load(options.system), options.command, options.why, options.who, release)
    if options.json:
        print_json(row)
    else:
        terminal().print(decision_line(row), soft_wrap=True)
    return 0
