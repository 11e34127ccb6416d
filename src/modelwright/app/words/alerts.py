"""The words of `modelwright try-alerts`."""

import argparse

from modelwright.app.words.parser import Parser, add_common, print_json


def add(sub: Parser) -> None:
    """Add its options."""
    add_common(sub, _try_alerts)


def _try_alerts(options: argparse.Namespace) -> int:
    from modelwright.app.commands.alerts import try_alerts
    from modelwright.app.system import load
    from modelwright.app.terminal import figures, terminal

    tried = try_alerts(load(options.system))
    if options.json:
        print_json({"alerts": tried})
    else:
        figures(terminal(), [(one.to, one.error or "acknowledged") for one in tried])
    return 1 if any(one.error for one in tried) else 0
