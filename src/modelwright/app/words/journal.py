"""The words of `modelwright journal`."""

import argparse

from modelwright.app.words.parser import Parser, add_common, add_trials, print_json


def add(sub: Parser) -> None:
    """Add its options."""
    add_common(sub, _journal)
    add_trials(sub)


def _journal(options: argparse.Namespace) -> int:
    from modelwright.app.commands.journal import journal
    from modelwright.app.system import load
    from modelwright.app.terminal import decision_line, terminal

    rows = journal(load(options.system), options.of)
    if options.json:
        for row in rows:
            print_json(row)
        return 0
    console = terminal(answer=True)
    for row in rows:
        console.print(decision_line(row), soft_wrap=True)
    console.print(f"[dim]{len(rows)} decisions, chain verified[/]")
    return 0
